//! PROXY headers: who may send them, what they change, and what is hung up on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::Duration;

use stun_turn::Server;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::streams::StreamLimits;

use crate::certificates::{Pair, connect, handshake, offering, trusting};
use crate::client::{Client, Link, address, binding, mapped, options, patience};

/// A relay that trusts this network, and us only if we are in it.
fn start(trusted: &str, pair: &Pair) -> Server {
    start_with(trusted, pair, StreamLimits::default())
}

fn start_with(trusted: &str, pair: &Pair, stream_limits: StreamLimits) -> Server {
    let options = Options {
        trusted_proxy: vec![trusted.parse().unwrap()],
        ..offering(&[pair], options(&["udp", "tcp"], "127.0.0.1", 1))
    };
    let config = Config {
        stream_limits,
        ..Config::from(options)
    };
    Server::start(config).unwrap()
}

const US: &str = "127.0.0.0/8";
const SOMEBODY_ELSE: &str = "192.0.2.0/24";

fn v1(source: SocketAddr) -> Vec<u8> {
    let (family, ip, port) = match source.ip() {
        IpAddr::V4(ip) => ("TCP4", format!("{ip} 192.0.2.1"), source.port()),
        IpAddr::V6(ip) => ("TCP6", format!("{ip} 2001:db8::1"), source.port()),
    };
    format!("PROXY {family} {ip} {port} 443\r\n").into_bytes()
}

fn v2(source: SocketAddr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match source.ip() {
        IpAddr::V4(ip) => {
            header.extend([0x11, 0, 12]);
            header.extend(ip.octets());
            header.extend([192, 0, 2, 1]);
        }
        IpAddr::V6(ip) => {
            header.extend([0x21, 0, 36]);
            header.extend(ip.octets());
            header.extend(Ipv6Addr::LOCALHOST.octets());
        }
    }
    header.extend(source.port().to_be_bytes());
    header.extend(443_u16.to_be_bytes());
    header
}

fn dial(server: &Server) -> TcpStream {
    connect(address(server, Protocol::Tcp))
}

fn assert_closed(mut stream: TcpStream) {
    match stream.read(&mut [0; 100]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(US, &pair);
    let config = trusting(&[&pair]);
    for source in ["203.0.113.9:4711", "[2001:db8::9]:4711"] {
        let source: SocketAddr = source.parse().unwrap();
        for header in [v1(source), v2(source)] {
            let mut plain = dial(&server);
            plain
                .write_all(&[&header[..], &binding(1)].concat())
                .unwrap();
            assert_eq!(mapped(&Link::Tcp(plain).receive()), source);

            let mut socket = dial(&server);
            socket.set_nodelay(true).unwrap();
            for byte in &header {
                socket.write_all(&[*byte]).unwrap();
            }
            let tls = handshake(&config, "turn.example", socket).unwrap();
            let mut link = Link::Tls(Box::new(tls));
            link.send(&binding(1));
            assert_eq!(mapped(&link.receive()), source);
        }
    }
    server.shutdown();
}

#[test]
fn a_proxied_client_allocates_and_relays() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(US, &pair);
    let mut socket = dial(&server);
    socket
        .write_all(&v2("203.0.113.9:4711".parse().unwrap()))
        .unwrap();
    let mut client = Client::new(Link::Tcp(socket));
    let relayed = client.allocate(1);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(patience())).unwrap();
    client.bind(0x4001, peer.local_addr().unwrap());
    client.link.send(b"\x40\x01\x00\x04ping");
    let mut buffer = [0; 10];
    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (4, relayed));
    peer.send_to(b"pong", relayed).unwrap();
    assert_eq!(client.link.receive(), b"\x40\x01\x00\x04pong");
    server.shutdown();
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_client() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(US, &pair);
    for header in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00",
    ] {
        let mut socket = dial(&server);
        let own = socket.local_addr().unwrap();
        socket.write_all(&[header, &binding(1)].concat()).unwrap();
        assert_eq!(mapped(&Link::Tcp(socket).receive()), own);
    }
    server.shutdown();
}

#[test]
fn a_trusted_proxy_must_send_a_good_header() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(US, &pair);
    let source: SocketAddr = "203.0.113.9:4711".parse().unwrap();
    let mut too_long = v2(source);
    too_long[14..16].copy_from_slice(&[0xFF, 0xFF]);
    let wrong = [
        binding(1),
        b"\x16\x03\x01\x02\x00".to_vec(),
        b"\x74\x03\x12\x0d".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat(),
        too_long,
    ];
    for bytes in &wrong {
        let mut socket = dial(&server);
        socket.write_all(bytes).unwrap();
        assert_closed(socket);
    }
    let totals = server.handle().stream_totals();
    assert_eq!(
        totals.proxy_malformed.load(Ordering::Relaxed),
        wrong.len() as u64
    );
    server.shutdown();
}

#[test]
fn a_header_that_never_ends_is_not_waited_for() {
    let pair = Pair::new(&["turn.example"]);
    let limits = StreamLimits {
        handshake: Duration::from_millis(100),
        ..StreamLimits::default()
    };
    let server = start_with(US, &pair, limits);
    for header in [
        v1("203.0.113.9:4711".parse().unwrap()),
        v2("[::9]:4711".parse().unwrap()),
    ] {
        let cut: Vec<TcpStream> = (0..header.len())
            .map(|end| {
                let mut socket = dial(&server);
                socket.write_all(&header[..end]).unwrap();
                socket
            })
            .collect();
        cut.into_iter().for_each(assert_closed);
    }
    server.shutdown();
}

#[test]
fn from_anybody_else_a_header_is_garbage() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(SOMEBODY_ELSE, &pair);
    let source: SocketAddr = "203.0.113.9:4711".parse().unwrap();
    for header in [v1(source), v2(source)] {
        let mut socket = dial(&server);
        socket
            .write_all(&[&header[..], &binding(1)].concat())
            .unwrap();
        assert_closed(socket);
    }
    assert_eq!(
        server
            .handle()
            .stream_totals()
            .garbage
            .load(Ordering::Relaxed),
        2
    );
    // And without one they are served as ever.
    let mut socket = dial(&server);
    let own = socket.local_addr().unwrap();
    socket.write_all(&binding(1)).unwrap();
    assert_eq!(mapped(&Link::Tcp(socket).receive()), own);
    server.shutdown();
}
