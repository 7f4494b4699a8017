//! Quotas of allocations: in total, of one user, from one source.
//!
//! A user and a source may also make only as many allocations a second as their quota permits at
//! once ([`MIN_PER_SECOND`] at least), with a burst of [`BURST_S`] times that: allocations that are
//! made and given back at once would else use up the ports that have not rested.
//!
//! A place is held by a value (`Place`) that lies within the allocation or reservation it was
//! taken for and is given back when that is dropped, so that no way to end one can forget it. All
//! workers share the counts; only Allocate requests and endings come here, never a packet.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::attribute::ErrorCode;
use crate::buckets::{Buckets, Rate};
use crate::source::{NETWORKS, Network, Source};

/// Seconds of a rate of allocations that may be used at once.
pub const BURST_S: u32 = 10;
/// The lowest rate of allocations: a client of a user with one allocation may lose its connection
/// several times in a row.
pub const MIN_PER_SECOND: u32 = 10;

/// How many are admitted; `None` for any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Allocations and reservations of the whole server.
    pub total: Option<u32>,
    /// Of one user.
    pub per_user: Option<u32>,
    /// From one IPv4 address or one IPv6 /64.
    pub per_source: Option<u32>,
}

impl QuotaLimits {
    /// Any number.
    pub const NONE: Self = Self {
        total: None,
        per_user: None,
        per_source: None,
    };
}

/// Which quota or rate refuses an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// The server has as many as it may.
    Total,
    /// The user has as many as it may.
    User,
    /// The source has as many as it may.
    Source,
    /// The user makes them too fast.
    UserRate,
    /// The source makes them too fast.
    SourceRate,
    /// The IPv6 network around the source has as many as it may.
    Network,
    /// The IPv6 network around the source makes them too fast.
    NetworkRate,
}

impl Exceeded {
    /// What the client is told.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Total => ErrorCode::InsufficientCapacity,
            Self::User
            | Self::Source
            | Self::UserRate
            | Self::SourceRate
            | Self::Network
            | Self::NetworkRate => ErrorCode::AllocationQuotaReached,
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Total => "the relay has as many allocations as --max-allocations permits",
            Self::User => "the user has as many allocations as --user-quota permits",
            Self::Source => "the source has as many allocations as --source-quota permits",
            Self::UserRate => "the user makes more allocations a second than --user-quota permits",
            Self::SourceRate => {
                "the source makes more allocations a second than --source-quota permits"
            }
            Self::Network => {
                "the /56 or /48 around the source has as many allocations as 8 or 64 times \
                 --source-quota permit"
            }
            Self::NetworkRate => {
                "the /56 or /48 around the source makes more allocations a second than 8 or 64 times \
                 --source-quota permit"
            }
        })
    }
}

/// The counts of a server.
#[derive(Debug, Default)]
pub struct Quotas {
    counts: Mutex<Counts>,
    /// Allocations that users may still make.
    of_users: Buckets,
    /// Allocations that sources may still make.
    of_sources: Buckets,
    /// Allocations that the networks around them may still make.
    of_networks: [Buckets; NETWORKS.len()],
}

#[derive(Debug, Default)]
struct Counts {
    total: u32,
    by_user: HashMap<Arc<[u8]>, u32>,
    by_source: HashMap<Source, u32>,
    by_network: HashMap<Network, u32>,
}

/// One allocation's or reservation's share; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    quotas: Arc<Quotas>,
    user: Arc<[u8]>,
    source: Source,
}

