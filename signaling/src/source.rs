//! Where somebody comes from, as far as limits go.

use std::net::IpAddr;

use signaling_proto::source::Source;

/// The source that an address belongs to. `None` for this host itself: who stands behind a proxy on
/// it can't be told apart until the proxy says who it is.
pub(crate) fn of(ip: IpAddr) -> Option<Source> {
    if ip.to_canonical().is_loopback() {
        return None;
    }
    Some(Source(stun_turn::proto::source::Source::of(ip).bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
        let source = |text: &str| of(text.parse().unwrap());
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:0:0:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(source(own), None, "{own}");
        }
    }
}
