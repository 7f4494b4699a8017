//! The listening sockets: one of each for every worker.

use std::net::SocketAddr;

use stun_turn_proto::nat_discovery::NatDiscovery;

use super::StartError;
use super::addresses::behind;
use crate::config::{Listen, Protocol};
use crate::sockets::{self, Listener};

/// The listeners of all workers.
pub(super) struct Bound {
    pub(super) listeners: Vec<(Protocol, SocketAddr)>,
    pub(super) of_worker: Vec<Vec<(SocketAddr, Listener)>>,
}

impl Bound {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            listeners: Vec::new(),
            of_worker: std::iter::repeat_with(Vec::new).take(workers).collect(),
        }
    }

    /// Binds a listener for every worker.
    pub(super) fn listen(&mut self, listen: Listen) -> Result<(), StartError> {
        let (address, sockets) = sockets::listen(listen, self.of_worker.len())
            .map_err(|error| StartError::Listen { listen, error })?;
        self.listeners.push((listen.protocol, address));
        for (own, socket) in self.of_worker.iter_mut().zip(sockets) {
            own.push((address, socket));
        }
        Ok(())
    }

    /// Adds the listeners that RFC 5780 needs besides the first one of the family over UDP.
    pub(super) fn offer_nat_discovery(
        &mut self,
        alternate: Option<SocketAddr>,
    ) -> Result<Option<NatDiscovery>, StartError> {
        let Some(alternate) = alternate else {
            return Ok(None);
        };
        let discovery = nat_discovery(&self.listeners, alternate)?;
        for address in discovery.pairs() {
            let is_there = self.listeners.iter().any(|(protocol, listener)| {
                let is_same = listener.ip() == address.ip() || listener.ip().is_unspecified();
                *protocol == Protocol::Udp
                    && listener.port() == address.port()
                    && listener.is_ipv4() == address.is_ipv4()
                    && is_same
            });
            if !is_there {
                let protocol = Protocol::Udp;
                self.listen(Listen { protocol, address })?;
            }
        }
        Ok(Some(discovery))
    }
}

/// The four addresses of RFC 5780: those of the first UDP listener of the alternate one's family, and
/// the alternate one's.
pub(super) fn nat_discovery(
    listeners: &[(Protocol, SocketAddr)],
    alternate: SocketAddr,
) -> Result<NatDiscovery, StartError> {
    let refuse = |why: &str| StartError::Usage(format!("--nat-discovery {alternate}: {why}"));
    let mut udp = listeners.iter();
    let primary = udp.find(|(protocol, address)| {
        *protocol == Protocol::Udp && address.is_ipv4() == alternate.is_ipv4()
    });
    let (_, primary) = primary.ok_or_else(|| {
        refuse("there is no UDP listener of its family that it could be the second address of")
    })?;
    // A listener on all addresses stands for the first one that is not the alternate one.
    let mut addresses = behind(primary.ip())?.into_iter();
    let first = addresses.find(|ip| *ip != alternate.ip());
    let first = first.unwrap_or(alternate.ip());
    let discovery = NatDiscovery::new(SocketAddr::new(first, primary.port()), alternate);
    discovery.ok_or_else(|| {
        refuse("expected an address and a port that both differ from those of --listen")
    })
}

/// Refuses a listener that shares protocol and port with an earlier one on the same address, or on
/// all addresses.
pub(super) fn refuse_twice(listeners: &[Listen]) -> Result<(), StartError> {
    for (index, listen) in listeners.iter().enumerate() {
        let covers = |other: &&Listen| {
            let (a, b) = (listen.address, other.address);
            let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
            other.protocol.is_stream() == listen.protocol.is_stream()
                && a.port() == b.port()
                && a.port() != 0
                && a.is_ipv4() == b.is_ipv4()
                && overlap
        };
        if listeners.iter().take(index).any(|other| covers(&other)) {
            return Err(StartError::Twice(*listen));
        }
    }
    Ok(())
}
