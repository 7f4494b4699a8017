//! A room: who is in it, in which order.

use std::fmt;

use super::SessionKey;
use super::reunion::Reunion;

/// Which room: rooms of different namespaces know nothing of each other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct RoomKey {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A room exists while somebody is in it, or may come back to it.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Those who have been there longest first. The order also decides who is polite.
    pub(super) members: Vec<SessionKey>,
    /// Whether newcomers are refused.
    pub(super) locked: bool,
    /// While its peers come back from another process.
    pub(super) reunion: Option<Box<Reunion>>,
}

impl Room {
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
