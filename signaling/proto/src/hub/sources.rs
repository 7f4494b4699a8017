//! What each source holds, and the IPv6 networks around it, so that none can take everything.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::pace::{Bucket, Rate};
use crate::source::{Key, Source};

/// What one source may have; the networks around it have multiples of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// Sessions, and as many connections that have not said `hello`.
    pub sessions: usize,
    /// `hello`s that begin a session.
    pub hellos: Rate,
}

/// What a refused token or ticket costs, in `hello`s: guessing is slower than entering.
const FAILURE_COST: u32 = 10;
/// Fewer entries than this are not worth tidying up.
const FEW: usize = 1024;

#[derive(Debug)]
struct Held {
    greeting: usize,
    sessions: usize,
    hellos: Bucket,
}

/// See the module. Nobody (`None`) is this host itself, which is not limited.
#[derive(Debug)]
pub(super) struct Sources {
    limits: SourceLimits,
    held: HashMap<Key, Held>,
    /// With how many entries it is tidied up next.
    tidy_at: usize,
}

impl Sources {
    pub(super) fn new(limits: SourceLimits) -> Self {
        Self {
            limits,
            held: HashMap::new(),
            tidy_at: FEW,
        }
    }

    /// A connection is there; false if its source, or a network around it, has too many that have not said
    /// `hello`.
    pub(super) fn open(&mut self, now: Instant, source: Option<Source>) -> bool {
        let Some(source) = source else { return true };
        if self.held.len() >= self.tidy_at {
            self.held
                .retain(|_, held| held.greeting + held.sessions > 0 || !held.hellos.is_full(now));
            self.tidy_at = FEW.max(self.held.len() * 2);
        }
        let mut is_one_of_few = true;
        for (key, multiple) in source.shares() {
            let held = self.held.entry(key).or_insert_with(|| Held {
                greeting: 0,
                sessions: 0,
                hellos: Bucket::new(now),
            });
            held.greeting += 1;
            is_one_of_few &= held.greeting <= most(self.limits, multiple);
        }
        is_one_of_few
    }

    /// A connection has said `hello`, or is gone.
    pub(super) fn greeted(&mut self, source: Option<Source>) {
        self.change(source, |held, _| held.greeting -= 1);
    }

    /// A `hello` that would begin a session.
    ///
    /// # Errors
    /// With the time to wait, if there are too many; nothing is taken then.
    pub(super) fn take_hello(
        &mut self,
        now: Instant,
        source: Option<Source>,
    ) -> Result<(), Duration> {
        let rate = self.limits.hellos;
        for (key, multiple) in source.into_iter().flat_map(Source::shares) {
            if let Some(held) = self.held.get(&key) {
                let mut tried = held.hellos;
                tried.take(now, rate.times(multiple), 1)?;
            }
        }
        self.change(source, |held, multiple| {
            // It was tried.
            let _ = held.hellos.take(now, rate.times(multiple), 1);
        });
        Ok(())
    }

    /// A token or ticket was refused.
    pub(super) fn note_failure(&mut self, now: Instant, source: Option<Source>) {
        let rate = self.limits.hellos;
        self.change(source, |held, multiple| {
            held.hellos.drain(now, rate.times(multiple), FAILURE_COST);
        });
    }

    /// Whether a source, or a network around it, has as many sessions as it may.
    pub(super) fn is_at_cap(&self, source: Option<Source>) -> bool {
        let mut shares = source.into_iter().flat_map(Source::shares);
        shares.any(|(key, multiple)| {
            let held = self.held.get(&key);
            held.is_some_and(|held| held.sessions >= most(self.limits, multiple))
        })
    }

    /// A session begins, or comes from here now.
    pub(super) fn enter(&mut self, source: Option<Source>) {
        self.change(source, |held, _| held.sessions += 1);
    }

    /// A session ends, or comes from elsewhere now.
    pub(super) fn leave(&mut self, source: Option<Source>) {
        self.change(source, |held, _| held.sessions -= 1);
    }

