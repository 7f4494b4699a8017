//! When to wait for more datagrams: when they come fast, but few at a time, most of the time goes
//! into falling asleep and being woken. A short sleep then gathers several.

use std::time::Duration;

/// So many datagrams must be expected within the wait for it to be worth while.
const WORTH: u32 = 2;
/// A batch of so many is worth its calls without waiting.
const ENOUGH: usize = 32;
/// The newest interval counts for one part in so many of the average.
const WEIGHT: u32 = 8;

/// Watches how fast datagrams come.
#[derive(Debug)]
pub(super) struct Coalescer {
    limit: Duration,
    /// Average time between two datagrams.
    interval: Duration,
    seen_at: Duration,
    is_batch_small: bool,
}

impl Coalescer {
    /// Waits at most `limit`; never when that is zero.
    pub(super) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            interval: Duration::MAX,
            seen_at: Duration::ZERO,
            is_batch_small: false,
        }
    }

    /// So many datagrams were there in the round that began at `now`.
    pub(super) fn observe(&mut self, now: Duration, datagrams: usize) {
        let Ok(count @ 1..) = u32::try_from(datagrams) else {
            return;
        };
        let interval = now.saturating_sub(self.seen_at) / count;
        self.seen_at = now;
        self.is_batch_small = datagrams < ENOUGH;
        // After a silence the past tells nothing.
        let is_new = interval > self.limit || self.interval > self.limit;
        self.interval = if is_new {
            interval
        } else {
            self.interval - self.interval / WEIGHT + interval / WEIGHT
        };
    }

    /// How long to sleep before asking for datagrams at `now`, if at all.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let is_fast = self.interval.saturating_mul(WORTH) <= self.limit;
        let is_recent = now.saturating_sub(self.seen_at) <= self.limit * WORTH;
        (is_fast && is_recent && self.is_batch_small && !self.limit.is_zero()).then_some(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(50);

    /// Rounds of `datagrams` each, so many microseconds apart.
    fn after(limit: Duration, rounds: &[(u64, usize)]) -> Option<Duration> {
        let mut coalescer = Coalescer::new(limit);
        let mut now = Duration::ZERO;
        for (micros, datagrams) in rounds {
            now += Duration::from_micros(*micros);
            coalescer.observe(now, *datagrams);
        }
        coalescer.wait(now)
    }

    #[test]
    fn fast_but_small_batches_are_worth_a_wait() {
        assert_eq!(after(LIMIT, &[(16, 1); 20]), Some(LIMIT));
        assert_eq!(after(LIMIT, &[(70, 4); 20]), Some(LIMIT), "and go on being");
    }

    #[test]
    fn light_traffic_never_waits() {
        assert_eq!(after(LIMIT, &[(50, 1); 20]), None);
        assert_eq!(after(LIMIT, &[(20_000, 1); 20]), None);
        assert_eq!(after(LIMIT, &[(20_000, 5); 20]), None, "a burst in silence");
        assert_eq!(after(LIMIT, &[]), None);
    }

    #[test]
    fn large_batches_do_not_wait() {
        assert_eq!(after(LIMIT, &[(64, 64); 20]), None);
    }

    #[test]
    fn a_pause_ends_it() {
        let mut rounds = vec![(16, 1); 20];
        rounds.push((1_000, 1));
        assert_eq!(after(LIMIT, &rounds), None);
    }

    #[test]
    fn zero_switches_it_off() {
        assert_eq!(after(Duration::ZERO, &[(0, 1); 20]), None);
        assert_eq!(after(Duration::ZERO, &[(1, 1); 20]), None);
    }
}
