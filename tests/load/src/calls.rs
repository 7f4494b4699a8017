//! Calls that go on while something else happens, and what they lose by it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stun_turn_proto::message::Method;

use crate::relay::Relay;
use crate::turn::{Client, request};

/// Relayed streams, and packets a second in each.
const STREAMS: usize = 20;
const PACKET_INTERVAL: Duration = Duration::from_millis(20);
const PAYLOAD: usize = 160;
/// Between two Binding requests: 200 a second.
const BINDING_INTERVAL: Duration = Duration::from_millis(5);
/// How long a packet may be under way before it counts as lost.
const LATE: Duration = Duration::from_millis(500);

/// What calls lost and how long their packets took.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    sent: usize,
    pub(crate) bindings: (usize, usize),
    delays: Vec<Duration>,
}

impl Verdict {
    /// Lost packets of calls, in percent.
    pub(crate) fn loss(&self) -> f64 {
        percent(self.sent, self.delays.len())
    }

    /// Binding requests without an answer, in percent.
    pub(crate) fn binding_loss(&self) -> f64 {
        percent(self.bindings.0, self.bindings.1)
    }

    /// The delay that 99 of 100 packets stay below.
    pub(crate) fn p99(&self) -> Duration {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let place = delays.len() * 99 / 100;
        delays.get(place).copied().unwrap_or(LATE)
    }
}

fn percent(sent: usize, received: usize) -> f64 {
    100.0 * sent.saturating_sub(received) as f64 / sent.max(1) as f64
}

/// Calls that run until they are asked what they lost.
pub(crate) struct Calls {
    stop: Arc<AtomicBool>,
    media: JoinHandle<(usize, Vec<Duration>)>,
    bindings: JoinHandle<(usize, usize)>,
}

impl Calls {
    /// Allocates for every stream; each sends from its client to its peer.
    pub(crate) fn start(relay: &Relay) -> anyhow::Result<Self> {
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            let peer = UdpSocket::bind("127.0.0.2:0")?;
            peer.set_nonblocking(true)?;
            let mut client = Client::new("127.0.0.3:0", relay.udp)?;
            client.allocate(peer.local_addr()?)?;
            streams.push((client, peer));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (media_stop, binding_stop) = (Arc::clone(&stop), Arc::clone(&stop));
        let server = relay.udp;
        Ok(Self {
            stop,
            media: std::thread::spawn(move || carry(&streams, &media_stop)),
            bindings: std::thread::spawn(move || bind(server, &binding_stop)),
        })
    }

    /// Ends the calls.
    pub(crate) fn finish(self) -> Verdict {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, delays) = self.media.join().unwrap_or_default();
        let bindings = self.bindings.join().unwrap_or_default();
        Verdict {
            sent,
            bindings,
            delays,
        }
    }
}

/// Packets carry the time at which they were sent; counts the sent ones and the delays of those
/// that arrived.
fn carry(streams: &[(Client, UdpSocket)], stop: &AtomicBool) -> (usize, Vec<Duration>) {
    let start = Instant::now();
    let (mut sent, mut delays) = (0, Vec::new());
    let mut next = start;
    let mut packet = [0; 4 + PAYLOAD];
    packet[..4].copy_from_slice(&[0x40, 0, 0, PAYLOAD as u8]);
    while !stop.load(Ordering::Relaxed) {
        for (client, _) in streams {
            let now = start.elapsed().as_nanos() as u64;
            packet[4..12].copy_from_slice(&now.to_be_bytes());
            sent += usize::from(client.socket.send(&packet).is_ok());
        }
        next += PACKET_INTERVAL;
        while Instant::now() < next {
            collect(streams, start, &mut delays);
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    let end = Instant::now() + LATE;
    while Instant::now() < end {
        collect(streams, start, &mut delays);
    }
    (sent, delays)
}

fn collect(streams: &[(Client, UdpSocket)], start: Instant, delays: &mut Vec<Duration>) {
    let mut buffer = [0; 2048];
    for (_, peer) in streams {
        while let Ok(length) = peer.recv(&mut buffer) {
            let Some(stamp) = buffer[..length].first_chunk() else {
                continue;
            };
            let sent = Duration::from_nanos(u64::from_be_bytes(*stamp));
            delays.push(start.elapsed().saturating_sub(sent));
        }
    }
}

/// Counts Binding requests and their answers.
fn bind(server: SocketAddr, stop: &AtomicBool) -> (usize, usize) {
    let ask = || -> std::io::Result<(usize, usize)> {
        let socket = UdpSocket::bind("127.0.0.4:0")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(BINDING_INTERVAL))?;
        let message = request(Method::Binding, [3; 12], &[], None);
        let (mut sent, mut answered) = (0, 0);
        let mut next = Instant::now();
        let mut buffer = [0; 512];
        while !stop.load(Ordering::Relaxed) {
            socket.send(&message)?;
            sent += 1;
            next += BINDING_INTERVAL;
            while Instant::now() < next {
                answered += usize::from(socket.recv(&mut buffer).is_ok());
            }
        }
        socket.set_read_timeout(Some(LATE))?;
        while socket.recv(&mut buffer).is_ok() {
            answered += 1;
        }
        Ok((sent, answered))
    };
    ask().unwrap_or_default()
}
