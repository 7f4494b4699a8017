//! Peers that must never be reached, with listeners that would notice.
//!
//! In a network namespace of its own every address can be this host's. So all that the peer policy
//! refuses gets a listener there, a client asks for it in every way it can, and afterwards no
//! listener may have seen a packet. Public addresses that the operator allows (as all are the host's
//! own here) show that packets would have arrived.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};

use ipnet::IpNet;
use stun_turn::Server;
use stun_turn::config::{Config, Options};

use crate::client::{Client, Link, patience};
use crate::network::{assert_inside, mark_inside};

/// Networks that no peer may be in. Each is asked for by its first, its last and a middle address.
const REFUSED: [&str; 37] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "168.63.129.16/32",
    "224.0.0.0/4",
    "240.0.0.0/4",
    // What the unspecified addresses stand for.
    "127.0.0.1/32",
    "::1/128",
    "::/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "fd00:ec2::254/128",
];

/// Where a public neighbour of a refused network begins or ends.
const NEIGHBOURS: [&str; 14] = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2003::",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
];

const PORT: u16 = 5353;
const INSIDE: &str = "canary::inside_a_namespace";

#[test]
fn no_packet_reaches_what_the_policy_refuses() {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]);
        command
    };
    let probe = unshare().arg("true").stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "network namespaces can't be made here");
        eprintln!("not run: network namespaces can't be made here");
        return;
    }
    let status = mark_inside(&mut unshare())
        .arg(std::env::current_exe().unwrap())
        .args([INSIDE, "--exact", "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(status.success(), "in the namespace: {status}");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn inside_a_namespace() {
    assert_inside();
    run_ip(&["link", "set", "lo", "up"]);
    for public in [
        "8.8.8.8/32",
        "2620:fe::fe/128",
        "203.0.114.1/32",
        "2620:fe::1/128",
    ] {
        assert!(add_address(public), "{public}");
    }
    let asked: Vec<IpAddr> = REFUSED.iter().flat_map(|net| samples(net)).collect();
    let canaries: Vec<(UdpSocket, TcpListener)> =
        asked.iter().filter_map(|ip| canary(*ip)).collect();
    assert!(canaries.len() > 60, "only {} canaries", canaries.len());

    let options = Options {
        listen: [
            "udp:203.0.114.1:0",
            "udp:[2620:fe::1]:0",
            "tcp:203.0.114.1:0",
        ]
        .map(|it| it.parse().unwrap())
        .to_vec(),
        tcp_relay: true,
        allow_peer: ["8.8.8.8/32", "2620:fe::fe/128"]
            .map(|it| it.parse().unwrap())
            .to_vec(),
        user: vec!["alice:wonder".parse().unwrap()],
        workers: Some(1),
        ..Options::default()
    };
    let server = Server::start(Config::from(options)).unwrap();
    let listener = server.listeners()[0].1;
    for family in [1, 2] {
        let mut client = Client::new(Link::udp_to(listener));
        client.allocate(family);
        let other_family = |ip: &&IpAddr| ip.is_ipv4() != (family == 1);
        for ip in &asked {
            let expected = if other_family(&ip) { 443 } else { 403 };
            ask_for(&mut client, *ip, expected);
        }
        for ip in hidden(&asked) {
            ask_for(&mut client, ip, if family == 1 { 443 } else { 403 });
        }
        for ip in NEIGHBOURS.map(|ip| ip.parse::<IpAddr>().unwrap()) {
            let expected = if other_family(&&ip) { 443 } else { 0 };
            assert_eq!(
                client.permit_code(SocketAddr::new(ip, PORT)),
                expected,
                "{ip}"
            );
        }
    }
    show_that_packets_arrive(listener);
    for family in [1, 2] {
        connect_to_all(&server, family, &asked);
    }
    for (datagrams, connections) in canaries {
        for error in [
            datagrams.recv_from(&mut [0; 64]).unwrap_err(),
            connections.accept().unwrap_err(),
        ] {
            let reached = error.kind() != ErrorKind::WouldBlock;
            assert!(!reached, "{datagrams:?} was reached");
        }
    }
    server.shutdown();
}

/// The same by connections (RFC 6062), of which one to a public peer arrives.
fn connect_to_all(server: &Server, family: u8, asked: &[IpAddr]) {
    let mut client = Client::new(Link::tcp(server));
    client.allocate_over(6, family);
    for ip in asked.iter().copied().chain(hidden(asked)) {
        let expected = if ip.is_ipv4() == (family == 1) {
            403
        } else {
            443
        };
        let peer = SocketAddr::new(ip, PORT);
        assert_eq!(client.connect_code(peer), expected, "Connect {ip}");
    }
    let public = if family == 1 {
        "8.8.8.8"
    } else {
        "2620:fe::fe"
    };
    let peer = TcpListener::bind(SocketAddr::new(public.parse().unwrap(), PORT)).unwrap();
    assert_eq!(client.connect_code(peer.local_addr().unwrap()), 0);
    assert!(peer.accept().is_ok());
}

/// Every way to reach a peer with datagrams.
fn ask_for(client: &mut Client, ip: IpAddr, expected: u16) {
    let peer = SocketAddr::new(ip, PORT);
    assert_eq!(client.permit_code(peer), expected, "CreatePermission {ip}");
    assert_eq!(client.bind_code(0x4000, peer), expected, "ChannelBind {ip}");
    client.send_data(peer, b"canary");
    client.link.send(b"\x40\x00\x00\x06canary");
}

/// IPv4 addresses in the IPv6 forms that a kernel or a router on the way takes for them.
fn hidden(refused: &[IpAddr]) -> Vec<IpAddr> {
    let ipv4 = refused.iter().filter_map(|ip| match ip {
        IpAddr::V4(ip) => Some(*ip),
        IpAddr::V6(_) => None,
    });
    let forms = |ip: Ipv4Addr| {
        let [a, b, c, d] = ip.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        [
            ip.to_ipv6_mapped(),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x64, 0xFF9B, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2620, 0xFE, 0, 0, 0, 0x5EFE, high, low),
        ]
    };
    ipv4.flat_map(forms).map(IpAddr::V6).collect()
}

