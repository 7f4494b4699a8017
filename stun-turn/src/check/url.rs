//! `turn:`, `turns:`, `stun:` and `stuns:` URLs (RFC 7064, RFC 7065).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// What a URL asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Binding alone.
    Stun,
    /// Binding alone, over TLS.
    Stuns,
    /// A relay.
    Turn,
    /// A relay over TLS.
    Turns,
}

impl Scheme {
    /// Whether TLS is spoken.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Stuns | Self::Turns)
    }

    /// Whether there is a relay behind it.
    #[must_use]
    pub const fn is_turn(self) -> bool {
        matches!(self, Self::Turn | Self::Turns)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Stuns => "stuns",
            Self::Turn => "turn",
            Self::Turns => "turns",
        }
    }
}

/// How the server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
    /// A connection, encrypted.
    Tls,
}

impl Via {
    /// Whether TCP carries it.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// `UDP`, `TCP` or `TLS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// `SCHEME:HOST[:PORT][?transport=udp|tcp]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// In front of the first colon.
    pub scheme: Scheme,
    /// A name, or an address without brackets.
    pub host: String,
    /// 3478 when it is not given, 5349 for TLS.
    pub port: u16,
    /// `Some` when `?transport=` says so.
    pub transport: Option<Via>,
}

impl ServerUrl {
    /// The ways to the server that the URL stands for.
    #[must_use]
    pub const fn vias(&self) -> &'static [Via] {
        match (self.scheme, self.transport) {
            (Scheme::Stuns | Scheme::Turns, _) => &[Via::Tls],
            (Scheme::Turn, None) => &[Via::Udp, Via::Tcp],
            (_, Some(Via::Tcp | Via::Tls)) => &[Via::Tcp],
            (Scheme::Stun, None) | (_, Some(Via::Udp)) => &[Via::Udp],
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, port) = (self.scheme.name(), self.port);
        if self.host.contains(':') {
            write!(f, "{scheme}:[{}]:{port}", self.host)?;
        } else {
            write!(f, "{scheme}:{}:{port}", self.host)?;
        }
        match self.transport {
            None => Ok(()),
            Some(Via::Udp) => f.write_str("?transport=udp"),
            Some(Via::Tcp | Via::Tls) => f.write_str("?transport=tcp"),
        }
    }
}

impl FromStr for ServerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected =
            "expected turn:HOST[:PORT][?transport=udp|tcp], turns:HOST[:PORT], stun:HOST[:PORT]";
        let (scheme, rest) = text.split_once(':').ok_or(expected)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "stun" => Scheme::Stun,
            "stuns" => Scheme::Stuns,
            "turn" => Scheme::Turn,
            "turns" => Scheme::Turns,
            _ => return Err(expected),
        };
        if rest.starts_with('/') {
            return Err("expected no slashes: turn:HOST, not turn://HOST");
        }
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let transport = match query.map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some(_) if !scheme.is_turn() => return Err("stun: and stuns: have no ?transport"),
            Some("transport=udp") if scheme == Scheme::Turns => {
                return Err(
                    "turns: with transport=udp is DTLS, which is not spoken here; browsers don't either",
                );
            }
            Some("transport=udp") => Some(Via::Udp),
            Some("transport=tcp") => Some(Via::Tcp),
            Some(_) => return Err("expected ?transport=udp or ?transport=tcp"),
        };
        let (host, port) = split_authority(authority).ok_or(expected)?;
        let default_port = if scheme.is_secure() { 5349 } else { 3478 };
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or(default_port),
            transport,
        })
    }
}

/// Host without brackets, and port.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, port)
    } else {
        let colon = authority.find(':').unwrap_or(authority.len());
        authority.split_at(colon)
    };
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(is_host) {
        return None;
    }
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None if port.is_empty() => None,
        None => return None,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_stands_for_its_ways() {
        for (text, host, port, vias) in [
            (
                "turn:a.example",
                "a.example",
                3478,
                &[Via::Udp, Via::Tcp][..],
            ),
            ("TURN:a.example:80", "a.example", 80, &[Via::Udp, Via::Tcp]),
            ("turn:a?transport=udp", "a", 3478, &[Via::Udp]),
            ("turn:a?transport=TCP", "a", 3478, &[Via::Tcp]),
            ("turns:a", "a", 5349, &[Via::Tls]),
            ("turns:a:443?transport=tcp", "a", 443, &[Via::Tls]),
            ("stun:192.0.2.1", "192.0.2.1", 3478, &[Via::Udp]),
            ("stuns:a", "a", 5349, &[Via::Tls]),
            (
                "turn:[2001:db8::1]:9",
                "2001:db8::1",
                9,
                &[Via::Udp, Via::Tcp],
            ),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!(url.vias(), vias, "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "printed and read again");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "expected turn:"),
            ("a.example", "expected turn:"),
            ("a.example:3478", "expected turn:"),
            ("http:a", "expected turn:"),
            ("turn://a.example", "no slashes"),
            ("turn:", "expected turn:"),
            ("turn:a:0", "expected turn:"),
            ("turn:a:70000", "expected turn:"),
            ("turn:user@a", "expected turn:"),
            ("turn:2001:db8::1", "expected turn:"),
            ("turn:[2001:db8::1", "expected turn:"),
            ("turn:[a.example]", "expected turn:"),
            ("turn:a?transport=sctp", "?transport=udp"),
            ("turns:a?transport=udp", "DTLS"),
            ("stun:a?transport=udp", "no ?transport"),
        ] {
            let refused = text.parse::<ServerUrl>().unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
