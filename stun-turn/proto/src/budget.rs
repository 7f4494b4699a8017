//! Budget for replies to sources that have not shown that they receive at their address.
//!
//! Anybody can write anybody's address on a datagram, so every reply to a stranger may be one that
//! a victim never asked for. A source ([`Source`]) has [`BURST`] error replies at once and
//! [`PER_SECOND`] a second after that. Each request that authenticates, which nobody can do without
//! having received a nonce, earns [`EARNED`] more: many clients behind one address soon have all
//! that they need, and a flood in a victim's name earns nothing.
//!
//! The table never grows: sources that fall on the same slot of a keyed hash share its budget.

use std::net::IpAddr;
use std::time::Duration;

use crate::buckets::{Buckets, Rate};
use crate::source::Source;

/// Error replies that a source may be sent at once.
pub const BURST: u32 = 50;
/// Error replies a second beyond it.
pub const PER_SECOND: u32 = 10;
/// What one authenticated request adds.
pub const EARNED: u32 = 10;
/// The most that a source may have earned.
pub const MAX: u32 = 1000;

const RATE: Rate = Rate {
    per_second: PER_SECOND,
    burst: BURST,
};

/// The budgets of all sources, shared by all workers.
#[derive(Debug, Default)]
pub struct Budget(Buckets);

impl Budget {
    /// Takes one reply; false when there is none left. `now` is of one clock for all callers.
    pub(crate) fn spend(&self, ip: IpAddr, now: Duration) -> bool {
        self.0.spend(Source::of(ip).bits(), RATE, now)
    }

    /// Adds what an authenticated request earns.
    pub(crate) fn earn(&self, ip: IpAddr, now: Duration) {
        let source = Source::of(ip).bits();
        self.0.earn(source, RATE, now, (EARNED, MAX));
    }
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
}