/// The same client reaches a public peer, so the silence of the others means something.
fn show_that_packets_arrive(listener: SocketAddr) {
    for (family, ip) in [(1, "8.8.8.8"), (2, "2620:fe::fe")] {
        let peer = UdpSocket::bind(SocketAddr::new(ip.parse().unwrap(), PORT)).unwrap();
        peer.set_read_timeout(Some(patience())).unwrap();
        let mut client = Client::new(Link::udp_to(listener));
        client.allocate(family);
        assert_eq!(client.permit_code(peer.local_addr().unwrap()), 0);
        client.send_data(peer.local_addr().unwrap(), b"hello");
        let mut buffer = [0; 64];
        assert_eq!(peer.recv(&mut buffer).unwrap(), 5);
    }
}

/// First, last and a middle address.
fn samples(net: &str) -> Vec<IpAddr> {
    let net: IpNet = net.parse().unwrap();
    let middle = match (net.network(), net.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => IpAddr::V4(Ipv4Addr::from_bits(
            first.to_bits() / 2 + last.to_bits() / 2,
        )),
        (IpAddr::V6(first), IpAddr::V6(last)) => IpAddr::V6(Ipv6Addr::from_bits(
            first.to_bits() / 2 + last.to_bits() / 2,
        )),
        _ => unreachable!("a network is of one family"),
    };
    let mut samples = vec![net.network(), middle, net.broadcast()];
    samples.dedup();
    samples
}

/// Listeners on an address, if this host can be given it.
fn canary(ip: IpAddr) -> Option<(UdpSocket, TcpListener)> {
    if ip.is_unspecified() {
        // It would take the place of all others.
        return None;
    }
    let length = if ip.is_ipv4() { 32 } else { 128 };
    add_address(&format!("{ip}/{length}"));
    let socket = UdpSocket::bind(SocketAddr::new(ip, PORT)).ok()?;
    socket.set_nonblocking(true).unwrap();
    let listener = TcpListener::bind(SocketAddr::new(ip, PORT)).ok()?;
    listener.set_nonblocking(true).unwrap();
    Some((socket, listener))
}

fn add_address(address: &str) -> bool {
    let mut arguments = vec!["address", "add", address, "dev", "lo"];
    if address.contains(':') {
        arguments.push("nodad");
    }
    let status = Command::new("ip")
        .args(arguments)
        .stderr(Stdio::null())
        .status();
    status.unwrap().success()
}

fn run_ip(arguments: &[&str]) {
    assert!(
        Command::new("ip")
            .args(arguments)
            .status()
            .unwrap()
            .success()
    );
}
