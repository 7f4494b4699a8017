//! Holds back connections that send too much, alone or together with others of their source or of the
//! IPv6 networks around it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use signaling_proto::pace::{Bucket, Pace, Rate, Verdict, frame_cost};
use signaling_proto::source::{Key, Source};
use tokio::time::sleep;

/// Fewer entries than this are not worth tidying up.
const FEW: usize = 1024;

/// What may come how fast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Frames of one connection.
    pub(crate) connection: Rate,
    /// Frames of all connections of one source; the networks around it have multiples.
    pub(crate) source: Rate,
}

/// Hands out [`Throttle`]s.
#[derive(Debug)]
pub(crate) struct Throttles {
    rates: Rates,
    sources: Mutex<Sources>,
}

#[derive(Debug)]
struct Sources {
    buckets: HashMap<Key, Arc<Mutex<Bucket>>>,
    /// With how many entries it is tidied up next.
    tidy_at: usize,
}

/// Of one connection.
#[derive(Debug)]
pub(crate) struct Throttle {
    own: Pace,
    /// Of its source and the networks around it, from the narrow to the wide, which is also the order of
    /// locking. Empty for this host itself.
    shared: Vec<(Arc<Mutex<Bucket>>, Rate)>,
}

/// A connection does not slow down although it is held back.
#[derive(Debug)]
pub(crate) struct Flood;

impl Throttles {
    pub(crate) fn new(rates: Rates) -> Self {
        Self {
            rates,
            sources: Mutex::new(Sources {
                buckets: HashMap::new(),
                tidy_at: FEW,
            }),
        }
    }

    /// For a connection that begins now.
    pub(crate) fn begin(&self, source: Option<Source>) -> Throttle {
        Throttle {
            own: Pace::new(Instant::now(), self.rates.connection),
            shared: source
                .into_iter()
                .flat_map(Source::shares)
                .map(|(key, multiple)| (self.bucket(key), self.rates.source.times(multiple)))
                .collect(),
        }
    }

    fn bucket(&self, key: Key) -> Arc<Mutex<Bucket>> {
        // Every change is complete before anything can panic.
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.buckets.len() >= sources.tidy_at {
            // One that is not full is remembered, or else a new connection would be worth a new burst.
            let now = Instant::now();
            sources.buckets.retain(|_, bucket| {
                let is_full = || lock(bucket).is_full(now);
                Arc::strong_count(bucket) > 1 || !is_full()
            });
            sources.tidy_at = FEW.max(sources.buckets.len() * 2);
        }
        let bucket = sources.buckets.entry(key);
        Arc::clone(bucket.or_insert_with(|| Arc::new(Mutex::new(Bucket::new(Instant::now())))))
    }
}

fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Throttle {
    /// Waits until one more frame of so many bytes may come.
    pub(crate) async fn pass(&mut self, bytes: usize) -> Result<(), Flood> {
        let cost = frame_cost(bytes);
        loop {
            match self.own.take(Instant::now(), cost) {
                Verdict::Go => break,
                Verdict::Wait(wait) => sleep(wait).await,
                Verdict::Flood => return Err(Flood),
            }
        }
        while let Err(wait) = self.take_shared(cost) {
            sleep(wait).await;
        }
        Ok(())
    }

    /// Takes tokens of everything that is shared, or of nothing.
    fn take_shared(&self, cost: u32) -> Result<(), std::time::Duration> {
        let now = Instant::now();
        let mut buckets = Vec::with_capacity(self.shared.len());
        for (bucket, rate) in &self.shared {
            let bucket = lock(bucket);
            let mut after = *bucket;
            after.take(now, *rate, cost)?;
            buckets.push((bucket, after));
        }
        for (mut bucket, after) in buckets {
            *bucket = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_of_one_source_share_its_bucket_and_those_of_others_do_not() {
        let plenty = Rate::with_burst_of_ten_seconds(1_000_000);
        let throttles = Throttles::new(Rates {
            connection: plenty,
            source: Rate {
                per_second: 20,
                burst: 10,
            },
        });
        let source = |number| Some(Source::alone(number));
        let (mut first, mut second) = (throttles.begin(source(1)), throttles.begin(source(1)));
        let since = Instant::now();
        for _ in 0..10 {
            first.pass(1).await.unwrap();
            second.pass(1).await.unwrap();
        }
        // Half of them had to wait for 50 ms each.
        assert!(since.elapsed().as_millis() >= 450, "{:?}", since.elapsed());
        for other in [source(2), None] {
            let throttle = throttles.begin(other);
            assert!(throttle.take_shared(1).is_ok());
        }
        assert!(throttles.begin(source(1)).take_shared(1).is_err());
    }

    #[test]
    fn a_network_has_a_multiple_and_a_source_that_is_too_fast_takes_nothing_of_it() {
        let throttles = Throttles::new(Rates {
            connection: Rate::with_burst_of_ten_seconds(1_000_000),
            source: Rate {
                per_second: 1,
                burst: 1000,
            },
        });
        let home = Key {
            prefix: 56,
            bits: 7,
        };
        let taken = |number| {
            let throttle = throttles.begin(Some(Source::within(number, [(home, 2)])));
            let is_taken = |_: &u32| throttle.take_shared(100).is_ok();
            (0..100).filter(is_taken).count()
        };
        // A burst is ten times 100; what is refilled meanwhile is less than one.
        assert_eq!([taken(1), taken(2), taken(3)], [10, 10, 0]);
    }

    #[tokio::test]
    async fn who_comes_back_has_no_new_burst() {
        // However slow the machine is, what comes back in the meantime is no burst.
        const BURST: u32 = 1000;
        let throttles = Throttles::new(Rates {
            connection: Rate::with_burst_of_ten_seconds(1_000_000),
            source: Rate {
                per_second: 1,
                burst: BURST,
            },
        });
        let mut first = throttles.begin(Some(Source::alone(1)));
        for _ in 0..BURST {
            first.pass(1).await.unwrap();
        }
        drop(first);
        // Others come by the thousand.
        for number in 2..100_000_u32 {
            throttles.begin(Some(Source::alone(number.into())));
        }
        let again = throttles.begin(Some(Source::alone(1)));
        let mut taken = (0..BURST).map(|_| again.take_shared(1));
        assert!(taken.any(|taken| taken.is_err()));
    }

    #[test]
    fn sources_that_are_gone_are_forgotten() {
        let rate = Rate::with_burst_of_ten_seconds(1);
        let throttles = Throttles::new(Rates {
            connection: rate,
            source: rate,
        });
        for number in 0..100_000_u32 {
            throttles.begin(Some(Source::alone(number.into())));
        }
        let sources = throttles.sources.lock().unwrap();
        assert!(sources.buckets.len() <= FEW, "{}", sources.buckets.len());
    }
}
