//! Datagrams: clients, peers and each other's relayed addresses.

use std::net::{SocketAddr, UdpSocket};

use stun_turn::Server;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::{Message, Method};

use crate::client::{Client, Link, address, binding, mapped, options, patience, start};

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
        socket.set_read_timeout(Some(patience())).unwrap();
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
    socket.set_read_timeout(Some(patience())).unwrap();
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
        client.set_read_timeout(Some(patience())).unwrap();
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

/// Keys of nonces are drawn anew: what one run has given tells nothing of the next, and a client that
/// comes back with it is told once that it is stale.
#[test]
fn nonces_do_not_outlive_the_server() {
    let first = start("127.0.0.1", 1);
    let listener = address(&first, Protocol::Udp);
    let mut client = Client::new(Link::udp(&first));
    client.allocate(1);
    first.shutdown();
    let mut options = options(&["udp"], "127.0.0.1", 1);
    options.listen = vec![format!("udp:{listener}").parse().unwrap()];
    let second = Server::start(Config::from(options)).unwrap();
    let refresh = client.next_request(
        Method::Allocate,
        &[(kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0])],
    );
    client.link.send(&refresh);
    let reply = client.link.receive();
    let message = Message::parse(&reply).unwrap();
    assert_eq!(message.first(kind::ERROR_CODE).unwrap()[..4], [0, 0, 4, 38]);
    Client::new(client.link).allocate(1);
    second.shutdown();
}

/// Two servers whose clients name each other's relayed addresses and listeners as peers: each packet
/// arrives once, and nothing goes round (RFC 8656 section 21.1.7).
#[test]
fn two_servers_do_not_send_one_packet_for_ever() {
    let servers = [start("127.0.0.1", 1), start("127.0.0.1", 1)];
    let mut clients = [&servers[0], &servers[1]].map(|server| Client::new(Link::udp(server)));
    let relayed = [0, 1].map(|number| clients[number].allocate(1));
    let listeners = [0, 1].map(|number| address(&servers[number], Protocol::Udp));
    for number in 0..2 {
        clients[number].bind(0x4000, relayed[1 - number]);
        clients[number].bind(0x4001, listeners[1 - number]);
    }
    for count in 0..20_u8 {
        // To the other's listener: ChannelData for a channel of nobody.
        clients[0]
            .link
            .send(&[0x40, 1, 0, 5, 0x40, 0, 0, 1, count, 0, 0, 0]);
        clients[0].link.send(&[0x40, 0, 0, 1, count, 0, 0, 0]);
        let arrived = clients[1].link.receive();
        assert_eq!(
            arrived[..5],
            [0x40, 0, 0, 1, count],
            "once, and nothing before it"
        );
    }
    let carried = |server: &Server| server.handle().sessions()[0].traffic.packets_to_peers;
    assert_eq!(servers.each_ref().map(carried), [40, 0]);
    for server in servers {
        server.shutdown();
    }
}
