//! Streams: framing, strangers of other protocols, slow readers, clients that leave.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::ops::Range;
use std::sync::atomic::Ordering;

use stun_turn::Server;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Method;

use crate::certificates::{Pair, link, offering, trusting};
use crate::client::{Client, Link, address, binding, mapped, options, patience, start};

#[test]
fn one_byte_at_a_time_and_fifty_messages_at_once() {
    let server = start("127.0.0.1", 1);
    let mut link = Link::tcp(&server);
    if let Link::Tcp(stream) = &link {
        stream.set_nodelay(true).unwrap();
    }
    for byte in binding(1) {
        link.send(&[byte]);
    }
    mapped(&link.receive());
    let all: Vec<u8> = (0..50).flat_map(binding).collect();
    link.send(&all);
    for number in 0..50 {
        assert_eq!(link.receive()[8..20], [number; 12], "in order");
    }
    server.shutdown();
}

#[test]
fn other_protocols_are_hung_up_on_without_a_byte() {
    let server = start("127.0.0.1", 1);
    for greeting in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        let mut stream = TcpStream::connect(address(&server, Protocol::Tcp)).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        stream.write_all(greeting).unwrap();
        match stream.read(&mut [0; 10]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{other:?}"),
        }
    }
    server.shutdown();
}

#[test]
fn a_request_inside_of_channel_data_is_not_executed() {
    let server = start("127.0.0.1", 1);
    let mut link = Link::tcp(&server);
    link.send(&binding(1));
    mapped(&link.receive());
    let mut message = vec![0x40, 0x01, 0x00, 20];
    message.extend(binding(66));
    message.extend(binding(2));
    link.send(&message);
    assert_eq!(link.receive()[8..20], [2; 12]);
    server.shutdown();
}

#[test]
fn a_client_that_hangs_up_frees_its_relayed_port() {
    let server = start("127.0.0.1", 1);
    let mut client = Client::new(Link::tcp(&server));
    let relayed = client.allocate(1);
    assert!(UdpSocket::bind(relayed).is_err(), "the relay holds it");
    drop(client);
    let start = std::time::Instant::now();
    while UdpSocket::bind(relayed).is_err() {
        assert!(start.elapsed() < patience(), "{relayed} is still taken");
        std::thread::yield_now();
    }
    server.shutdown();
}

/// A relay that missed resets would keep the one allocation that the server may have, and refuse
/// every later one (CVE-2026-73216).
#[test]
fn ten_thousand_clients_that_reset_their_connections_leave_nothing() {
    let server = Server::start(Config::from(Options {
        max_allocations: Some(1),
        user_quota: Some(0),
        source_quota: Some(0),
        ..options(&["tcp"], "127.0.0.1", 1)
    }))
    .unwrap();
    // A nonce is good for its client only, which is the address and the port it comes from.
    for cycle in 0..10_000 {
        let start = std::time::Instant::now();
        loop {
            let mut client = Client::new(Link::tcp(&server));
            let code = client.code(
                Method::Allocate,
                &[(kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0])],
            );
            client.link.reset();
            if code == 0 {
                break;
            }
            assert_eq!(
                code, 508,
                "cycle {cycle}: the one before may not be noticed yet"
            );
            assert!(start.elapsed() < patience(), "cycle {cycle}");
        }
    }
    let start = std::time::Instant::now();
    while server.handle().allocations() > 0 {
        assert!(start.elapsed() < patience(), "the last one is not noticed");
        std::thread::yield_now();
    }
    server.shutdown();
}

/// Floods a client that does not read, then reads: what arrives is whole messages in order, with
/// gaps, and the connection still answers.
fn a_slow_reader_keeps_the_framing(server: &Server, link: Link) {
    let mut client = Client::new(link);
    let relayed = client.allocate(1);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.bind(0x4001, peer.local_addr().unwrap());
    flood(&peer, relayed, 0..FLOOD);
    client.link.send(&binding(200));
    let (mut last, mut received, mut is_answered) = (None, 0_u32, false);
    // Until the newest has come, which may itself be lost where the kernel had no room for it.
    while last != Some(FLOOD) || !is_answered {
        let message = client.link.receive();
        if message[0] < 4 {
            assert_eq!(message[8..20], [200; 12]);
            is_answered = true;
            flood(&peer, relayed, FLOOD..FLOOD + 1);
            continue;
        }
        assert_eq!(message[..4], [0x40, 0x01, 0x04, 0x01], "framing is intact");
        let number = u32::from_be_bytes(message[4..8].try_into().unwrap());
        assert!(last.is_none_or(|last| last < number), "in order");
        (last, received) = (Some(number), received + 1);
    }
    assert!(0 < received && received < FLOOD, "{received} arrived");
    let dropped = server
        .handle()
        .stream_totals()
        .media_dropped
        .load(Ordering::Relaxed);
    assert!(dropped > 0, "the queue was full");
}

#[test]
fn a_slow_reader_loses_whole_messages_and_never_the_framing() {
    let server = start("127.0.0.1", 1);
    a_slow_reader_keeps_the_framing(&server, Link::tcp(&server));
    server.shutdown();
}

#[test]
fn a_slow_reader_behind_tls_loses_whole_messages_and_never_the_framing() {
    let pair = Pair::new(&["turn.example"]);
    let options = offering(&[&pair], options(&["udp", "tls"], "127.0.0.1", 1));
    let server = Server::start(Config::from(options)).unwrap();
    let to = address(&server, Protocol::Tls);
    let link = link(&trusting(&[&pair]), "turn.example", to);
    a_slow_reader_keeps_the_framing(&server, link);
    server.shutdown();
}

const FLOOD: u32 = 20_000;

fn flood(peer: &UdpSocket, to: SocketAddr, numbers: Range<u32>) {
    let mut datagram = [7; 1025];
    for number in numbers {
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        peer.send_to(&datagram, to).unwrap();
    }
}

/// The error that one peer's host reported once swallowed the next datagram to another peer.
#[test]
fn a_peer_that_is_not_there_costs_the_others_nothing() {
    let server = start("127.0.0.1", 1);
    let mut client = Client::new(Link::tcp(&server));
    client.allocate(1);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(patience())).unwrap();
    client.bind(0x4000, "127.0.0.1:9".parse().unwrap());
    client.bind(0x4001, peer.local_addr().unwrap());
    for number in 0..100_u8 {
        client.link.send(b"\x40\x00\x00\x01x\0\0\0");
        client.link.send(&[0x40, 0x01, 0, 1, number, 0, 0, 0]);
    }
    let mut buffer = [0; 16];
    for number in 0..100_u8 {
        assert_eq!(peer.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], number);
    }
}
