//! Floods: each runs against a relay of its own that carries calls meanwhile, and says what was
//! promised and what was measured.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use stun_turn_proto::message::Method;

use crate::calls::Calls;
use crate::memory_group::MemoryGroup;
use crate::relay::Relay;
use crate::turn::{Client, Signed, UDP, request};

/// Sources that a flood comes from where it comes from many.
const SOURCES: u32 = 20_000;
/// One flood: what it is and what it does until the time is over. Returns what it sent, and remarks.
struct Flood {
    name: &'static str,
    what: &'static str,
    run: fn(&Relay, Instant) -> anyhow::Result<(u64, String)>,
}

const FLOODS: [Flood; 8] = [
    Flood {
        name: "noise",
        what: "random bytes, 0 to 1,500 of them, as fast as they go",
        run: noise,
    },
    Flood {
        name: "bindings",
        what: "Binding requests from 20,000 sources",
        run: bindings,
    },
    Flood {
        name: "challenges",
        what: "Allocate without credentials from 20,000 sources",
        run: challenges,
    },
    Flood {
        name: "one-source",
        what: "1,000 Allocate a second from one source",
        run: one_source,
    },
    Flood {
        name: "passwords",
        what: "good nonces, wrong passwords, 5,000 a second from 1,000 sources",
        run: passwords,
    },
    Flood {
        name: "connections",
        what: "5,000 connections without a byte",
        run: connections,
    },
    Flood {
        name: "handshakes",
        what: "500 TLS handshakes a second that stop after ClientHello",
        run: handshakes,
    },
    Flood {
        name: "neighbour",
        what: "one allocation that sends as fast as it can",
        run: neighbour,
    },
];

pub(crate) fn run(
    program: &Path,
    time: Duration,
    memory_limit: Option<u64>,
    filter: &str,
) -> anyhow::Result<()> {
    println!(
        "each flood lasts {} s; 20 calls of 50 packets a second go on meanwhile\n",
        time.as_secs()
    );
    println!("| flood | sent | calls lose | p99 | Binding lost | memory | remarks |");
    println!("|---|---|---|---|---|---|---|");
    let quiet = Flood {
        name: "none",
        what: "nothing",
        run: nothing,
    };
    for flood in [quiet]
        .iter()
        .chain(&FLOODS)
        .filter(|flood| flood.name.contains(filter))
    {
        measure(program, time, memory_limit, flood).with_context(|| flood.name)?;
    }
    Ok(())
}

fn measure(
    program: &Path,
    time: Duration,
    memory_limit: Option<u64>,
    flood: &Flood,
) -> anyhow::Result<()> {
    // Before the relay, so that it is removed after it.
    let group = memory_limit.map(MemoryGroup::new).transpose()?;
    let relay = Relay::start(program)?;
    if let Some(group) = &group {
        group.take(relay.process())?;
    }
    let calls = Calls::start(&relay)?;
    std::thread::sleep(Duration::from_secs(1));
    let before = relay.resident()?;
    let (sent, mut remarks) = (flood.run)(&relay, Instant::now() + time)?;
    let growth = i64::try_from(relay.resident()?)? - i64::try_from(before)?;
    let verdict = calls.finish();
    let allocations = relay.metric("stun_turn_allocations{transport=\"udp\"}")?;
    anyhow::ensure!(allocations <= 21, "{allocations} allocations live");
    if let Some(group) = &group {
        remarks = format!("{remarks} {}", group.report()?);
    }
    println!(
        "| {}: {} | {sent} | {:.2} % | {:.1} ms | {:.2} % | {:+} KiB | {remarks} |",
        flood.name,
        flood.what,
        verdict.loss(),
        verdict.p99().as_secs_f64() * 1000.0,
        verdict.binding_loss(),
        growth / 1024,
    );
    Ok(())
}

fn nothing(_: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    Ok((0, String::new()))
}

/// 127.1.0.0/16 and on: each source has an address of its own.
fn source(number: u32) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(0x7F01_0001 + number % SOURCES);
    SocketAddr::new(ip.into(), 0)
}

fn noise(relay: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    let mut random = StdRng::seed_from_u64(1);
    let mut bytes = vec![0; 4096];
    random.fill_bytes(&mut bytes);
    let sockets = bind_sources(100)?;
    let mut sent = 0;
    while Instant::now() < until {
        for socket in &sockets {
            let length = random.random_range(0..=1500);
            let start = random.random_range(0..bytes.len() - length);
            sent += u64::from(
                socket
                    .send_to(&bytes[start..start + length], relay.udp)
                    .is_ok(),
            );
        }
    }
    Ok((sent, String::new()))
}

