//! Offers packets at a fixed rate and says what became of them. One thread does both sides; it never
//! sleeps.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::batch::{BATCH, Departure, HEADROOM, Incoming, LARGE, Outgoing, SMALL, Slots};
use super::enrol::CHANNEL;
use super::frame::HEADERS;
use super::lab::Side;
use super::outcome::Outcome;
use super::streams::Streams;

/// Length of what each payload starts with: flow, sequence number, time in ns.
const STAMP: usize = 20;
/// A Binding request without attributes; its transaction id is time in ns and flow.
const BINDING: [u8; 8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
/// What may be missing of the schedule before it is given up: sending it all at once would be a
/// burst that nobody asked for.
const MOST_BEHIND: Duration = Duration::from_millis(2);
/// How long a datagram may be under way before it counts as lost.
const LATE: Duration = Duration::from_millis(300);

/// A client and its peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) client: Ipv4Addr,
    /// What the client speaks to.
    pub(crate) server: SocketAddrV4,
    pub(crate) peer: SocketAddrV4,
    pub(crate) relayed: SocketAddrV4,
}

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    /// Packets per second, all directions together.
    pub(crate) rate: u32,
    pub(crate) kind: Kind,
    /// Packets per second that the last flow sends to its peer, besides; the others are calm.
    pub(crate) hog: u32,
    pub(crate) time: Duration,
}

/// What kind of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ChannelData from clients, the same bare from peers.
    Data {
        /// Bytes of each payload, at least [`STAMP`].
        payload: usize,
        /// Packets of one flow that arrive together.
        burst: usize,
    },
    /// Binding requests from clients.
    Binding,
}

impl Kind {
    const fn burst(self) -> u64 {
        match self {
            Self::Data { burst, .. } => burst as u64,
            Self::Binding => 1,
        }
    }
}

/// Both sides of the generator.
pub(crate) struct Generator {
    pub(crate) clients: Side,
    pub(crate) peers: Side,
    /// The clients' connections, where they come over streams.
    pub(crate) streams: Option<Streams>,
    departing: Slots,
    bursting: Slots,
    arriving: Slots,
    incoming: Incoming,
    outgoing: Outgoing,
    start: Instant,
}

/// A rate, and how many packets it has seen sent.
struct Schedule {
    rate: u32,
    done: u64,
}

impl Schedule {
    /// Packets that are due.
    fn due(&mut self, elapsed: Duration) -> u64 {
        let due = (u128::from(self.rate) * elapsed.as_nanos() / 1_000_000_000) as u64;
        let behind = (f64::from(self.rate) * MOST_BEHIND.as_secs_f64()) as u64 + BATCH as u64;
        self.done = self.done.max(due.saturating_sub(behind));
        due - self.done
    }
}

/// How far one direction is.
#[derive(Default)]
struct Progress {
    /// Number of the first flow that takes part.
    first: usize,
    /// Whose turn it is, of those that take part.
    turn: usize,
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
    pub(crate) fn new(clients: Side, peers: Side) -> Self {
        Self {
            clients,
            peers,
            streams: None,
            departing: Slots::new(SMALL),
            bursting: Slots::new(LARGE),
            arriving: Slots::new(LARGE),
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            start: Instant::now(),
        }
    }

