//! Host names where addresses are expected: resolved when the options are read.
//!
//! A name keeps its last address while it can't be resolved, so that a reload during an outage of DNS
//! does not refuse options that were good at the start. All names of one reading of the options share one
//! deadline. A reading may block for that long: a running program does it on another thread.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long all names of one reading may take together.
const PATIENCE: Duration = Duration::from_secs(8);

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is at fault; says what was expected.
    #[error("{0}")]
    Expected(String),
    /// The text is a name without an answer, which may be a state of the network.
    #[error("the name {name} can't be resolved ({reason}); {expected}")]
    Unresolved {
        /// What was asked for.
        name: String,
        /// What the system said.
        reason: String,
        /// What the option needs.
        expected: String,
    },
}

impl From<&str> for AddressError {
    fn from(expected: &str) -> Self {
        Self::Expected(expected.to_owned())
    }
}

/// Whether a reload asks for a name again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// The first address stays: a reload does not change the option.
    Once,
    /// Each reading of the options asks.
    Again,
}

/// Answers that were given to names.
#[derive(Debug)]
struct Names {
    /// Counts readings of the options: within one the same name is asked for once.
    reading: u64,
    /// When this reading gives up waiting for answers. Outside of a reading each name has its own time.
    deadline: Option<Instant>,
    known: BTreeMap<String, Answer>,
    /// Answers that are awaited since the reading began.
    asked: BTreeMap<String, Receiver<Found>>,
}

/// The addresses of a name, or what the system said.
type Found = Result<Vec<IpAddr>, String>;

#[derive(Debug, Clone)]
struct Answer {
    reading: u64,
    lookup: Lookup,
    result: Found,
}

static NAMES: Mutex<Names> = Mutex::new(Names {
    reading: 0,
    deadline: None,
    known: BTreeMap::new(),
    asked: BTreeMap::new(),
});

/// Begins a reading of the options: names of options that a reload changes are resolved again. They are
/// asked for at once and all together, so that one that is slow takes no time from the others.
pub fn begin_reading() {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.reading += 1;
    names.deadline = Some(Instant::now() + PATIENCE);
    let known = names.known.iter();
    let again = known.filter(|(_, answer)| answer.lookup == Lookup::Again);
    names.asked = again.map(|(name, _)| (name.clone(), ask(name))).collect();
}

impl Names {
    fn addresses(
        &mut self,
        name: &str,
        lookup: Lookup,
        resolve: impl FnOnce(&str) -> Found,
    ) -> Found {
        let known = self.known.get(name).cloned();
        if let Some(known) = &known {
            let stays = lookup == Lookup::Once && known.result.is_ok();
            if stays || known.reading == self.reading {
                return known.result.clone();
            }
        }
        let result = match (resolve(name), known.map(|known| known.result)) {
            (Err(error), Some(Ok(old))) => {
                tracing::warn!(name, %error, addresses = ?old, "the name can't be resolved, its last address stays");
                Ok(old)
            }
            (result, _) => result,
        };
        let answer = Answer {
            reading: self.reading,
            lookup,
            result: result.clone(),
        };
        self.known.insert(name.to_owned(), answer);
        result
    }
}

/// Asks the system on another thread: that may take longer than anybody waits.
fn ask(name: &str) -> Receiver<Found> {
    let (answer, answers) = mpsc::channel();
    let asked = name.to_owned();
    let to_asker = answer.clone();
    let ask = move || {
        let found = (asked.as_str(), 0).to_socket_addrs();
        let ips = found.map(|found| found.map(|it| it.ip()).collect::<Vec<_>>());
        // The asker may have given up.
        let _ = to_asker.send(match ips {
            Ok(ips) if ips.is_empty() => Err("it has no address".to_owned()),
            Ok(ips) => Ok(ips),
            Err(error) => Err(error.to_string()),
        });
    };
    let thread = std::thread::Builder::new().name("resolver".to_owned());
    if let Err(error) = thread.spawn(ask) {
        let _ = answer.send(Err(error.to_string()));
    }
    answers
}

fn await_answer(asked: &Receiver<Found>, deadline: Instant) -> Found {
    let left = deadline.saturating_duration_since(Instant::now());
    let found = asked.recv_timeout(left);
    found.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// An IP address, or a name that stands for its first IPv4 address, or its first IPv6 address if it has
/// no other.
///
/// # Errors
/// What is wrong, in words; `expected` says what the option needs.
pub(super) fn ip(text: &str, lookup: Lookup, expected: &str) -> Result<IpAddr, AddressError> {
    if let Ok(ip) = text.parse() {
        return Ok(ip);
    }
    if !is_name(text) {
        return Err(expected.into());
    }
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let deadline = names.deadline;
    let deadline = deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
    let asked = names.asked.remove(text);
    let found = names.addresses(text, lookup, |name| {
        await_answer(&asked.unwrap_or_else(|| ask(name)), deadline)
    });
    let ips = found.map_err(|reason| AddressError::Unresolved {
        name: text.to_owned(),
        reason,
        expected: expected.to_owned(),
    })?;
    let ipv4 = ips.iter().find(|ip| ip.is_ipv4());
    ipv4.or_else(|| ips.first())
        .copied()
        .ok_or_else(|| expected.into())
}

/// `ADDR:PORT` with an address or a name.
///
/// # Errors
/// As [`ip`].
pub(super) fn socket_address(
    text: &str,
    lookup: Lookup,
    expected: &str,
) -> Result<SocketAddr, AddressError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or(expected)?;
    let port = port.parse().map_err(|_| expected)?;
    if host.contains(':') {
        // An IPv6 address stands in brackets.
        return Err(expected.into());
    }
    Ok(SocketAddr::new(ip(host, lookup, expected)?, port))
}

