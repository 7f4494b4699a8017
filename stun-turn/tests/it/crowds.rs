//! Whoever sends or opens too much makes way for others, who don't make way for them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;

use socket2::{Domain, Socket, Type};
use stun_turn::Server;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::proto::message::Method;
use stun_turn::streams::StreamLimits;

use crate::certificates::Pair;
use crate::client::{
    ALICE, Client, Link, address, allocate_as_nobody, binding, mapped, options, patience, start,
};
use crate::deadlines::{self, PATIENT, client_hello, wait_for, wait_for_end};

/// Bytes of an answer to a Binding request over IPv4.
const ANSWER: usize = 32;

fn with_limits(stream_limits: StreamLimits) -> Server {
    let config = Config {
        stream_limits,
        ..Config::from(options(&["udp", "tcp"], "127.0.0.1", 1))
    };
    Server::start(config).unwrap()
}

/// A connection from one of this host's addresses.
fn dial(from: &str, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(patience())).unwrap();
    stream
}

/// Whether a connection is still served.
fn assert_served(stream: &mut TcpStream) {
    stream.write_all(&binding(7)).unwrap();
    let mut answer = [0; ANSWER];
    stream.read_exact(&mut answer).unwrap();
    mapped(&answer);
}

/// They are far more than a turn allows, and the client has already said that it sends no more.
#[test]
fn all_messages_are_answered_however_many_come_at_once() {
    let server = start("127.0.0.1", 1);
    let mut stream = TcpStream::connect(address(&server, Protocol::Tcp)).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    let all: Vec<u8> = (0..1000)
        .flat_map(|number| binding((number % 251) as u8))
        .collect();
    stream.write_all(&all).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    for number in 0..1000 {
        let mut answer = [0; ANSWER];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[8..20], [(number % 251) as u8; 12], "in order");
    }
    wait_for_end(stream);
    server.shutdown();
}