impl Quotas {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Nothing between the changes of the three counts can panic.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many allocations and reservations hold a place.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.lock().total
    }

    /// Takes a place for `user` who comes from `source`. `now` is of one clock for all callers.
    ///
    /// # Errors
    /// Which one is exceeded.
    pub(crate) fn take(
        self: &Arc<Self>,
        limits: QuotaLimits,
        user: &[u8],
        source: IpAddr,
        now: Duration,
    ) -> Result<Place, Exceeded> {
        let source = Source::of(source);
        let mut counts = self.lock();
        let is_full = |count: u32, limit: Option<u32>| limit.is_some_and(|limit| count >= limit);
        if is_full(counts.total, limits.total) {
            return Err(Exceeded::Total);
        }
        let of_user = counts.by_user.get(user).copied().unwrap_or(0);
        let of_source = counts.by_source.get(&source).copied().unwrap_or(0);
        if is_full(of_user, limits.per_user) {
            return Err(Exceeded::User);
        }
        if is_full(of_source, limits.per_source) {
            return Err(Exceeded::Source);
        }
        for (network, multiple) in source.networks() {
            let of_network = counts.by_network.get(&network).copied().unwrap_or(0);
            let limit = limits
                .per_source
                .map(|limit| limit.saturating_mul(multiple));
            if is_full(of_network, limit) {
                return Err(Exceeded::Network);
            }
        }
        self.spend(limits, user, source, now)?;
        // One copy of the name for all of a user's places.
        let user = match counts.by_user.get_key_value(user) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(user),
        };
        counts.total += 1;
        *counts.by_user.entry(Arc::clone(&user)).or_insert(0) += 1;
        *counts.by_source.entry(source).or_insert(0) += 1;
        for (network, _) in source.networks() {
            *counts.by_network.entry(network).or_insert(0) += 1;
        }
        drop(counts);
        Ok(Place {
            quotas: Arc::clone(self),
            user,
            source,
        })
    }

    /// Takes one more out of the rates of the user and the source.
    fn spend(
        &self,
        limits: QuotaLimits,
        user: &[u8],
        source: Source,
        now: Duration,
    ) -> Result<(), Exceeded> {
        let (user_rate, source_rate) = (rate(limits.per_user), rate(limits.per_source));
        // The user first: one that is too fast costs others of its source nothing.
        if !user_rate.is_none_or(|rate| self.of_users.spend(user, rate, now)) {
            return Err(Exceeded::UserRate);
        }
        if !source_rate.is_none_or(|rate| self.of_sources.spend(source, rate, now)) {
            return Err(Exceeded::SourceRate);
        }
        for ((network, multiple), buckets) in source.networks().zip(&self.of_networks) {
            let rate = source_rate.map(|rate| rate.times(multiple));
            if !rate.is_none_or(|rate| buckets.spend(network, rate, now)) {
                return Err(Exceeded::NetworkRate);
            }
        }
        Ok(())
    }
}

