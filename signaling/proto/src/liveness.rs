//! Whether the other end of a connection is still there.

use std::time::{Duration, Instant};

/// Between two pings on a silent connection unless the operator says otherwise. With [`GRACE`] a silent
/// death is noticed within 17 s: twice the interval and the grace.
pub const PING_INTERVAL: Duration = Duration::from_secs(6);
/// How long the second unanswered ping may still be answered.
pub const GRACE: Duration = Duration::from_secs(5);

/// Counts unanswered pings of one connection; any frame counts as an answer.
#[derive(Debug, Clone)]
pub struct Liveness {
    interval: Duration,
    unanswered: u8,
    deadline: Instant,
}

/// What a deadline asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Wait,
    /// Send a ping.
    Ping,
    /// Nobody is there.
    Gone,
}

impl Liveness {
    /// Begins at `now`, as if a frame had just come, with `interval` between pings.
    #[must_use]
    pub fn new(now: Instant, interval: Duration) -> Self {
        Self {
            interval,
            unanswered: 0,
            deadline: now + interval,
        }
    }

    /// A frame of any kind has come.
    pub fn handle_frame(&mut self, now: Instant) {
        *self = Self::new(now, self.interval);
    }

    /// When to call [`Self::poll`] next.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Instant) -> Verdict {
        if now < self.deadline {
            return Verdict::Wait;
        }
        let wait = match self.unanswered {
            0 => self.interval,
            1 => GRACE,
            _ => return Verdict::Gone,
        };
        self.unanswered += 1;
        self.deadline = now + wait;
        Verdict::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_unanswered_pings_end_a_silent_connection_within_20_seconds() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, PING_INTERVAL);
        assert_eq!(liveness.poll(start), Verdict::Wait);
        let mut seen = Vec::new();
        while seen.last() != Some(&Verdict::Gone) {
            let deadline = liveness.deadline();
            seen.push(liveness.poll(deadline));
        }
        assert_eq!(seen, [Verdict::Ping, Verdict::Ping, Verdict::Gone]);
        assert!(liveness.deadline() - start <= Duration::from_secs(20));
    }

    #[test]
    fn the_end_of_a_silent_connection_follows_its_last_ping() {
        let start = Instant::now();
        for seconds in [1, 25] {
            let interval = Duration::from_secs(seconds);
            let mut liveness = Liveness::new(start, interval);
            assert_eq!(liveness.deadline(), start + interval);
            assert_eq!(liveness.poll(liveness.deadline()), Verdict::Ping);
            assert_eq!(liveness.deadline(), start + 2 * interval);
            assert_eq!(liveness.poll(liveness.deadline()), Verdict::Ping);
            assert_eq!(liveness.deadline(), start + 2 * interval + GRACE);
            assert_eq!(liveness.poll(liveness.deadline()), Verdict::Gone);
        }
    }

    #[test]
    fn any_frame_is_an_answer() {
        let mut liveness = Liveness::new(Instant::now(), PING_INTERVAL);
        for _ in 0..10 {
            let deadline = liveness.deadline();
            assert_eq!(liveness.poll(deadline), Verdict::Ping);
            liveness.handle_frame(deadline);
        }
    }
}
