//! One call of the chaos: a client over UDP or TCP, of either family, and its peer.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Method;

use super::{CHANNEL, PORT, PORTS, is_ipv6};
use crate::client::{Client, Link, patience};

const GONE: (u16, &[u8]) = (kind::LIFETIME, &[0; 4]);

/// How a client reaches the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Udp,
    Tcp,
}

/// A client that relays to a peer.
pub(super) struct Call {
    /// The number of the address that it reached the relay on.
    pub(super) on: u8,
    client: Client,
    peer: UdpSocket,
    said: u32,
}

impl Call {
    /// A client that has learned the nonce.
    pub(super) fn new(on: u8, way: Way) -> Self {
        let to = SocketAddr::new(super::address(on).parse().unwrap(), PORT);
        let link = match way {
            Way::Udp => Link::udp_to(to),
            Way::Tcp => {
                let stream = TcpStream::connect(to).unwrap();
                stream.set_read_timeout(Some(patience())).unwrap();
                Link::Tcp(stream)
            }
        };
        Self {
            on,
            client: Client::new(link),
            peer: peer(on),
            said: 0,
        }
    }

    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// Allocates on the address that it reached the relay on, and opens the channel.
    pub(super) fn begin(&mut self) {
        let family = if is_ipv6(self.on) { 2 } else { 1 };
        let relayed = self.client.allocate(family).ip().to_string();
        assert_eq!(relayed, super::address(self.on));
        self.client.bind(CHANNEL, self.peer.local_addr().unwrap());
        self.speak();
    }

    /// Both ways.
    pub(super) fn speak(&mut self) {
        self.say();
        self.hear();
    }

    pub(super) fn say(&mut self) {
        self.said += 1;
        self.client.link.send(&self.frame());
    }

    /// What was said comes to the peer, and back.
    pub(super) fn hear(&mut self) {
        let words = self.said.to_be_bytes();
        let mut buffer = [0; 16];
        let (length, from) = self.peer.recv_from(&mut buffer).expect("the call goes on");
        assert_eq!(&buffer[..length], words);
        self.peer.send_to(&words, from).unwrap();
        assert_eq!(self.client.link.receive(), self.frame());
    }

    fn frame(&self) -> Vec<u8> {
        let words = self.said.to_be_bytes();
        [&CHANNEL.to_be_bytes()[..], &[0, 4], &words].concat()
    }

    pub(super) fn end(mut self) {
        assert_eq!(self.client.code(Method::Refresh, &[GONE]), 0);
    }

    /// Ends without a goodbye where the connection tells that: by a FIN or a RST.
    pub(super) fn hang_up(self, is_reset: bool) {
        if !self.client.link.is_stream() {
            self.end();
        } else if is_reset {
            self.client.link.reset();
        }
    }
}

/// At an address that is not the relay's: there the ports of its range are no peers.
fn peer(on: u8) -> UdpSocket {
    let ip: IpAddr = if is_ipv6(on) { "::1" } else { "127.0.0.2" }
        .parse()
        .unwrap();
    let mut sockets = std::iter::repeat_with(|| UdpSocket::bind((ip, 0)).unwrap());
    let is_elsewhere = |socket: &UdpSocket| {
        let port = socket.local_addr().unwrap().port();
        !(PORTS.0..=PORTS.1).contains(&port)
    };
    let socket = sockets.find(is_elsewhere).unwrap();
    socket.set_read_timeout(Some(patience())).unwrap();
    socket
}
