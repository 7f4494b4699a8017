//! Which peers may be relayed to: one canonicaliser, one policy, asked by every method.
//!
//! In this order, the first that applies decides:
//! 1. port 0, our own listeners and what is no single host's address are never peers;
//! 2. a live relayed port of this very server is one (both ends of a call relayed here);
//! 3. the operator's `--allow-peer` and `--deny-peer`, by the longest prefix, deny before allow;
//! 4. any other port on our own addresses is none: those that the server was told of, and all that
//!    the kernel delivers to this host ([`LocalAddresses`]);
//! 5. public unicast addresses are peers, everything else is not.
//!
//! An IPv6 address that embeds an IPv4 address must pass for both.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::addr::PeerProtocol;
use crate::ports::Ports;

mod special;

/// Which rule refused a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Port 0 can't be sent to.
    PortZero,
    /// Unspecified (which the kernel takes for itself), multicast or broadcast.
    NotUnicast,
    /// One of our own listeners.
    OwnListener,
    /// One of our own addresses, on a port where no allocation lives.
    OwnAddress,
    /// The operator's `--deny-peer`.
    Operator(IpNet),
    /// Not public unicast: the name of the range it lies in.
    Special(&'static str),
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortZero => write!(f, "port 0"),
            Self::NotUnicast => write!(f, "not a single host's address"),
            Self::OwnListener => write!(f, "a listener of this server"),
            Self::OwnAddress => write!(f, "an address of this server, but no live relayed port"),
            Self::Operator(net) => write!(f, "--deny-peer {net}"),
            Self::Special(range) => {
                write!(f, "{range} is not public unicast (--allow-peer opens it)")
            }
        }
    }
}

/// Addresses and networks that the kernel delivers to this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    /// Single addresses as numbers, in ascending order: they are compared for each packet.
    ipv4: Vec<u32>,
    ipv6: Vec<u128>,
    nets: Vec<IpNet>,
}

impl LocalAddresses {
    /// All of these; a network of one address is that address.
    #[must_use]
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let is_host = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
        let (hosts, nets): (BTreeSet<IpNet>, BTreeSet<IpNet>) = nets.into_iter().partition(is_host);
        let mut local = Self {
            nets: nets.into_iter().collect(),
            ..Self::default()
        };
        for host in hosts {
            match host.addr() {
                IpAddr::V4(ip) => local.ipv4.push(ip.to_bits()),
                IpAddr::V6(ip) => local.ipv6.push(ip.to_bits()),
            }
        }
        local
    }

    /// Whether the kernel delivers this (canonical) address to this host.
    #[inline]
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let is_host = match ip {
            IpAddr::V4(ip) => has(&self.ipv4, ip.to_bits()),
            IpAddr::V6(ip) => has(&self.ipv6, ip.to_bits()),
        };
        is_host || self.nets.iter().any(|net| net.contains(&ip))
    }

    /// The single addresses, in ascending order.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        let ipv4 = self.ipv4.iter().copied().map(Ipv4Addr::from_bits);
        let ipv6 = self.ipv6.iter().copied().map(Ipv6Addr::from_bits);
        ipv4.map(IpAddr::V4).chain(ipv6.map(IpAddr::V6))
    }

    fn with(&self, hosts: &[IpAddr]) -> Self {
        let own = self.hosts().chain(hosts.iter().copied()).map(IpNet::from);
        Self::new(own.chain(self.nets.iter().copied()))
    }
}

/// Whether a sorted list has a number. Most hosts have one address of a family.
#[inline]
fn has<T: Copy + Ord>(numbers: &[T], number: T) -> bool {
    match numbers {
        [] => false,
        [only] => *only == number,
        several => several.binary_search(&number).is_ok(),
    }
}

/// The policy of one server.
#[derive(Debug, Clone, Default)]
pub struct PeerPolicy {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    /// What this server listens on, relays from or is known by.
    served: Vec<IpAddr>,
    /// The same, and what the kernel delivers to this host.
    own: LocalAddresses,
    listeners: Vec<SocketAddr>,
    nat64: Vec<Ipv6Net>,
}

impl PeerPolicy {
    /// `own_addresses` are all that this server listens on, relays from or is known by;
    /// `listeners` its own transport addresses (an unspecified address stands for all of them).
    #[must_use]
    pub fn new(
        allow: Vec<IpNet>,
        deny: Vec<IpNet>,
        own_addresses: Vec<IpAddr>,
        listeners: Vec<SocketAddr>,
    ) -> Self {
        Self {
            allow,
            deny,
            own: LocalAddresses::default().with(&own_addresses),
            served: own_addresses,
            listeners,
            nat64: Vec::new(),
        }
    }

    /// The same server with other exceptions of the operator's.
    #[must_use]
    pub fn with_rules(&self, allow: Vec<IpNet>, deny: Vec<IpNet>) -> Self {
        Self {
            allow,
            deny,
            ..self.clone()
        }
    }

    /// The same server in a network that translates these prefixes to IPv4 (RFC 6052 section 2.2),
    /// besides the well-known ones. Those of another length than 32, 40, 48, 56, 64 and 96 embed
    /// nothing.
    #[must_use]
    pub fn with_nat64(self, nat64: Vec<Ipv6Net>) -> Self {
        Self { nat64, ..self }
    }

    /// The same server, listening on, relaying from and known by these addresses.
    #[must_use]
    pub fn with_served(&self, served: Vec<IpAddr>) -> Self {
        Self {
            own: LocalAddresses::default().with(&served),
            served,
            ..self.clone()
        }
    }