    /// Counts connections that have not said `hello` and sessions anew.
    pub(super) fn count_anew(
        &mut self,
        greeting: &[Option<Source>],
        sessions: impl Iterator<Item = Option<Source>>,
    ) {
        for held in self.held.values_mut() {
            (held.greeting, held.sessions) = (0, 0);
        }
        for source in greeting {
            self.change(*source, |held, _| held.greeting += 1);
        }
        for source in sessions {
            self.enter(source);
        }
    }

    /// Changes what a source and each network around it hold; the change is told the multiple of the limits.
    fn change(&mut self, source: Option<Source>, change: impl Fn(&mut Held, u32)) {
        for (key, multiple) in source.into_iter().flat_map(Source::shares) {
            if let Some(held) = self.held.get_mut(&key) {
                change(held, multiple);
            }
        }
    }
}

/// Sessions of a source, or of a network that has a multiple of its limits.
const fn most(limits: SourceLimits, multiple: u32) -> usize {
    limits.sessions.saturating_mul(multiple as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_nothing_any_more_is_forgotten() {
        let mut sources = Sources::new(SourceLimits {
            sessions: 1,
            hellos: Rate::with_burst_of_ten_seconds(10),
        });
        let start = Instant::now();
        for number in 0..100_000_u32 {
            let source = Some(Source::alone(number.into()));
            let now = start + Duration::from_millis(number.into());
            assert!(sources.open(now, source));
            assert_eq!(sources.take_hello(now, source), Ok(()));
            sources.greeted(source);
        }
        assert!(sources.held.len() <= FEW * 2, "{}", sources.held.len());
    }

    /// A home has 256 sources, a host often 65,536.
    #[test]
    fn wider_networks_share_multiples_of_a_source_s_limits() {
        let now = Instant::now();
        let mut sources = Sources::new(SourceLimits {
            sessions: 2,
            hellos: Rate::with_burst_of_ten_seconds(1),
        });
        let source = |number: u128| {
            let network = |prefix, bits| Key { prefix, bits };
            let around = [
                (network(56, number >> 8), 8),
                (network(48, number >> 16), 64),
            ];
            Some(Source::within(number, around))
        };
        let enter = |sources: &mut Sources, number| {
            let source = source(number);
            let is_open = sources.open(now, source);
            sources.greeted(source);
            let may = is_open && sources.take_hello(now, source).is_ok();
            let enters = may && !sources.is_at_cap(source);
            if enters {
                sources.enter(source);
            }
            enters
        };
        let mut entered = |numbers: std::ops::Range<u128>| -> usize {
            let tries = numbers.flat_map(|it| [it; 3]);
            tries.filter(|it| enter(&mut sources, *it)).count()
        };
        assert_eq!(entered(0..256), 2 * 8);
        assert_eq!(entered(256..20_000), 2 * 64 - 2 * 8);
        assert_eq!(entered(65_536..65_537), 2, "another /48");
        // Each of the home's sources greets once more than all of it may.
        let home: Vec<_> = (0..17).map(source).collect();
        let greeting = home.iter().filter(|it| sources.open(now, **it));
        assert_eq!(greeting.count(), 2 * 8);
        for source in home {
            sources.greeted(source);
        }
    }

    #[test]
    fn a_network_s_rate_is_a_multiple_and_what_it_refuses_costs_nothing() {
        let now = Instant::now();
        let rate = Rate::with_burst_of_ten_seconds(1);
        let mut sources = Sources::new(SourceLimits {
            sessions: usize::MAX,
            hellos: rate,
        });
        let home = Key {
            prefix: 56,
            bits: 7,
        };
        let source = |number| Some(Source::within(number, [(home, 2)]));
        let mut taken = |number: u128| -> usize {
            sources.open(now, source(number));
            let tries = (0..100).filter(|_| sources.take_hello(now, source(number)).is_ok());
            tries.count()
        };
        assert_eq!([taken(1), taken(2), taken(3)], [10, 10, 0]);
        let own = sources.held[&source(3).unwrap().own()].hellos;
        assert!(own.is_full(now));
    }
}
