//! Token buckets in a table that never grows.
//!
//! Keys that fall on the same slot of a randomly keyed hash share a bucket: nobody can choose whose
//! slot to share. All workers share a table.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Keys that are told apart; 128 KiB in all.
const SLOTS: usize = 1 << 14;
/// How far back a clock may seem to step.
const STEP_BACK_MS: u32 = 60_000;
/// A token, in the unit of the slots.
const TOKEN: u32 = 1000;
/// A slot whose bucket is full because nobody has used it.
const UNTOUCHED: u64 = u64::MAX;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Tokens a second.
    pub(crate) per_second: u32,
    /// Tokens of a full bucket.
    pub(crate) burst: u32,
}

/// The buckets of all keys.
pub(crate) struct Buckets {
    /// Milliseconds of the last change, and thousandths of tokens left.
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl std::fmt::Debug for Buckets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} buckets", self.slots.len())
    }
}

impl Default for Buckets {
    fn default() -> Self {
        let untouched = || AtomicU64::new(UNTOUCHED);
        Self {
            slots: std::iter::repeat_with(untouched).take(SLOTS).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Buckets {
    /// Takes one token; false when there is none left. `now` is of one clock for all callers.
    pub(crate) fn spend(&self, key: impl Hash, rate: Rate, now: Duration) -> bool {
        self.change(key, rate, now, |left| left.checked_sub(TOKEN))
    }

    /// Adds tokens, of which at most `max` stay.
    pub(crate) fn earn(
        &self,
        key: impl Hash,
        rate: Rate,
        now: Duration,
        (earned, max): (u32, u32),
    ) {
        let (earned, max) = (thousandths(earned), thousandths(max));
        self.change(key, rate, now, |left| {
            (left < max).then(|| left.saturating_add(earned).min(max))
        });
    }

    /// Replaces what a key has left at `now`, unless `change` refuses.
    fn change(
        &self,
        key: impl Hash,
        rate: Rate,
        now: Duration,
        change: impl Fn(u32) -> Option<u32>,
    ) -> bool {
        let index = self.hasher.hash_one(key) as usize % SLOTS;
        let Some(slot) = self.slots.get(index) else {
            return false;
        };
        // The clock may wrap: only differences count, and a key that is silent for 49 days has
        // a full bucket or a bit less.
        let now_ms = now.as_millis() as u32;
        let update = |packed| change(rate.left_at(packed, now_ms)).map(|left| pack(now_ms, left));
        slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
            .is_ok()
    }
}

impl Rate {
    /// So many times as fast and as much.
    pub(crate) const fn times(self, multiple: u32) -> Self {
        Self {
            per_second: self.per_second.saturating_mul(multiple),
            burst: self.burst.saturating_mul(multiple),
        }
    }

    /// What is left after the time that has passed. What was earned beyond the burst stays, but
    /// nothing grows beyond the burst by itself.
    fn left_at(self, packed: u64, now_ms: u32) -> u32 {
        let full = thousandths(self.burst);
        if packed == UNTOUCHED {
            return full;
        }
        let (at_ms, left) = ((packed >> 32) as u32, packed as u32);
        // Workers read their clocks one after the other: a little back is no time, not 49 days.
        // More than a little is time: a key that comes back after 25 days has a full bucket.
        let passed_ms = now_ms.wrapping_sub(at_ms);
        let passed_ms = if passed_ms > u32::MAX - STEP_BACK_MS {
            0
        } else {
            passed_ms
        };
        // A token a second is a thousandth a millisecond.
        let refilled = left.saturating_add(passed_ms.saturating_mul(self.per_second));
        refilled.min(left.max(full))
    }
}

/// Never so many that a slot looks untouched.
fn thousandths(tokens: u32) -> u32 {
    tokens.saturating_mul(TOKEN).min(u32::MAX - 1)
}

const fn pack(at_ms: u32, left: u32) -> u64 {
    (at_ms as u64) << 32 | left as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 50,
    };

    fn spent(buckets: &Buckets, key: u32, rate: Rate, asked: u32, at: Duration) -> u32 {
        let spend = |_| u32::from(buckets.spend(key, rate, at));
        (0..asked).map(spend).sum()
    }

    #[test]
    fn many_keys_do_not_refill_anybody_s_bucket() {
        let buckets = Buckets::default();
        spent(&buckets, 0, RATE, 50, Duration::ZERO);
        for key in 1..100_000_u32 {
            buckets.spend(key, RATE, Duration::ZERO);
        }
        assert!(!buckets.spend(0_u32, RATE, Duration::ZERO));
        assert_eq!(buckets.slots.len(), SLOTS);
    }

    #[test]
    fn who_comes_back_after_weeks_has_tokens() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        for days in [1, 24, 25, 30, 49] {
            let buckets = Buckets::default();
            spent(&buckets, 0, RATE, 50, Duration::ZERO);
            assert!(buckets.spend(0_u32, RATE, DAY * days), "{days} days later");
        }
    }

    #[test]
    fn a_clock_that_wraps_or_steps_back_a_little_is_no_gift() {
        let wrap = Duration::from_millis(u32::MAX.into());
        let buckets = Buckets::default();
        spent(&buckets, 0, RATE, 50, wrap);
        assert!(!buckets.spend(0_u32, RATE, wrap - Duration::from_millis(5)));
        let later = wrap + Duration::from_secs(1);
        assert_eq!(spent(&buckets, 0, RATE, 1000, later), 10);
    }

    #[test]
    fn the_largest_rate_is_no_overflow() {
        let most = Rate {
            per_second: u32::MAX,
            burst: u32::MAX,
        };
        let buckets = Buckets::default();
        for second in 0..3 {
            let at = Duration::from_secs(second);
            assert_eq!(spent(&buckets, 0, most, 1000, at), 1000);
        }
    }

    /// A reload changes rates while buckets are in use.
    #[test]
    fn a_smaller_rate_takes_nothing_back_and_a_larger_one_gives_nothing_at_once() {
        let buckets = Buckets::default();
        let small = Rate {
            per_second: 1,
            burst: 2,
        };
        assert_eq!(spent(&buckets, 0, RATE, 10, Duration::ZERO), 10);
        assert_eq!(spent(&buckets, 0, small, 100, Duration::ZERO), 40);
        assert_eq!(spent(&buckets, 0, RATE, 100, Duration::ZERO), 0);
    }
}