    /// The same server on a host to which the kernel delivers these addresses.
    #[must_use]
    pub fn with_local(&self, local: &LocalAddresses) -> Self {
        Self {
            own: local.with(&self.served),
            ..self.clone()
        }
    }

    /// Whether an address is one of ours, so that each packet's port must be looked at.
    #[inline]
    #[must_use]
    pub fn is_own(&self, ip: IpAddr) -> bool {
        self.own.contains(ip)
    }

    /// Whether packets may be sent, or connections made, to this (canonical) transport address.
    /// `local` is the same address as this host knows it, where it differs behind a 1:1 NAT.
    ///
    /// # Errors
    /// The rule that refuses.
    pub fn check(
        &self,
        protocol: PeerProtocol,
        peer: SocketAddr,
        local: SocketAddr,
        ports: &Ports,
    ) -> Result<(), Denial> {
        if peer.port() == 0 {
            return Err(Denial::PortZero);
        }
        if self.is_listener(peer) || self.is_listener(local) {
            return Err(Denial::OwnListener);
        }
        if ports.is_live(protocol, local) {
            return Ok(());
        }
        self.check_address(peer.ip())
    }

    fn is_listener(&self, peer: SocketAddr) -> bool {
        self.listeners.iter().any(|listener| {
            listener.port() == peer.port()
                && (listener.ip() == peer.ip()
                    || (listener.ip().is_unspecified() && self.is_this_host(peer.ip())))
        })
    }

    fn is_this_host(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.is_own(ip)
    }

    /// Rules 3 to 5 for a (canonical) address, whatever the port: what a permission is judged by.
    /// Packets to our own addresses are judged again, with their port, by [`PeerPolicy::check`].
    ///
    /// # Errors
    /// The rule that refuses.
    pub fn check_address(&self, ip: IpAddr) -> Result<(), Denial> {
        let is_broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        if ip.is_unspecified() || ip.is_multicast() || is_broadcast {
            return Err(Denial::NotUnicast);
        }
        self.check_one(ip)?;
        let embedded = embedded_ipv4(ip).or_else(|| self.translated(ip));
        embedded.map_or(Ok(()), |ip| self.check_one(IpAddr::V4(ip)))
    }

    /// The IPv4 address that one of the operator's NAT64 makes of it.
    fn translated(&self, ip: IpAddr) -> Option<Ipv4Addr> {
        let IpAddr::V6(ip) = ip else { return None };
        let prefix = self.nat64.iter().find(|prefix| prefix.contains(&ip))?;
        nat64_embedded(ip, prefix.prefix_len())
    }

    fn check_one(&self, ip: IpAddr) -> Result<(), Denial> {
        let longest = |nets: &[IpNet]| {
            let matching = nets.iter().filter(|net| net.contains(&ip));
            matching.max_by_key(|net| net.prefix_len()).copied()
        };
        match (longest(&self.allow), longest(&self.deny)) {
            (Some(allow), Some(deny)) if allow.prefix_len() > deny.prefix_len() => Ok(()),
            (_, Some(deny)) => Err(Denial::Operator(deny)),
            (Some(_), None) => Ok(()),
            (None, None) if self.is_own(ip) => Err(Denial::OwnAddress),
            (None, None) => special::check(ip),
        }
    }
}

/// The one form in which addresses are compared, stored and answered: an IPv4-mapped IPv6 address
/// is the IPv4 address that the kernel would send to.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The IPv4 address that an IPv6 address stands for in one of the transition schemes.
#[must_use]
pub fn embedded_ipv4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    if ip.is_loopback() || ip.is_unspecified() {
        // Within ::/96, but addresses of their own.
        return None;
    }
    let bits = ip.to_bits();
    let low = Ipv4Addr::from_bits(bits as u32);
    let within = |net: &Ipv6Net| net.contains(&ip);
    if special::SUFFIX_EMBEDDED.iter().any(within) || is_isatap(ip) {
        Some(low)
    } else if within(&special::SIX_TO_FOUR) {
        Some(Ipv4Addr::from_bits((bits >> 80) as u32))
    } else if within(&special::TEREDO) {
        Some(Ipv4Addr::from_bits(!(bits as u32)))
    } else if within(&special::NAT64_LOCAL) {
        nat64_embedded(ip, special::NAT64_LOCAL.prefix_len())
    } else {
        None
    }
}

/// RFC 6052 section 2.2: the four bytes behind the prefix, around the ninth byte, which is reserved.
fn nat64_embedded(ip: Ipv6Addr, prefix_len: u8) -> Option<Ipv4Addr> {
    if !matches!(prefix_len, 32 | 40 | 48 | 56 | 64 | 96) {
        return None;
    }
    let bytes = ip.octets().into_iter().enumerate();
    let behind = bytes.skip(usize::from(prefix_len) / 8);
    let mut embedded = behind.filter(|(place, _)| *place != 8 || prefix_len == 96);
    let mut next = || embedded.next().map(|(_, byte)| byte);
    Some(Ipv4Addr::new(next()?, next()?, next()?, next()?))
}

/// RFC 5214 section 6.1: interface identifiers ::0:5efe:a.b.c.d and ::200:5efe:a.b.c.d.
fn is_isatap(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [_, _, _, _, 0 | 0x0200, 0x5EFE, _, _])
}

#[cfg(test)]
mod tests;
