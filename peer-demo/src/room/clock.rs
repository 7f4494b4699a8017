//! When a call is over: pure, but for the moments it is given.

use tokio::time::{Duration, Instant};

use crate::config::Config;
use crate::report::{self, Standing};

/// How long a call may last beyond its duration while something is not verified: here, or at another headless
/// peer, which needs us for it.
const GRACE: Duration = Duration::from_secs(10);

/// Decides when the call is over.
pub(super) struct Clock {
    expected: usize,
    duration: Duration,
    /// Until when the expected peers must be connected.
    patience_ends: Instant,
    /// When they were.
    began: Option<Instant>,
}

impl Clock {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Self {
            expected: config.expect_peers,
            duration: config.duration,
            patience_ends: now + config.wait,
            began: None,
        }
    }

    pub(super) fn is_over(&mut self, now: Instant, peers: &[Standing], needed: bool) -> bool {
        let Some(began) = self.began else {
            let connected = peers.iter().filter(|peer| peer.connected).count();
            if connected >= self.expected {
                self.began = Some(now);
                return false;
            }
            return now >= self.patience_ends;
        };
        let Some(beyond) = now.checked_duration_since(began + self.duration) else {
            return false;
        };
        if report::problems(peers, self.expected, None).is_empty() {
            return !needed || beyond >= GRACE;
        }
        // Only who is still here can become verified.
        beyond >= GRACE || peers.iter().all(|peer| peer.left || peer.verified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn clock(now: Instant) -> Clock {
        let config = Config::parse_from([
            "peer-demo",
            "--url",
            "ws://h/signal",
            "--room",
            "a",
            "--duration",
            "5",
            "--wait",
            "20",
        ]);
        Clock::new(&config, now)
    }

    fn peer(connected: bool, verified: bool) -> Standing {
        Standing {
            label: "ann".into(),
            connected,
            verified,
            left: false,
            age: seconds(60),
            problems: vec!["audio: silence".into()],
        }
    }

    #[tokio::test]
    async fn nobody_is_waited_for_forever() {
        let now = Instant::now();
        let mut clock = clock(now);
        assert!(!clock.is_over(now + seconds(19), &[peer(false, false)], false));
        assert!(clock.is_over(now + seconds(20), &[peer(false, false)], false));
    }

    #[tokio::test]
    async fn the_duration_counts_from_the_connection() {
        let now = Instant::now();
        let mut clock = clock(now);
        assert!(!clock.is_over(now + seconds(15), &[peer(true, false)], false));
        assert!(!clock.is_over(now + seconds(19), &[peer(true, true)], false));
        assert!(clock.is_over(now + seconds(20), &[peer(true, true)], false));
        assert!(
            !clock.is_over(now + seconds(20), &[peer(true, true)], true),
            "courtesy"
        );
        assert!(clock.is_over(now + seconds(30), &[peer(true, true)], true));
    }

    #[tokio::test]
    async fn what_is_not_verified_gets_some_grace_while_its_peer_is_here() {
        let now = Instant::now();
        let mut clock = clock(now);
        assert!(!clock.is_over(now, &[peer(true, false)], false));
        assert!(!clock.is_over(now + seconds(14), &[peer(true, false)], false));
        assert!(clock.is_over(now + seconds(15), &[peer(true, false)], false));
        let gone = Standing {
            left: true,
            ..peer(true, false)
        };
        assert!(clock.is_over(now + seconds(5), &[gone], false));
    }
}
