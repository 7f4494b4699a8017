//! A room that comes together again after its server process has died.
//!
//! Its peers come back one by one, each with a signed ticket, and send again what may not have been
//! delivered. What is for somebody who is not back yet is kept here until that peer is, or until the
//! resume window is over: then its sender is told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::SessionKey;
use super::limits::REUNION_BYTES;
use super::session::Origin;
use crate::frame::Body;
use crate::id::PeerId;

/// What a kept message costs besides its text, in bytes.
const ENTRY_BYTES: usize = 128;
/// What each peer that it names costs, in bytes.
const PEER_BYTES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Reunion {
    pub(super) ends: Instant,
    /// Who is not back, and who told so.
    absent: BTreeMap<PeerId, Vec<SessionKey>>,
    /// Those back who did not tell whom they know.
    silent: Vec<SessionKey>,
    /// Whether more were missed than there are places: then it is not known who all of them are.
    is_overfull: bool,
    kept: VecDeque<Kept>,
    bytes: usize,
}

/// A message that somebody may still have to get.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) origin: Origin,
    pub(super) body: Body,
    /// `None` for all in the room.
    pub(super) to: Option<Vec<PeerId>>,
    /// Who has got it.
    pub(super) reached: Vec<PeerId>,
    /// For whom its delivery waits.
    pub(super) waits: Vec<PeerId>,
    /// Its sender was alone and could not tell whom it is for: it waits for the next who comes back.
    pub(super) waits_for_anybody: bool,
}

impl Kept {
    fn cost(&self) -> usize {
        let peers = self.reached.len() + self.waits.len() + self.to.as_ref().map_or(0, Vec::len);
        self.body.len() + ENTRY_BYTES + peers * PEER_BYTES
    }

    fn is_for(&self, peer: &PeerId) -> bool {
        let addressed = self.to.as_ref().is_none_or(|to| to.contains(peer));
        addressed && !self.reached.contains(peer)
    }
}

impl Reunion {
    pub(super) fn new(ends: Instant) -> Self {
        Self {
            ends,
            absent: BTreeMap::new(),
            silent: Vec::new(),
            is_overfull: false,
            kept: VecDeque::new(),
            bytes: 0,
        }
    }

    /// How many are known to be missing.
    pub(super) fn absent(&self) -> usize {
        self.absent.len()
    }

    pub(super) fn absent_peers(&self) -> impl Iterator<Item = &PeerId> {
        self.absent.keys()
    }

    /// Whether everybody who is back has told whom it knows, and all of those are back too.
    pub(super) fn is_complete(&self) -> bool {
        self.absent.is_empty() && self.silent.is_empty()
    }

    /// `by` is back and does not tell whom it knows.
    pub(super) fn note_silent(&mut self, by: SessionKey) {
        self.silent.push(by);
    }

    pub(super) fn is_silent(&self, key: SessionKey) -> bool {
        self.silent.contains(&key)
    }

    /// `by` is back and misses `peer`; at most `places` peers may be missed. Whether it is waited for.
    pub(super) fn note_absent(&mut self, by: SessionKey, peer: &PeerId, places: usize) -> bool {
        if self.absent.len() >= places && !self.absent.contains_key(peer) {
            self.is_overfull = true;
            return false;
        }
        let known_to = self.absent.entry(peer.clone()).or_default();
        if !known_to.contains(&by) {
            known_to.push(by);
        }
        true
    }

    /// Whether `peer` may be one of those who are not back yet, as far as those tell who are.
    pub(super) fn awaits(&self, peer: &PeerId) -> bool {
        self.absent.contains_key(peer) || !self.silent.is_empty() || self.is_overfull
    }

    /// Whether `sender` may address `peer`, which is not here.
    pub(super) fn may_return(&self, sender: SessionKey, peer: &PeerId) -> bool {
        self.absent.contains_key(peer) || self.is_silent(sender)
    }

    /// Keeps a message. What there is no more space for is given up, oldest first.
    pub(super) fn keep(&mut self, message: Kept) -> Vec<Kept> {
        self.bytes += message.cost();
        self.kept.push_back(message);
        let mut given_up = Vec::new();
        while self.bytes > REUNION_BYTES
            && let Some(first) = self.kept.pop_front()
        {
            self.bytes -= first.cost();
            given_up.push(first);
        }
        given_up
    }

    /// `peer` is back: what is for it, in order, and whose deliveries wait for it.
    pub(super) fn handle_return(&mut self, peer: &PeerId) -> Vec<(Body, Option<Origin>)> {
        self.absent.remove(peer);
        let mut theirs = Vec::new();
        for message in self.kept.iter_mut().filter(|message| message.is_for(peer)) {
            self.bytes -= message.cost();
            let waited = message.waits.contains(peer);
            message.waits.retain(|waited| waited != peer);
            let counts = waited || std::mem::take(&mut message.waits_for_anybody);
            message.reached.push(peer.clone());
            self.bytes += message.cost();
            theirs.push((message.body.clone(), counts.then_some(message.origin)));
        }
        theirs
    }

    /// The resume window is over: what was kept, and who is still missing.
    pub(super) fn end(self) -> (VecDeque<Kept>, BTreeMap<PeerId, Vec<SessionKey>>) {
        (self.kept, self.absent)
    }
}