fn bind_sources(count: u32) -> anyhow::Result<Vec<UdpSocket>> {
    let bind = |number| -> anyhow::Result<UdpSocket> {
        let socket = UdpSocket::bind(source(number))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    (0..count).map(bind).collect()
}

/// Sends one message from each source, over and over; counts the answers too.
fn from_all_sources(relay: &Relay, until: Instant, message: &[u8]) -> anyhow::Result<(u64, u64)> {
    let (mut sent, mut answered, mut number) = (0, 0, 0);
    let mut buffer = [0; 1024];
    while Instant::now() < until {
        // A handful at a time: 20,000 sockets would be more than a process may have.
        let mut sockets = Vec::new();
        for _ in 0..200 {
            let socket = UdpSocket::bind(source(number))?;
            socket.set_nonblocking(true)?;
            number += 1;
            sent += u64::from(socket.send_to(message, relay.udp).is_ok());
            sockets.push(socket);
        }
        std::thread::sleep(Duration::from_millis(2));
        for socket in &sockets {
            answered += u64::from(socket.recv(&mut buffer).is_ok());
        }
    }
    Ok((sent, answered))
}

fn bindings(relay: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    let message = request(Method::Binding, [7; 12], &[], None);
    let (sent, answered) = from_all_sources(relay, until, &message)?;
    Ok((sent, format!("{answered} answered")))
}

fn challenges(relay: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    let message = request(Method::Allocate, [7; 12], &[UDP], None);
    let (sent, answered) = from_all_sources(relay, until, &message)?;
    Ok((sent, format!("{answered} answered")))
}

fn one_source(relay: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    let message = request(Method::Allocate, [7; 12], &[UDP], None);
    let socket = UdpSocket::bind(source(0))?;
    socket.set_nonblocking(true)?;
    let (mut sent, mut answered) = (0, 0);
    let start = Instant::now();
    let mut next = start;
    let mut buffer = [0; 1024];
    while Instant::now() < until {
        sent += u64::from(socket.send_to(&message, relay.udp).is_ok());
        next += Duration::from_millis(1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        while socket.recv(&mut buffer).is_ok() {
            answered += 1;
        }
    }
    let rate = answered as f64 / start.elapsed().as_secs_f64();
    Ok((
        sent,
        format!("{rate:.1} answers a second, 50 of them at once"),
    ))
}

fn passwords(relay: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    let mut clients = Vec::new();
    for number in 0..1000 {
        let mut client = Client::new(&source(number).to_string(), relay.udp)?;
        let nonce = client.nonce()?;
        let signed = Signed {
            nonce: &nonce,
            user: "alice",
            password: "wrong",
        };
        let message = request(Method::Allocate, [5; 12], &[UDP], Some(signed));
        clients.push((client, message));
    }
    let mut sent = 0;
    let mut next = Instant::now();
    let until = until.max(next + Duration::from_secs(5));
    while Instant::now() < until {
        for batch in clients.chunks(50) {
            for (client, message) in batch {
                sent += u64::from(client.socket.send(message).is_ok());
            }
            next += Duration::from_millis(10);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
    Ok((sent, String::new()))
}

fn connections(relay: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    let before = relay.descriptors()?;
    let mut open = Vec::new();
    for _ in 0..5000 {
        open.push(TcpStream::connect(relay.tcp)?);
    }
    let opened = Instant::now();
    let mut client = TcpStream::connect(relay.tcp)?;
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    client.write_all(&request(Method::Binding, [7; 12], &[], None))?;
    client.read_exact(&mut [0; 32])?;
    let served = opened.elapsed();
    let limit = Instant::now() + Duration::from_secs(20);
    while relay.descriptors()? > before + 1 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(50));
    }
    let closed = opened.elapsed().as_secs_f64();
    let left = relay.descriptors()?.saturating_sub(before + 1);
    nothing(relay, until)?;
    let served = served.as_secs_f64() * 1000.0;
    let remarks = format!(
        "a client among them served in {served:.1} ms; closed after {closed:.1} s, {left} left"
    );
    Ok((5000, remarks))
}

fn handshakes(relay: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    let hello = client_hello()?;
    let mut open = std::collections::VecDeque::new();
    let (mut sent, mut next) = (0, Instant::now());
    while Instant::now() < until {
        let mut stream = TcpStream::connect(relay.tcp)?;
        stream.write_all(&hello)?;
        open.push_back(stream);
        if open.len() > 2000 {
            open.pop_front();
        }
        sent += 1;
        next += Duration::from_millis(2);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok((sent, String::new()))
}

fn client_hello() -> anyhow::Result<Vec<u8>> {
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("localhost")?;
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    Ok(hello)
}

fn neighbour(relay: &Relay, until: Instant) -> anyhow::Result<(u64, String)> {
    let peer = UdpSocket::bind("127.0.0.9:0")?;
    let mut client = Client::new("127.0.0.9:0", relay.udp)?;
    client.allocate(peer.local_addr()?)?;
    let mut packet = [0; 164];
    packet[..4].copy_from_slice(&[0x40, 0, 0, 160]);
    let (mut sent, start) = (0_u64, Instant::now());
    while Instant::now() < until {
        for _ in 0..100 {
            sent += u64::from(client.socket.send(&packet).is_ok());
        }
    }
    let rate = sent as f64 / start.elapsed().as_secs_f64() / 1000.0;
    Ok((sent, format!("{rate:.0} thousand packets a second offered")))
}
