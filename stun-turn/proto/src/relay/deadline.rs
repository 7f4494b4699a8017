//! When something expires: sorted, never scanned.

use std::collections::BTreeSet;
use std::time::Duration;

/// One deadline for each of many things.
#[derive(Debug)]
pub(super) struct Deadlines<T>(BTreeSet<(Duration, T)>);

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord + Copy> Deadlines<T> {
    pub(super) fn insert(&mut self, at: Duration, what: T) {
        self.0.insert((at, what));
    }

    pub(super) fn remove(&mut self, at: Duration, what: T) {
        let was_there = self.0.remove(&(at, what));
        debug_assert!(was_there, "what is removed has a deadline");
    }

    pub(super) fn first(&self) -> Option<Duration> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The first one that is due.
    pub(super) fn due(&self, now: Duration) -> Option<T> {
        self.0
            .first()
            .filter(|(at, _)| *at <= now)
            .map(|(_, what)| *what)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
