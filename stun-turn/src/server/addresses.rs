//! Which addresses there are: those that listeners stand for, and those to relay from.

use std::io;
use std::net::{IpAddr, SocketAddr};

use stun_turn_proto::relay::RelayAddress;

use super::StartError;
use crate::config::{Config, External};
use crate::sockets;

/// The addresses that a listening address stands for.
pub(super) fn behind(ip: IpAddr) -> Vec<IpAddr> {
    if !ip.is_unspecified() {
        return vec![ip];
    }
    let mut addresses = sockets::host_addresses();
    addresses.retain(|address| address.is_ipv4() == ip.is_ipv4());
    addresses
}

/// Where the host's addresses leave the relay.
#[derive(Debug)]
pub(crate) struct Found {
    /// The addresses to relay from, the preferred one of each family first.
    pub(crate) addresses: Vec<RelayAddress>,
    /// Addresses that the options name and that the host does not have.
    pub(crate) missing: Vec<IpAddr>,
    /// Options that name no address that is relayed from.
    pub(crate) unused: Vec<External>,
}

/// The addresses to relay from, as the host is. Of an option for all addresses those count that can
/// be bound: an IPv6 address that is checked for duplicates can't be.
///
/// # Errors
/// When an address that an option names can't be bound although the host has it.
pub(crate) fn relay_addresses(
    config: &Config,
    listening: &[SocketAddr],
) -> Result<Found, StartError> {
    let (mut locals, mut missing) = (Vec::new(), Vec::new());
    for Candidate { asked, local } in candidates(config, listening) {
        match sockets::bind_relayed(SocketAddr::new(local, 0)) {
            Ok(_) => locals.push(local),
            Err(error) if asked.is_unspecified() => {
                tracing::debug!(address = %local, %error, "not relaying from this address");
            }
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => missing.push(local),
            Err(source) => {
                return Err(StartError::RelayAddress {
                    address: local,
                    source,
                });
            }
        }
    }
    let (addresses, unused) = apply_external(config, locals);
    Ok(Found {
        addresses,
        missing,
        unused,
    })
}

/// Those of the listeners' addresses that the host does not have.
pub(crate) fn not_there(listening: &[SocketAddr]) -> Vec<IpAddr> {
    let is_missing = |ip: &IpAddr| {
        let bound = std::net::UdpSocket::bind(SocketAddr::new(*ip, 0));
        bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    };
    let mut ips: Vec<IpAddr> = listening.iter().map(SocketAddr::ip).collect();
    ips.sort_unstable();
    ips.dedup();
    ips.retain(is_missing);
    ips
}

/// All addresses that a server is reached at or relays from, besides those of its host.
pub(crate) fn served(
    config: &Config,
    listening: &[SocketAddr],
    relay_addresses: &[RelayAddress],
) -> Vec<IpAddr> {
    let listening = listening.iter().map(SocketAddr::ip);
    let relaying = relay_addresses.iter().flat_map(|it| [it.local, it.public]);
    let external = config.external_addresses.iter().map(|it| it.public);
    let mut served: Vec<IpAddr> = listening.chain(relaying).chain(external).collect();
    served.retain(|ip| !ip.is_unspecified());
    served.sort_unstable();
    served.dedup();
    served
}

/// Whether every external address stands for an address to relay from, as far as can be told without
/// binding any. Where all addresses are relayed from it may come later.
pub(super) fn check_external(config: &Config) -> Result<(), StartError> {
    let listening: Vec<_> = config.listen.iter().map(|it| it.address).collect();
    let candidates = candidates(config, &listening);
    let locals = candidates.into_iter().map(|it| it.local).collect();
    let (_, unused) = apply_external(config, locals);
    let may_come = |external: &External| {
        let family = external.local.unwrap_or(external.public).is_ipv4();
        let is_open = |ip: IpAddr| ip.is_unspecified() && ip.is_ipv4() == family;
        wanted(config, &listening).into_iter().any(is_open)
    };
    match unused.into_iter().find(|external| !may_come(external)) {
        Some(external) => Err(StartError::External(external)),
        None => Ok(()),
    }
}

/// An address that may be relayed from.
struct Candidate {
    /// What it is one of.
    asked: IpAddr,
    local: IpAddr,
}

fn wanted(config: &Config, listening: &[SocketAddr]) -> Vec<IpAddr> {
    if config.relay_addresses.is_empty() {
        listening.iter().map(SocketAddr::ip).collect()
    } else {
        config.relay_addresses.clone()
    }
}

fn candidates(config: &Config, listening: &[SocketAddr]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for asked in wanted(config, listening) {
        for local in reachable(asked) {
            if candidates.iter().all(|other| other.local != local) {
                candidates.push(Candidate { asked, local });
            }
        }
    }
    candidates
}

/// What an address for relaying stands for. Of all addresses, those of loopback and of one link are
/// of use to hardly anybody: they are relayed from only where an option names them.
fn reachable(ip: IpAddr) -> Vec<IpAddr> {
    let is_near = |address: &IpAddr| {
        address.is_loopback()
            || match address {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_unicast_link_local(),
            }
    };
    let mut addresses = behind(ip);
    if ip.is_unspecified() {
        addresses.retain(|address| !is_near(address));
    }
    addresses
}

/// The addresses as clients are told of them, and external ones that stand for none.
fn apply_external(config: &Config, locals: Vec<IpAddr>) -> (Vec<RelayAddress>, Vec<External>) {
    let as_is = |local| RelayAddress {
        local,
        public: local,
    };
    let mut addresses: Vec<RelayAddress> = locals.into_iter().map(as_is).collect();
    let mut unused = Vec::new();
    for external in &config.external_addresses {
        let stands_for = |address: &&mut RelayAddress| match external.local {
            Some(local) => address.local == local,
            None => address.local.is_ipv4() == external.public.is_ipv4(),
        };
        let address = addresses.iter_mut().find(stands_for);
        match address.filter(|address| address.public == address.local) {
            Some(address) => address.public = external.public,
            None => unused.push(*external),
        }
    }
    (addresses, unused)
}
