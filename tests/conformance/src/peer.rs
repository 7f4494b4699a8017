//! The other end of a relayed exchange: a plain UDP socket.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::case::{Outcome, fail};
use crate::client::SILENCE;

/// How long a relayed datagram may take.
const ARRIVAL: Duration = Duration::from_secs(4);

/// A peer.
pub(crate) struct Peer {
    socket: UdpSocket,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn new(ip: IpAddr) -> Outcome<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(crate) fn send(&self, to: SocketAddr, data: &[u8]) -> Outcome {
        self.socket.send_to(data, to)?;
        Ok(())
    }

    fn receive(&self, limit: Duration) -> Outcome<Option<(SocketAddr, Vec<u8>)>> {
        self.socket.set_read_timeout(Some(limit))?;
        let mut buffer = vec![0; 65_536];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => Ok(Some((from, buffer[..length].to_vec()))),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Exactly this datagram arrives, from this address.
    pub(crate) fn expect(&self, from: SocketAddr, data: &[u8]) -> Outcome {
        match self.receive(ARRIVAL)? {
            Some((sender, got)) if sender == from && got == data => Ok(()),
            Some((sender, got)) => fail(
                format_args!("the {} bytes sent, from {from}", data.len()),
                format_args!("{} bytes from {sender}", got.len()),
            ),
            None => fail(format_args!("{} bytes at the peer", data.len()), "nothing"),
        }
    }

    /// Nothing arrives.
    pub(crate) fn expect_silence(&self) -> Outcome {
        match self.receive(SILENCE)? {
            Some((sender, got)) => fail(
                "nothing at the peer",
                format_args!("{} bytes from {sender}", got.len()),
            ),
            None => Ok(()),
        }
    }
}
