//! How much is answered to whoever has not shown that they receive at their address.
//!
//! Anybody can write anybody's address on a datagram, so every reply to a stranger may be one that
//! a victim never asked for. A source ([`Source`]) has [`BURST`] error replies at once and
//! [`PER_SECOND`] a second after that. Each request that authenticates, which nobody can do without
//! having received a nonce, earns [`EARNED`] more: many clients behind one address soon have all
//! that they need, and a flood in a victim's name earns nothing.
//!
//! The table never grows: sources that fall on the same slot of a keyed hash share its budget.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::source::Source;

/// Error replies that a source may be sent at once.
pub const BURST: u32 = 50;
/// Error replies a second beyond it.
pub const PER_SECOND: u32 = 10;
/// What one authenticated request adds.
pub const EARNED: u32 = 10;
/// The most that a source may have earned.
pub const MAX: u32 = 1000;
/// Sources that are told apart; 128 KiB in all.
const SLOTS: usize = 1 << 14;

/// How far back a clock may seem to step.
const STEP_BACK_MS: u32 = 60_000;

/// A reply, in the unit of the slots.
const REPLY: u32 = 1000;

/// The budgets of all sources, shared by all workers.
pub struct Budget {
    /// Milliseconds of the last change, and thousandths of replies left.
    slots: Box<[AtomicU64]>,
    /// Keyed at random, so that nobody can choose whose slot to share.
    hasher: RandomState,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Budget of {} slots", self.slots.len())
    }
}

