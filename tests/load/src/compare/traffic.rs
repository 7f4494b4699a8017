//! Offers data at a fixed rate in both directions and says what became of it. One thread does
//! both sides; it never sleeps.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::batch::{BATCH, Departure, HEADROOM, Incoming, Outgoing, Slots};
use super::enrol::CHANNEL;

/// Length of what each payload starts with: flow, sequence number, time in ns.
const STAMP: usize = 20;
/// What may be missing of the schedule before it is given up: sending it all at once would be a
/// burst that nobody asked for.
const MOST_BEHIND: Duration = Duration::from_millis(2);
/// How long a datagram may be under way before it counts as lost.
const LATE: Duration = Duration::from_millis(300);

/// A client and its peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) client: Ipv4Addr,
    pub(crate) peer: SocketAddrV4,
    pub(crate) relayed: SocketAddrV4,
}

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    /// Packets per second, both directions together.
    pub(crate) rate: u32,
    /// Bytes of each payload, at least [`STAMP`].
    pub(crate) payload: usize,
    /// Packets of one flow that arrive together.
    pub(crate) burst: usize,
    pub(crate) time: Duration,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Overtaken by a later one of the same flow and direction, or come twice.
    pub(crate) misordered: u64,
    /// How long the offer lasted.
    pub(crate) lasted: Duration,
    /// Of those received, ascending, in ns.
    delays: Vec<u32>,
}

impl Outcome {
    pub(crate) fn offered(&self) -> f64 {
        self.sent as f64 / self.lasted.as_secs_f64()
    }

    /// Part of the sent ones that did not arrive.
    pub(crate) fn loss(&self) -> f64 {
        self.sent.saturating_sub(self.received) as f64 / self.sent.max(1) as f64
    }

    /// Delay in µs that this part of the received ones stayed below.
    pub(crate) fn delay_us(&self, part: f64) -> f64 {
        let place = (self.delays.len() as f64 * part) as usize;
        let last = self.delays.len().saturating_sub(1);
        f64::from(
            self.delays
                .get(place.min(last))
                .copied()
                .unwrap_or_default(),
        ) / 1000.0
    }
}

/// Both sides of the generator.
pub(crate) struct Generator {
    pub(crate) clients: UdpSocket,
    pub(crate) peers: UdpSocket,
    pub(crate) server: SocketAddrV4,
    slots: Slots,
    incoming: Incoming,
    outgoing: Outgoing,
    start: Instant,
}

/// One direction's place in its schedule.
#[derive(Default)]
struct Progress {
    flow: usize,
    sequence: u64,
    /// Highest sequence number seen, by flow.
    seen: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToPeer = 0,
    ToClient = 1,
}

impl Generator {
    pub(crate) fn new(clients: UdpSocket, peers: UdpSocket, server: SocketAddrV4) -> Self {
        Self {
            clients,
            peers,
            server,
            slots: Slots::new(),
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            start: Instant::now(),
        }
    }

