//! Which addresses there are: those that listeners stand for, and those to relay from.

use std::io;
use std::net::{IpAddr, SocketAddr};

use stun_turn_proto::policy::PeerPolicy;
use stun_turn_proto::relay::RelayAddress;

use super::StartError;
use crate::config::{Config, External};
use crate::sockets::{self, is_out_of_descriptors};

/// The addresses that a listening address stands for.
///
/// # Errors
/// Without descriptors to ask the system.
pub(super) fn behind(ip: IpAddr) -> Result<Vec<IpAddr>, StartError> {
    if !ip.is_unspecified() {
        return Ok(vec![ip]);
    }
    let mut addresses = sockets::host_addresses().map_err(StartError::HostAddresses)?;
    addresses.retain(|address| address.is_ipv4() == ip.is_ipv4());
    Ok(addresses)
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
/// When an address that an option names can't be bound although the host has it, or any for lack of
/// descriptors.
pub(crate) fn relay_addresses(
    config: &Config,
    listening: &[SocketAddr],
) -> Result<Found, StartError> {
    let (mut locals, mut missing) = (Vec::new(), Vec::new());
    for Candidate { asked, local } in candidates(config, listening)? {
        match sockets::bind_relayed(SocketAddr::new(local, 0)) {
            Ok(_) => locals.push(local),
            Err(error) if is_out_of_descriptors(&error) => {
                return Err(StartError::HostAddresses(error));
            }
            Err(error) if asked.is_unspecified() => {
                tracing::debug!(address = %local, %error, "not relaying from this address");
            }
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => missing.push(local),
            Err(error) => {
                return Err(StartError::RelayAddress {
                    address: local,
                    error,
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

/// What to add where a public address is listened on that the host lacks.
pub(super) fn hint_at_nat(address: IpAddr) -> String {
    let hint = || {
        let all = if address.is_ipv4() { "0.0.0.0" } else { "[::]" };
        format!(". If a NAT has it, listen on {all} and give --external-address {address}")
    };
    is_public(address).then(hint).unwrap_or_default()
}

/// The first address that clients are told, if all of them are private ones: of hosts that stand
/// behind a NAT without knowing it. Loopback is of tests.
pub(super) fn private_alone(relay_addresses: &[RelayAddress]) -> Option<IpAddr> {
    let mut told = relay_addresses.iter().map(|it| it.public);
    let is_far = |ip: IpAddr| is_public(ip) || ip.is_loopback();
    let first = told.clone().next()?;
    (!told.any(is_far)).then_some(first)
}

/// Whether hosts anywhere can have this address.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    let policy = PeerPolicy::new(Vec::new(), Vec::new(), Vec::new(), Vec::new());
    policy.check_address(ip).is_ok()
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
pub(crate) fn check_external(config: &Config) -> Result<(), StartError> {
    let listening: Vec<_> = config.listen.iter().map(|it| it.address).collect();
    let candidates = candidates(config, &listening)?;
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

fn candidates(config: &Config, listening: &[SocketAddr]) -> Result<Vec<Candidate>, StartError> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for asked in wanted(config, listening) {
        for local in reachable(asked)? {
            if candidates.iter().all(|other| other.local != local) {
                candidates.push(Candidate { asked, local });
            }
        }
    }
    Ok(candidates)
}

/// What an address for relaying stands for. Of all addresses, those of loopback and of one link are
/// of use to hardly anybody: they are relayed from only where an option names them.
fn reachable(ip: IpAddr) -> Result<Vec<IpAddr>, StartError> {
    let is_near = |address: &IpAddr| {
        address.is_loopback()
            || match address {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_unicast_link_local(),
            }
    };
    let mut addresses = behind(ip)?;
    if ip.is_unspecified() {
        addresses.retain(|address| !is_near(address));
    }
    Ok(addresses)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A server behind a NAT that does not know it told clients 10.0.0.5, without a word.
    #[test]
    fn hosts_with_private_addresses_alone_are_told_of_nats() {
        let told = |public: &[&str]| {
            let of = |public: &&str| RelayAddress {
                local: ip("10.0.0.5"),
                public: ip(public),
            };
            let addresses: Vec<_> = public.iter().map(of).collect();
            private_alone(&addresses)
        };
        assert_eq!(told(&["10.0.0.5", "fd00::5"]), Some(ip("10.0.0.5")));
        for fine in [
            &["11.0.0.5"][..],
            &["10.0.0.5", "2620:fe::5"],
            &["127.0.0.1"],
            &[],
        ] {
            assert_eq!(told(fine), None, "{fine:?}");
        }
        assert!(hint_at_nat(ip("11.0.0.5")).contains("--external-address 11.0.0.5"));
        assert_eq!(hint_at_nat(ip("10.0.0.5")), "");
    }
}