impl Default for Budget {
    fn default() -> Self {
        let full = || AtomicU64::new(pack(0, BURST * REPLY));
        Self {
            slots: std::iter::repeat_with(full).take(SLOTS).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Budget {
    /// Takes one reply; false when there is none left. `now` is of one clock for all callers.
    pub(crate) fn spend(&self, ip: IpAddr, now: Duration) -> bool {
        self.change(ip, now, |left| left.checked_sub(REPLY))
    }

    /// Adds what an authenticated request earns.
    pub(crate) fn earn(&self, ip: IpAddr, now: Duration) {
        let earned =
            |left: u32| (left < MAX * REPLY).then(|| (left + EARNED * REPLY).min(MAX * REPLY));
        self.change(ip, now, earned);
    }

    /// Replaces what a source has left at `now`, unless `change` refuses.
    fn change(&self, ip: IpAddr, now: Duration, change: impl Fn(u32) -> Option<u32>) -> bool {
        let index = self.hasher.hash_one(Source::of(ip).bits()) as usize % SLOTS;
        let Some(slot) = self.slots.get(index) else {
            return false;
        };
        // The clock may wrap: only differences count, and a source that is silent for 49 days has
        // a full budget or a bit less.
        let now_ms = now.as_millis() as u32;
        let update = |packed| change(left_at(packed, now_ms)).map(|left| pack(now_ms, left));
        slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
            .is_ok()
    }
}

const fn pack(at_ms: u32, left: u32) -> u64 {
    (at_ms as u64) << 32 | left as u64
}

/// What is left after the time that has passed. What was earned beyond the burst stays, but nothing
/// grows beyond the burst by itself.
fn left_at(packed: u64, now_ms: u32) -> u32 {
    let (at_ms, left) = ((packed >> 32) as u32, packed as u32);
    // Workers read their clocks one after the other: a little back is no time, not 49 days. (Half of
    // all differences were once taken for a little, and who came back after 25 days got nothing.)
    let passed_ms = now_ms.wrapping_sub(at_ms);
    let passed_ms = if passed_ms > u32::MAX - STEP_BACK_MS {
        0
    } else {
        passed_ms
    };
    let refilled = left.saturating_add(passed_ms.saturating_mul(PER_SECOND * REPLY / 1000));
    refilled.min(left.max(BURST * REPLY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VICTIM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn answered(budget: &Budget, ip: IpAddr, asked: u32, at: Duration) -> u32 {
        (0..asked).map(|_| u32::from(budget.spend(ip, at))).sum()
    }

    #[test]
    fn a_burst_and_then_ten_a_second() {
        let budget = Budget::default();
        assert_eq!(answered(&budget, VICTIM, 1000, Duration::ZERO), BURST);
        assert_eq!(
            answered(&budget, VICTIM, 1000, Duration::from_secs(1)),
            PER_SECOND
        );
        assert_eq!(
            answered(&budget, VICTIM, 1000, Duration::from_millis(1050)),
            0
        );
        assert_eq!(
            answered(&budget, VICTIM, 1000, Duration::from_secs(3600)),
            BURST
        );
    }

    #[test]
    fn who_authenticates_earns_more_up_to_a_bound() {
        let budget = Budget::default();
        assert_eq!(answered(&budget, VICTIM, 1000, Duration::ZERO), BURST);
        budget.earn(VICTIM, Duration::ZERO);
        assert_eq!(answered(&budget, VICTIM, 1000, Duration::ZERO), EARNED);
        for _ in 0..10_000 {
            budget.earn(VICTIM, Duration::ZERO);
        }
        // It lasts, but does not grow.
        assert_eq!(
            answered(&budget, VICTIM, 2 * MAX, Duration::from_secs(9)),
            MAX
        );
    }

    #[test]
    fn an_ipv6_network_shares_one_budget() {
        let budget = Budget::default();
        let answered: u32 = (0..1000_u128)
            .map(|host| {
                let ip = std::net::Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | host);
                u32::from(budget.spend(ip.into(), Duration::ZERO))
            })
            .sum();
        assert_eq!(answered, BURST);
    }

    #[test]
    fn many_sources_do_not_refill_anybody_s_budget() {
        let budget = Budget::default();
        answered(&budget, VICTIM, BURST, Duration::ZERO);
        for bits in 0..100_000_u32 {
            budget.spend(
                std::net::Ipv4Addr::from_bits(0x0A00_0000 + bits).into(),
                Duration::ZERO,
            );
        }
        assert!(!budget.spend(VICTIM, Duration::ZERO));
        assert_eq!(budget.slots.len(), SLOTS);
    }

    /// Whoever could choose sources that share a victim's slot would use up the victim's budget.
    #[test]
    fn who_shares_a_slot_is_another_one_in_each_server() {
        let refused_with_victim = |ips: &mut dyn Iterator<Item = IpAddr>| -> Vec<IpAddr> {
            let budget = Budget::default();
            answered(&budget, VICTIM, BURST, Duration::ZERO);
            ips.filter(|ip| !budget.spend(*ip, Duration::ZERO))
                .collect()
        };
        let everybody = 0x0A00_0000_u32..0x0A04_0000;
        let mut everybody = everybody.map(|bits| std::net::Ipv4Addr::from_bits(bits).into());
        // Some sixteen of 262,144 in 16,384 slots.
        let here = refused_with_victim(&mut everybody);
        assert!(!here.is_empty());
        let elsewhere = refused_with_victim(&mut here.iter().copied());
        assert!(elsewhere.len() < 2, "{here:?}, {elsewhere:?}");
    }

    #[test]
    fn who_comes_back_after_weeks_is_answered() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        for days in [1, 24, 25, 30, 49] {
            let budget = Budget::default();
            answered(&budget, VICTIM, BURST, Duration::ZERO);
            assert!(budget.spend(VICTIM, DAY * days), "{days} days later");
        }
    }

    #[test]
    fn a_clock_that_wraps_or_steps_back_a_little_is_no_gift() {
        let wrap = Duration::from_millis(u32::MAX.into());
        let budget = Budget::default();
        answered(&budget, VICTIM, BURST, wrap);
        assert!(!budget.spend(VICTIM, wrap - Duration::from_millis(5)));
        assert_eq!(
            answered(&budget, VICTIM, 1000, wrap + Duration::from_secs(1)),
            PER_SECOND
        );
    }
}
