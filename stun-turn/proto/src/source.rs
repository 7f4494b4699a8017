//! Where somebody comes from, as far as limits go.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or an IPv6 /64: whoever has one of its addresses has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

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

    /// The network's bits, different for every source.
    #[must_use]
    pub const fn bits(self) -> u128 {
        match self.0 {
            IpAddr::V4(ip) => ip.to_bits() as u128,
            IpAddr::V6(ip) => ip.to_bits(),
        }
    }
}
