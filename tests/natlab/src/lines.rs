//! Addresses of the lab. Pure.
//!
//! Public ones are of networks that nobody routes to from here; private ones are private, so that the relay's policy treats
//! both as it would outside.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::router::Router;

/// Hosts of servers.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    number: u8,
}

impl Host {
    /// Page and signaling; in one process the relay, too.
    pub const SIGNALING: Self = Self { number: 1 };
    /// The relay, when it is apart.
    pub const RELAY: Self = Self { number: 2 };

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.number {
            1 => "call.lab",
            _ => "turn.lab",
        }
    }

    /// Its IPv4 address.
    #[must_use]
    pub const fn ipv4(self) -> Ipv4Addr {
        Ipv4Addr::new(11, 77, self.number, 2)
    }

    /// Its second IPv4 address.
    #[must_use]
    pub const fn second_ipv4(self) -> Ipv4Addr {
        Ipv4Addr::new(11, 77, self.number, 3)
    }

    /// Its IPv6 address.
    #[must_use]
    pub const fn ipv6(self) -> Ipv6Addr {
        net6(self.number, 2)
    }

    /// Where it reaches the core, per family.
    #[must_use]
    pub const fn gates(self) -> (Ipv4Addr, Ipv6Addr) {
        (Ipv4Addr::new(11, 77, self.number, 1), net6(self.number, 1))
    }
}

const fn net6(net: u8, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2620, 0xfe, 0x77, net as u16, 0, 0, 0, host)
}

/// A line from the core through routers to a host. Lines differ by their number, from 0 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub number: u8,
    /// What stands in it.
    pub router: Router,
}

impl Line {
    /// The router's own address on the internet.
    #[must_use]
    pub const fn outer(self) -> Ipv4Addr {
        Ipv4Addr::new(11, 77, 10 + self.number, 2)
    }

    /// Another one, for a router that is given a new address.
    #[must_use]
    pub const fn spare(self) -> Ipv4Addr {
        Ipv4Addr::new(11, 77, 10 + self.number, 3)
    }

    /// Where the router reaches the core.
    #[must_use]
    pub const fn gate(self) -> Ipv4Addr {
        Ipv4Addr::new(11, 77, 10 + self.number, 1)
    }

    /// The same for IPv6: the router's address and the core's.
    #[must_use]
    pub const fn outer6(self) -> (Ipv6Addr, Ipv6Addr) {
        (net6(10 + self.number, 2), net6(10 + self.number, 1))
    }

    /// The network between a home router and its carrier's: the carrier's address and the home router's.
    #[must_use]
    pub fn carrier(self) -> (Ipv4Addr, Ipv4Addr) {
        let address = |host| Ipv4Addr::new(100, 64, 10 + self.number, host);
        (address(1), address(2))
    }

    /// The router's address inside, and the host's.
    #[must_use]
    pub fn inner(self) -> (Ipv4Addr, Ipv4Addr) {
        let address = |host| match self.router {
            Router::Open => Ipv4Addr::new(11, 77, 20 + self.number, host),
            _ => Ipv4Addr::new(192, 168, 10 + self.number, host),
        };
        (address(1), address(2))
    }

    /// The same for IPv6.
    #[must_use]
    pub const fn inner6(self) -> (Ipv6Addr, Ipv6Addr) {
        (net6(20 + self.number, 1), net6(20 + self.number, 2))
    }
}