/// Refuses a name that stands for this host itself where clients are told the address. Debian gives the
/// host's own name 127.0.1.1 in /etc/hosts.
///
/// # Errors
/// [`AddressError::Expected`].
pub(super) fn refuse_loopback(text: &str, ip: IpAddr) -> Result<(), AddressError> {
    let name = text.trim_end_matches('.');
    let is_meant = text.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost");
    if is_meant || !ip.is_loopback() {
        return Ok(());
    }
    Err(AddressError::Expected(format!(
        "the name {text} stands for {ip} on this host (see /etc/hosts), where no client gets: give the address"
    )))
}

/// Whether a text may be a host name. One that ends with a number is none, or else a mistyped address
/// would be asked for (`10.0.0` is an address to some resolvers).
fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let mut labels = text.trim_end_matches('.').split('.');
    let last = labels.clone().next_back().unwrap_or_default();
    text.len() <= 253
        && labels.all(|label| !label.is_empty() && label.chars().all(is_letter))
        && last.chars().any(|letter| letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_themselves_and_names_are_looked_up() {
        let of = |text| socket_address(text, Lookup::Again, "expected ADDR:PORT");
        assert_eq!(of("[::1]:3478").unwrap(), "[::1]:3478".parse().unwrap());
        let localhost = of("localhost:3478").unwrap();
        assert!(localhost.ip().is_loopback() && localhost.port() == 3478);
        for wrong in [
            "",
            "localhost",
            "localhost:",
            "::1:3478",
            "10.0.0:1",
            "10.0.0.256:1",
            "a b:1",
            "a..b:1",
        ] {
            assert_eq!(of(wrong), Err("expected ADDR:PORT".into()), "{wrong}");
        }
    }

    /// An outage of DNS refused whole reloads.
    #[test]
    fn a_name_keeps_its_last_address_while_it_can_t_be_resolved() {
        let mut names = Names {
            reading: 0,
            deadline: None,
            known: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        let down = |_: &str| Err("down".to_owned());
        let [one, two] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let again = Lookup::Again;
        assert_eq!(names.addresses("a", again, down), Err("down".to_owned()));
        let unasked = |_: &str| panic!("asked twice within one reading");
        assert_eq!(names.addresses("a", again, unasked), Err("down".to_owned()));
        names.reading += 1;
        assert_eq!(
            names.addresses("a", again, |_| Ok(vec![one])),
            Ok(vec![one])
        );
        assert_eq!(names.addresses("a", again, unasked), Ok(vec![one]));
        names.reading += 1;
        assert_eq!(names.addresses("a", again, down), Ok(vec![one]));
        names.reading += 1;
        let unasked = |_: &str| panic!("a reload does not change the option");
        assert_eq!(names.addresses("a", Lookup::Once, unasked), Ok(vec![one]));
        assert_eq!(
            names.addresses("a", again, |_| Ok(vec![two])),
            Ok(vec![two])
        );
    }

    /// Each name had eight seconds.
    #[test]
    fn all_names_of_a_reading_share_one_deadline() {
        let (_answer, silent) = mpsc::channel();
        let over = Instant::now();
        let told = await_answer(&silent, over).unwrap_err();
        assert!(told.contains("no answer within 8 s"), "{told}");
        let (answer, asked) = mpsc::channel();
        answer.send(Ok(vec![IpAddr::from([192, 0, 2, 1])])).unwrap();
        assert!(await_answer(&asked, over).is_ok(), "what has come counts");
    }

    /// Debian's `127.0.1.1 host`.
    #[test]
    fn the_host_s_own_name_is_no_address_for_clients() {
        let own = IpAddr::from([127, 0, 1, 1]);
        let refused = refuse_loopback("relay.example", own).unwrap_err();
        assert!(refused.to_string().contains("127.0.1.1"), "{refused}");
        assert_eq!(refuse_loopback("127.0.1.1", own), Ok(()));
        assert_eq!(refuse_loopback("localhost", own), Ok(()));
        let public = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(refuse_loopback("relay.example", public), Ok(()));
    }
}
