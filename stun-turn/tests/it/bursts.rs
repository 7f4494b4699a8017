//! Datagrams of one sender that the kernel hands over together, as one long message (`UDP_GRO`).

use std::net::{SocketAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use stun_turn::config::Protocol;
use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::{Message, Method};

use crate::client::{Client, Link, address, mapped, patience, start};

const COUNT: u8 = 20;
const CHANNEL: u16 = 0x4001;

/// Different in every datagram; the last one is shorter.
fn payload(number: u8) -> Vec<u8> {
    let length = if number == COUNT - 1 { 59 } else { 99 };
    (0..length).map(|at| number ^ at).collect()
}

/// Sends all payloads as one message that the kernel cuts no sooner than it must.
fn burst(socket: &UdpSocket, to: SocketAddr, datagrams: impl Iterator<Item = Vec<u8>>) {
    let datagrams: Vec<Vec<u8>> = datagrams.collect();
    let size = i32::try_from(datagrams[0].len()).unwrap();
    setsockopt(socket, sockopt::UdpGsoSegment, &size).unwrap();
    let all = datagrams.concat();
    assert_eq!(socket.send_to(&all, to).unwrap(), all.len());
    setsockopt(socket, sockopt::UdpGsoSegment, &0).unwrap();
}

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(patience())).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let length = socket.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// The payload of ChannelData, whatever its padding.
fn unwrap_channel_data(message: &[u8]) -> &[u8] {
    assert_eq!(message[..2], CHANNEL.to_be_bytes());
    let length = u16::from_be_bytes([message[2], message[3]]);
    &message[4..4 + usize::from(length)]
}

#[test]
fn a_client_s_burst_reaches_its_peer_as_single_datagrams() {
    let server = start("127.0.0.1", 1);
    let mut client = Client::new(Link::udp(&server));
    client.allocate(1);
    let peer = peer();
    client.bind(CHANNEL, peer.local_addr().unwrap());
    let Link::Udp(socket) = &client.link else {
        unreachable!()
    };
    let wrap = |number| {
        let payload = payload(number);
        let length = u16::try_from(payload.len()).unwrap();
        [&CHANNEL.to_be_bytes()[..], &length.to_be_bytes(), &payload].concat()
    };
    burst(
        socket,
        address(&server, Protocol::Udp),
        (0..COUNT).map(wrap),
    );
    for number in 0..COUNT {
        assert_eq!(receive(&peer), payload(number), "datagram {number}");
    }
    server.shutdown();
}

#[test]
fn requests_that_come_as_one_message_are_answered_singly() {
    let server = start("127.0.0.1", 1);
    let Link::Udp(socket) = Link::udp(&server) else {
        unreachable!()
    };
    let to = address(&server, Protocol::Udp);
    burst(&socket, to, (0..COUNT).map(crate::client::binding));
    for number in 0..COUNT {
        let reply = receive(&socket);
        assert_eq!(mapped(&reply), socket.local_addr().unwrap());
        assert_eq!(reply[8..20], [number; 12]);
    }
    server.shutdown();
}

/// The header of each datagram lies on the end of the one before; that must not be seen in either.
fn a_peer_s_burst_reaches_the_client(link: fn(&stun_turn::Server) -> Link) {
    let server = start("127.0.0.1", 1);
    let mut client = Client::new(link(&server));
    let relayed = client.allocate(1);
    let (on_channel, without) = (peer(), peer());
    client.bind(CHANNEL, on_channel.local_addr().unwrap());
    assert_eq!(client.permit_code(without.local_addr().unwrap()), 0);

    burst(&on_channel, relayed, (0..COUNT).map(payload));
    for number in 0..COUNT {
        let message = client.link.receive();
        assert_eq!(unwrap_channel_data(&message), payload(number), "{number}");
    }
    burst(&without, relayed, (0..COUNT).map(payload));
    for number in 0..COUNT {
        let message = client.link.receive();
        let message = Message::parse(&message).unwrap();
        assert_eq!(message.method(), Method::Data);
        assert_eq!(
            message.first(kind::DATA).unwrap(),
            payload(number),
            "{number}"
        );
    }
    server.shutdown();
}

#[test]
fn a_peer_s_burst_reaches_a_client_over_udp() {
    a_peer_s_burst_reaches_the_client(Link::udp);
}

#[test]
fn a_peer_s_burst_reaches_a_client_over_tcp() {
    a_peer_s_burst_reaches_the_client(Link::tcp);
}
