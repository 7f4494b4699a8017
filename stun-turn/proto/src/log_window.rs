//! Turns what strangers can make happen at will into a line of the log now and then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long nothing is said after a line.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Counts between two lines. Shared by all workers.
#[derive(Debug, Default)]
pub struct LogWindow {
    since_last: AtomicU64,
    /// When the next line is due, in milliseconds since the start.
    due_ms: AtomicU64,
}

impl LogWindow {
    /// Counts one occasion. How many there were since the last line, if it is time for another one; `now` is of one
    /// clock for all callers.
    pub fn count(&self, now: Duration) -> Option<u64> {
        self.since_last.fetch_add(1, Ordering::Relaxed);
        let now_ms = now.as_millis() as u64;
        let due_ms = self.due_ms.load(Ordering::Relaxed);
        let next_ms = now_ms.saturating_add(WINDOW.as_millis() as u64);
        let is_ours = now_ms >= due_ms
            && self
                .due_ms
                .compare_exchange(due_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_ours.then(|| self.since_last.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_window_and_every_occasion_is_in_one() {
        let log = LogWindow::default();
        // A thousand a second for five minutes.
        let occasions = (0..300_000_u64).map(Duration::from_millis);
        let lines: Vec<u64> = occasions.filter_map(|now| log.count(now)).collect();
        assert_eq!(lines, [1, 60_000, 60_000, 60_000, 60_000]);
        assert_eq!(log.count(Duration::from_secs(86_400)), Some(60_000));
    }
}
