//! Values of options; each refuses what it is not with what was expected.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use stun_turn_proto::limits::MAX_REALM_BYTES;

use super::host::{self, AddressError, Lookup};
use super::opaque;

/// Transport protocols that can be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Streams; with certificates TLS is taken too.
    Tcp,
    /// Streams that need certificates.
    Tls,
}

impl Protocol {
    /// Whether TCP carries it.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        })
    }
}

/// `PROTO:ADDR:PORT`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// How.
    pub protocol: Protocol,
    /// Where; port 0 lets the system choose.
    pub address: SocketAddr,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol, self.address)
    }
}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected udp:ADDR:PORT, tcp:ADDR:PORT or tls:ADDR:PORT, for example udp:0.0.0.0:3478 or \
                        tls:[::]:5349";
        let (protocol, address) = text.split_once(':').ok_or(expected)?;
        let protocol = match protocol {
            "udp" => Protocol::Udp,
            "tcp" => Protocol::Tcp,
            "tls" => Protocol::Tls,
            _ => return Err(expected.into()),
        };
        let address = host::socket_address(address, Lookup::Once, expected)?;
        Ok(Self { protocol, address })
    }
}

/// `NAME:PASSWORD`
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Up to the first colon.
    pub name: String,
    /// Behind it.
    pub password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({:?}, hidden)", self.name)
    }
}

impl User {
    /// The forms that clients may send and sign with: as `OpaqueString` has it (RFC 8489 section
    /// 9.2.2), and to the letter, as clients do that prepare nothing.
    pub(crate) fn forms(&self) -> Vec<(String, String)> {
        let both = |text: &str| [opaque::prepare(text), text.to_owned()];
        let mut forms = Vec::new();
        for name in both(&self.name) {
            for password in both(&self.password) {
                let form = (name.clone(), password);
                if !forms.contains(&form) {
                    forms.push(form);
                }
            }
        }
        forms
    }
}

impl FromStr for User {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => Ok(Self {
                name: name.to_owned(),
                password: password.to_owned(),
            }),
            _ => Err("expected NAME:PASSWORD, neither of them empty"),
        }
    }
}

/// A realm that fits into every reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(pub String);

impl FromStr for Realm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = opaque::prepare(text);
        if text.is_empty() || text.len() > MAX_REALM_BYTES || text.chars().any(char::is_control) {
            return Err(format!(
                "expected 1 to {MAX_REALM_BYTES} bytes without control characters"
            ));
        }
        Ok(Self(text))
    }
}

/// `PUBLIC[=LOCAL]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct External {
    /// What clients are told.
    pub public: IpAddr,
    /// For which relay address; without it, for the first one of the family.
    pub local: Option<IpAddr>,
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.public)?;
        self.local.map_or(Ok(()), |local| write!(f, "={local}"))
    }
}

impl FromStr for External {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected PUBLIC or PUBLIC=LOCAL, two addresses of one family";
        let parse = |ip: &str| host::ip(ip, Lookup::Again, expected);
        let (told, local) = match text.split_once('=') {
            Some((told, local)) => (told, Some(parse(local)?)),
            None => (text, None),
        };
        let public = parse(told)?;
        host::refuse_loopback(told, public)?;
        let is_no_host = public.is_unspecified() || public.is_multicast();
        if is_no_host || local.is_some_and(|local| local.is_ipv4() != public.is_ipv4()) {
            return Err(expected.into());
        }
        Ok(Self { public, local })
    }
}

/// `MIN-MAX`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected MIN-MAX with 1024 <= MIN <= MAX <= 65535";
        let (min, max) = text.split_once('-').ok_or(expected)?;
        let (min, max) = (
            min.parse().map_err(|_| expected)?,
            max.parse().map_err(|_| expected)?,
        );
        if min < 1024 || min > max {
            return Err(expected);
        }
        Ok(Self(min..=max))
    }
}

/// An address that clients can be sent to.
pub(super) fn parse_server(text: &str) -> Result<SocketAddr, AddressError> {
    let expected = "expected the ADDR:PORT of a server, IPv6 in brackets";
    let address = host::socket_address(text, Lookup::Again, expected)?;
    if let Some((name, _)) = text.rsplit_once(':')
        && !name.starts_with('[')
    {
        host::refuse_loopback(name, address.ip())?;
    }
    let usable = Some(address).filter(|it| !it.ip().is_unspecified() && it.port() != 0);
    usable.ok_or_else(|| expected.into())
}

