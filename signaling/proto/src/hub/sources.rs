//! What each source holds, so that none can take everything.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::pace::{Bucket, Rate};
use crate::source::Source;

/// What one source may have.
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
    held: HashMap<Source, Held>,
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

    /// A connection is there; false if its source has too many that have not said `hello`.
    pub(super) fn open(&mut self, now: Instant, source: Option<Source>) -> bool {
        let Some(source) = source else { return true };
        if self.held.len() >= self.tidy_at {
            self.held
                .retain(|_, held| held.greeting + held.sessions > 0 || !held.hellos.is_full(now));
            self.tidy_at = FEW.max(self.held.len() * 2);
        }
        let held = self.held.entry(source).or_insert_with(|| Held {
            greeting: 0,
            sessions: 0,
            hellos: Bucket::new(now),
        });
        held.greeting += 1;
        held.greeting <= self.limits.sessions
    }

    /// A connection has said `hello`, or is gone.
    pub(super) fn greeted(&mut self, source: Option<Source>) {
        if let Some(held) = self.of(source) {
            held.greeting -= 1;
        }
    }

    /// A `hello` that would begin a session.
    ///
    /// # Errors
    /// With the time to wait, if there are too many.
    pub(super) fn take_hello(
        &mut self,
        now: Instant,
        source: Option<Source>,
    ) -> Result<(), Duration> {
        let rate = self.limits.hellos;
        self.of(source)
            .map_or(Ok(()), |held| held.hellos.take(now, rate, 1))
    }

    /// A token or ticket was refused.
    pub(super) fn note_failure(&mut self, now: Instant, source: Option<Source>) {
        let rate = self.limits.hellos;
        if let Some(held) = self.of(source) {
            held.hellos.drain(now, rate, FAILURE_COST);
        }
    }

    /// Whether a source has as many sessions as it may.
    pub(super) fn is_at_cap(&self, source: Option<Source>) -> bool {
        let held = source.and_then(|source| self.held.get(&source));
        held.is_some_and(|held| held.sessions >= self.limits.sessions)
    }

    /// A session begins, or comes from here now.
    pub(super) fn enter(&mut self, source: Option<Source>) {
        if let Some(held) = self.of(source) {
            held.sessions += 1;
        }
    }

    /// A session ends, or comes from elsewhere now.
    pub(super) fn leave(&mut self, source: Option<Source>) {
        if let Some(held) = self.of(source) {
            held.sessions -= 1;
        }
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
            if let Some(held) = self.of(*source) {
                held.greeting += 1;
            }
        }
        for source in sessions {
            self.enter(source);
        }
    }

    fn of(&mut self, source: Option<Source>) -> Option<&mut Held> {
        self.held.get_mut(&source?)
    }
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
            let source = Some(Source(number.into()));
            let now = start + Duration::from_millis(number.into());
            assert!(sources.open(now, source));
            assert_eq!(sources.take_hello(now, source), Ok(()));
            sources.greeted(source);
        }
        assert!(sources.held.len() <= FEW * 2, "{}", sources.held.len());
    }
}
