//! Who a client is when a proxy stands in between: what trusted proxies say, and nobody else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::header::FORWARDED;
use ipnet::IpNet;
use signaling_proto::source::Source;
use stun_turn::proto::proxy_header::{self, Header};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::rarely::Rarely;
use crate::source;

/// What a chain of proxies appends to.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address and the port that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote(pub(crate) IpAddr, pub(crate) u16);

impl Remote {
    const fn of(address: SocketAddr) -> Self {
        Self(address.ip(), address.port())
    }
}

/// Proxies that are believed.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    pub(crate) trusted: Vec<IpNet>,
    /// Whether their connections begin with a PROXY header.
    pub(crate) write_header: bool,
    /// Warns of each [`Doubt`].
    pub(crate) untrusted: Rarely,
    pub(crate) unreadable: Rarely,
}

/// Why clients behind a proxy may not be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// It is not among the trusted ones.
    Untrusted,
    /// It says nothing that can be read.
    Unreadable,
}

impl Proxies {
    fn trust(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted.iter().any(|network| network.contains(&ip))
    }

    /// Whom the server's places are shared out to; `None` for proxies, behind which are many.
    pub(crate) fn source(&self, remote: Remote) -> Option<Source> {
        source::of(remote.0).filter(|_| !self.trust(remote.0))
    }

    /// Whom a connection from `remote` speaks for; reads the PROXY header where one is due.
    ///
    /// # Errors
    /// When the header is missing or wrong, or the connection breaks.
    pub(crate) async fn introduce(
        &self,
        stream: &mut TcpStream,
        remote: SocketAddr,
    ) -> io::Result<Remote> {
        if !self.write_header || !self.trust(remote.ip()) {
            return Ok(Remote::of(remote));
        }
        // Byte by byte, because what follows the header is not ours to read.
        let mut header = Vec::with_capacity(proxy_header::MAX_V1_BYTES);
        loop {
            header.push(stream.read_u8().await?);
            match proxy_header::parse(&header) {
                Header::Partial => {}
                Header::Whole { source, .. } => {
                    return Ok(Remote::of(source.unwrap_or(remote)));
                }
                Header::Malformed => {
                    let why = "a trusted proxy did not begin with a PROXY header";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
    }

    /// Whom a request speaks for. Each proxy appends whom it heard: the last address that is not
    /// itself a trusted proxy's is the client's, and what stands before it anybody may have written.
    pub(crate) fn client(&self, remote: Remote, headers: &HeaderMap) -> IpAddr {
        self.walk(remote, headers).0
    }

    /// The client, and whether an address on the way to it can't be read.
    fn walk(&self, remote: Remote, headers: &HeaderMap) -> (IpAddr, bool) {
        let values = headers.get_all(FORWARDED_FOR).iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap_or("")).collect();
        let mut heard = values
            .iter()
            .rev()
            .flat_map(|value| value.rsplit(','))
            .map(|text| parse(text.trim()));
        let mut client = remote.0;
        while self.trust(client) {
            match heard.next() {
                Some(Some(next)) => client = next,
                Some(None) => return (client.to_canonical(), true),
                None => break,
            }
        }
        (client.to_canonical(), false)
    }

    /// Logs that clients behind a proxy share one source, and what to do about it.
    pub(crate) fn warn(&self, remote: Remote, headers: &HeaderMap) {
        let Some(doubt) = self.doubt(remote, headers) else {
            return;
        };
        let (told, why) = match doubt {
            Doubt::Untrusted => (
                &self.untrusted,
                "X-Forwarded-For or Forwarded of an address that is no trusted proxy is ignored: all clients behind it share the limits of one source. If it is a proxy, start with --trusted-proxy ADDR",
            ),
            Doubt::Unreadable => (
                &self.unreadable,
                "a --trusted-proxy names no client that can be read: all clients behind it share the limits of one source. It has to append the client's address to X-Forwarded-For",
            ),
        };
        if let Some(count) = told.note(Instant::now()) {
            tracing::warn!(address = %remote.0.to_canonical(), count, "{why}");
        }
    }

    fn doubt(&self, remote: Remote, headers: &HeaderMap) -> Option<Doubt> {
        if !self.trust(remote.0) {
            let claims = headers.contains_key(FORWARDED_FOR) || headers.contains_key(FORWARDED);
            // From elsewhere anybody may write these; a proxy is next to what it stands before.
            return (claims && is_near(remote.0)).then_some(Doubt::Untrusted);
        }
        let names_nobody = !headers.contains_key(FORWARDED_FOR) && headers.contains_key(FORWARDED);
        (names_nobody || self.walk(remote, headers).1).then_some(Doubt::Unreadable)
    }
}

/// Whether it is an address of this host or of a private network.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// With or without a port, as proxies differ.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let ip = bare.unwrap_or(text).parse().ok();
    ip.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_is_the_client() {
        let proxies = Proxies {
            trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            ..Proxies::default()
        };
        for (remote, forwarded, client) in [
            ("10.0.0.1", &["192.0.2.7"][..], "192.0.2.7"),
            ("10.0.0.1", &["spoof, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["1.2.3.4, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["1.2.3.4", "192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7:4711"], "192.0.2.7"),
            ("fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("::ffff:10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["::ffff:192.0.2.7"], "192.0.2.7"),
            // Whoever is not trusted speaks for itself.
            ("192.0.2.1", &["1.2.3.4"], "192.0.2.1"),
            // What can't be read ends the walk.
            ("10.0.0.1", &["192.0.2.7, garbage"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7, garbage, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            let found = proxies.client(Remote(remote.parse().unwrap(), 4711), &headers);
            assert_eq!(found.to_string(), client, "{remote} {forwarded:?}");
        }
    }

    #[test]
    fn proxies_that_do_not_tell_clients_apart_are_noticed() {
        let proxies = Proxies {
            trusted: vec!["10.0.0.1".parse::<IpAddr>().unwrap().into()],
            ..Proxies::default()
        };
        let (untrusted, unreadable) = (Some(Doubt::Untrusted), Some(Doubt::Unreadable));
        for (remote, header, doubt) in [
            (
                "127.0.0.1",
                Some(("x-forwarded-for", "192.0.2.7")),
                untrusted,
            ),
            ("::1", Some(("forwarded", "for=192.0.2.7")), untrusted),
            (
                "::ffff:10.0.0.2",
                Some(("x-forwarded-for", "192.0.2.7")),
                untrusted,
            ),
            ("fd00::1", Some(("x-forwarded-for", "192.0.2.7")), untrusted),
            // Anybody can write it, and is not heard.
            ("192.0.2.1", Some(("x-forwarded-for", "192.0.2.7")), None),
            ("127.0.0.1", None, None),
            ("10.0.0.1", Some(("x-forwarded-for", "192.0.2.7")), None),
            (
                "10.0.0.1",
                Some(("x-forwarded-for", "garbage, 192.0.2.7")),
                None,
            ),
            (
                "10.0.0.1",
                Some(("x-forwarded-for", "192.0.2.7, unknown")),
                unreadable,
            ),
            ("10.0.0.1", Some(("forwarded", "for=192.0.2.7")), unreadable),
            ("10.0.0.1", None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let remote = Remote(remote.parse().unwrap(), 4711);
            assert_eq!(
                proxies.doubt(remote, &headers),
                doubt,
                "{remote:?} {header:?}"
            );
        }
    }
}
