//! Who may have how much of a socket that is behind. Many allocations share one queue, so that one of
//! them at line rate would fill it, and the system would drop everybody's datagrams alike. Reading
//! and dropping is much cheaper than relaying: what is beyond a share is dropped at once, until the
//! queue is short again.
//!
//! Only what would be relayed counts. Strangers, of whom anybody can pretend to be many, must not
//! make the shares of the others smaller; their data are dropped without any share, and their
//! requests have a bound of their own.

use std::collections::HashMap;
use std::hash::Hash;

use stun_turn_proto::source::Source;

/// Datagrams that are relayed in a turn of a socket that is behind.
const CAPACITY: usize = 256;
/// Who has at most so many times what the median has is not held back.
const TOLERANCE: usize = 4;
/// Requests that are answered in a turn of a listener that is behind, and those of one source.
const REQUESTS: usize = 128;
const REQUESTS_OF_ONE: usize = 16;

/// Counts datagrams by whom they are relayed for while a socket is behind.
#[derive(Debug)]
pub(super) struct FairShare<K> {
    is_behind: bool,
    counts: HashMap<K, usize>,
    /// What each may have in this turn.
    share: Option<usize>,
    /// Requests are not data: whoever floods must not keep others from allocating.
    requests: HashMap<Source, usize>,
    all_requests: usize,
}

impl<K> Default for FairShare<K> {
    fn default() -> Self {
        Self {
            is_behind: false,
            counts: HashMap::new(),
            share: None,
            requests: HashMap::new(),
            all_requests: 0,
        }
    }
}

impl<K: Eq + Hash> FairShare<K> {
    /// Whether there was more than a turn could take.
    pub(super) const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether one more datagram is within the share.
    pub(super) fn admit(&mut self, whose: K) -> bool {
        if !self.is_behind {
            return true;
        }
        let count = self.counts.entry(whose).or_default();
        *count += 1;
        self.share.is_none_or(|share| *count <= share)
    }

    /// Whether one more request may be answered.
    pub(super) fn admit_request(&mut self, from: Source) -> bool {
        if !self.is_behind {
            return true;
        }
        let count = self.requests.entry(from).or_default();
        *count += 1;
        let is_within = *count <= REQUESTS_OF_ONE && self.all_requests < REQUESTS;
        self.all_requests += usize::from(is_within);
        is_within
    }

    /// A turn is over: the shares of the next one are drawn from it.
    pub(super) fn end_turn(&mut self, is_behind: bool) {
        self.requests.clear();
        self.all_requests = 0;
        let mut counts: Vec<usize> = self.counts.drain().map(|(_, count)| count).collect();
        self.share = is_behind.then(|| share(&mut counts)).flatten();
        self.is_behind = is_behind;
    }
}

/// The share with which all fit together, if somebody has more than that. Those of whom there are
/// many alike are not held back: there is nobody to be protected from them.
fn share(counts: &mut [usize]) -> Option<usize> {
    counts.sort_unstable();
    let greatest = *counts.last()?;
    let median = counts[(counts.len() - 1) / 2];
    let share = level(counts).max(TOLERANCE * median);
    (greatest > share).then_some(share)
}

/// The highest share with which everybody's datagrams, cut off there, fit into [`CAPACITY`].
fn level(counts: &[usize]) -> usize {
    let mut left = CAPACITY;
    for (index, count) in counts.iter().enumerate() {
        let share = left / (counts.len() - index);
        if *count > share {
            return share;
        }
        left -= count;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    /// What of each client's datagrams is admitted in the last of several turns that are alike.
    fn admitted(counts: &[usize]) -> Vec<usize> {
        let mut fair = FairShare::<usize>::default();
        fair.end_turn(true);
        let mut admitted = Vec::new();
        for _ in 0..3 {
            admitted = vec![0; counts.len()];
            for (number, count) in counts.iter().enumerate() {
                for _ in 0..*count {
                    admitted[number] += usize::from(fair.admit(number));
                }
            }
            fair.end_turn(true);
        }
        admitted
    }

    #[test]
    fn one_at_line_rate_is_held_back_and_fifty_calm_ones_are_not() {
        let mut counts = vec![2; 50];
        counts.push(900);
        let admitted = admitted(&counts);
        assert_eq!(admitted[..50], counts[..50]);
        assert_eq!(admitted[50], CAPACITY - 100);
    }

    #[test]
    fn several_at_line_rate_are_held_back_alike() {
        let admitted = admitted(&[400, 3, 500, 3, 3]);
        assert_eq!(admitted, [123, 3, 123, 3, 3]);
    }

    #[test]
    fn who_is_alone_and_those_who_are_alike_are_not_held_back() {
        assert_eq!(admitted(&[1024]), [1024]);
        assert_eq!(admitted(&[340; 3]), [340; 3]);
        let many: Vec<usize> = (0..500).map(|number| 1 + number % 4).collect();
        assert_eq!(admitted(&many), many);
    }

    #[test]
    fn nobody_is_held_back_once_the_queue_is_short() {
        let mut fair = FairShare::<usize>::default();
        fair.end_turn(true);
        for _ in 0..900 {
            fair.admit(0);
        }
        fair.admit(1);
        fair.end_turn(true);
        assert!((0..900).any(|_| !fair.admit(0)));
        fair.end_turn(false);
        assert!((0..900).all(|_| fair.admit(0)));
    }

    #[test]
    fn one_source_of_requests_leaves_room_for_those_of_others() {
        let source = |last| Source::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        let mut fair = FairShare::<usize>::default();
        fair.end_turn(true);
        let mut admitted = |last, count: usize| {
            let admitted = (0..count).filter(|_| fair.admit_request(source(last)));
            admitted.count()
        };
        assert_eq!(admitted(1, 800), REQUESTS_OF_ONE);
        assert_eq!(admitted(2, 1), 1);
        let others: usize = (3..100).map(|last| admitted(last, 20)).sum();
        assert_eq!(others, REQUESTS - REQUESTS_OF_ONE - 1, "in total");
        fair.end_turn(true);
        assert!(fair.admit_request(source(1)), "the next turn");
        fair.end_turn(false);
        assert!(
            (0..800).all(|_| fair.admit_request(source(1))),
            "a short queue"
        );
    }

    proptest! {
        /// Whoever is at or below an equal part of the capacity loses nothing.
        #[test]
        fn an_equal_part_is_everybody_s(counts in prop::collection::vec(1_usize..2000, 1..60)) {
            let equal = CAPACITY / counts.len();
            let admitted = admitted(&counts);
            for (count, admitted) in counts.iter().zip(admitted) {
                prop_assert!(admitted <= *count);
                prop_assert!(admitted >= (*count).min(equal));
            }
        }
    }
}
