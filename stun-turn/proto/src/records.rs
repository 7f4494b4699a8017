//! Bound on the log records of [churn](crate::relay::Ended::is_churn): a client that makes and ends
//! allocations all the time would else write the log full. Allocations that were used are recorded.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::buckets::{Buckets, Rate};
use crate::source::Source;

/// Records of one user: one a second, and this many at once.
pub const USER_BURST: u32 = 60;
/// Records a second of one source, whatever its users.
pub const SOURCE_PER_SECOND: u32 = 5;
/// Records of one source at once.
pub const SOURCE_BURST: u32 = 300;

const OF_USER: Rate = Rate {
    per_second: 1,
    burst: USER_BURST,
};
const OF_SOURCE: Rate = Rate {
    per_second: SOURCE_PER_SECOND,
    burst: SOURCE_BURST,
};

/// Token buckets for records, shared by all workers.
#[derive(Debug, Default)]
pub struct Records {
    users: Buckets,
    sources: Buckets,
    left_out: AtomicU64,
}

impl Records {
    /// Whether the end of one of `account`'s allocations leaves a record; counts it otherwise. `now`
    /// is of one clock for all callers.
    pub fn admit(&self, account: &[u8], source: IpAddr, now: Duration) -> bool {
        let source = Source::of(source).bits();
        let is_admitted =
            self.users.spend(account, OF_USER, now) && self.sources.spend(source, OF_SOURCE, now);
        if !is_admitted {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        is_admitted
    }

    /// How many records were left out since the start.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One client made and ended 16,376 allocations in 2.5 s, and the log grew by 5.7 MB.
    #[test]
    fn churn_of_one_user_leaves_few_records_and_is_counted() {
        let records = Records::default();
        let ip = IpAddr::from([192, 0, 2, 1]);
        let ended = (0..16_376_u64).map(|number| Duration::from_micros(number * 153));
        let written = ended.filter(|now| records.admit(b"alice", ip, *now));
        let written = u64::try_from(written.count()).unwrap();
        assert_eq!(written, u64::from(USER_BURST) + 2);
        assert_eq!(records.left_out(), 16_376 - written);
        let elsewhere = IpAddr::from([192, 0, 2, 2]);
        assert!(records.admit(b"bob", elsewhere, Duration::from_secs(3)));
    }

    #[test]
    fn many_users_of_one_source_share_a_bound() {
        let records = Records::default();
        let address = |host: u128| IpAddr::from((0x2001_0db8_u128 << 96 | host).to_be_bytes());
        let written = (0..10_000_u128)
            .filter(|host| {
                let user = host.to_be_bytes();
                records.admit(&user, address(*host), Duration::ZERO)
            })
            .count();
        assert!(written <= SOURCE_BURST as usize, "{written}");
    }
}
