//! Ranges that are not public unicast (IANA special-purpose registries, cloud metadata).

use super::{Denial, IpAddr, Ipv4Addr, Ipv4Net, Ipv6Addr, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(segments: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

/// What a refusal calls the range, and the range.
pub(super) const IPV4: [(&str, Ipv4Net); 19] = [
    ("this network (0.0.0.0/8)", v4(0, 0, 0, 0, 8)),
    ("private (10.0.0.0/8)", v4(10, 0, 0, 0, 8)),
    ("carrier-grade NAT (100.64.0.0/10)", v4(100, 64, 0, 0, 10)),
    ("loopback (127.0.0.0/8)", v4(127, 0, 0, 0, 8)),
    ("link-local (169.254.0.0/16)", v4(169, 254, 0, 0, 16)),
    ("private (172.16.0.0/12)", v4(172, 16, 0, 0, 12)),
    ("IETF assignments (192.0.0.0/24)", v4(192, 0, 0, 0, 24)),
    ("documentation (192.0.2.0/24)", v4(192, 0, 2, 0, 24)),
    ("AS112 (192.31.196.0/24)", v4(192, 31, 196, 0, 24)),
    ("AMT (192.52.193.0/24)", v4(192, 52, 193, 0, 24)),
    (
        "6to4 relay anycast (192.88.99.0/24)",
        v4(192, 88, 99, 0, 24),
    ),
    ("private (192.168.0.0/16)", v4(192, 168, 0, 0, 16)),
    ("AS112 (192.175.48.0/24)", v4(192, 175, 48, 0, 24)),
    ("benchmarking (198.18.0.0/15)", v4(198, 18, 0, 0, 15)),
    ("documentation (198.51.100.0/24)", v4(198, 51, 100, 0, 24)),
    ("documentation (203.0.113.0/24)", v4(203, 0, 113, 0, 24)),
    ("multicast (224.0.0.0/4)", v4(224, 0, 0, 0, 4)),
    ("reserved (240.0.0.0/4)", v4(240, 0, 0, 0, 4)),
    // A public address behind which a cloud's own services answer.
    ("cloud metadata (168.63.129.16)", v4(168, 63, 129, 16, 32)),
];

/// Global unicast; everything outside is refused.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// 6to4 (RFC 3056): the IPv4 address follows the prefix.
pub(super) const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
/// Teredo (RFC 4380): the client's IPv4 address, inverted, at the end.
pub(super) const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32);
/// Local-use NAT64 (RFC 8215).
pub(super) const NAT64_LOCAL: Ipv6Net = v6([0x64, 0xFF9B, 1, 0, 0, 0, 0, 0], 48);
/// Forms with the IPv4 address in the last four bytes: IPv4-compatible, IPv4-translated, NAT64.
pub(super) const SUFFIX_EMBEDDED: [Ipv6Net; 3] = [
    v6([0; 8], 96),
    v6([0, 0, 0, 0, 0xFFFF, 0, 0, 0], 96),
    v6([0x64, 0xFF9B, 0, 0, 0, 0, 0, 0], 96),
];

/// Ranges inside of 2000::/3 that are not for relaying.
pub(super) const IPV6: [(&str, Ipv6Net); 5] = [
    (
        "protocol assignments, Teredo (2001::/23)",
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ),
    (
        "documentation (2001:db8::/32)",
        v6([0x2001, 0xDB8, 0, 0, 0, 0, 0, 0], 32),
    ),
    ("6to4 (2002::/16)", SIX_TO_FOUR),
    (
        "AS112 (2620:4f:8000::/48)",
        v6([0x2620, 0x4F, 0x8000, 0, 0, 0, 0, 0], 48),
    ),
    (
        "documentation (3fff::/20)",
        v6([0x3FFF, 0, 0, 0, 0, 0, 0, 0], 20),
    ),
];

pub(super) fn check(ip: IpAddr) -> Result<(), Denial> {
    let range = match ip {
        IpAddr::V4(ip) => IPV4
            .iter()
            .find(|(_, net)| net.contains(&ip))
            .map(|(name, _)| *name),
        IpAddr::V6(ip) if !GLOBAL_UNICAST.contains(&ip) => Some("outside of 2000::/3"),
        IpAddr::V6(ip) => IPV6
            .iter()
            .find(|(_, net)| net.contains(&ip))
            .map(|(name, _)| *name),
    };
    range.map_or(Ok(()), |range| Err(Denial::Special(range)))
}