/// The rate that goes with a quota.
fn rate(quota: Option<u32>) -> Option<Rate> {
    let per_second = quota?.max(MIN_PER_SECOND);
    Some(Rate {
        per_second,
        burst: per_second.saturating_mul(BURST_S),
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.quotas.lock();
        counts.total = counts.total.saturating_sub(1);
        give_back(&mut counts.by_user, &self.user);
        give_back(&mut counts.by_source, &self.source);
        for (network, _) in self.source.networks() {
            give_back(&mut counts.by_network, &network);
        }
    }
}

/// One less; nothing is kept of whoever has none left.
fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `asked` allocations are made that end at once.
    fn made(
        quotas: &Arc<Quotas>,
        limits: QuotaLimits,
        (user, source): (&str, &str),
        (asked, at): (u32, Duration),
    ) -> u32 {
        let take = |_| quotas.take(limits, user.as_bytes(), ip(source), at);
        (0..asked).map(|it| u32::from(take(it).is_ok())).sum()
    }

    #[test]
    fn who_makes_and_ends_allocations_makes_as_many_a_second_as_the_quota() {
        let quotas = Arc::new(Quotas::default());
        let limits = QuotaLimits {
            per_user: Some(20),
            per_source: Some(50),
            ..QuotaLimits::NONE
        };
        let (home, later) = ("192.0.2.1", Duration::from_secs(1));
        let alice = |asked, at| made(&quotas, limits, ("alice", home), (asked, at));
        assert_eq!(alice(1000, Duration::ZERO), 20 * BURST_S);
        assert_eq!(alice(1000, later), 20);
        assert_eq!(quotas.total(), 0);
        // What she asked for in vain took nothing from others of her source.
        let others = QuotaLimits {
            per_user: None,
            ..limits
        };
        let of_others = made(&quotas, others, ("bob", home), (1000, Duration::ZERO));
        assert_eq!(of_others, 50 * BURST_S - 20 * BURST_S - 20 + 50);
        let elsewhere = ("alice", "192.0.2.2");
        assert_eq!(made(&quotas, limits, elsewhere, (1000, later)), 0);
        let unlimited = QuotaLimits::NONE;
        assert_eq!(made(&quotas, unlimited, elsewhere, (1000, later)), 1000);
    }

    #[test]
    fn a_place_is_free_again_when_its_holder_is_dropped() {
        let quotas = Arc::new(Quotas::default());
        let limits = QuotaLimits {
            total: Some(3),
            per_user: Some(2),
            per_source: None,
        };
        let home = ip("192.0.2.1");
        let first = quotas.take(limits, b"alice", home, Duration::ZERO).unwrap();
        let _second = quotas.take(limits, b"alice", home, Duration::ZERO).unwrap();
        let refused = quotas.take(limits, b"alice", ip("192.0.2.2"), Duration::ZERO);
        assert_eq!(refused.unwrap_err(), Exceeded::User);
        let _bob = quotas.take(limits, b"bob", home, Duration::ZERO).unwrap();
        let refused = quotas.take(limits, b"carol", home, Duration::ZERO);
        assert_eq!(refused.unwrap_err(), Exceeded::Total);
        drop(first);
        assert_eq!(quotas.total(), 2);
        assert!(quotas.take(limits, b"alice", home, Duration::ZERO).is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let quotas = Arc::new(Quotas::default());
        let limits = QuotaLimits {
            per_source: Some(1),
            ..QuotaLimits::NONE
        };
        let _held = quotas
            .take(limits, b"alice", ip("2001:db8:1:2::1"), Duration::ZERO)
            .unwrap();
        assert!(
            quotas
                .take(limits, b"bob", ip("2001:db8:1:2:ffff::9"), Duration::ZERO)
                .is_err()
        );
        assert!(
            quotas
                .take(limits, b"bob", ip("2001:db8:1:3::1"), Duration::ZERO)
                .is_ok()
        );
    }

    /// A home has 256 sources, a host often 65,536.
    #[test]
    fn wider_ipv6_networks_share_multiples_of_a_source_s_quota() {
        let quotas = Arc::new(Quotas::default());
        let limits = QuotaLimits {
            per_source: Some(2),
            ..QuotaLimits::NONE
        };
        let take = |number: u128| {
            let source = IpAddr::from((0x2001_0db8_u128 << 96 | number << 64).to_be_bytes());
            quotas.take(limits, &number.to_be_bytes(), source, Duration::ZERO)
        };
        let home: Vec<_> = (0..256)
            .flat_map(|it| [take(it), take(it), take(it)])
            .collect();
        assert_eq!(home.iter().flatten().count(), 2 * 8);
        assert_eq!(take(9).unwrap_err(), Exceeded::Network);
        let host: Vec<_> = (256..40_000).map(take).collect();
        assert_eq!(home.iter().chain(&host).flatten().count(), 2 * 64);
        assert!(take(1 << 16).is_ok(), "another /48");
        let unlimited = quotas.take(QuotaLimits::NONE, b"a", ip("2001:db8::1"), Duration::ZERO);
        assert!(unlimited.is_ok());
        drop((home, host, unlimited));
        let rate = limits.per_source.unwrap().max(MIN_PER_SECOND) * BURST_S;
        let later = Duration::from_secs(3600);
        let churn = (0..65_536_u128).filter(|number| {
            let source = IpAddr::from((0x2001_0db9_u128 << 96 | *number << 64).to_be_bytes());
            quotas
                .take(limits, &number.to_be_bytes(), source, later)
                .is_ok()
        });
        assert_eq!(churn.count(), rate as usize * 64);
        assert!(quotas.lock().by_network.is_empty());
    }

    #[test]
    fn nothing_is_kept_of_users_who_left() {
        let quotas = Arc::new(Quotas::default());
        for number in 0..1000_u32 {
            let user = number.to_string();
            drop(quotas.take(
                QuotaLimits::NONE,
                user.as_bytes(),
                ip("192.0.2.1"),
                Duration::ZERO,
            ));
        }
        let counts = quotas.lock();
        assert_eq!(
            (counts.total, counts.by_user.len(), counts.by_source.len()),
            (0, 0, 0)
        );
    }
}
