//! `[::]` serves both families over each protocol.

use std::net::{IpAddr, SocketAddr, TcpStream};

use stun_turn::Server;
use stun_turn::config::{Config, Options};

use crate::certificates::{Pair, link, offering, trusting};
use crate::client::{Client, Link, options, patience};
use crate::network::{ip, run_inside};

/// `udp:[::]:3478` did not serve IPv4, and nothing said so.
#[test]
fn a_wildcard_of_ipv6_serves_both_families() {
    run_inside("both_families::inside");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn inside() {
    ip("link set lo up");
    let pair = Pair::new(&["turn.example"]);
    let listen = ["udp:[::]:443", "tcp:[::]:3478", "tls:[::]:443"];
    let options = Options {
        listen: listen.iter().map(|it| it.parse().unwrap()).collect(),
        relay_address: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        ..offering(&[&pair], options(&[], "127.0.0.1", 2))
    };
    let server = Server::start(Config::from(options)).unwrap();
    let trusted = trusting(&[&pair]);
    for (on, family) in [("127.0.0.1", 1), ("::1", 2)] {
        let on: IpAddr = on.parse().unwrap();
        let tcp = TcpStream::connect(SocketAddr::new(on, 3478)).unwrap();
        tcp.set_read_timeout(Some(patience())).unwrap();
        let https = SocketAddr::new(on, 443);
        for way in [
            Link::udp_to(https),
            Link::Tcp(tcp),
            link(&trusted, "turn.example", https),
        ] {
            assert_eq!(Client::new(way).allocate(family).ip(), on);
        }
    }
    server.shutdown();
}

/// `net.ipv6.conf.all.disable_ipv6`, as some hosts have it.
#[test]
fn a_host_whose_ipv6_is_off_is_served_over_ipv4() {
    run_inside("both_families::without_ipv6");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn without_ipv6() {
    crate::network::assert_inside();
    std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    ip("link set lo up");
    ip("address add 11.0.0.5/32 dev lo");
    let server = Server::start(Config::from(options(&[], "127.0.0.1", 1))).unwrap();
    assert!(server.listeners().iter().all(|(_, at)| at.is_ipv4()));
    let to = SocketAddr::from(([11, 0, 0, 5], 3478));
    let relayed = Client::new(Link::udp_to(to)).allocate(1);
    assert_eq!(relayed.ip(), to.ip());
    server.shutdown();
}
