//! A name server for the lab's hosts: browsers look up the names of relays by DNS alone. Each side has one on its own
//! loopback, as a home router is one, so that it answers whatever the network lets through.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::tests::network::Place;

use crate::lines::Host;

/// What a resolver reads to find it.
pub const RESOLV_CONF: &str = "nameserver 127.0.0.1\n";
/// How long it may take until it notices that it is over.
const LOOK: Duration = Duration::from_millis(200);

/// RFC 1035, section 4.1.1: id, flags, and four counts.
const HEADER: usize = 12;
/// Section 3.2.2, and RFC 3596 for IPv6.
const A: [u8; 2] = [0, 1];
const AAAA: [u8; 2] = [0, 28];
/// A response, recursion desired and available; with no error, and with "no such name".
const FOUND: [u8; 2] = [0x81, 0x80];
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

/// One that answers until it is dropped.
#[derive(Debug)]
pub struct NameServer {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts it on a place's loopback.
    ///
    /// # Errors
    /// When its port is taken.
    pub fn start(place: &Place) -> anyhow::Result<Self> {
        let socket = place.inside(|| UdpSocket::bind("127.0.0.1:53"))??;
        socket.set_read_timeout(Some(LOOK))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 512];
            while !ends.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer)
                    && let Some(answer) = answer(&buffer[..length])
                {
                    // A lost answer is asked for again.
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Self {
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer to a query with one question; `None` for what is none.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (name, end) = name(query)?;
    let kind = <[u8; 2]>::try_from(query.get(end..end + 2)?).ok()?;
    let hosts = [Host::SIGNALING, Host::RELAY];
    let host = hosts.into_iter().find(|host| name == host.name());
    let address = match (host, kind) {
        (Some(host), A) => host.ipv4().octets().to_vec(),
        (Some(host), AAAA) => host.ipv6().octets().to_vec(),
        _ => Vec::new(),
    };
    let mut answer = query.get(..2)?.to_vec();
    answer.extend(if host.is_some() { FOUND } else { NO_SUCH_NAME });
    let answers = u8::from(!address.is_empty());
    answer.extend([0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(query.get(HEADER..end + 4)?);
    if answers > 0 {
        // The question's name; type, class IN, a minute.
        answer.extend([0xc0, 0x0c]);
        answer.extend(kind);
        answer.extend([0, 1, 0, 0, 0, 60, 0]);
        answer.push(u8::try_from(address.len()).ok()?);
        answer.extend(address);
    }
    Some(answer)
}

/// The name in the question, in small letters, and where it ends.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: [u8; 2]) -> Vec<u8> {
        let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.as_bytes());
        }
        query.extend([0, kind[0], kind[1], 0, 1]);
        query
    }

    #[test]
    fn hosts_have_addresses_of_both_families() {
        let ipv4 = answer(&query("Turn.lab", A)).unwrap();
        assert!(ipv4.ends_with(&[0, 4, 11, 77, 2, 2]));
        let ipv6 = answer(&query("call.lab", AAAA)).unwrap();
        assert!(ipv6.ends_with(&Host::SIGNALING.ipv6().octets()));
    }

    #[test]
    fn others_have_none() {
        let unknown = answer(&query("example.org", A)).unwrap();
        assert_eq!(unknown[2..4], NO_SUCH_NAME);
        // A question for something else about a host that there is.
        let other = answer(&query("call.lab", [0, 65])).unwrap();
        assert_eq!((&other[2..4], other[7]), (&FOUND[..], 0));
    }

    #[test]
    fn what_is_no_query_is_not_answered() {
        let whole = query("call.lab", A);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length]), None, "{length}");
        }
    }
}