/// A local address, or the name of one.
pub(super) fn parse_ip(text: &str) -> Result<IpAddr, AddressError> {
    host::ip(text, Lookup::Once, "expected an IP address of this host")
}

/// An address and a port of this host.
pub(crate) fn parse_socket_address(text: &str) -> Result<SocketAddr, AddressError> {
    let expected = "expected ADDR:PORT, IPv6 in brackets";
    host::socket_address(text, Lookup::Once, expected)
}

/// A network without host bits; a bare address stands for itself alone.
pub(super) fn parse_cidr(text: &str) -> Result<IpNet, String> {
    let net = match text.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip),
        Err(_) => text
            .parse()
            .map_err(|_| "expected a network such as 10.0.0.0/8 or fd00::/8".to_owned())?,
    };
    if net.network() != net.addr() {
        return Err(format!("has host bits set, did you mean {}?", net.trunc()));
    }
    Ok(net)
}

/// A prefix that a NAT64 may have (RFC 6052 section 2.2).
pub(super) fn parse_nat64(text: &str) -> Result<Ipv6Net, String> {
    match parse_cidr(text)? {
        IpNet::V6(net) if matches!(net.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96) => Ok(net),
        _ => Err("expected an IPv6 prefix of length 32, 40, 48, 56, 64 or 96".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_values_are_read() {
        let listen: Listen = "tcp:[::1]:3478".parse().unwrap();
        assert_eq!(
            (listen.protocol, listen.address.port()),
            (Protocol::Tcp, 3478)
        );
        assert_eq!(listen.to_string(), "tcp:[::1]:3478");
        assert_eq!("a:b:c".parse::<User>().unwrap().password, "b:c");
        assert_eq!("1024-1024".parse::<PortRange>().unwrap().0, 1024..=1024);
        assert_eq!(
            "1.2.3.4=10.0.0.1".parse::<External>().unwrap().local,
            Some([10, 0, 0, 1].into())
        );
        assert_eq!(parse_cidr("10.0.0.1").unwrap().prefix_len(), 32);
        assert_eq!(parse_cidr("fd00::/8").unwrap().prefix_len(), 8);
        assert_eq!(parse_nat64("2001:67c::/96").unwrap().prefix_len(), 96);
    }

    #[test]
    fn bad_values_are_refused() {
        for text in [
            "",
            "udp",
            "udp:1.2.3.4",
            "sctp:1.2.3.4:5",
            "udp:::1:3478",
            "udp:local host:3478",
            "udp:1.2.3:3478",
            "udp:1.2.3.4:70000",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
        for text in ["", "alice", "alice:", ":wonder"] {
            assert!(text.parse::<User>().is_err(), "{text}");
        }
        for text in ["", "5000", "5000-4000", "80-90", "5000-70000", "5000-"] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
        for text in [
            "",
            "1.2.3.4=::1",
            "1.2.3.4=",
            "1.2.3",
            "0.0.0.0",
            "224.0.0.1",
        ] {
            assert!(text.parse::<External>().is_err(), "{text}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0-10.1.1.1",
            "10.0.0.0/8 ",
        ] {
            assert!(parse_cidr(text).is_err(), "{text}");
            assert!(parse_nat64(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_user_is_known_by_the_prepared_form_and_to_the_letter() {
        let forms = |text: &str| text.parse::<User>().unwrap().forms();
        assert_eq!(forms("alice:wonder").len(), 1);
        let of_a_mac = forms("alice:pa\u{308}ss");
        let expected = ["p\u{e4}ss", "pa\u{308}ss"].map(|it| ("alice".to_owned(), it.to_owned()));
        assert_eq!(of_a_mac, expected);
        assert_eq!(forms("a\u{a0}b:c\u{a0}d").len(), 4);
        let realm: Realm = "caf\u{65}\u{301}".parse().unwrap();
        assert_eq!(realm.0, "caf\u{e9}");
    }

    #[test]
    fn debug_output_hides_passwords() {
        let user: User = "alice:wonder".parse().unwrap();
        assert!(!format!("{user:?}").contains("wonder"));
    }
}
