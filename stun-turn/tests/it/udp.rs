//! Datagrams: clients, peers and each other's relayed addresses.

use std::net::{SocketAddr, UdpSocket};

use stun_turn::Server;
use stun_turn::config::{Options, Protocol};
use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Message;

use crate::client::{Client, Link, PATIENCE, address, binding, mapped, start};

#[test]
fn binding_tells_every_client_its_own_address_whichever_worker_answers() {
    let server = start("127.0.0.1", 4);
    for _ in 0..32 {
        let mut link = Link::udp(&server);
        link.send(&binding(1));
        let Link::Udp(socket) = &link else {
            unreachable!()
        };
        let own = socket.local_addr().unwrap();
        assert_eq!(mapped(&link.receive()), own);
    }
    server.shutdown();
}

#[test]
fn replies_come_from_the_address_that_was_asked() {
    let server = start("0.0.0.0", 2);
    let port = address(&server, Protocol::Udp).port();
    for ip in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let to = SocketAddr::new(ip.parse().unwrap(), port);
        socket.send_to(&binding(1), to).unwrap();
        let (_, from) = socket.recv_from(&mut [0; 100]).unwrap();
        assert_eq!(from, to);
    }
    server.shutdown();
}

/// A peer that sends everything back, once for each datagram that is expected.
fn echo(ip: &str, count: usize) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let socket = UdpSocket::bind(format!("{ip}:0")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = socket.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        for _ in 0..count {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
    (address, thread)
}

fn channel_data_round_trips(ip: &str, family: u8, link: fn(&stun_turn::Server) -> Link) {
    let server = start(ip, 2);
    let payloads: [&[u8]; 4] = [b"", b"h", b"hello", &[7; 1200]];
    let (peer, thread) = echo(ip, payloads.len());
    let mut client = Client::new(link(&server));
    client.allocate(family);
    client.bind(0x4001, peer);
    for payload in payloads {
        let mut message = vec![0x40, 0x01];
        message.extend((payload.len() as u16).to_be_bytes());
        message.extend(payload);
        if client.link.is_stream() {
            message.resize(message.len().next_multiple_of(4), 0);
        }
        client.link.send(&message);
        assert_eq!(client.link.receive(), message);
    }
    thread.join().unwrap();
    server.shutdown();
}

#[test]
fn channel_data_over_udp() {
    channel_data_round_trips("127.0.0.1", 1, Link::udp);
}

#[test]
fn channel_data_over_tcp() {
    channel_data_round_trips("127.0.0.1", 1, Link::tcp);
}

#[test]
fn channel_data_over_ipv6() {
    channel_data_round_trips("[::1]", 2, Link::udp);
}

#[test]
fn two_clients_meet_through_their_relayed_addresses() {
    let server = start("127.0.0.1", 4);
    let mut one = Client::new(Link::udp(&server));
    let mut two = Client::new(Link::tcp(&server));
    let (relayed_one, relayed_two) = (one.allocate(1), two.allocate(1));
    one.bind(0x4000, relayed_two);
    two.bind(0x4000, relayed_one);
    for _ in 0..10 {
        one.link.send(b"\x40\x00\x00\x04ping");
        assert_eq!(two.link.receive(), b"\x40\x00\x00\x04ping");
        two.link.send(b"\x40\x00\x00\x04pong");
        assert_eq!(one.link.receive(), b"\x40\x00\x00\x04pong");
    }
    server.shutdown();
}

#[test]
fn noise_leaves_the_relay_alive() {
    let server = start("127.0.0.1", 1);
    let mut link = Link::udp(&server);
    let good = binding(3);
    for length in 0..good.len() {
        link.send(&good[..length]);
    }
    for first in 0..=255_u8 {
        let mut noise = vec![first; 48];
        noise[2..4].copy_from_slice(&[0xFF, 0xFF]);
        link.send(&noise);
    }
    link.send(&good);
    mapped(&link.receive());
    server.shutdown();
}

#[test]
fn nat_discovery_answers_from_the_other_address_and_port() {
    for listen in ["127.0.0.1", "0.0.0.0"] {
        let spare = UdpSocket::bind("127.0.0.2:0").unwrap();
        let alternate = spare.local_addr().unwrap();
        drop(spare);
        let options = Options {
            listen: vec![format!("udp:{listen}:0").parse().unwrap()],
            nat_discovery: Some(alternate),
            ..Options::default()
        };
        let server = Server::start(options.into()).unwrap();
        let port = server.listeners()[0].1.port();
        let at = SocketAddr::new(alternate.ip(), port);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let change_port = b"\x00\x03\x00\x04\x00\x00\x00\x02";
        let head = b"\x00\x01\x00\x08\x21\x12\xA4\x42abcdefghijkl";
        client
            .send_to(&[&head[..], change_port].concat(), at)
            .unwrap();
        let mut buffer = [0; 256];
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(from, alternate, "the same address, the other port");
        let reply = Message::parse(&buffer[..length]).unwrap();
        assert!(reply.first(kind::OTHER_ADDRESS).is_some());
        server.shutdown();
    }
}
