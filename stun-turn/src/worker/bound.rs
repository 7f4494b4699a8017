//! A listening socket, what it stands for and who has which share of it.

use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use stun_turn_proto::source::Source as Origin;

use super::fair_share::FairShare;

/// A listening socket with the address it stands for.
pub(super) struct Bound<S> {
    pub(super) socket: S,
    pub(super) address: SocketAddr,
    /// Whether `tls:` stands in front of its address.
    pub(super) is_for_tls: bool,
    /// Shares of the clients with an allocation.
    pub(super) fair: FairShare<SocketAddr>,
    /// Shares of the sources of requests.
    pub(super) requests: FairShare<Origin>,
}

impl<S> Bound<S> {
    pub(super) fn new(socket: S, address: SocketAddr) -> Self {
        Self {
            socket,
            address,
            is_for_tls: false,
            fair: FairShare::default(),
            requests: FairShare::default(),
        }
    }
}

impl Bound<UdpSocket> {
    /// The source address to state, where the socket has none of its own.
    pub(super) fn source(&self, server: SocketAddr) -> Option<IpAddr> {
        self.address.ip().is_unspecified().then_some(server.ip())
    }
}

/// Which of our UDP listeners a client reached.
pub(super) fn listener_of(listeners: &[Bound<UdpSocket>], server: SocketAddr) -> Option<usize> {
    listeners.iter().position(|bound| {
        // Not by the scope of an address of one link, which packets do not tell.
        let (own, ip) = (bound.address.ip(), server.ip());
        let is_on_all = own.is_unspecified() && own.is_ipv4() == ip.is_ipv4();
        bound.address.port() == server.port() && (own == ip || is_on_all)
    })
}
