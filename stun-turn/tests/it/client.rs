//! A running relay and a small client for it. Waiting is bounded by socket timeouts.

use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use stun_turn::Server;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::proto::attribute::{decode_xor_address, encode_xor_address, kind};
use stun_turn::proto::auth::long_term_key;
use stun_turn::proto::integrity::{Hash, Signer};
use stun_turn::proto::message::{Class, Message, Method, TransactionId, Writer};

pub(crate) use patience::patience;

/// A relay on both transports of one loopback address that may relay to loopback.
pub(crate) fn start(ip: &str, workers: u16) -> Server {
    Server::start(Config::from(options(&["udp", "tcp"], ip, workers))).unwrap()
}

/// Listeners on one loopback address of a relay that may relay to loopback.
pub(crate) fn options(protocols: &[&str], ip: &str, workers: u16) -> Options {
    let listen = |protocol: &&str| format!("{protocol}:{ip}:0").parse().unwrap();
    Options {
        listen: protocols.iter().map(listen).collect(),
        user: vec!["alice:wonder".parse().unwrap()],
        allow_peer: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        workers: Some(workers),
        one_socket: std::env::var_os(crate::one_socket::VARIABLE).is_some(),
        ..Options::default()
    }
}

pub(crate) fn address(server: &Server, wanted: Protocol) -> SocketAddr {
    server
        .listeners()
        .iter()
        .find(|(protocol, _)| *protocol == wanted)
        .unwrap()
        .1
}

/// How messages travel.
pub(crate) enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Link {
    pub(crate) fn udp(server: &Server) -> Self {
        Self::udp_to(address(server, Protocol::Udp))
    }

    pub(crate) fn udp_to(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(to.ip(), 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(patience())).unwrap();
        Self::Udp(socket)
    }

    pub(crate) fn tcp(server: &Server) -> Self {
        let stream = TcpStream::connect(address(server, Protocol::Tcp)).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        Self::Tcp(stream)
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        match self {
            Self::Udp(socket) => assert_eq!(socket.send(message).unwrap(), message.len()),
            Self::Tcp(stream) => stream.write_all(message).unwrap(),
            Self::Tls(stream) => stream.write_all(message).unwrap(),
        }
    }

    /// Ends a connection with a RST instead of a FIN.
    pub(crate) fn reset(self) {
        if let Self::Tcp(stream) = self {
            let socket = socket2::Socket::from(stream);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// One message, STUN or ChannelData with its padding.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        match self {
            Self::Udp(socket) => {
                let mut buffer = vec![0; 65_536];
                let length = socket.recv(&mut buffer).unwrap();
                buffer.truncate(length);
                buffer
            }
            Self::Tcp(stream) => read_message(stream),
            Self::Tls(stream) => read_message(stream),
        }
    }

    pub(crate) const fn is_stream(&self) -> bool {
        !matches!(self, Self::Udp(_))
    }
}

fn read_message(stream: &mut impl Read) -> Vec<u8> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message).unwrap();
    let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
    let rest = if message[0] < 4 {
        length + 16
    } else {
        length.next_multiple_of(4)
    };
    message.resize(4 + rest, 0);
    stream.read_exact(&mut message[4..]).unwrap();
    message
}

/// A client with an allocation.
pub(crate) struct Client {
    pub(crate) link: Link,
    user: User,
    nonce: Vec<u8>,
    transactions: u8,
}

/// Name and password.
type User = (&'static str, &'static str);

pub(crate) const ALICE: User = ("alice", "wonder");

pub(crate) fn binding(number: u8) -> Vec<u8> {
    write(Method::Binding, number, &[], None, ALICE)
}

/// An Allocate without credentials, which 401 answers.
pub(crate) fn allocate_as_nobody() -> Vec<u8> {
    write(Method::Allocate, 0, &[], None, ALICE)
}

fn write(
    method: Method,
    number: u8,
    parts: &[(u16, &[u8])],
    nonce: Option<&[u8]>,
    (name, password): User,
) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Request,
        method,
        TransactionId([number; 12]),
    );
    for (kind, value) in parts {
        writer.attribute(*kind, value);
    }
    let signer = nonce.map(|nonce| {
        writer
            .attribute(kind::USERNAME, name.as_bytes())
            .attribute(kind::REALM, b"callbox");
        writer.attribute(kind::NONCE, nonce);
        Signer {
            key: long_term_key(name.as_bytes(), b"callbox", password.as_bytes()),
            hash: Hash::Sha1,
        }
    });
    let length = writer.finish(signer.as_ref(), false).unwrap();
    buffer[..length].to_vec()
}

pub(crate) fn mapped(reply: &[u8]) -> SocketAddr {
    xor_address(reply, kind::XOR_MAPPED_ADDRESS)
}

