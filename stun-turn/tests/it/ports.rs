//! Relayed ports that other programs hold, small ranges, and calls that come and go.

use std::net::{SocketAddr, UdpSocket};

use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Method;

use crate::running::Program;

const UDP: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
const EVEN: (u16, &[u8]) = (kind::EVEN_PORT, &[0]);
const END: (u16, &[u8]) = (kind::LIFETIME, &[0; 4]);
/// More than there are ports, so that all of them rest.
const CALLS: usize = 100;

/// Another program on these ports of an address that no other test has.
fn hold(ip: &str, ports: impl Iterator<Item = u16>) -> Vec<UdpSocket> {
    let ip = ip.parse().unwrap();
    let sockets = ports.map(|port| UdpSocket::bind(SocketAddr::new(ip, port)));
    sockets.collect::<Result<_, _>>().unwrap()
}

/// Calls one after the other, each given back: all succeed.
fn calls_come_and_go(ip: &str, range: &str, further: &[&str], parts: &[(u16, &[u8])]) {
    // A quota of 20: as many calls as here may come at once.
    let options = ["--user", "alice:wonder", "--user-quota", "20"];
    let relay = ["--relay-address", ip, "--relay-ports", range];
    let program = Program::start(&[&options[..], &relay, further].concat());
    let mut client = program.client();
    for call in 0..CALLS {
        let code = client.code(Method::Allocate, parts);
        assert_eq!(code, 0, "call {call}");
        assert_eq!(client.code(Method::Refresh, &[END]), 0);
    }
}

#[test]
fn one_port_of_another_program_in_a_small_range() {
    let ip = "127.77.0.1";
    let _held = hold(ip, 50_003..=50_003);
    calls_come_and_go(ip, "50000-50009", &[], &[UDP]);
}

#[test]
fn one_even_port_of_another_program_in_a_small_range() {
    let ip = "127.77.0.2";
    let _held = hold(ip, 50_004..=50_004);
    calls_come_and_go(ip, "50000-50009", &[], &[UDP, EVEN]);
}

#[test]
fn all_ports_but_one_are_another_program_s() {
    let ip = "127.77.0.3";
    let _held = hold(ip, 50_001..=50_063);
    calls_come_and_go(ip, "50000-50063", &[], &[UDP]);
}

#[test]
fn the_listener_lies_in_the_range() {
    let ip = "127.77.0.4";
    let listen = ["--listen", "udp:127.77.0.4:50001"];
    calls_come_and_go(ip, "50000-50003", &listen, &[UDP]);
}

/// EVEN-PORT with the next one: the port that is in the way is known, the other one is not blamed.
#[test]
fn pairs_are_found_between_ports_of_another_program() {
    let ip = "127.77.0.5";
    // Of eight pairs one is whole.
    let _held = hold(ip, (50_000..=50_013).filter(|port| port % 2 == 1));
    let options = ["--user", "alice:wonder"];
    let relay = ["--relay-address", ip, "--relay-ports", "50000-50015"];
    let program = Program::start(&[&options[..], &relay].concat());
    let mut first = program.client();
    let pair = (kind::EVEN_PORT, &[0x80][..]);
    assert_eq!(first.code(Method::Allocate, &[UDP, pair]), 0);
    let mut others: Vec<_> = (0..7).map(|_| program.client()).collect();
    for client in &mut others {
        assert_eq!(client.code(Method::Allocate, &[UDP]), 0, "seven are left");
    }
}

/// A relay of TCP, whose ports a program that listens is in the way of.
#[test]
fn a_port_that_another_program_listens_on() {
    let ip = "127.77.0.6";
    let _held = std::net::TcpListener::bind("127.77.0.6:50001").unwrap();
    let options = [
        "--user",
        "alice:wonder",
        "--user-quota",
        "20",
        "--tcp-relay",
    ];
    let relay = ["--relay-address", ip, "--relay-ports", "50000-50003"];
    let listen = ["--listen", "tcp:127.77.0.6:3478"];
    let program = Program::start(&[&options[..], &relay, &listen].concat());
    let to = "127.77.0.6:3478";
    let link = std::net::TcpStream::connect(to).unwrap();
    link.set_read_timeout(Some(crate::client::patience()))
        .unwrap();
    let mut client = crate::client::Client::new(crate::client::Link::Tcp(link));
    let tcp = (kind::REQUESTED_TRANSPORT, &[6, 0, 0, 0][..]);
    for call in 0..CALLS {
        assert_eq!(client.code(Method::Allocate, &[tcp]), 0, "call {call}");
        assert_eq!(client.code(Method::Refresh, &[END]), 0);
    }
    drop(program);
}
