//! Who may have how much of a socket that is behind. Many allocations share one queue, so that one of
//! them at line rate would fill it, and the system would drop everybody's datagrams alike. Reading
//! and dropping is much cheaper than relaying: what is beyond a share is dropped at once, until the
//! queue is short again.
//!
//! Only what would be relayed counts here. Strangers, of whom anybody can pretend to be many, must not
//! make the shares of the others smaller: their data are dropped without any share, and requests
//! have shares of their own, by source, where there are data to be protected from them.

use std::collections::HashMap;
use std::hash::Hash;

/// Datagrams that are relayed in a turn of a socket that is behind: as long as that takes, the others in
/// the queue wait.
const CAPACITY: usize = 64;
/// Who has at most so many times what the median has is not held back.
const TOLERANCE: usize = 4;
/// Counts datagrams by whom they are relayed for while a socket is behind.
#[derive(Debug)]
pub(super) struct FairShare<K> {
    is_behind: bool,
    counts: HashMap<K, usize>,
    /// What each may have in this turn.
    share: Option<usize>,
}

impl<K> Default for FairShare<K> {
    fn default() -> Self {
        Self {
            is_behind: false,
            counts: HashMap::new(),
            share: None,
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

    /// Whether anything was counted in this turn.
    pub(super) fn has_counted(&self) -> bool {
        !self.counts.is_empty()
    }

    /// A turn is over: the shares of the next one are drawn from it.
    pub(super) fn end_turn(&mut self, is_behind: bool) {
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
        let mut counts = vec![1; 50];
        counts.push(900);
        let admitted = admitted(&counts);
        assert_eq!(admitted[..50], counts[..50]);
        assert_eq!(admitted[50], CAPACITY - 50);
    }

    #[test]
    fn several_at_line_rate_are_held_back_alike() {
        let admitted = admitted(&[400, 3, 500, 3, 3]);
        assert_eq!(admitted, [27, 3, 27, 3, 3]);
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
