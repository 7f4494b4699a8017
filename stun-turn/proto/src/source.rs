//! Where somebody comes from, as far as limits go.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or an IPv6 /64: whoever has one of its addresses has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

/// Lengths of the prefixes of [`Source::networks`], and their multiples. Mobile networks give each
/// telephone a /64, so that many who are strangers to each other share a wider network.
pub(crate) const NETWORKS: [(u8, u32); 2] = [(56, 8), (48, 64)];

/// A network around IPv6 sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    prefix: u8,
    bits: u128,
}

impl Network {
    /// The length of its prefix in bits.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The prefix, right-aligned.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.bits
    }
}

impl Source {
    /// The source that an address belongs to.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(IpAddr::V4(ip)),
            IpAddr::V6(ip) => Self(IpAddr::V6(Ipv6Addr::from_bits(
                ip.to_bits() & !u128::from(u64::MAX),
            ))),
        }
    }

    /// The networks around an IPv6 source, each with the multiple of a source's limits that all of its
    /// sources share: a home has a /56, a host often a /48, so the source alone bounds neither. An IPv4
    /// address has none.
    pub fn networks(self) -> impl Iterator<Item = (Network, u32)> {
        let bits = match self.0 {
            IpAddr::V6(ip) => Some(ip.to_bits()),
            IpAddr::V4(_) => None,
        };
        let around = |bits: u128| {
            NETWORKS.map(|(prefix, multiple)| {
                let bits = bits >> (128 - u32::from(prefix));
                (Network { prefix, bits }, multiple)
            })
        };
        bits.map(around).into_iter().flatten()
    }

    /// The widest network around an IPv6 source, as a key for counts; an IPv4 address itself.
    #[must_use]
    pub fn widest(self) -> Self {
        let [_, (prefix, _)] = NETWORKS;
        match self.0 {
            IpAddr::V4(_) => self,
            IpAddr::V6(ip) => Self(IpAddr::V6(Ipv6Addr::from_bits(
                ip.to_bits() & !(u128::MAX >> prefix),
            ))),
        }
    }

    /// As how many of its sources a whole [`Source::widest`] counts.
    #[must_use]
    pub const fn sources_of_widest() -> usize {
        let [_, (_, multiple)] = NETWORKS;
        multiple as usize
    }

    /// The network's bits, different for every source.
    #[must_use]
    pub const fn bits(self) -> u128 {
        match self.0 {
            IpAddr::V4(ip) => ip.to_bits() as u128,
            IpAddr::V6(ip) => ip.to_bits(),
        }
    }
}
