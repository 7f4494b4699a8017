//! The prefixes that are no public unicast addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix {
    pub(super) address: IpAddr,
    /// In bits.
    pub(super) length: u8,
    pub(super) what: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, length: u8, what: &'static str) -> Prefix {
    let address = IpAddr::V4(Ipv4Addr::new(a, b, c, 0));
    Prefix {
        address,
        length,
        what,
    }
}

const fn v6(bits: u128, length: u8, what: &'static str) -> Prefix {
    let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
    Prefix {
        address,
        length,
        what,
    }
}

/// IANA's special-purpose registries, and what clouds put into public space.
#[rustfmt::skip]
pub(super) const PREFIXES: &[Prefix] = &[
    v4(0, 0, 0, 8, "\"this\" network"),
    v4(10, 0, 0, 8, "private (RFC 1918)"),
    v4(100, 64, 0, 10, "carrier-grade NAT"),
    v4(127, 0, 0, 8, "loopback"),
    v4(169, 254, 0, 16, "link-local, metadata services"),
    v4(172, 16, 0, 12, "private (RFC 1918)"),
    v4(192, 0, 0, 24, "IETF assignments"),
    v4(192, 0, 2, 24, "documentation"),
    v4(192, 31, 196, 24, "AS112"),
    v4(192, 52, 193, 24, "AMT"),
    v4(192, 88, 99, 24, "6to4 relay anycast"),
    v4(192, 168, 0, 16, "private (RFC 1918)"),
    v4(192, 175, 48, 24, "AS112"),
    v4(198, 18, 0, 15, "benchmarking"),
    v4(198, 51, 100, 24, "documentation"),
    v4(203, 0, 113, 24, "documentation"),
    v4(224, 0, 0, 4, "multicast"),
    v4(240, 0, 0, 4, "reserved, broadcast"),
    Prefix { address: IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), length: 32, what: "Azure's wire server" },
    v6(0, 128, "unspecified"),
    v6(1, 128, "loopback"),
    v6(0, 96, "IPv4-compatible"),
    v6(0xFFFF << 32, 96, "IPv4-mapped"),
    v6(0xFFFF << 48, 96, "IPv4-translated"),
    v6(0x0064_FF9B << 96, 96, "NAT64"),
    v6(0x0064_FF9B_0001 << 80, 48, "local NAT64"),
    v6(0x0100 << 112, 64, "discard only"),
    v6(0x0100_0000_0000_0001 << 64, 64, "dummy"),
    v6(0x2001 << 112, 32, "Teredo"),
    v6(0x2001 << 112, 23, "protocol assignments"),
    v6(0x2001_0DB8 << 96, 32, "documentation"),
    v6(0x2002 << 112, 16, "6to4"),
    v6(0x2620_004F_8000 << 80, 48, "AS112"),
    v6(0x3FFF << 112, 20, "documentation"),
    v6(0x5F00 << 112, 16, "SRv6 SIDs"),
    v6(0xFC00 << 112, 7, "unique local"),
    v6(0xFE80 << 112, 10, "link-local"),
    v6(0xFEC0 << 112, 10, "site-local"),
    v6(0xFF00 << 112, 8, "multicast"),
];

/// An address as a number, and how many bits its family has.
fn bits(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (ip.to_bits().into(), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

fn address(bits: u128, width: u8) -> Option<IpAddr> {
    if width == 128 {
        return Some(Ipv6Addr::from_bits(bits).into());
    }
    Some(Ipv4Addr::from_bits(u32::try_from(bits).ok()?).into())
}

impl Prefix {
    fn range(&self) -> (u128, u128, u8) {
        let (first, width) = bits(self.address);
        let rest = u32::from(width - self.length);
        let span = 1_u128.checked_shl(rest).map_or(u128::MAX, |size| size - 1);
        (first, first | span, width)
    }

    /// The first, a middle and the last address.
    pub(super) fn probes(&self) -> Vec<IpAddr> {
        let (first, last, width) = self.range();
        let middle = first + (last - first) / 2 + u128::from(last - first > 1);
        let mut all: Vec<_> = [first, middle, last]
            .into_iter()
            .filter_map(|bits| address(bits, width))
            .collect();
        all.dedup();
        all
    }

    /// The addresses right before and right behind.
    pub(super) fn neighbours(&self) -> Vec<IpAddr> {
        let (first, last, width) = self.range();
        let around = [first.checked_sub(1), last.checked_add(1)];
        let around = around.into_iter().flatten();
        around.filter_map(|bits| address(bits, width)).collect()
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let (first, last, width) = self.range();
        let (bits, own) = bits(ip);
        own == width && (first..=last).contains(&bits)
    }
}

/// Whether an address is public unicast: IPv6 has it in 2000::/3 alone.
pub(super) fn is_public(ip: IpAddr) -> bool {
    let is_unicast = match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.segments()[0] >> 13 == 1,
    };
    is_unicast && !PREFIXES.iter().any(|prefix| prefix.contains(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_inside_and_neighbours_are_outside() {
        for prefix in PREFIXES {
            assert!(prefix.probes().iter().all(|ip| prefix.contains(*ip)));
            assert!(prefix.neighbours().iter().all(|ip| !prefix.contains(*ip)));
            assert!(!is_public(prefix.address));
        }
        let private = PREFIXES[1];
        let probes = ["10.0.0.0", "10.128.0.0", "10.255.255.255"];
        assert_eq!(
            private.probes(),
            probes.map(|ip| ip.parse::<IpAddr>().expect("an address"))
        );
        assert!(is_public("9.255.255.255".parse().expect("an address")));
    }
}
