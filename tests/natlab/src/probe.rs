//! What a router really does, asked from behind it: mapping and filtering by RFC 5780, what passes, what gets lost.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use stun_turn_proto::attribute::{decode_xor_address, kind};
use stun_turn_proto::header::TransactionId;
use stun_turn_proto::message::{Class, Message, Method, Writer};

use crate::lab::{Lab, Side, packets};
use crate::lines::Host;
use crate::router::{Behaviour, Passes};
use crate::servers::discovery;

/// How long an answer is waited for before the question is sent again: most are there at once.
const AGAIN: Duration = Duration::from_millis(300);
/// Questions until a router is said to let none through.
const QUESTIONS: u8 = 100;
/// RFC 5780, section 7.2: an answer from the other address, from the other port.
const CHANGE_ADDRESS: u8 = 4;
const CHANGE_PORT: u8 = 2;
/// Port of the lab's echo.
const ECHO: u16 = 7;
/// Datagrams of which some must get lost where a router loses any.
const DATAGRAMS: u16 = 400;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// How its mappings depend on the other end; `None` where no UDP passes.
    pub mapping: Option<Behaviour>,
    /// How its filter does.
    pub filtering: Option<Behaviour>,
    /// Whether the outer port is the inner one.
    pub keeps_port: Option<bool>,
    /// Datagrams that did not come back, in percent.
    pub lost_percent: Option<u16>,
    /// Whether a datagram of 1400 bytes comes back.
    pub passes_large: Option<bool>,
}

/// Asks from behind a side's router. The relay must run.
///
/// # Errors
/// When nothing answers that should, or something passes that should not.
pub fn ask(lab: &Lab, side: &Side) -> anyhow::Result<Found> {
    let router = side.router();
    if router.passes() != Passes::All {
        is_blocked(side)?;
        return Ok(Found::nothing());
    }
    let is_over = AtomicBool::new(false);
    let ip = match router.has_ipv4() {
        true => IpAddr::from(Host::SIGNALING.ipv4()),
        false => Host::SIGNALING.ipv6().into(),
    };
    let echo = SocketAddr::new(ip, ECHO);
    let mut found = match router.has_ipv4() {
        true => side.host.inside(discover)??,
        false => Found::nothing(),
    };
    let socket = lab.signaling.inside(|| UdpSocket::bind(echo))??;
    socket.set_read_timeout(Some(AGAIN))?;
    std::thread::scope(|scope| {
        let _answers = scope.spawn(|| answer(&socket, &is_over));
        let measured = side.host.inside(|| {
            let loses = router.loss_percent() > 0;
            anyhow::Ok((
                if loses { lost_percent(echo)? } else { 0 },
                passes_large(echo)?,
            ))
        });
        is_over.store(true, Ordering::Relaxed);
        let (lost, large) = measured??;
        found.lost_percent = Some(lost);
        found.passes_large = Some(large);
        Ok(found)
    })
}

impl Found {
    fn nothing() -> Self {
        Self {
            mapping: None,
            filtering: None,
            keeps_port: None,
            lost_percent: None,
            passes_large: None,
        }
    }
}

/// Sends back what comes until it is over.
fn answer(socket: &UdpSocket, is_over: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !is_over.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // What can't be answered counts as lost.
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}

fn discover() -> anyhow::Result<Found> {
    let (first, second) = discovery();
    let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mapped = |to| ask_for(&own, to, 0);
    let mappings = [
        mapped(first)?,
        mapped(SocketAddr::new(second.ip(), first.port()))?,
        mapped(second)?,
    ];
    let mapping = match mappings {
        [a, b, c] if a == b && b == c => Behaviour::EndpointIndependent,
        [_, b, c] if b == c => Behaviour::AddressDependent,
        _ => Behaviour::AddressAndPortDependent,
    };
    // A socket that has sent to the first address alone.
    let fresh = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    ask_for(&fresh, first, 0)?;
    let filtering = if passes(&fresh, first, CHANGE_ADDRESS | CHANGE_PORT)? {
        Behaviour::EndpointIndependent
    } else if passes(&fresh, first, CHANGE_PORT)? {
        Behaviour::AddressDependent
    } else {
        Behaviour::AddressAndPortDependent
    };
    Ok(Found {
        mapping: Some(mapping),
        filtering: Some(filtering),
        keeps_port: Some(mappings[0].port() == own.local_addr()?.port()),
        ..Found::nothing()
    })
}

fn binding(change: u8, number: u8) -> anyhow::Result<(Vec<u8>, TransactionId)> {
    let mut id = [change; 12];
    id[11] = number;
    let id = TransactionId(id);
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::Binding, id);
    writer.attribute(kind::CHANGE_REQUEST, &[0, 0, 0, change]);
    let length = writer.finish(None, true).context("a request that fits")?;
    Ok((buffer[..length].to_vec(), id))
}

