//! Where somebody comes from, as far as limits go.

use std::net::IpAddr;

use signaling_proto::source::{Key, Source};

/// The source that an address belongs to. `None` for this host itself: who stands behind a proxy on
/// it can't be told apart until the proxy says who it is.
pub(crate) fn of(ip: IpAddr) -> Option<Source> {
    if ip.to_canonical().is_loopback() {
        return None;
    }
    let source = stun_turn::proto::source::Source::of(ip);
    let networks = source.networks().map(|(network, multiple)| {
        let (prefix, bits) = (network.prefix(), network.bits());
        (Key { prefix, bits }, multiple)
    });
    Some(Source::within(source.bits(), networks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_networks_stand_around_ipv6_sources() {
        let shares = |text: &str| -> Vec<(Key, u32)> {
            of(text.parse().unwrap()).unwrap().shares().collect()
        };
        assert_eq!(shares("192.0.2.1").len(), 1);
        let (one, two) = (shares("2001:db8:0:100::1"), shares("2001:db8:0:1ff::1"));
        assert_ne!(one[0], two[0]);
        assert_eq!(one[1..], two[1..], "one home");
        let multiples: Vec<u32> = one.iter().map(|(_, multiple)| *multiple).collect();
        assert_eq!(multiples, [1, 8, 64]);
        let elsewhere = shares("2001:db8:0:200::1");
        assert_ne!(elsewhere[1], one[1]);
        assert_eq!(elsewhere[2], one[2], "one host");
        assert_ne!(shares("2001:db8:1::1")[2], one[2]);
    }

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
