//! Values of options, each saying what it expected when it is wrong.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::Uri;
use axum::http::uri::Authority;
use ipnet::IpNet;
use stun_turn::check::ServerUrl;

pub(super) fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "expected ADDR:PORT such as 127.0.0.1:8080 or [::1]:8080")
}

pub(super) fn parse_count(text: &str) -> Result<usize, &'static str> {
    text.parse()
        .ok()
        .filter(|count| (1..=10_000_000).contains(count))
        .ok_or("expected a number from 1 to 10000000")
}

pub(super) fn parse_network(text: &str) -> Result<IpNet, &'static str> {
    let network = text.parse().ok();
    let address = || text.parse().ok().map(|ip: IpAddr| IpNet::from(ip));
    network
        .or_else(address)
        .ok_or("expected ADDR/BITS such as 10.0.0.0/24")
}

/// `http://HOST[:PORT]` or `https://HOST[:PORT]`: an origin. Lower case, with the port spelled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    scheme: &'static str,
    host: String,
    port: u16,
}

impl HttpUrl {
    /// The origin of what is served to `authority`; `None` when that is not a host.
    #[must_use]
    pub fn of_authority(scheme: &'static str, authority: &str) -> Option<Self> {
        let authority: Authority = authority.parse().ok()?;
        // What is left of it is the port; with user information it would not begin with the host.
        let rest = authority.as_str().strip_prefix(authority.host())?;
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if rest.is_empty() && scheme == "https" => 443,
            None if rest.is_empty() => 80,
            None => return None,
        };
        let host = authority.host().to_ascii_lowercase();
        (!host.is_empty()).then_some(Self { scheme, host, port })
    }

    /// The host name or address, IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where the scheme implies it.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the origins differ in their hosts at most.
    pub(super) fn has_scheme_and_port_of(&self, other: &Self) -> bool {
        (self.scheme, self.port) == (other.scheme, other.port)
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }
}

impl FromStr for HttpUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected http://HOST[:PORT] or https://HOST[:PORT] without a path";
        let uri: Uri = text.parse().map_err(|_| expected)?;
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            _ => return Err(expected),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(
                "expected http://HOST[:PORT] or https://HOST[:PORT] without a path: an origin has \
                 none, and the page works at the root of its host alone, for example under a host \
                 name for it",
            );
        }
        let authority = uri.authority().ok_or(expected)?;
        if authority.host().contains('*') {
            return Err(
                "expected one host: a star stands only in front, for whole labels, as in --allow-origin https://*.example.org",
            );
        }
        match Self::of_authority(scheme, authority.as_str()) {
            Some(url) => Ok(url),
            None => Err(expected),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match (self.scheme, self.port) {
            ("http", 80) | ("https", 443) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

/// A `stun:`, `stuns:`, `turn:` or `turns:` URL (RFC 7064, RFC 7065).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceUrl {
    text: String,
    server: ServerUrl,
}

impl IceUrl {
    /// As clients get it: as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it leads.
    #[must_use]
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Whether a client must authenticate there.
    #[must_use]
    pub fn needs_credential(&self) -> bool {
        self.server.scheme.is_turn()
    }
}

impl FromStr for IceUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            text: text.to_owned(),
            server: text.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_compare_without_case_and_default_port() {
        let origin = |text: &str| text.parse::<HttpUrl>();
        assert_eq!(
            origin("https://Call.Example:443/"),
            origin("https://call.example")
        );
        assert_ne!(
            origin("http://call.example"),
            origin("https://call.example")
        );
        assert_ne!(
            origin("http://call.example"),
            origin("http://call.example:8080")
        );
        assert_eq!(
            origin("http://[::1]:8080").unwrap().to_string(),
            "http://[::1]:8080"
        );
        for bad in [
            "null",
            "call.example",
            "ftp://call.example",
            "http://",
            "http://a/b",
            "http://a?b",
            "http://u@a",
            "https://*.example.org",
            "https://call.example/call/",
            "http://a:99999",
            "",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ice_urls_are_checked() {
        for good in [
            "turn:relay.example",
            "turns:relay.example:5349?transport=tcp",
            "stun:192.0.2.1:3478",
            "turn:[2001:db8::1]:3478?transport=udp",
        ] {
            assert!(good.parse::<IceUrl>().is_ok(), "{good}");
        }
        for bad in [
            "relay.example",
            "turn:",
            "http:relay.example",
            "stun:a?transport=udp",
            "turn:a?transport=sctp",
            "turn:a:x",
            "turns:a?transport=udp",
            "turn://a b",
        ] {
            assert!(bad.parse::<IceUrl>().is_err(), "{bad}");
        }
    }
}
