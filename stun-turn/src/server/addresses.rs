//! Which addresses there are: those that listeners stand for, and those to relay from.

use std::net::{IpAddr, SocketAddr};

use stun_turn_proto::relay::RelayAddress;

use super::StartError;
use crate::config::Config;
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

/// The addresses to relay from. One that nobody named but that can't be bound (an IPv6 address still
/// being checked for duplicates, say) is left out with a warning.
pub(super) fn relay_addresses(
    config: &Config,
    listening: &[SocketAddr],
) -> Result<Vec<RelayAddress>, StartError> {
    let mut locals: Vec<IpAddr> = Vec::new();
    for Candidate { asked, local } in candidates(config, listening) {
        match sockets::bind_relayed(SocketAddr::new(local, 0)) {
            Ok(_) => locals.push(local),
            Err(error) if asked.is_unspecified() => {
                tracing::warn!(address = %local, %error, "not relaying from this address");
            }
            Err(source) => {
                return Err(StartError::RelayAddress {
                    address: local,
                    source,
                });
            }
        }
    }
    if locals.is_empty() {
        tracing::warn!("there is no address to relay from: nobody can allocate");
    }
    apply_external(config, locals)
}

/// Whether every external address stands for an address to relay from, as far as can be told without
/// binding any.
pub(super) fn check_external(config: &Config) -> Result<(), StartError> {
    let listening: Vec<_> = config.listen.iter().map(|it| it.address).collect();
    let candidates = candidates(config, &listening);
    apply_external(config, candidates.into_iter().map(|it| it.local).collect()).map(drop)
}

/// An address that may be relayed from.
struct Candidate {
    /// What it is one of.
    asked: IpAddr,
    local: IpAddr,
}

fn candidates(config: &Config, listening: &[SocketAddr]) -> Vec<Candidate> {
    let wanted: Vec<IpAddr> = if config.relay_addresses.is_empty() {
        listening.iter().map(SocketAddr::ip).collect()
    } else {
        config.relay_addresses.clone()
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for asked in wanted {
        for local in reachable(asked) {
            if candidates.iter().all(|other| other.local != local) {
                candidates.push(Candidate { asked, local });
            }
        }
    }
    candidates
}

/// What an address for relaying stands for. Of all addresses, those of loopback and of one link are
/// of use to hardly anybody as long as there is another one of the family.
fn reachable(ip: IpAddr) -> Vec<IpAddr> {
    let is_near = |address: &IpAddr| {
        address.is_loopback()
            || match address {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_unicast_link_local(),
            }
    };
    let mut addresses = behind(ip);
    if !addresses.iter().all(is_near) {
        addresses.retain(|address| !is_near(address));
    }
    addresses
}

fn apply_external(config: &Config, locals: Vec<IpAddr>) -> Result<Vec<RelayAddress>, StartError> {
    let as_is = |local| RelayAddress {
        local,
        public: local,
    };
    let mut addresses: Vec<RelayAddress> = locals.into_iter().map(as_is).collect();
    for external in &config.external_addresses {
        let stands_for = |address: &&mut RelayAddress| match external.local {
            Some(local) => address.local == local,
            None => address.local.is_ipv4() == external.public.is_ipv4(),
        };
        let address = addresses.iter_mut().find(stands_for);
        let address = address.filter(|address| address.public == address.local);
        address.ok_or(StartError::External(*external))?.public = external.public;
    }
    Ok(addresses)
}
