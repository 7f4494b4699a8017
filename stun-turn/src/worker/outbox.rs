//! What is decided and not yet sent.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use stun_turn_proto::RelayId;

use crate::udp::{Sent, Transmit, raw};

/// Through which socket a datagram leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    /// A listener, to a client.
    Client(usize),
    /// A relayed socket, to a peer.
    Peer(usize),
    /// The socket of all relayed ports of an address, to a peer.
    Raw(usize),
}

/// Datagrams of one round on their way out, in the order in which they were decided.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    outs: Vec<Out>,
    transmits: Vec<Transmit>,
    order: Order,
    /// What goes out without having come in: replies, headers.
    heads: Vec<u8>,
}

impl Outbox {
    /// A part of a slot to a client.
    pub(super) fn push_client(
        &mut self,
        listener: usize,
        slot: usize,
        part: Range<usize>,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) {
        self.push(Out::Client(listener), (0..0, slot, part, 0..0), to, from);
    }

    /// The same between other bytes.
    pub(super) fn push_client_between(
        &mut self,
        listener: usize,
        (head, slot, part, tail): (&[u8], usize, Range<usize>, &[u8]),
        to: SocketAddr,
        from: Option<IpAddr>,
    ) {
        let (head, tail) = (self.keep(head), self.keep(tail));
        self.push(Out::Client(listener), (head, slot, part, tail), to, from);
    }

    /// What has not come in.
    pub(super) fn push_reply(
        &mut self,
        listener: usize,
        reply: &[u8],
        to: SocketAddr,
        from: Option<IpAddr>,
    ) {
        let head = self.keep(reply);
        self.push(Out::Client(listener), (head, 0, 0..0, 0..0), to, from);
    }

    pub(super) fn push_peer(
        &mut self,
        relay: RelayId,
        slot: usize,
        part: Range<usize>,
        to: SocketAddr,
    ) {
        let out = Out::Peer(relay.index());
        self.push(out, (0..0, slot, part, 0..0), to, None);
    }

    /// A part of a slot behind headers of IP and UDP.
    pub(super) fn push_raw(
        &mut self,
        sender: usize,
        header: &[u8],
        (slot, part): (usize, Range<usize>),
        to: SocketAddr,
    ) {
        let head = self.keep(header);
        let to = raw::destination(to);
        self.push(Out::Raw(sender), (head, slot, part, 0..0), to, None);
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.heads.len();
        self.heads.extend_from_slice(bytes);
        start..self.heads.len()
    }

    fn push(
        &mut self,
        out: Out,
        (head, slot, part, tail): (Range<usize>, usize, Range<usize>, Range<usize>),
        to: SocketAddr,
        from: Option<IpAddr>,
    ) {
        self.outs.push(out);
        self.transmits.push(Transmit {
            head,
            slot,
            part,
            tail,
            to,
            from,
        });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.outs.is_empty()
    }

    /// Sends runs of neighbours that share a socket, those of one way together.
    pub(super) fn flush(&mut self, mut send: impl FnMut(Out, &[u8], &[Transmit]) -> Sent) {
        self.order.sort(&mut self.outs, &mut self.transmits);
        let mut start = 0;
        for run in self.outs.chunk_by(PartialEq::eq) {
            let end = start + run.len();
            let sent = send(run[0], &self.heads, &self.transmits[start..end]);
            if sent.dropped > 0 {
                tracing::trace!(out = ?run[0], ?sent, "the system refused datagrams");
            }
            start = end;
        }
        self.outs.clear();
        self.transmits.clear();
        self.heads.clear();
    }
}

/// Brings together what leaves through one socket for one address, which costs least when it is sent
/// at once. Within each way the order stays.
#[derive(Debug, Default)]
struct Order {
    /// A number for the way, and the place in the order of decisions.
    keys: Vec<(u64, usize)>,
    outs: Vec<Out>,
    transmits: Vec<Transmit>,
}

impl Order {
    fn sort(&mut self, outs: &mut Vec<Out>, transmits: &mut Vec<Transmit>) {
        let ways = outs.iter().zip(transmits.iter()).enumerate();
        self.keys.clear();
        self.keys
            .extend(ways.map(|(place, (out, transmit))| (way(*out, transmit.to), place)));
        if self.keys.is_sorted() {
            return;
        }
        self.keys.sort_unstable();
        self.outs.clear();
        self.transmits.clear();
        for (_, place) in &self.keys {
            self.outs.push(outs[*place]);
            self.transmits.push(transmits[*place].clone());
        }
        std::mem::swap(outs, &mut self.outs);
        std::mem::swap(transmits, &mut self.transmits);
    }
}

/// Equal for equal ways; those through one socket are next to each other.
fn way(out: Out, to: SocketAddr) -> u64 {
    let (kind, index) = match out {
        Out::Client(index) => (0, index),
        Out::Peer(index) => (1, index),
        Out::Raw(index) => (2, index),
    };
    let ip = match to.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    };
    // Two addresses with one number would only not be brought together.
    let mixed = (ip ^ u64::from(to.port()) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    kind << 62 | (index as u64) << 32 | mixed >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(number: u8) -> SocketAddr {
        match number % 2 {
            0 => SocketAddr::from(([192, 0, 2, number], 1000)),
            _ => SocketAddr::from(([0x2001, 0xDB8, 0, 0, 0, 0, 0, u16::from(number)], 1000)),
        }
    }

    fn out(number: u8) -> Out {
        let index = usize::from(number / 3) << 20;
        match number % 3 {
            0 => Out::Client(index),
            1 => Out::Peer(index),
            _ => Out::Raw(index),
        }
    }

    proptest! {
        /// Whatever comes between: what takes one way leaves in one call, in the order of decisions.
        #[test]
        fn one_way_is_one_run_in_order(decided in prop::collection::vec((0..9_u8, 0..6_u8), 0..100)) {
            let mut outbox = Outbox::default();
            for round in 0..2 {
                for (place, (number, to)) in decided.iter().enumerate() {
                    outbox.push(out(*number), (0..0, place + round, 0..1, 0..0), address(*to), None);
                }
                let mut sent = Vec::new();
                outbox.flush(|out, _, transmits| {
                    assert!(!sent.iter().any(|(other, _)| *other == out), "one call for each socket");
                    sent.push((out, transmits.to_vec()));
                    Sent::default()
                });
                for number in 0..9 {
                    for to in 0..6 {
                        let expected = decided.iter().enumerate();
                        let expected: Vec<usize> = expected
                            .filter(|(_, way)| **way == (number, to))
                            .map(|(place, _)| place + round)
                            .collect();
                        let of_socket = sent.iter().filter(|(other, _)| *other == out(number));
                        let slots: Vec<usize> = of_socket
                            .flat_map(|(_, transmits)| transmits)
                            .filter(|transmit| transmit.to == address(to))
                            .map(|transmit| transmit.slot)
                            .collect();
                        prop_assert_eq!(&slots, &expected);
                    }
                }
                let all: usize = sent.iter().map(|(_, transmits)| transmits.len()).sum();
                prop_assert_eq!(all, decided.len());
                for (_, transmits) in &sent {
                    let mut ways: Vec<SocketAddr> = transmits.iter().map(|it| it.to).collect();
                    ways.dedup();
                    let runs = ways.len();
                    ways.sort_unstable();
                    ways.dedup();
                    prop_assert_eq!(runs, ways.len(), "each address is one run");
                }
            }
        }
    }
}
