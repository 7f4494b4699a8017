//! How long to wait before the next connection.

use std::time::Duration;

/// Before the first attempt.
const FIRST: Duration = Duration::from_millis(250);
/// Before any attempt.
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from attempt to attempt, unless the server asks for something else.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempt: u32,
    asked: Option<Duration>,
}

impl Backoff {
    /// The server has welcomed this client.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The server asks for a wait, in milliseconds; it holds for the next attempt.
    pub(super) fn ask(&mut self, milliseconds: Option<u64>) {
        self.asked = milliseconds.map(Duration::from_millis).or(self.asked);
    }

    /// The next wait. `jitter`, from 0 to 1, takes up to half of it away, so that the clients of a
    /// restarted server do not all return at once; what the server asks for is spread already.
    pub(super) fn next(&mut self, jitter: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempt.min(16)).min(LONGEST);
        self.attempt = self.attempt.saturating_add(1);
        let jittered = doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        self.asked.take().unwrap_or(jittered)
    }
}