/// The address that the answer to a Binding request tells, asked until there is one.
fn ask_for(socket: &UdpSocket, to: SocketAddr, change: u8) -> anyhow::Result<SocketAddr> {
    for number in 0..QUESTIONS {
        let (request, id) = binding(change, number)?;
        socket.send_to(&request, to)?;
        if let Some(mapped) = await_answer(socket, id)? {
            return Ok(mapped);
        }
    }
    bail!("{to} does not answer behind this router")
}

/// Whether an answer from elsewhere comes. Those that are asked for later and from here come in any case, and after it.
fn passes(socket: &UdpSocket, to: SocketAddr, change: u8) -> anyhow::Result<bool> {
    let mut answered = 0;
    for number in 0..QUESTIONS {
        let (request, _) = binding(change, number)?;
        socket.send_to(&request, to)?;
        let (fence, fence_id) = binding(0, number)?;
        socket.send_to(&fence, to)?;
        let mut buffer = [0; 1500];
        socket.set_read_timeout(Some(AGAIN))?;
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            match Message::parse(&buffer[..length]) {
                // Also a late one to an earlier question.
                Ok(message) if message.transaction().0[0] == change => return Ok(true),
                Ok(message) if message.transaction() == fence_id => {
                    answered += 1;
                    break;
                }
                _ => {}
            }
        }
        // Several, as a router may also lose packets.
        if answered == 5 {
            return Ok(false);
        }
    }
    bail!("{to} does not answer behind this router")
}

fn await_answer(socket: &UdpSocket, id: TransactionId) -> anyhow::Result<Option<SocketAddr>> {
    let mut buffer = [0; 1500];
    socket.set_read_timeout(Some(AGAIN))?;
    loop {
        let length = match socket.recv_from(&mut buffer) {
            Ok((length, _)) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let Ok(message) = Message::parse(&buffer[..length]) else {
            continue;
        };
        if message.transaction() == id {
            let mapped = message
                .first(kind::XOR_MAPPED_ADDRESS)
                .context("no address")?;
            return Ok(decode_xor_address(mapped, id));
        }
    }
}

fn connected(to: SocketAddr) -> anyhow::Result<UdpSocket> {
    let any = match to {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(AGAIN))?;
    Ok(socket)
}

/// Sends datagrams one by one and then such that end it, until one of those comes back.
fn lost_percent(to: SocketAddr) -> anyhow::Result<u16> {
    let socket = connected(to)?;
    let mut buffer = [0; 16];
    let mut back = 0;
    socket.set_nonblocking(true)?;
    for number in 0..DATAGRAMS {
        socket.send(&number.to_be_bytes())?;
        while socket.recv(&mut buffer).is_ok() {
            back += 1;
        }
    }
    socket.set_nonblocking(false)?;
    for _ in 0..QUESTIONS {
        socket.send(b"end")?;
        while let Ok(length) = socket.recv(&mut buffer) {
            if &buffer[..length] == b"end" {
                return Ok((DATAGRAMS - back) * 100 / DATAGRAMS);
            }
            back += 1;
        }
    }
    bail!("{to} sends nothing back")
}

/// Whether large datagrams come back; small ones, sent after them, must.
fn passes_large(to: SocketAddr) -> anyhow::Result<bool> {
    let socket = connected(to)?;
    let mut buffer = [0; 2048];
    let mut small = 0;
    for _ in 0..QUESTIONS {
        // The first one is refused by ICMP where it is too large; the next are sent in pieces.
        let _ = socket.send(&[0; 1400]);
        let _ = socket.send(&[0; 100]);
        match socket.recv(&mut buffer) {
            Ok(1400) => return Ok(true),
            Ok(_) => small += 1,
            Err(_) => {}
        }
        if small == 5 {
            return Ok(false);
        }
    }
    bail!("{to} sends nothing back")
}

/// A router that blocks drops what it must, which its counter shows, and lets the rest pass.
fn is_blocked(side: &Side) -> anyhow::Result<()> {
    let router = &side.lines[0].router;
    let server = |port| SocketAddr::new(Host::RELAY.ipv4().into(), port);
    let before = packets(router, "blocked")?;
    side.host
        .inside(|| connected(server(3478))?.send(b"?").context("sending"))??;
    let after_udp = packets(router, "blocked")?;
    ensure!(after_udp > before, "UDP is not blocked");
    if side.router().passes() == Passes::Tcp443 {
        let connects = || TcpStream::connect_timeout(&server(3478), AGAIN);
        let outcome = side.host.inside(connects)?;
        ensure!(outcome.is_err(), "TCP 3478 is not blocked");
        ensure!(
            packets(router, "blocked")? > after_udp,
            "TCP 3478 is lost elsewhere"
        );
    }
    side.host
        .inside(|| TcpStream::connect(server(443)))?
        .context("TCP 443")?;
    Ok(())
}
