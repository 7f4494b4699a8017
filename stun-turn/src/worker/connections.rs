//! All connections of a worker, with every index over them.

mod served;
mod tune;
mod turns;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use stun_turn_proto::FiveTuple;
use stun_turn_proto::source::Source as Origin;

use super::crowd::Crowds;
use super::stream::Stream;
use crate::streams::Streams;
pub(super) use turns::{ACCEPTS_A_TURN, READ_BYTES, SILENCE};

use turns::{ROUND_COST, STEPS_A_ROUND};

/// A worker's connections with every index over them.
pub(super) struct Connections {
    pub(super) shared: Arc<Streams>,
    table: Slab<Entry>,
    /// Those that messages may come from and go to.
    by_client: HashMap<FiveTuple, usize>,
    /// When to look after each; sorted, never scanned.
    deadlines: BTreeSet<(Duration, usize)>,
    /// TLS handshakes under way.
    handshakes: Crowds,
    /// Connections without an allocation.
    strangers: Crowds,
    /// This worker's part of them.
    max_strangers: usize,
    steps_left: usize,
    round_left: usize,
    turn_left: usize,
}

/// A connection on its way to another worker.
pub(crate) struct Adopted(Box<Stream>);

impl std::fmt::Debug for Adopted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.client().client)
    }
}

struct Entry {
    stream: Stream,
    /// Its place in the deadlines: its own deadline may have moved behind it since.
    looked_after_at: Duration,
    /// As whose it counts among those without an allocation, if it does.
    stranger: Option<Origin>,
}

impl Connections {
    pub(super) fn new(shared: Arc<Streams>, workers: usize) -> Self {
        Self {
            max_strangers: (shared.limits.strangers / workers.max(1)).max(1),
            shared,
            table: Slab::new(),
            by_client: HashMap::new(),
            deadlines: BTreeSet::new(),
            handshakes: Crowds::default(),
            strangers: Crowds::default(),
            steps_left: 0,
            round_left: 0,
            turn_left: 0,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(super) fn start_round(&mut self) {
        self.steps_left = STEPS_A_ROUND;
        self.round_left = ROUND_COST;
    }

    /// Sends a peer's data to a client, if it is still there.
    pub(super) fn send_media(&mut self, client: &FiveTuple, message: &[u8]) {
        let Some(key) = self.by_client.get(client) else {
            return;
        };
        if let Some(Entry { stream, .. }) = self.table.get_mut(*key) {
            stream.send_media(message, &self.shared);
        }
    }

    /// Sends an answer to a client, if it is still there.
    pub(super) fn send_reply(&mut self, client: &FiveTuple, message: &[u8]) {
        let key = self.by_client.get(client).copied();
        if let Some(stream) = key.and_then(|key| self.get(key)) {
            stream.send_reply(message);
        }
    }

    fn get(&mut self, key: usize) -> Option<&mut Stream> {
        self.table.get_mut(key).map(|entry| &mut entry.stream)
    }

    fn insert(&mut self, stream: Stream) -> usize {
        let at = stream.deadline(&self.shared.limits);
        let key = self.table.insert(Entry {
            stream,
            looked_after_at: at,
            stranger: None,
        });
        self.deadlines.insert((at, key));
        key
    }

    /// Notes what a connection has cost.
    const fn charge(&mut self, cost: usize) {
        self.turn_left = self.turn_left.saturating_sub(cost);
        self.round_left = self.round_left.saturating_sub(cost);
    }

    /// Counts a connection among those without an allocation, or no more. When there are too many, one
    /// must make way.
    fn note_stranger(&mut self, key: usize, is_stranger: bool) -> Option<usize> {
        let entry = self.table.get_mut(key)?;
        let origin = Origin::of(entry.stream.client().client.ip());
        let (before, since) = (entry.stranger, entry.stream.opened_at());
        let after = is_stranger.then_some(origin);
        if before == after {
            return None;
        }
        entry.stranger = after;
        let awaits_header = entry.stream.awaits_header();
        if let Some(before) = before {
            self.strangers.remove(before, since, key);
        }
        let origin = after?;
        self.strangers.insert(origin, since, key);
        // As long as a proxy's connection is nobody's, only the sum counts.
        let is_over = self.strangers.count(origin) > self.shared.limits.strangers_a_source;
        if is_over && !awaits_header {
            self.strangers.oldest_of(origin)
        } else if self.strangers.len() > self.max_strangers {
            self.strangers.oldest_of_most()
        } else {
            None
        }
    }

    /// Moves a connection's place in the deadlines when it must be looked after sooner, or always
    /// (`is_due`).
    fn reschedule(&mut self, key: usize, is_due: bool) {
        let Some(entry) = self.table.get_mut(key) else {
            return;
        };
        let at = entry.stream.deadline(&self.shared.limits);
        if is_due || at < entry.looked_after_at {
            self.deadlines.remove(&(entry.looked_after_at, key));
            entry.looked_after_at = at;
            self.deadlines.insert((at, key));
        }
    }

    /// Notes that a connection's handshake has begun or ended. When more are under way than may be, the
    /// oldest of the source that has most must end: whoever starts many and finishes none crowds out
    /// itself. (Refusing the newest would let few stalled ones keep everybody out; ending the oldest of
    /// all would let one source end every handshake over a long way.)
    fn note_handshake(
        &mut self,
        key: usize,
        before: Option<Duration>,
        after: Option<Duration>,
    ) -> Option<usize> {
        if before == after {
            return None;
        }
        let origin = Origin::of(self.get(key)?.client().client.ip());
        if let Some(since) = before {
            self.handshakes.remove(origin, since, key);
        }
        self.handshakes.insert(origin, after?, key);
        let is_crowded = self.handshakes.len() > self.shared.limits.handshakes;
        self.handshakes.oldest_of_most().filter(|_| is_crowded)
    }

    /// Takes it out of the table and every index; also the client that it was for, if any.
    fn remove(&mut self, key: usize) -> Option<(Stream, Option<FiveTuple>)> {
        let Entry {
            stream,
            looked_after_at,
            stranger,
        } = self.table.try_remove(key)?;
        self.deadlines.remove(&(looked_after_at, key));
        let client = stream.client();
        if let Some(since) = stream.handshake_since() {
            let origin = Origin::of(client.client.ip());
            self.handshakes.remove(origin, since, key);
        }
        if let Some(origin) = stranger {
            self.strangers.remove(origin, stream.opened_at(), key);
        }
        let is_known = self.by_client.get(&client) == Some(&key);
        if is_known {
            self.by_client.remove(&client);
        }
        Some((stream, is_known.then_some(client)))
    }
}
