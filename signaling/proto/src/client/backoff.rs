//! How long to wait before the next connection.

use std::time::Duration;

/// Before the first attempt.
const FIRST: Duration = Duration::from_millis(250);
/// Before any attempt.
const LONGEST: Duration = Duration::from_secs(5);

/// How long attempts in a row may take until their WebSocket is open. Where a network swallows everything, a new attempt
/// notices first that it is back, as systems repeat the beginning of a connection ever more seldom; a slow network gets the
/// time that it needs by and by.
const OPEN_DEADLINES: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(10),
];

/// Doubles from attempt to attempt, unless the server asks for something else.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempt: u32,
    /// Attempts whose WebSocket was not open in time, since the last `welcome`.
    swallowed: usize,
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

    /// How long the next attempt may take until its WebSocket is open.
    pub(super) fn open_deadline(&self) -> Duration {
        OPEN_DEADLINES[self.swallowed % OPEN_DEADLINES.len()]
    }

    /// The wait after an attempt whose WebSocket was not open in time: no server had work with it, so it does not grow.
    pub(super) fn after_swallowed(&mut self, jitter: f64) -> Duration {
        self.swallowed = self.swallowed.wrapping_add(1);
        self.asked.take().unwrap_or(jittered(FIRST, jitter))
    }

    /// The next wait. `jitter`, from 0 to 1, takes up to half of it away, so that the clients of a
    /// restarted server do not all return at once; what the server asks for is spread already.
    pub(super) fn next(&mut self, jitter: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempt.min(16)).min(LONGEST);
        self.attempt = self.attempt.saturating_add(1);
        self.asked.take().unwrap_or(jittered(doubled, jitter))
    }
}

fn jittered(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}