fn xor_address(reply: &[u8], kind: u16) -> SocketAddr {
    let message = Message::parse(reply).unwrap();
    assert_eq!(message.class(), Class::Success, "{message:?}");
    decode_xor_address(message.first(kind).unwrap(), message.transaction()).unwrap()
}

impl Client {
    pub(crate) fn new(link: Link) -> Self {
        Self::of(ALICE, link)
    }

    pub(crate) fn of(user: User, mut link: Link) -> Self {
        link.send(&write(Method::Allocate, 0, &[], None, user));
        let reply = link.receive();
        let nonce = Message::parse(&reply)
            .unwrap()
            .first(kind::NONCE)
            .unwrap()
            .to_vec();
        Self {
            link,
            user,
            nonce,
            transactions: 0,
        }
    }

    pub(crate) fn request(&mut self, method: Method, parts: &[(u16, &[u8])]) -> Vec<u8> {
        let reply = self.ask(method, parts);
        let message = Message::parse(&reply).unwrap();
        assert_eq!(
            message.class(),
            Class::Success,
            "{:?}",
            message.first(kind::ERROR_CODE)
        );
        reply
    }

    /// The error code of a reply, 0 for success.
    pub(crate) fn code(&mut self, method: Method, parts: &[(u16, &[u8])]) -> u16 {
        let reply = self.ask(method, parts);
        let message = Message::parse(&reply).unwrap();
        match message.first(kind::ERROR_CODE) {
            Some([_, _, class, number, ..]) => u16::from(*class) * 100 + u16::from(*number),
            _ => 0,
        }
    }

    fn ask(&mut self, method: Method, parts: &[(u16, &[u8])]) -> Vec<u8> {
        let request = self.next_request(method, parts);
        self.link.send(&request);
        let reply = self.link.receive();
        let id = Message::parse(&reply).unwrap().transaction();
        assert_eq!(id, TransactionId([self.transactions; 12]));
        reply
    }

    /// A signed request that is still to be sent.
    pub(crate) fn next_request(&mut self, method: Method, parts: &[(u16, &[u8])]) -> Vec<u8> {
        self.transactions = self.transactions.wrapping_add(1);
        let nonce = Some(&self.nonce[..]);
        write(method, self.transactions, parts, nonce, self.user)
    }

    /// The relayed address.
    pub(crate) fn allocate(&mut self, family: u8) -> SocketAddr {
        self.allocate_over(17, family)
    }

    /// The relayed address for peers over this protocol, 17 for UDP and 6 for TCP.
    pub(crate) fn allocate_over(&mut self, protocol: u8, family: u8) -> SocketAddr {
        let family = [family, 0, 0, 0];
        let parts: [(u16, &[u8]); 2] = [
            (kind::REQUESTED_TRANSPORT, &[protocol, 0, 0, 0]),
            (kind::REQUESTED_ADDRESS_FAMILY, &family),
        ];
        xor_address(
            &self.request(Method::Allocate, &parts),
            kind::XOR_RELAYED_ADDRESS,
        )
    }

    /// The error code of a Connect, 0 for success.
    pub(crate) fn connect_code(&mut self, peer: SocketAddr) -> u16 {
        let id = TransactionId([self.transactions.wrapping_add(1); 12]);
        let (value, length) = encode_xor_address(peer, id);
        self.code(
            Method::Connect,
            &[(kind::XOR_PEER_ADDRESS, &value[..length])],
        )
    }

    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) {
        assert_eq!(self.bind_code(number, peer), 0);
    }

    /// The error code of a CreatePermission, 0 for success.
    pub(crate) fn permit_code(&mut self, peer: SocketAddr) -> u16 {
        let id = TransactionId([self.transactions.wrapping_add(1); 12]);
        let (value, length) = encode_xor_address(peer, id);
        let parts = [(kind::XOR_PEER_ADDRESS, &value[..length])];
        self.code(Method::CreatePermission, &parts)
    }

    /// A Send indication.
    pub(crate) fn send_data(&mut self, peer: SocketAddr, data: &[u8]) {
        let id = TransactionId([0xDA; 12]);
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer, Class::Indication, Method::Send, id);
        writer.xor_address(kind::XOR_PEER_ADDRESS, peer);
        writer.attribute(kind::DATA, data);
        let length = writer.finish(None, false).unwrap();
        self.link.send(&buffer[..length]);
    }

    /// The error code of a ChannelBind, 0 for success.
    pub(crate) fn bind_code(&mut self, number: u16, peer: SocketAddr) -> u16 {
        let [high, low] = number.to_be_bytes();
        let id = TransactionId([self.transactions.wrapping_add(1); 12]);
        let (value, length) = encode_xor_address(peer, id);
        let number = [high, low, 0, 0];
        self.code(
            Method::ChannelBind,
            &[
                (kind::CHANNEL_NUMBER, &number),
                (kind::XOR_PEER_ADDRESS, &value[..length]),
            ],
        )
    }
}
