//! The relay and its own host: services that a firewall hides from all but loopback are reached at
//! no address, whether the relay was told of it, found it at the start or meets it later.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use stun_turn::Server;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::proto::message::Method;

use crate::client::{Client, Link, address, options, patience};
use crate::network::{ip, run_inside, until_delivered};
use crate::running::eventually;

const PORT: u16 = 5353;

/// A relay for UDP and TCP, from one address or from all.
fn start(listen: &str, from: Option<&str>) -> Server {
    let listen = |protocol: &str| format!("{protocol}:{listen}").parse().unwrap();
    Server::start(Config::from(Options {
        listen: vec![listen("udp"), listen("tcp")],
        relay_address: from.iter().map(|ip| ip.parse().unwrap()).collect(),
        allow_peer: Vec::new(),
        tcp_relay: true,
        user_quota: Some(0),
        source_quota: Some(0),
        ..options(&[], "127.0.0.1", 2)
    }))
    .unwrap()
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 1 } else { 2 }
}

/// A client that reaches the relay at this address.
fn client(server: &Server, at: &str) -> Client {
    let at: IpAddr = at.parse().unwrap();
    let port = address(server, Protocol::Udp).port();
    let mut client = Client::new(Link::udp_to(SocketAddr::new(at, port)));
    client.allocate(family(at));
    client
}

/// The same for TCP to peers.
fn client_of_tcp(server: &Server, at: &str) -> Client {
    let at: IpAddr = at.parse().unwrap();
    let port = address(server, Protocol::Tcp).port();
    let stream = TcpStream::connect(SocketAddr::new(at, port)).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    let mut client = Client::new(Link::Tcp(stream));
    client.allocate_over(6, family(at));
    client
}

/// A service of the host that must see nothing.
struct Service {
    datagrams: UdpSocket,
    connections: TcpListener,
}

impl Service {
    fn at(ip: &str) -> Self {
        let at = SocketAddr::new(ip.parse().unwrap(), PORT);
        let datagrams = UdpSocket::bind(at).unwrap();
        let connections = TcpListener::bind(at).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        connections.set_nonblocking(true).unwrap();
        Self {
            datagrams,
            connections,
        }
    }

    fn assert_not_reached(&self) {
        let datagram = self.datagrams.recv_from(&mut [0; 64]).unwrap_err();
        let connection = self.connections.accept().unwrap_err();
        for error in [datagram, connection] {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "it was reached");
        }
    }
}

/// Every way to reach a peer. Addresses that are relayed from get permissions, for the live relayed
/// ports on them.
fn ask_for(server: &Server, at: &str, peer: SocketAddr, is_relayed_from: bool) {
    let mut client = client(server, at);
    let permitted = client.permit_code(peer);
    let is_refused = permitted == 403 || is_relayed_from && permitted == 0;
    assert!(is_refused, "CreatePermission {peer}: {permitted}");
    assert_eq!(client.bind_code(0x4000, peer), 403, "ChannelBind {peer}");
    send(&mut client, peer);
    let mut client = client_of_tcp(server, at);
    assert_eq!(client.connect_code(peer), 403, "Connect {peer}");
}

/// Sends in both ways, and returns when the relay has taken it.
fn send(client: &mut Client, peer: SocketAddr) {
    client.send_data(peer, b"canary");
    client.link.send(b"\x40\x00\x00\x06canary");
    assert_eq!(client.code(Method::Refresh, &[]), 0);
}

fn peer(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), PORT)
}

#[test]
fn addresses_that_are_not_listened_on() {
    run_inside("own_host::listed");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn listed() {
    ip("link set lo up");
    for address in ["11.0.0.1/32", "11.0.0.2/32"] {
        ip(&format!("address add {address} dev lo"));
    }
    ip("route add local 11.9.0.0/24 dev lo");
    let server = start("11.0.0.1:0", None);
    for own in ["11.0.0.2", "11.9.0.7"] {
        let service = Service::at(own);
        ask_for(&server, "11.0.0.1", peer(own), false);
        service.assert_not_reached();
    }
    server.shutdown();
}

#[test]
fn addresses_that_come_after_the_start() {
    run_inside("own_host::later");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn later() {
    ip("link set lo up");
    ip("address add 11.0.0.1/32 dev lo");
    for from in [Some("11.0.0.1"), None] {
        let server = start("0.0.0.0:0", from);
        let address = ("11.0.0.3", "11.0.0.3/32");
        come_and_go(&server, "11.0.0.1", address, from.is_none());
        server.shutdown();
    }
}

#[test]
fn ipv6_addresses_that_come_after_the_start() {
    run_inside("own_host::slaac");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn slaac() {
    ip("link set lo up");
    ip("address add 2620:fe::1/128 dev lo nodad");
    until_delivered("2620:fe::1");
    for from in [Some("2620:fe::1"), None] {
        let server = start("[::]:0", from);
        let address = ("2620:fe::3", "2620:fe::3/128");
        come_and_go(&server, "2620:fe::1", address, from.is_none());
        server.shutdown();
    }
}

/// An address that a client has a permission and a channel for becomes the host's, again and again.
fn come_and_go(server: &Server, at: &str, (own, with_prefix): (&str, &str), is_relayed_from: bool) {
    let nodad = if own.contains(':') { " nodad" } else { "" };
    let mut before = client(server, at);
    for round in 0..20 {
        let is_open = |client: &mut Client| client.bind_code(0x4000, peer(own)) == 0;
        eventually("the address is others'", || is_open(&mut before));
        ip(&format!("address add {with_prefix} dev lo{nodad}"));
        until_delivered(own);
        let service = Service::at(own);
        send(&mut before, peer(own));
        ask_for(server, at, peer(own), is_relayed_from);
        service.assert_not_reached();
        let listener = address(server, Protocol::Udp).port();
        let listener = SocketAddr::new(own.parse().unwrap(), listener);
        assert_eq!(before.bind_code(0x4001, listener), 403, "round {round}");
        ip(&format!("address del {with_prefix} dev lo"));
    }
    // What was added is seen also by workers that had nothing to do meanwhile.
    ip(&format!("address add {with_prefix} dev lo{nodad}"));
    until_delivered(own);
    for _ in 0..20 {
        ask_for(server, at, peer(own), is_relayed_from);
    }
    ip(&format!("address del {with_prefix} dev lo"));
}
