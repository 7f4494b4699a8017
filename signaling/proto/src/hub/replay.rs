//! What one client was sent and may not have: kept until it says so, and sent again when it comes back.

use std::collections::VecDeque;

use super::limits::{OUTCOME_BYTES, REPLAY_BYTES};
use super::session::Origin;
use crate::frame::{Body, Frame};
use crate::id::Seq;

/// What a frame in a queue costs besides its text, in bytes.
const ENTRY_BYTES: usize = 64;

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

    pub(super) fn is_full(&self) -> bool {
        self.bytes > REPLAY_BYTES
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

    /// Everything that is not acknowledged, as it was sent.
    pub(super) fn frames(&self) -> impl Iterator<Item = Frame> {
        let mut seq = self.acknowledged();
        self.open.iter().map(move |(_, body)| {
            seq = seq.next();
            body.frame(seq)
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
}

impl Outcomes {
    pub(super) fn push(&mut self, after: Seq, frame: &Frame) {
        self.bytes += frame.cost() + ENTRY_BYTES;
        self.told.push_back((after, frame.clone()));
        while self.bytes > OUTCOME_BYTES {
            self.forget_first();
        }
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

    /// What may not have been heard.
    pub(super) fn frames(&self) -> impl Iterator<Item = Frame> {
        self.told.iter().map(|(_, frame)| frame.clone())
    }
}
