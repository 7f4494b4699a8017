//! A room: who is in it, in which order.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::SessionKey;
use super::reunion::Reunion;
use crate::id::PeerId;

/// Which room: rooms of different namespaces know nothing of each other.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RoomKey {
    hash: u64,
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

impl RoomKey {
    /// Hashed once and for all, because each message looks for its room: with a hash that withstands
    /// attacks, as the names are anybody's.
    pub(super) fn new(hashes: &impl BuildHasher, namespace: &str, name: &str) -> Self {
        Self {
            hash: hashes.hash_one((namespace, name)),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl Hash for RoomKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A room exists while somebody is in it, or may come back to it.
#[derive(Debug)]
pub(super) struct Room {
    /// When this process first heard of it.
    opened: Instant,
    /// What it is called in the user names of its peers on relays, drawn when it opens. Not its name, nor made of it: who
    /// knows that may enter, and user names stand in logs and in the clear on the way.
    pub(super) tag: Box<str>,
    /// Those who have been there longest first. The order also decides who is polite.
    pub(super) members: Vec<SessionKey>,
    /// Whether newcomers are refused.
    pub(super) locked: bool,
    /// While its peers come back from another process.
    pub(super) reunion: Option<Box<Reunion>>,
    /// Whether somebody who came from another process has told who else is in it.
    pub(super) is_told: bool,
}

impl Room {
    pub(super) fn new(opened: Instant, tag: Box<str>) -> Self {
        Self {
            opened,
            tag,
            members: Vec::new(),
            locked: false,
            reunion: None,
            is_told: false,
        }
    }

    /// Whether `peer`, whom this process does not know, may still come back from another one: within
    /// the window, and unless those who are back have told whom they know and it is not among them.
    pub(super) fn awaits(&self, now: Instant, window: Duration, peer: &PeerId) -> bool {
        match &self.reunion {
            Some(reunion) => !self.is_told || reunion.awaits(peer),
            // Newcomers may have been faster than all who come back.
            None => !self.is_told && now < self.opened + window,
        }
    }

    pub(super) fn others(&self, than: SessionKey) -> impl Iterator<Item = SessionKey> {
        self.members
            .iter()
            .copied()
            .filter(move |member| *member != than)
    }

    /// Places that are taken, those of peers who are about to come back included.
    pub(super) fn places_taken(&self) -> usize {
        let absent = self.reunion.as_ref().map_or(0, |reunion| reunion.absent());
        self.members.len() + absent
    }
}
