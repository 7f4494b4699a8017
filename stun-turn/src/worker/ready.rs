//! Which sockets have work, in the order of their turns.

use std::collections::{HashSet, VecDeque};

use super::token::Source;

/// A queue in which every source waits once, however often it is reported. (When each report counted, a
/// socket that was always busy had one turn more each round, and all others waited longer and
/// longer.)
#[derive(Debug, Default)]
pub(super) struct Ready {
    queue: VecDeque<Source>,
    waiting: HashSet<Source>,
}

impl Ready {
    pub(super) fn push(&mut self, source: Source) {
        if self.waiting.insert(source) {
            self.queue.push_back(source);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Source> {
        let source = self.queue.pop_front()?;
        self.waiting.remove(&source);
        Some(source)
    }

    /// Puts sources that could not have their turns in front of all that have had theirs.
    pub(super) fn put_first(&mut self, postponed: &mut Vec<Source>) {
        for source in postponed.drain(..).rev() {
            if self.waiting.insert(source) {
                self.queue.push_front(source);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_socket_has_one_turn_a_round() {
        let mut ready = Ready::default();
        for _ in 0..100 {
            // The kernel reports both, and the busy one had more to give than its turn allowed.
            ready.push(Source::Udp(0));
            ready.push(Source::Relayed(7));
            ready.push(Source::Udp(0));
            assert_eq!(ready.len(), 2);
            assert_eq!(ready.pop(), Some(Source::Udp(0)));
            ready.push(Source::Udp(0));
            assert_eq!(ready.pop(), Some(Source::Relayed(7)));
            assert_eq!(ready.pop(), Some(Source::Udp(0)));
            assert!(ready.is_empty());
        }
    }

    #[test]
    fn everybody_has_a_turn_when_a_round_has_few() {
        const TURNS_A_ROUND: usize = 2;
        let mut ready = Ready::default();
        (0..10).for_each(|key| ready.push(Source::Stream(key)));
        let mut turns = [0; 10];
        for _ in 0..5 {
            let (mut left, mut postponed) = (TURNS_A_ROUND, Vec::new());
            for _ in 0..ready.len() {
                match ready.pop() {
                    Some(source @ Source::Stream(key)) if left > 0 => {
                        turns[key] += 1;
                        left -= 1;
                        ready.push(source);
                    }
                    other => postponed.extend(other),
                }
            }
            ready.put_first(&mut postponed);
        }
        assert_eq!(turns, [1; 10]);
    }
}
