//! Namespaces with limits of their own, and what of these is taken.

use std::collections::{BTreeMap, HashMap};

/// What one namespace may have; the server's own limits hold as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceLimits {
    /// Peers in one room.
    pub max_room: usize,
    /// Rooms.
    pub max_rooms: usize,
    /// Sessions, those that are away included.
    pub max_sessions: usize,
}

#[derive(Debug)]
struct Namespace {
    limits: NamespaceLimits,
    rooms: usize,
    sessions: usize,
}

/// See the module. Of namespaces that have no limits of their own nothing is counted.
#[derive(Debug)]
pub(super) struct Namespaces(HashMap<Box<str>, Namespace>);

impl Namespaces {
    pub(super) fn new(limits: &BTreeMap<Box<str>, NamespaceLimits>) -> Self {
        let empty = |limits: &NamespaceLimits| Namespace {
            limits: *limits,
            rooms: 0,
            sessions: 0,
        };
        let limits = limits.iter();
        Self(limits.map(|(name, it)| (name.clone(), empty(it))).collect())
    }

    /// Peers in one room.
    pub(super) fn max_room(&self, name: &str) -> Option<usize> {
        self.0.get(name).map(|namespace| namespace.limits.max_room)
    }

    pub(super) fn may_have_one_more_session(&self, name: &str) -> bool {
        let namespace = self.0.get(name);
        namespace.is_none_or(|it| it.sessions < it.limits.max_sessions)
    }

    pub(super) fn may_have_one_more_room(&self, name: &str) -> bool {
        let namespace = self.0.get(name);
        namespace.is_none_or(|it| it.rooms < it.limits.max_rooms)
    }

    pub(super) fn note_session(&mut self, name: &str) {
        if let Some(namespace) = self.0.get_mut(name) {
            namespace.sessions += 1;
        }
    }

    pub(super) fn note_room(&mut self, name: &str) {
        if let Some(namespace) = self.0.get_mut(name) {
            namespace.rooms += 1;
        }
    }

    pub(super) fn forget_session(&mut self, name: &str) {
        if let Some(namespace) = self.0.get_mut(name) {
            namespace.sessions -= 1;
        }
    }

    pub(super) fn forget_room(&mut self, name: &str) {
        if let Some(namespace) = self.0.get_mut(name) {
            namespace.rooms -= 1;
        }
    }

    /// Everybody is gone.
    pub(super) fn clear(&mut self) {
        for namespace in self.0.values_mut() {
            namespace.rooms = 0;
            namespace.sessions = 0;
        }
    }
}
