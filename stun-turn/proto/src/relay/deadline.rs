//! When something expires: sorted, never scanned.

use std::collections::BTreeSet;
use std::time::Duration;

use super::table::RelayId;

/// One deadline for each relayed socket.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<(Duration, RelayId)>);

impl Deadlines {
    pub(super) fn insert(&mut self, at: Duration, relay: RelayId) {
        self.0.insert((at, relay));
    }

    pub(super) fn remove(&mut self, at: Duration, relay: RelayId) {
        let was_there = self.0.remove(&(at, relay));
        debug_assert!(was_there, "every relayed socket has its deadline");
    }

    pub(super) fn first(&self) -> Option<Duration> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The first one that is due.
    pub(super) fn due(&self, now: Duration) -> Option<RelayId> {
        self.0
            .first()
            .filter(|(at, _)| *at <= now)
            .map(|(_, relay)| *relay)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