    /// Offers, and collects until everything has arrived or is late.
    pub(crate) fn offer(&mut self, flows: &[Flow], offer: &Offer) -> anyhow::Result<Outcome> {
        let calm = flows.len() - usize::from(offer.hog > 0);
        let mut outcome = Outcome::new(calm);
        let mut progress = [(); 2].map(|()| Progress {
            seen: vec![0; flows.len()],
            ..Progress::default()
        });
        let mut loud = Progress {
            first: calm,
            ..Progress::default()
        };
        // What an earlier offer left behind is not ours.
        while self.collect(&mut progress, &mut Outcome::new(0))? {}
        let [mut schedule, mut hog] =
            [offer.rate, offer.hog].map(|rate| Schedule { rate, done: 0 });
        let mut direction = Direction::ToPeer;
        let begin = Instant::now();
        loop {
            let elapsed = begin.elapsed();
            if elapsed >= offer.time {
                outcome.lasted = elapsed;
                outcome.in_time = outcome.received;
                break;
            }
            let bursts = schedule.due(elapsed) / offer.kind.burst();
            let mut left = bursts.min(BATCH as u64) as usize;
            while left > 0 {
                // One is due: each direction in turn. Many are: half of them each.
                let bursts = left.div_ceil(2);
                left -= bursts;
                self.send(
                    direction,
                    &flows[..calm],
                    offer.kind,
                    bursts,
                    &mut progress[direction as usize],
                )?;
                let packets = bursts as u64 * offer.kind.burst();
                outcome.sent += packets;
                schedule.done += packets;
                direction = match (offer.kind, direction) {
                    (Kind::Binding, _) | (_, Direction::ToClient) => Direction::ToPeer,
                    (Kind::Data { .. }, Direction::ToPeer) => Direction::ToClient,
                };
            }
            let bursts = hog.due(elapsed).min(BATCH as u64) as usize;
            if bursts > 0 {
                self.send(
                    Direction::ToPeer,
                    &flows[calm..],
                    offer.kind,
                    bursts,
                    &mut loud,
                )?;
                hog.done += bursts as u64;
            }
            self.collect(&mut progress, &mut outcome)?;
        }
        let end = Instant::now() + LATE;
        while outcome.received < outcome.sent && Instant::now() < end {
            self.collect(&mut progress, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Sends a number of bursts, each of the next flow.
    fn send(
        &mut self,
        direction: Direction,
        flows: &[Flow],
        kind: Kind,
        bursts: usize,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let side = match direction {
            Direction::ToPeer => &self.clients,
            Direction::ToClient => &self.peers,
        };
        let slots = match kind.burst() {
            1 => &mut self.departing,
            _ => &mut self.bursting,
        };
        let frames = side.frames.as_ref().filter(|_| kind.burst() == 1);
        for index in 0..bursts {
            let now = self.start.elapsed().as_nanos() as u64;
            let flow = flows[progress.turn];
            let slot = slots.slot(index);
            let (head, body) = slot.split_at_mut(HEADERS);
            let (length, segment) = write(direction, kind, now, progress, body);
            if let (Direction::ToPeer, Some(streams)) = (direction, &mut self.streams) {
                streams.send(progress.turn, &body[..length])?;
                progress.turn = (progress.turn + 1) % flows.len();
                continue;
            }
            let (from, to) = match direction {
                Direction::ToPeer => (flow.client, flow.server),
                Direction::ToClient => (*flow.peer.ip(), flow.relayed),
            };
            self.outgoing.push(match frames {
                Some((_, cable)) => {
                    cable.write(head, SocketAddrV4::new(from, side.port), to, length);
                    Departure {
                        slot: index,
                        part: 0..HEADERS + length,
                        from: None,
                        to: None,
                        segment: None,
                    }
                }
                None => Departure {
                    slot: index,
                    part: HEADERS..HEADERS + length,
                    from: Some(from),
                    to: Some(to),
                    segment,
                },
            });
            progress.turn = (progress.turn + 1) % flows.len();
        }
        let socket = match frames {
            Some((socket, _)) => socket.as_fd(),
            None => side.socket.as_fd(),
        };
        self.outgoing.flush(socket, slots)?;
        Ok(())
    }

    /// Takes one batch from each side; false when there was nothing.
    fn collect(
        &mut self,
        progress: &mut [Progress; 2],
        outcome: &mut Outcome,
    ) -> anyhow::Result<bool> {
        let mut is_any = false;
        for (side, direction) in [
            (&self.peers, Direction::ToPeer),
            (&self.clients, Direction::ToClient),
        ] {
            let received = self
                .incoming
                .receive(side.socket.as_fd(), &mut self.arriving)?;
            is_any |= received > 0;
            let now = self.start.elapsed().as_nanos() as u64;
            let seen = &mut progress[direction as usize].seen;
            for index in 0..received {
                let datagram = self.incoming.get(index);
                let bytes = &self.arriving.slot(index)[HEADROOM..HEADROOM + datagram.length];
                for packet in bytes.chunks(datagram.segment) {
                    note(packet, now, seen, outcome);
                }
            }
        }
        if let Some(streams) = &mut self.streams {
            let now = self.start.elapsed().as_nanos() as u64;
            let seen = &mut progress[Direction::ToClient as usize].seen;
            is_any |= streams.receive(|message| note(message, now, seen, outcome))?;
        }
        Ok(is_any)
    }
}

/// Writes a burst of the flow whose turn it is; how long it is, and how long each packet where the
/// kernel is to cut it.
fn write(
    direction: Direction,
    kind: Kind,
    now: u64,
    progress: &mut Progress,
    body: &mut [u8],
) -> (usize, Option<u16>) {
    let flow = ((progress.first + progress.turn) as u32).to_be_bytes();
    let Kind::Data { payload, burst } = kind else {
        body[..8].copy_from_slice(&BINDING);
        body[8..16].copy_from_slice(&now.to_be_bytes());
        body[16..20].copy_from_slice(&flow);
        return (20, None);
    };
    let header = match direction {
        Direction::ToPeer => 4,
        Direction::ToClient => 0,
    };
    let length = header + payload;
    for packet in body[..length * burst].chunks_exact_mut(length) {
        progress.sequence += 1;
        if direction == Direction::ToPeer {
            packet[..2].copy_from_slice(&CHANNEL.to_be_bytes());
            packet[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
        }
        let payload = &mut packet[header..];
        payload[..4].copy_from_slice(&flow);
        payload[4..12].copy_from_slice(&progress.sequence.to_be_bytes());
        payload[12..STAMP].copy_from_slice(&now.to_be_bytes());
    }
    (length * burst, (burst > 1).then_some(length as u16))
}

/// Enters a packet into the outcome, if it is one of ours.
fn note(packet: &[u8], now: u64, seen: &mut [u64], outcome: &mut Outcome) {
    let number = |at: usize| -> Option<u64> {
        let bytes = packet.get(at..at + 8)?.first_chunk()?;
        Some(u64::from_be_bytes(*bytes))
    };
    let header = match packet {
        [0x40..=0x4F, ..] => 4,
        [1, 1, ..] => {
            if let Some(sent) = number(8) {
                outcome.arrived(0, now.saturating_sub(sent));
            }
            return;
        }
        _ => 0,
    };
    let (Some(first), Some(sequence), Some(sent)) =
        (number(header), number(header + 4), number(header + 12))
    else {
        return;
    };
    let flow = (first >> 32) as usize;
    let Some(seen) = seen.get_mut(flow) else {
        return;
    };
    // The hog has a numbering of its own.
    if sequence <= *seen && outcome.is_calm(flow) {
        outcome.misordered += 1;
    }
    *seen = sequence.max(*seen);
    outcome.arrived(flow, now.saturating_sub(sent));
}
