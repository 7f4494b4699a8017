//! Warnings that clients can cause as often as they like, and that the log has once a minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(60);

/// Counts events of one kind, of which the log has a line once a minute at most.
#[derive(Debug, Default)]
pub(crate) struct Rarely(Mutex<Untold>);

#[derive(Debug, Default)]
struct Untold {
    last: Option<Instant>,
    count: u64,
}

impl Rarely {
    /// Counts one event. Returns how many there were since the last line when it is time for one.
    pub(crate) fn note(&self, now: Instant) -> Option<u64> {
        // Every change is complete before anything can panic.
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        untold.count += 1;
        let is_due = untold.last.is_none_or(|last| now >= last + INTERVAL);
        is_due.then(|| {
            untold.last = Some(now);
            std::mem::take(&mut untold.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_and_told_once_in_a_while() {
        let (events, start) = (Rarely::default(), Instant::now());
        assert_eq!(events.note(start), Some(1));
        for _ in 0..3 {
            assert_eq!(events.note(start), None);
        }
        assert_eq!(events.note(start + INTERVAL), Some(4));
    }
}
