//! A host whose addresses come late, change and go while the relay runs.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use stun_turn::Server;
use stun_turn::config::{Config, Options};
use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::{Message, Method};

use crate::client::{Client, Link, options, patience};
use crate::network::{ip, run_inside, until_delivered};
use crate::running::eventually;

const UDP: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
const END: (u16, &[u8]) = (kind::LIFETIME, &[0; 4]);
const IPV6: (u16, &[u8]) = (kind::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const BOTH: (u16, &[u8]) = (kind::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);

fn start(listen: &[&str]) -> Server {
    let listen = listen.iter().map(|listen| listen.parse().unwrap());
    Server::start(Config::from(Options {
        listen: listen.collect(),
        user_quota: Some(0),
        source_quota: Some(0),
        ..options(&[], "127.0.0.1", 2)
    }))
    .unwrap()
}

/// A client of the listener with this number, reached at this address.
fn client(server: &Server, listener: usize, at: &str) -> Client {
    let port = server.listeners()[listener].1.port();
    let to = SocketAddr::new(at.parse().unwrap(), port);
    Client::new(Link::udp_to(to))
}

fn is_ready(server: &Server) -> bool {
    server.handle().is_ready()
}

fn metric(server: &Server, name: &str) -> String {
    let metrics = server.handle().metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().to_owned()
}

fn parse(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_that_come_late() {
    run_inside("changing_host::late");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn late() {
    ip("link set lo up");
    let server = start(&["udp:0.0.0.0:0", "udp:[::]:0"]);
    let other = |at: &str| client(&server, 0, at);
    assert!(!is_ready(&server), "loopback is of use to nobody else");
    assert_eq!(other("127.0.0.1").code(Method::Allocate, &[UDP]), 440);

    ip("address add 11.0.0.5/32 dev lo");
    eventually("the address is relayed from", || is_ready(&server));
    assert_eq!(
        metric(&server, "stun_turn_relay_addresses{family=\"ipv4\"}"),
        "1"
    );
    let relayed = other("127.0.0.1").allocate(1);
    assert_eq!(relayed.ip(), parse("11.0.0.5"));
    let mut no_ipv6 = other("11.0.0.5");
    assert_eq!(no_ipv6.code(Method::Allocate, &[UDP, IPV6]), 440);
    let reply = no_ipv6.request(Method::Allocate, &[UDP, BOTH]);
    let reply = Message::parse(&reply).unwrap();
    let missing = reply.first(kind::ADDRESS_ERROR_CODE).unwrap();
    assert_eq!(missing[..4], [2, 0, 4, 40]);

    ip("address add 2620:fe::5/128 dev lo nodad");
    until_delivered("2620:fe::5");
    let name = "stun_turn_relay_addresses{family=\"ipv6\"}";
    eventually("IPv6 is relayed from", || metric(&server, name) == "1");
    assert_eq!(other("11.0.0.5").allocate(2).ip(), parse("2620:fe::5"));
    let over_ipv6 = client(&server, 1, "2620:fe::5").allocate(2);
    assert_eq!(over_ipv6.ip(), parse("2620:fe::5"));

    ip("address del 11.0.0.5/32 dev lo");
    ip("address del 2620:fe::5/128 dev lo");
    eventually("nothing is left", || !is_ready(&server));
    server.shutdown();
}

#[test]
fn addresses_that_change() {
    run_inside("changing_host::change");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn change() {
    ip("link set lo up");
    ip("address add 11.0.0.5/32 dev lo");
    ip("address add 11.0.0.9/32 dev lo");
    let server = start(&["udp:0.0.0.0:0"]);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(patience())).unwrap();
    let mut call = client(&server, 0, "11.0.0.9");
    assert_eq!(call.allocate(1).ip(), parse("11.0.0.9"));
    call.bind(0x4000, peer.local_addr().unwrap());

    ip("address add 11.0.0.6/32 dev lo");
    ip("address del 11.0.0.5/32 dev lo");
    eventually("the new address is relayed from", || {
        let mut new = client(&server, 0, "11.0.0.6");
        // Until the change is seen the old address may be tried.
        new.code(Method::Allocate, &[UDP]) == 0
            && new.code(Method::Refresh, &[END]) == 0
            && new.allocate(1).ip() == parse("11.0.0.6")
    });
    // A client that reaches the relay elsewhere is given an address that there is.
    let name = "stun_turn_relay_addresses{family=\"ipv4\"}";
    eventually("the old one is not", || metric(&server, name) == "2");
    let relayed = client(&server, 0, "127.0.0.1").allocate(1).ip();
    assert!([parse("11.0.0.6"), parse("11.0.0.9")].contains(&relayed));
    // And a call goes on.
    call.link.send(b"\x40\x00\x00\x05still");
    let mut buffer = [0; 16];
    let (length, from) = peer.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"still");
    peer.send_to(b"there", from).unwrap();
    assert_eq!(call.link.receive(), b"\x40\x00\x00\x05there");
    server.shutdown();
}

#[test]
fn a_listener_s_address_that_comes_late() {
    run_inside("changing_host::listen_late");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn listen_late() {
    ip("link set lo up");
    let server = start(&["udp:11.0.0.7:0", "udp:[2620:fe::7]:0"]);
    assert!(!is_ready(&server));
    let missing = || metric(&server, "stun_turn_listen_addresses_missing");
    assert_eq!(missing(), "2");
    ip("address add 11.0.0.7/32 dev lo");
    eventually("the address is there", || is_ready(&server));
    assert_eq!(missing(), "1");
    let relayed = client(&server, 0, "11.0.0.7").allocate(1);
    assert_eq!(relayed.ip(), parse("11.0.0.7"));
    ip("address add 2620:fe::7/128 dev lo nodad");
    until_delivered("2620:fe::7");
    eventually("the other one is there", || missing() == "0");
    let relayed = client(&server, 1, "2620:fe::7").allocate(2);
    assert_eq!(relayed.ip(), parse("2620:fe::7"));
    server.shutdown();
}

#[test]
fn an_ipv6_address_that_is_still_checked_at_the_start() {
    run_inside("changing_host::tentative");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn tentative() {
    ip("link set lo up");
    ip("link add relay0 type veth peer name relay1");
    ip("link set relay0 up");
    ip("link set relay1 up");
    ip("address add 2620:fe::7/64 dev relay0");
    let server = start(&["udp:[::]:0"]);
    eventually("the address is relayed from", || is_ready(&server));
    until_delivered("2620:fe::7");
    let relayed = client(&server, 0, "2620:fe::7").allocate(2);
    assert_eq!(relayed.ip(), parse("2620:fe::7"));
    server.shutdown();
}
