//! Connections that keep something waiting, or are too many: each costs little and not for long.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use stun_turn::config::{Config, Protocol};
use stun_turn::streams::StreamLimits;
use stun_turn::{Server, file_limit};

use crate::certificates::{Pair, connect, handshake, link, offering, trusting};
use crate::client::{Client, Link, address, binding, mapped, options, patience};

/// What a test waits for.
const SHORT: Duration = Duration::from_millis(150);
/// What it does not wait for.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) const PATIENT: StreamLimits = StreamLimits {
    handshake: LONG,
    first_message: LONG,
    message: LONG,
    idle: LONG,
    handshakes: 100,
    strangers_a_source: usize::MAX,
    strangers: usize::MAX,
};

pub(crate) fn start(pair: &Pair, stream_limits: StreamLimits) -> Server {
    let options = offering(&[pair], options(&["udp", "tls"], "127.0.0.1", 1));
    let config = Config {
        stream_limits,
        ..Config::from(options)
    };
    Server::start(config).unwrap()
}

fn dial(server: &Server) -> TcpStream {
    connect(address(server, Protocol::Tls))
}

/// Reads until the server hangs up.
pub(crate) fn wait_for_end(mut stream: impl std::io::Read) {
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            // TLS streams tell when the connection ends without a goodbye.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => panic!("the connection was not closed: {error}"),
        }
    }
}

pub(crate) fn wait_for(total: &AtomicU64, expected: u64) {
    let start = Instant::now();
    while total.load(Ordering::Relaxed) != expected {
        let now = total.load(Ordering::Relaxed);
        assert!(start.elapsed() < patience(), "{now}, not {expected}");
        std::thread::yield_now();
    }
}

/// The first bytes of a client's handshake.
pub(crate) fn client_hello(pair: &Pair) -> Vec<u8> {
    let name = ServerName::try_from("turn.example").unwrap();
    let mut tls = ClientConnection::new(Arc::new(trusting(&[pair])), name).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    hello
}

/// Sends `bytes`, then nothing more, and expects the server to hang up after [`SHORT`].
fn assert_timed_out(limits: StreamLimits, bytes: impl FnOnce(&Pair, &mut TcpStream)) {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&pair, limits);
    let start = Instant::now();
    let mut stream = dial(&server);
    bytes(&pair, &mut stream);
    wait_for_end(stream);
    assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
    wait_for(&server.handle().stream_totals().timed_out, 1);
    server.shutdown();
}

#[test]
fn silence_from_the_start() {
    let limits = StreamLimits {
        first_message: SHORT,
        ..PATIENT
    };
    assert_timed_out(limits, |_, _| {});
}

#[test]
fn a_handshake_that_stalls() {
    let limits = StreamLimits {
        handshake: SHORT,
        ..PATIENT
    };
    assert_timed_out(limits.clone(), |_, stream| stream.write_all(&[22]).unwrap());
    assert_timed_out(limits.clone(), |pair, stream| {
        let hello = client_hello(pair);
        stream.write_all(&hello[..hello.len() / 2]).unwrap();
    });
    assert_timed_out(limits, |pair, stream| {
        stream.write_all(&client_hello(pair)).unwrap();
    });
}

#[test]
fn a_handshake_without_a_message() {
    let limits = StreamLimits {
        first_message: SHORT,
        ..PATIENT
    };
    let pair = Pair::new(&["turn.example"]);
    let server = start(&pair, limits);
    let tls = handshake(&trusting(&[&pair]), "turn.example", dial(&server)).unwrap();
    wait_for_end(tls);
    wait_for(&server.handle().stream_totals().timed_out, 1);
    server.shutdown();
}

#[test]
fn half_a_message() {
    let limits = StreamLimits {
        first_message: SHORT,
        ..PATIENT
    };
    assert_timed_out(limits, |_, stream| {
        stream.write_all(&binding(1)[..19]).unwrap();
    });
    let limits = StreamLimits {
        message: SHORT,
        ..PATIENT
    };
    assert_timed_out(limits, |_, stream| {
        let two = [binding(1), binding(2)].concat();
        stream.write_all(&two[..two.len() - 1]).unwrap();
    });
}

/// Connections without an allocation come and go, and the one with an allocation is still served.
#[test]
fn only_an_allocation_excuses_idleness() {
    let pair = Pair::new(&["turn.example"]);
    let limits = StreamLimits {
        // The client makes two round trips in less.
        idle: patience::scaled(Duration::from_millis(500)),
        ..PATIENT
    };
    let server = start(&pair, limits);
    let to = address(&server, Protocol::Tls);
    let mut client = Client::new(link(&trusting(&[&pair]), "turn.example", to));
    client.allocate(1);
    for idle in 1..=3 {
        let mut other = dial(&server);
        other.write_all(&binding(1)).unwrap();
        wait_for_end(other);
        wait_for(&server.handle().stream_totals().timed_out, idle);
    }
    client.link.send(&binding(9));
    mapped(&client.link.receive());
    server.shutdown();
}

#[test]
fn three_thousand_silent_connections_are_closed_and_give_their_descriptors_back() {
    const COUNT: usize = 3_000;
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    if file_limit::raise().is_some_and(|limit| limit < 3 * COUNT as u64) {
        eprintln!("the system allows too few descriptors for this test");
        return;
    }
    let pair = Pair::new(&["turn.example"]);
    let limits = StreamLimits {
        first_message: patience::scaled(Duration::from_secs(1)),
        ..PATIENT
    };
    let server = start(&pair, limits);
    let before = descriptors();
    let silent: Vec<TcpStream> = (0..COUNT).map(|_| dial(&server)).collect();
    let totals = server.handle().stream_totals();
    wait_for(&totals.accepted, COUNT as u64);
    // Somebody with something to say is heard.
    let mut client = Link::Tcp(dial(&server));
    client.send(&binding(1));
    mapped(&client.receive());
    wait_for(&totals.timed_out, COUNT as u64);
    silent.into_iter().for_each(wait_for_end);
    drop(client);
    wait_for(&totals.closed, COUNT as u64 + 1);
    assert_eq!(descriptors(), before);
    server.shutdown();
}

#[test]
fn handshakes_that_stall_make_way_for_others() {
    let pair = Pair::new(&["turn.example"]);
    let limits = StreamLimits {
        handshakes: 2,
        ..PATIENT
    };
    let server = start(&pair, limits);
    let totals = server.handle().stream_totals();
    let stall = || {
        let mut stream = dial(&server);
        stream.write_all(&client_hello(&pair)).unwrap();
        // The server's answer has begun, so it counts.
        stream.read_exact(&mut [0; 1]).unwrap();
        stream
    };
    let [oldest, other] = [stall(), stall()];
    let to = address(&server, Protocol::Tls);
    let first = link(&trusting(&[&pair]), "turn.example", to);
    wait_for_end(oldest);
    wait_for(&totals.tls_evicted, 1);
    // Those that are done don't count: one stalls, and more than one other may live.
    let second = link(&trusting(&[&pair]), "turn.example", to);
    let mut links = [first, second, Link::Tcp(dial(&server))];
    for link in &mut links {
        link.send(&binding(1));
        mapped(&link.receive());
    }
    assert_eq!(totals.tls_evicted.load(Ordering::Relaxed), 1);
    drop(other);
    server.shutdown();
}
