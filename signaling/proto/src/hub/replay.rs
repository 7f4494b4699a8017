//! What one client was sent and may not have: kept until it says so, and sent again when it comes back.

use std::collections::VecDeque;

use super::SessionKey;
use super::limits::{OUTCOME_ASK_BYTES, OUTCOME_BYTES, OUTCOME_WINDOW_BYTES};
use super::session::Origin;
use crate::frame::{Body, Frame};
use crate::id::Seq;

/// What a frame in a queue costs besides its text, in bytes.
pub(super) const ENTRY_BYTES: usize = 64;

/// Frames with a `seq`, in order and without gaps.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Highest `seq` given to this client.
    sent: Seq,
    /// Those after the last acknowledged one.
    open: VecDeque<(Option<Origin>, Body)>,
    bytes: usize,
}

/// An acknowledgement of something that was never sent, or a position that can't be gone back to.
#[derive(Debug)]
pub(super) struct NotSent;

impl Replay {
    /// Goes on counting after `sent`.
    pub(super) fn after(sent: Seq) -> Self {
        Self {
            sent,
            ..Self::default()
        }
    }

    pub(super) fn sent(&self) -> Seq {
        self.sent
    }

    fn acknowledged(&self) -> Seq {
        let open = u64::try_from(self.open.len()).expect("a queue's length is below 2^64");
        Seq(self.sent.0 - open)
    }

    /// Takes the next `seq` for a frame and keeps it until its acknowledgement.
    pub(super) fn push(&mut self, body: &Body, origin: Option<Origin>) -> Frame {
        self.sent = self.sent.next();
        self.bytes += body.len() + ENTRY_BYTES;
        self.open.push_back((origin, body.clone()));
        body.frame(self.sent)
    }

    /// What is not acknowledged, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The part of it that `sender` has sent, in bytes.
    pub(super) fn bytes_of(&self, sender: SessionKey) -> usize {
        let entries = self.open.iter();
        let theirs = entries.filter(|(origin, _)| origin.is_some_and(|it| it.sender == sender));
        theirs.map(|(_, body)| body.len() + ENTRY_BYTES).sum()
    }

    /// Everything up to `seq` has arrived; whose messages arrived is returned.
    pub(super) fn acknowledge(&mut self, seq: Seq) -> Result<Vec<Origin>, NotSent> {
        if seq > self.sent {
            return Err(NotSent);
        }
        let newly = usize::try_from(seq.0.saturating_sub(self.acknowledged().0))
            .expect("at most the queue's length");
        let mut arrived = Vec::new();
        for (origin, body) in self.open.drain(..newly) {
            self.bytes -= body.len() + ENTRY_BYTES;
            arrived.extend(origin);
        }
        if self.open.is_empty() {
            // An idle session keeps no memory of a busy one.
            self.open.shrink_to(4);
        }
        Ok(arrived)
    }

    /// A client comes back that has processed everything up to `seq`: as [`Self::acknowledge`], but
    /// what it has said before it can't take back.
    pub(super) fn rewind(&mut self, seq: Seq) -> Result<Vec<Origin>, NotSent> {
        if seq < self.acknowledged() {
            return Err(NotSent);
        }
        self.acknowledge(seq)
    }

    /// Whether anything that is not acknowledged tells of ICE servers.
    pub(super) fn has_ice_servers(&self) -> bool {
        self.open.iter().any(|(_, body)| body.is_ice_servers())
    }

    /// Everything that is not acknowledged, as it was sent.
    fn frames(&self) -> impl Iterator<Item = (Seq, Frame)> {
        let mut seq = self.acknowledged();
        self.open.iter().map(move |(_, body)| {
            seq = seq.next();
            (seq, body.frame(seq))
        })
    }

    /// Everything that will never be acknowledged, because this client is gone.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = Origin> + 'static {
        self.bytes = 0;
        std::mem::take(&mut self.open)
            .into_iter()
            .filter_map(|(origin, _)| origin)
    }
}

/// Frames without a `seq` that tell a client what became of its own messages. An acknowledgement of
/// a later `seq` shows that they were heard.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Each with the last `seq` before it.
    told: VecDeque<(Seq, Frame)>,
    bytes: usize,
    /// Of these, those after the last frame with a `seq`.
    last_bytes: usize,
}

impl Outcomes {
    /// Keeps one; whether so much has come after the last frame with a `seq` that another one is
    /// needed: nothing else tells what was heard.
    pub(super) fn push(&mut self, after: Seq, frame: &Frame) -> bool {
        let cost = frame.cost() + ENTRY_BYTES;
        if self.told.back().is_none_or(|(last, _)| *last != after) {
            self.last_bytes = 0;
        }
        self.last_bytes += cost;
        self.bytes += cost;
        self.told.push_back((after, frame.clone()));
        self.last_bytes > OUTCOME_ASK_BYTES
    }

    /// Whether more deliveries may be told.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < OUTCOME_WINDOW_BYTES
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes > OUTCOME_BYTES
    }

    fn forget_first(&mut self) {
        if let Some((_, frame)) = self.told.pop_front() {
            self.bytes -= frame.cost() + ENTRY_BYTES;
        }
    }

    /// The client has processed everything up to `seq`.
    pub(super) fn acknowledge(&mut self, seq: Seq) {
        while self.told.front().is_some_and(|(after, _)| *after < seq) {
            self.forget_first();
        }
        if self.told.is_empty() {
            self.told.shrink_to(4);
        }
    }
}

/// What a client may not have heard, in the order in which it happened: who is told that a message was
/// delivered to everybody must know by then who had left.
pub(super) fn unheard(replay: &Replay, outcomes: &Outcomes) -> Vec<Frame> {
    let mut told = outcomes.told.iter().peekable();
    let mut frames = Vec::with_capacity(replay.open.len() + outcomes.told.len());
    for (seq, frame) in replay.frames() {
        while let Some((_, outcome)) = told.next_if(|(after, _)| *after < seq) {
            frames.push(outcome.clone());
        }
        frames.push(frame);
    }
    frames.extend(told.map(|(_, outcome)| outcome.clone()));
    frames
}

/// The client has gone on elsewhere up to `seq`: what it has not acknowledged here comes after that,
/// whether it has had it or not.
pub(super) fn renumber(replay: &mut Replay, outcomes: &mut Outcomes, seq: Seq) {
    let acknowledged = replay.acknowledged().0;
    let moved = |old: Seq| Seq(seq.0 + old.0.saturating_sub(acknowledged));
    replay.sent = moved(replay.sent);
    for (after, _) in &mut outcomes.told {
        *after = moved(*after);
    }
    if replay.open.is_empty() {
        outcomes.last_bytes = outcomes.bytes;
    }
}
