//! Whether the workers of a running relay still turn. One that hangs keeps its sockets and answers nobody on
//! them, and nothing else would tell: one that panics ends the process.
//!
//! Each worker is asked by its mailbox, which it looks at between two turns of its loop, and asked again only
//! after it has answered. Nothing of this is on the packet path.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::control::{Colleague, Command, Handle};

/// How often to [look](Pulse::look).
pub const INTERVAL: Duration = Duration::from_millis(250);

/// After so many looks without an answer a worker hangs: after 1.5 s, and at most one [`INTERVAL`] more since
/// it began. A turn takes a few milliseconds. A thread that could run waits for as long only with hundreds
/// of others before it on its core, and whatever holds the whole process up (a suspended machine, a share of
/// CPU that is used up) holds up whoever looks as well: that is why looks are counted, and not the time.
const PATIENCE: u32 = 6;

/// Looks after the workers of one relay. One is enough for each; what it finds is also on the admin address.
#[derive(Debug)]
pub struct Pulse {
    relay: Handle,
    workers: Vec<Silence>,
}

/// What a look has found that was not so before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The first worker hangs; the clients that it serves are cut off.
    Hangs,
    /// No worker hangs any more.
    Lives,
}

impl Pulse {
    /// Nobody has been asked yet.
    #[must_use]
    pub fn new(relay: Handle) -> Self {
        let workers = relay.workers().iter().map(|_| Silence::default());
        let workers = workers.collect();
        Self { relay, workers }
    }

    /// Asks whoever owes no answer, and judges whoever does. To be called every [`INTERVAL`].
    pub fn look(&mut self) -> Option<Change> {
        let before = self.relay.hung_workers();
        for (worker, silence) in self.relay.workers().iter().zip(&mut self.workers) {
            look_at(worker, silence);
        }
        match (before, self.relay.hung_workers()) {
            (0, 1..) => {
                tracing::error!("a relay thread hangs; whoever it serves is cut off");
                Some(Change::Hangs)
            }
            (1.., 0) => {
                tracing::info!("all relay threads answer again");
                Some(Change::Lives)
            }
            _ => None,
        }
    }
}

fn look_at(worker: &Colleague, silence: &mut Silence) {
    let next = silence.look(worker.tally.signs_of_life.get());
    if next == Verdict::Ask {
        worker.mailbox.send(Command::ShowLife);
    }
    worker
        .hangs
        .store(next == Verdict::Hangs, Ordering::Relaxed);
}

/// What one worker owes.
#[derive(Debug, Default)]
struct Silence {
    /// How often it was asked. As often it should have answered.
    asked: u64,
    /// Looks since then.
    looks: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It lives, and is to show it again.
    Ask,
    /// It has time.
    Wait,
    Hangs,
}

impl Silence {
    fn look(&mut self, answered: u64) -> Verdict {
        if answered == self.asked {
            *self = Self {
                asked: answered + 1,
                looks: 0,
            };
            return Verdict::Ask;
        }
        self.looks = self.looks.saturating_add(1);
        match self.looks >= PATIENCE {
            true => Verdict::Hangs,
            false => Verdict::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owes_an_answer_hangs_after_six_looks_and_lives_with_the_next_answer() {
        let mut silence = Silence::default();
        assert_eq!(silence.look(0), Verdict::Ask);
        assert_eq!(silence.look(1), Verdict::Ask, "answered at once");
        for _ in 1..PATIENCE {
            assert_eq!(silence.look(1), Verdict::Wait);
        }
        for _ in 0..3 {
            assert_eq!(silence.look(1), Verdict::Hangs, "and is not asked again");
        }
        assert_eq!(silence.look(2), Verdict::Ask);
        assert_eq!(silence.look(2), Verdict::Wait, "with all the time again");
    }

    #[test]
    fn a_hung_worker_is_told_within_two_seconds() {
        // It hangs right after it has answered, just after a look; the next look asks.
        let until_told = INTERVAL * (1 + PATIENCE);
        assert!(until_told < Duration::from_secs(2));
    }
}
