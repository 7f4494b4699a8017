//! Somebody behind the relay: a plain UDP socket.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use patience::patience;

/// A peer on loopback.
pub(crate) struct Peer(UdpSocket);

impl Peer {
    pub(crate) fn new(ip: &str) -> Self {
        let ip: IpAddr = ip.parse().expect("an address");
        let socket = UdpSocket::bind((ip, 0)).expect("a socket on loopback");
        socket
            .set_read_timeout(Some(patience()))
            .expect("a timeout");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket")
    }

    /// The next datagram and where it comes from.
    pub(crate) fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (length, from) = self.0.recv_from(&mut buffer).expect("a datagram in time");
        buffer.truncate(length);
        (buffer, from)
    }

    pub(crate) fn send(&self, data: &[u8], to: SocketAddr) {
        assert_eq!(self.0.send_to(data, to).expect("sending"), data.len());
    }
}
