//! Which port an allocation gets.

use std::net::{IpAddr, SocketAddr};

use super::wish::Parity;
use crate::ports::Ports;

/// Takes the first free port from a position on, which should be random, so that nobody can guess the next one. One
/// that has not rested is taken only where there is no other.
pub(super) fn claim_from(
    ports: &Ports,
    start: u32,
    ip: IpAddr,
    parity: Parity,
) -> Option<SocketAddr> {
    let at = |offset: u32| SocketAddr::new(ip, ports.at(start.wrapping_add(offset)));
    let candidates = || (0..ports.count()).map(at);
    candidates()
        .filter(|first| !is_resting(ports, *first, parity))
        .chain(candidates())
        .find(|first| claim(ports, *first, parity))
}

fn is_resting(ports: &Ports, first: SocketAddr, parity: Parity) -> bool {
    let with_next = parity == Parity::EvenWithNext;
    ports.is_resting(first) || with_next && ports.is_resting(next(first))
}

fn claim(ports: &Ports, first: SocketAddr, parity: Parity) -> bool {
    let fits = parity == Parity::Any || first.port().is_multiple_of(2);
    if !fits || !ports.claim(first) {
        return false;
    }
    let is_whole = parity != Parity::EvenWithNext || ports.claim(next(first));
    if !is_whole {
        ports.give_back(first);
    }
    is_whole
}

/// The port that EVEN-PORT reserves with an even one (RFC 8656, section 18.6).
pub(super) fn next(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port().saturating_add(1))
}