    /// Offers, and collects until everything has arrived or is late.
    pub(crate) fn offer(&mut self, flows: &[Flow], offer: &Offer) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome {
            delays: Vec::with_capacity((f64::from(offer.rate) * offer.time.as_secs_f64()) as usize),
            ..Outcome::default()
        };
        let mut progress = [(); 2].map(|()| Progress {
            seen: vec![0; flows.len()],
            ..Progress::default()
        });
        // What an earlier offer left behind is not ours.
        while self.collect(&mut progress, &mut Outcome::default())? > 0 {}
        let begin = Instant::now();
        let behind = (f64::from(offer.rate) * MOST_BEHIND.as_secs_f64()) as u64 + BATCH as u64;
        let (mut scheduled, mut direction) = (0, Direction::ToPeer);
        loop {
            let elapsed = begin.elapsed();
            if elapsed >= offer.time {
                outcome.lasted = elapsed;
                break;
            }
            let due = (u128::from(offer.rate) * elapsed.as_nanos() / 1_000_000_000) as u64;
            scheduled = scheduled.max(due.saturating_sub(behind));
            let mut owed = due - scheduled;
            for _ in 0..2 {
                let bursts = (owed / offer.burst as u64).min(BATCH as u64) as usize;
                if bursts == 0 {
                    break;
                }
                // One is due: each direction in turn. Many are: half of them each.
                let bursts = bursts.div_ceil(2);
                let sent = self.send(direction, flows, offer, bursts, &mut progress)?;
                outcome.sent += sent;
                owed -= sent;
                scheduled += sent;
                direction = match direction {
                    Direction::ToPeer => Direction::ToClient,
                    Direction::ToClient => Direction::ToPeer,
                };
            }
            self.collect(&mut progress, &mut outcome)?;
        }
        let end = Instant::now() + LATE;
        while outcome.received < outcome.sent && Instant::now() < end {
            self.collect(&mut progress, &mut outcome)?;
        }
        outcome.delays.sort_unstable();
        Ok(outcome)
    }

    /// Sends a number of bursts, each of the next flow; how many packets these were.
    fn send(
        &mut self,
        direction: Direction,
        flows: &[Flow],
        offer: &Offer,
        bursts: usize,
        progress: &mut [Progress; 2],
    ) -> anyhow::Result<u64> {
        let progress = &mut progress[direction as usize];
        for index in 0..bursts {
            let flow = flows[progress.flow];
            let now = self.start.elapsed().as_nanos() as u64;
            let header = match direction {
                Direction::ToPeer => 4,
                Direction::ToClient => 0,
            };
            let length = header + offer.payload;
            let slot = self.slots.slot(index);
            for packet in slot[..length * offer.burst].chunks_exact_mut(length) {
                progress.sequence += 1;
                if direction == Direction::ToPeer {
                    packet[..2].copy_from_slice(&CHANNEL.to_be_bytes());
                    packet[2..4].copy_from_slice(&(offer.payload as u16).to_be_bytes());
                }
                let payload = &mut packet[header..];
                payload[..4].copy_from_slice(&(progress.flow as u32).to_be_bytes());
                payload[4..12].copy_from_slice(&progress.sequence.to_be_bytes());
                payload[12..STAMP].copy_from_slice(&now.to_be_bytes());
            }
            let (from, to) = match direction {
                Direction::ToPeer => (flow.client, self.server),
                Direction::ToClient => (*flow.peer.ip(), flow.relayed),
            };
            self.outgoing.push(Departure {
                slot: index,
                part: 0..length * offer.burst,
                from: Some(from),
                to,
                segment: (offer.burst > 1).then_some(length as u16),
            });
            progress.flow = (progress.flow + 1) % flows.len();
        }
        let socket = match direction {
            Direction::ToPeer => &self.clients,
            Direction::ToClient => &self.peers,
        };
        self.outgoing.flush(socket.as_fd(), &self.slots)?;
        Ok((bursts * offer.burst) as u64)
    }

    /// Takes one batch from each side; how many packets these were.
    fn collect(
        &mut self,
        progress: &mut [Progress; 2],
        outcome: &mut Outcome,
    ) -> anyhow::Result<u64> {
        let mut count = 0;
        for (direction, header) in [(Direction::ToPeer, 0), (Direction::ToClient, 4)] {
            // Packets to peers arrive at the peers.
            let socket = match direction {
                Direction::ToPeer => &self.peers,
                Direction::ToClient => &self.clients,
            };
            let received = self.incoming.receive(socket.as_fd(), &mut self.slots)?;
            let now = self.start.elapsed().as_nanos() as u64;
            let seen = &mut progress[direction as usize].seen;
            for index in 0..received {
                let datagram = self.incoming.get(index);
                let bytes = &self.slots.slot(index)[HEADROOM..HEADROOM + datagram.length];
                for packet in bytes.chunks(datagram.segment) {
                    count += u64::from(note(packet.get(header..), now, seen, outcome));
                }
            }
        }
        Ok(count)
    }
}

/// Enters a packet into the outcome; false when it is none of ours.
fn note(payload: Option<&[u8]>, now: u64, seen: &mut [u64], outcome: &mut Outcome) -> bool {
    let Some((stamp, _)) = payload.and_then(|it| it.split_first_chunk::<STAMP>()) else {
        return false;
    };
    let [f0, f1, f2, f3, numbers @ ..] = *stamp;
    let flow = u32::from_be_bytes([f0, f1, f2, f3]) as usize;
    let number = |at: usize| -> u64 {
        let bytes = numbers[at..at + 8].iter();
        bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    let (sequence, sent) = (number(0), number(8));
    let Some(seen) = seen.get_mut(flow) else {
        return false;
    };
    if sequence <= *seen {
        outcome.misordered += 1;
    }
    *seen = sequence.max(*seen);
    outcome.received += 1;
    outcome
        .delays
        .push(u32::try_from(now.saturating_sub(sent)).unwrap_or(u32::MAX));
    true
}
