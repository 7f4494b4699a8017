//! Who may have how much of a socket that is behind. Many allocations share one queue, so that one of
//! them at line rate would fill it, and the system would drop everybody's datagrams alike. Reading
//! and dropping is much cheaper than relaying: what is beyond a share is dropped at once, until the
//! queue is short again.
//!
//! Datagrams are counted when they have been read, before any of them is relayed, so that nobody can
//! fill even the first turn.
//!
//! Only what would be relayed counts here. Strangers, of whom anybody can pretend to be many, must not
//! make the shares of the others smaller: their data are dropped without any share, and requests
//! have shares of their own, by source, where there are data to be protected from them.

use std::collections::HashMap;
use std::hash::Hash;

/// Datagrams that are relayed in a turn where some have more than others: as long as that takes, the
/// others in the queue wait. So many are no more than a burst of one who is otherwise calm.
const CAPACITY: usize = 512;
/// The same on a socket that has been behind since the turn before.
const CAPACITY_BEHIND: usize = 64;
/// Who has at most so many times what the median has is not held back.
const TOLERANCE: usize = 4;

/// Counts datagrams by whom they are relayed for, and holds back who has more than a share.
#[derive(Debug)]
pub(super) struct FairShare<K> {
    is_behind: bool,
    counts: HashMap<K, Count>,
    /// What each may have in this turn.
    share: Option<usize>,
    /// Memory for [`Self::draw`].
    sorted: Vec<usize>,
}

/// Of one in this turn.
#[derive(Debug, Default)]
struct Count {
    read: usize,
    asked: usize,
}

impl<K> Default for FairShare<K> {
    fn default() -> Self {
        Self {
            is_behind: false,
            counts: HashMap::new(),
            share: None,
            sorted: Vec::new(),
        }
    }
}

impl<K: Eq + Hash> FairShare<K> {
    /// Whether there was more than a turn could take.
    pub(super) const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// So many datagrams of one more have been read.
    pub(super) fn count(&mut self, whose: K, datagrams: usize) {
        self.counts.entry(whose).or_default().read += datagrams;
    }

    /// Whether anything was counted in this turn.
    pub(super) fn has_counted(&self) -> bool {
        !self.counts.is_empty()
    }

    /// Draws the share from all that was counted in this turn.
    pub(super) fn draw(&mut self) {
        self.sorted.clear();
        self.sorted.extend(self.counts.values().map(|it| it.read));
        let capacity = match self.is_behind {
            true => CAPACITY_BEHIND,
            false => CAPACITY,
        };
        self.share = share(&mut self.sorted, capacity);
    }

    /// Whether one more datagram is within the share; who was not counted has none.
    pub(super) fn admit(&mut self, whose: K) -> bool {
        let Some(share) = self.share else {
            return true;
        };
        self.counts.get_mut(&whose).is_none_or(|count| {
            count.asked += 1;
            count.asked <= share
        })
    }

    /// Whether anybody is held back in this turn.
    pub(super) const fn holds_back(&self) -> bool {
        self.share.is_some()
    }

    /// A turn is over.
    pub(super) fn end_turn(&mut self, is_behind: bool) {
        self.counts.clear();
        self.share = None;
        self.is_behind = is_behind;
    }
}

/// The share with which all fit together, if somebody has more than that. Those of whom there are
/// many alike are not held back: there is nobody to be protected from them.
fn share(counts: &mut [usize], capacity: usize) -> Option<usize> {
    counts.sort_unstable();
    let greatest = *counts.last()?;
    let median = counts[(counts.len() - 1) / 2];
    let share = level(counts, capacity).max(TOLERANCE * median);
    (greatest > share).then_some(share)
}

/// The highest share with which everybody's datagrams, cut off there, fit into the capacity.
fn level(counts: &[usize], capacity: usize) -> usize {
    let mut left = capacity;
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

    /// What of each client's datagrams is admitted in a turn.
    fn admitted(counts: &[usize], is_behind: bool) -> Vec<usize> {
        let mut fair = FairShare::<usize>::default();
        fair.end_turn(is_behind);
        for (number, count) in counts.iter().enumerate() {
            fair.count(number, *count);
        }
        fair.draw();
        let mut admitted = vec![0; counts.len()];
        for (number, count) in counts.iter().enumerate() {
            for _ in 0..*count {
                admitted[number] += usize::from(fair.admit(number));
            }
        }
        admitted
    }

    #[test]
    fn one_at_line_rate_is_held_back_and_fifty_calm_ones_are_not() {
        let mut counts = vec![2; 50];
        counts.push(900);
        for (is_behind, capacity) in [(false, CAPACITY), (true, CAPACITY_BEHIND)] {
            let admitted = admitted(&counts, is_behind);
            assert_eq!(admitted[..50], counts[..50]);
            let share = capacity.saturating_sub(100).max(2 * TOLERANCE);
            assert_eq!(admitted[50], share);
        }
    }

    #[test]
    fn several_at_line_rate_are_held_back_alike() {
        let admitted = admitted(&[400, 3, 500, 3, 3], true);
        let share = (CAPACITY_BEHIND - 9) / 2;
        assert_eq!(admitted, [share, 3, share, 3, 3]);
    }

    #[test]
    fn who_is_alone_and_those_who_are_alike_are_not_held_back() {
        assert_eq!(admitted(&[4096], true), [4096]);
        assert_eq!(admitted(&[340; 3], true), [340; 3]);
        let many: Vec<usize> = (0..500).map(|number| 1 + number % 4).collect();
        assert_eq!(admitted(&many, true), many);
    }

    #[test]
    fn a_burst_of_one_who_is_otherwise_calm_is_relayed_as_long_as_the_socket_is_not_behind() {
        assert_eq!(admitted(&[400, 5, 5], false), [400, 5, 5]);
    }

    #[test]
    fn who_came_after_the_count_is_admitted() {
        let mut fair = FairShare::<usize>::default();
        fair.end_turn(true);
        fair.count(0, 900);
        fair.count(1, 1);
        fair.draw();
        assert!((0..900).any(|_| !fair.admit(0)));
        assert!((0..900).all(|_| fair.admit(2)));
    }

    #[test]
    fn a_share_is_of_one_turn() {
        let mut fair = FairShare::<usize>::default();
        fair.end_turn(true);
        fair.count(0, 900);
        fair.count(1, 1);
        fair.draw();
        assert!(fair.holds_back());
        fair.end_turn(true);
        assert!((0..900).all(|_| fair.admit(0)));
    }

    proptest! {
        /// Whoever is at or below an equal part of the capacity loses nothing.
        #[test]
        fn an_equal_part_is_everybody_s(counts in prop::collection::vec(1_usize..2000, 1..60)) {
            let equal = CAPACITY_BEHIND / counts.len();
            let admitted = admitted(&counts, true);
            for (count, admitted) in counts.iter().zip(admitted) {
                prop_assert!(admitted <= *count);
                prop_assert!(admitted >= (*count).min(equal));
            }
        }
    }
}