/// One turn of each connection used to last until all that it had sent was answered, and a datagram
/// waited for the turns of all.
#[test]
fn a_datagram_does_not_wait_until_fifty_connections_are_answered() {
    const REQUESTS: usize = 1000;
    let server = start("127.0.0.1", 1);
    let to = address(&server, Protocol::Tcp);
    let mut link = Link::udp(&server);
    let flood = binding(1).repeat(REQUESTS);
    let mut streams: Vec<TcpStream> = (0..50).map(|_| dial("127.0.0.1", to)).collect();
    for stream in &mut streams {
        stream.write_all(&flood).unwrap();
    }
    link.send(&binding(2));
    mapped(&link.receive());
    let mut answered = 0;
    let mut buffer = vec![0; REQUESTS * ANSWER];
    for stream in &mut streams {
        stream.set_nonblocking(true).unwrap();
        match stream.read(&mut buffer) {
            Ok(length) => answered += length / ANSWER,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    let all = REQUESTS * streams.len();
    assert!(
        answered < all / 2,
        "{answered} of {all} were answered before"
    );
    // And everybody is answered in the end.
    for stream in &mut streams {
        stream.set_nonblocking(false).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        answered += std::io::copy(stream, &mut std::io::sink()).unwrap() as usize / ANSWER;
    }
    assert_eq!(answered, all);
    server.shutdown();
}

#[test]
fn who_never_gives_valid_credentials_is_hung_up_on() {
    let server = start("127.0.0.1", 1);
    let totals = server.handle().stream_totals();
    let mut honest = Client::new(Link::tcp(&server));
    honest.allocate(1);
    for _ in 0..40 {
        honest.link.send(&allocate_as_nobody());
        honest.link.receive();
    }
    honest.link.send(&binding(1));
    mapped(&honest.link.receive());

    let mut stranger = dial("127.0.0.1", address(&server, Protocol::Tcp));
    stranger
        .write_all(&allocate_as_nobody().repeat(40))
        .unwrap();
    wait_for_end(stranger);
    wait_for(&totals.unauthenticated, 1);
    let mut guesser = Client::of((ALICE.0, "a guess"), Link::tcp(&server));
    for _ in 1..32 {
        assert_eq!(guesser.code(Method::Allocate, &[]), 401);
    }
    wait_for(&totals.unauthenticated, 2);
    server.shutdown();
}

#[test]
fn a_source_with_too_many_connections_loses_its_own_oldest() {
    let server = with_limits(StreamLimits {
        strangers_a_source: 2,
        ..PATIENT
    });
    let (to, totals) = (
        address(&server, Protocol::Tcp),
        server.handle().stream_totals(),
    );
    let mut neighbour = dial("127.0.0.2", to);
    assert_served(&mut neighbour);
    // One with an allocation does not count.
    let mut client = Client::new(Link::Tcp(dial("127.0.0.1", to)));
    client.allocate(1);
    let [oldest, mut second] = [dial("127.0.0.1", to), dial("127.0.0.1", to)];
    assert_served(&mut second);
    assert_eq!(totals.strangers_evicted.load(Ordering::Relaxed), 0);
    let mut third = dial("127.0.0.1", to);
    wait_for_end(oldest);
    wait_for(&totals.strangers_evicted, 1);
    for stream in [&mut neighbour, &mut second, &mut third] {
        assert_served(stream);
    }
    // It counts again once its allocation has ended, and is the oldest.
    client.request(Method::Refresh, &[(0x000D, &[0; 4])]);
    wait_for(&totals.strangers_evicted, 2);
    assert_served(&mut second);
    server.shutdown();
}

#[test]
fn when_there_are_too_many_of_all_the_source_that_has_most_makes_way() {
    let server = with_limits(StreamLimits {
        strangers: 3,
        ..PATIENT
    });
    let (to, totals) = (
        address(&server, Protocol::Tcp),
        server.handle().stream_totals(),
    );
    let mut first = dial("127.0.0.2", to);
    assert_served(&mut first);
    let [oldest, mut younger] = [dial("127.0.0.1", to), dial("127.0.0.1", to)];
    assert_served(&mut younger);
    let mut newcomer = dial("127.0.0.3", to);
    wait_for_end(oldest);
    wait_for(&totals.strangers_evicted, 1);
    for stream in [&mut first, &mut younger, &mut newcomer] {
        assert_served(stream);
    }
    server.shutdown();
}

/// Else all clients behind one proxy would share one source's part.
#[test]
fn a_connection_counts_for_whom_the_proxy_tells() {
    let options = Options {
        trusted_proxy: vec!["127.0.0.0/8".parse().unwrap()],
        ..options(&["tcp"], "127.0.0.1", 1)
    };
    let stream_limits = StreamLimits {
        strangers_a_source: 1,
        ..PATIENT
    };
    let server = Server::start(Config {
        stream_limits,
        ..Config::from(options)
    });
    let server = server.unwrap();
    let (to, totals) = (
        address(&server, Protocol::Tcp),
        server.handle().stream_totals(),
    );
    let silent = [dial("127.0.0.1", to), dial("127.0.0.1", to)];
    let proxied = |source: &str| {
        let mut stream = dial("127.0.0.1", to);
        let header = format!("PROXY TCP4 {source} 192.0.2.1 4711 3478\r\n");
        stream.write_all(header.as_bytes()).unwrap();
        assert_served(&mut stream);
        stream
    };
    let (first, mut second) = (proxied("203.0.113.1"), proxied("203.0.113.2"));
    assert_eq!(totals.strangers_evicted.load(Ordering::Relaxed), 0);
    let mut third = proxied("203.0.113.1");
    wait_for_end(first);
    wait_for(&totals.strangers_evicted, 1);
    assert_served(&mut second);
    assert_served(&mut third);
    drop(silent);
    server.shutdown();
}

/// An honest client far away takes long, and somebody near starts handshake after handshake.
#[test]
fn handshakes_of_one_source_do_not_end_those_of_another() {
    let pair = Pair::new(&["turn.example"]);
    let server = deadlines::start(
        &pair,
        StreamLimits {
            handshakes: 3,
            ..PATIENT
        },
    );
    let (to, totals) = (
        address(&server, Protocol::Tls),
        server.handle().stream_totals(),
    );
    let stall = |from| {
        let mut stream = dial(from, to);
        stream.write_all(&client_hello(&pair)).unwrap();
        // The server's answer has begun, so it counts.
        stream.read_exact(&mut [0; 1]).unwrap();
        stream
    };
    let mut far = stall("127.0.0.2");
    let mut near: Vec<TcpStream> = (0..2).map(|_| stall("127.0.0.1")).collect();
    for evicted in 1..10 {
        near.push(stall("127.0.0.1"));
        wait_for_end(near.remove(0));
        wait_for(&totals.tls_evicted, evicted);
    }
    far.set_nonblocking(true).unwrap();
    let mut answer = vec![0; 65_536];
    assert!(far.read(&mut answer).unwrap() > 0);
    let error = far.read(&mut answer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "still open");
    server.shutdown();
}
