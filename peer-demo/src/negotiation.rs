//! Who offers, whose offer counts, and which answers and candidates still belong to it: pure.
//!
//! Perfect negotiation (W3C WebRTC, section 10.7) with an *epoch* on every message: a number that grows with
//! each offer of a pair. An answer and the candidates carry the epoch of the offer that they belong to, so
//! that what is left over from an earlier negotiation is recognised, whatever overtook it.

use std::time::Duration;

use signaling_proto::id::Epoch;

use crate::config::Role;

/// How long a polite peer waits for the other's offer before it makes its own.
pub const POLITE_WAIT: Duration = Duration::from_millis(1_500);
/// How long a polite peer leaves the search for a new way to the other: longer than its offer travels.
pub const RESTART_WAIT: Duration = Duration::from_secs(2);
/// Candidates that are kept for a description that has not arrived.
const MAX_HELD: usize = 256;

/// When to make an own offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnOffer {
    /// At once.
    Now,
    /// Unless the other's offer comes first.
    After(Duration),
    /// Only the other offers.
    Never,
}

/// What to do with the other's offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOffer {
    /// Apply and answer it.
    Answer,
    /// Take the own offer back, then apply and answer this one.
    RollBackAndAnswer,
    /// The own offer counts; the other will answer it.
    Ignore,
}

/// What to do with a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnCandidate<C> {
    /// Use it.
    Add(C),
    /// It waits for its description.
    Held,
    /// It belongs to a description that does not count.
    Stale,
}

/// One side of the negotiation with one other peer; `C` is a candidate.
#[derive(Debug)]
pub struct Negotiation<C> {
    role: Role,
    polite: bool,
    /// Highest epoch seen in an offer of either side.
    epoch: Epoch,
    /// Epoch of the own offer that has no answer yet.
    offering: Option<Epoch>,
    /// Epoch of the other's description in force.
    remote: Option<Epoch>,
    /// The other's last offer was ignored, and so are its candidates.
    ignoring: bool,
    held: Vec<(Epoch, C)>,
}

impl<C> Negotiation<C> {
    /// A negotiation that has not begun. `polite` comes from the server.
    #[must_use]
    pub fn new(role: Role, polite: bool) -> Self {
        Self {
            role,
            polite,
            epoch: Epoch(0),
            offering: None,
            remote: None,
            ignoring: false,
            held: Vec::new(),
        }
    }

    /// When to make the first offer, unless the other's arrives before.
    ///
    /// Of two peers with the role `auto` the impolite one offers; the polite one waits, because a browser
    /// offers of its own accord and one offer is better than two.
    #[must_use]
    pub fn first_offer(&self) -> OwnOffer {
        match (self.role, self.polite) {
            (Role::Offerer, _) | (Role::Auto, false) => OwnOffer::Now,
            (Role::Auto, true) => OwnOffer::After(POLITE_WAIT),
            (Role::Answerer, _) => OwnOffer::Never,
        }
    }

    /// When to look for a new way by an offer that restarts ICE, unless the other's arrives before: both
    /// sides learn that a relay is lost, and one offer is enough.
    #[must_use]
    pub fn restart(&self) -> OwnOffer {
        match (self.role, self.polite) {
            (Role::Answerer, _) => OwnOffer::Never,
            (_, false) => OwnOffer::Now,
            (_, true) => OwnOffer::After(RESTART_WAIT),
        }
    }

    /// Whether a description of either side has been made or applied.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.offering.is_some() || self.remote.is_some()
    }

    /// Whether descriptions of both sides have been applied at least once.
    #[must_use]
    pub fn has_both(&self) -> bool {
        self.remote.is_some()
    }

    /// Begins an own offer and returns its epoch; `None` while one is waiting for its answer.
    pub fn offer(&mut self) -> Option<Epoch> {
        if self.offering.is_some() {
            return None;
        }
        self.epoch = Epoch(self.epoch.0 + 1);
        self.offering = Some(self.epoch);
        self.offering
    }

    /// The other's offer has arrived.
    pub fn on_offer(&mut self, epoch: Epoch) -> OnOffer {
        let collision = self.offering.is_some();
        self.ignoring = collision && !self.polite;
        if self.ignoring {
            return OnOffer::Ignore;
        }
        self.offering = None;
        self.enter(epoch);
        if collision {
            OnOffer::RollBackAndAnswer
        } else {
            OnOffer::Answer
        }
    }

    /// The other's answer has arrived; whether it is to be applied.
    pub fn on_answer(&mut self, epoch: Epoch) -> bool {
        if self.offering != Some(epoch) {
            return false;
        }
        self.offering = None;
        self.ignoring = false;
        self.enter(epoch);
        true
    }

    fn enter(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
        self.remote = Some(epoch);
    }

    /// A candidate of the other has arrived.
    pub fn on_candidate(&mut self, epoch: Epoch, candidate: C) -> OnCandidate<C> {
        match self.remote {
            // While the own offer has no answer, the description in force is the one before; also
            // while an offer of the other is being ignored.
            Some(remote) if epoch == remote => OnCandidate::Add(candidate),
            Some(remote) if epoch < remote => OnCandidate::Stale,
            // They belong to the offer that is being ignored: those of the answer come behind it.
            _ if self.ignoring => OnCandidate::Stale,
            _ if self.held.len() == MAX_HELD => OnCandidate::Stale,
            _ => {
                self.held.push((epoch, candidate));
                OnCandidate::Held
            }
        }
    }

    /// Candidates that waited for the description that has just been applied.
    pub fn take_held(&mut self) -> Vec<C> {
        let remote = self.remote;
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .filter(|(epoch, _)| Some(*epoch) >= remote)
            .partition(|(epoch, _)| Some(*epoch) == remote);
        self.held = later;
        now.into_iter().map(|(_, candidate)| candidate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Side = Negotiation<u32>;

    fn pair(left: Role, right: Role) -> (Side, Side) {
        (Side::new(left, true), Side::new(right, false))
    }

    /// A renegotiation from both sides at once once cost the call the candidates of its first one.
    #[test]
    fn an_ignored_offer_does_not_cost_candidates_of_the_description_in_force() {
        let (_, mut impolite) = pair(Role::Auto, Role::Auto);
        assert_eq!(impolite.offer(), Some(Epoch(1)));
        assert!(impolite.on_answer(Epoch(1)));
        assert_eq!(impolite.offer(), Some(Epoch(2)));
        assert_eq!(impolite.on_offer(Epoch(2)), OnOffer::Ignore);
        assert_eq!(impolite.on_candidate(Epoch(1), 7), OnCandidate::Add(7));
        assert_eq!(impolite.on_candidate(Epoch(2), 8), OnCandidate::Stale);
    }

    #[test]
    fn the_role_and_the_servers_word_decide_who_offers_first() {
        use OwnOffer::{After, Never, Now};
        for (role, polite, expected) in [
            (Role::Offerer, true, Now),
            (Role::Offerer, false, Now),
            (Role::Answerer, true, Never),
            (Role::Answerer, false, Never),
            (Role::Auto, false, Now),
            (Role::Auto, true, After(POLITE_WAIT)),
        ] {
            assert_eq!(
                Side::new(role, polite).first_offer(),
                expected,
                "{role:?} {polite}"
            );
        }
    }

    #[test]
    fn of_two_that_lose_their_way_one_looks_for_another_at_once() {
        use OwnOffer::{After, Never, Now};
        for (left, right, expected) in [
            (Role::Auto, Role::Auto, [After(RESTART_WAIT), Now]),
            (Role::Offerer, Role::Offerer, [After(RESTART_WAIT), Now]),
            (Role::Answerer, Role::Offerer, [Never, Now]),
            // The one that would be first never offers: the other does when nothing has come.
            (Role::Offerer, Role::Answerer, [After(RESTART_WAIT), Never]),
        ] {
            let (polite, impolite) = pair(left, right);
            let both = [polite.restart(), impolite.restart()];
            assert_eq!(both, expected, "{left:?} {right:?}");
        }
    }

    #[test]
    fn an_offer_is_answered_once() {
        let (mut offerer, mut answerer) = pair(Role::Offerer, Role::Answerer);
        let epoch = offerer.offer().expect("nothing is pending");
        assert_eq!(offerer.offer(), None, "one at a time");
        assert_eq!(answerer.on_offer(epoch), OnOffer::Answer);
        assert!(offerer.on_answer(epoch));
        assert!(!offerer.on_answer(epoch), "an answer counts once");
        assert!(offerer.has_begun() && answerer.has_begun());
        assert!(answerer.offer().expect("free again") > epoch);
    }

    #[test]
    fn when_offers_cross_exactly_the_polite_one_gives_in() {
        let (mut polite, mut impolite) = pair(Role::Offerer, Role::Offerer);
        let (a, b) = (polite.offer().unwrap(), impolite.offer().unwrap());
        assert_eq!(impolite.on_offer(a), OnOffer::Ignore);
        // Candidates of the ignored offer come right behind it.
        assert_eq!(impolite.on_candidate(a, 1), OnCandidate::Stale);
        assert_eq!(polite.on_offer(b), OnOffer::RollBackAndAnswer);
        assert!(impolite.on_answer(b));
        // Those of the answer count, although the epoch may be the same.
        assert_eq!(impolite.on_candidate(b, 2), OnCandidate::Add(2));
        assert_eq!(polite.on_candidate(b, 3), OnCandidate::Add(3));
        assert!(!polite.on_answer(a), "the offer was taken back");
    }

    #[test]
    fn candidates_wait_for_their_description_and_stale_ones_are_dropped() {
        let (mut offerer, mut answerer) = pair(Role::Offerer, Role::Answerer);
        let first = offerer.offer().unwrap();
        assert_eq!(answerer.on_candidate(first, 1), OnCandidate::Held);
        answerer.on_offer(first);
        assert_eq!(answerer.take_held(), [1]);
        assert_eq!(answerer.on_candidate(first, 2), OnCandidate::Add(2));
        assert!(offerer.on_answer(first));
        let second = offerer.offer().unwrap();
        assert_eq!(answerer.on_candidate(second, 3), OnCandidate::Held);
        answerer.on_offer(second);
        assert_eq!(answerer.on_candidate(first, 4), OnCandidate::Stale);
        assert_eq!(answerer.take_held(), [3]);
        assert_eq!(answerer.take_held(), [0_u32; 0]);
    }

    #[test]
    fn an_answer_to_an_earlier_offer_is_stale() {
        let (mut side, _) = pair(Role::Offerer, Role::Answerer);
        let first = side.offer().unwrap();
        assert!(side.on_answer(first));
        let second = side.offer().unwrap();
        assert!(!side.on_answer(first));
        assert!(side.on_answer(second));
    }

    #[test]
    fn candidates_without_a_description_are_bounded() {
        let (mut side, _) = pair(Role::Answerer, Role::Answerer);
        for n in 0..1_000 {
            side.on_candidate(Epoch(9), n);
        }
        side.on_offer(Epoch(9));
        assert_eq!(side.take_held().len(), MAX_HELD);
    }

    /// Both sides offer and answer at random over ordered channels: in the end they agree.
    #[test]
    fn any_interleaving_ends_in_agreement() {
        for seed in 0..500_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = move |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let mut sides = [Side::new(Role::Auto, true), Side::new(Role::Auto, false)];
            // What is on its way to each side: (is an offer, epoch).
            let mut wires = [std::collections::VecDeque::new(), Default::default()];
            for step in 0..200 {
                let who = random(2) as usize;
                // Towards the end nobody offers any more, and what is under way arrives.
                if step < 100 && random(3) == 0 {
                    if let Some(epoch) = sides[who].offer() {
                        wires[1 - who].push_back((true, epoch));
                    }
                } else if let Some((is_offer, epoch)) = wires[who].pop_front() {
                    if !is_offer {
                        sides[who].on_answer(epoch);
                    } else if sides[who].on_offer(epoch) != OnOffer::Ignore {
                        wires[1 - who].push_back((false, epoch));
                    }
                }
            }
            assert!(wires.iter().all(|wire| wire.is_empty()), "seed {seed}");
            assert!(
                sides.iter().all(|side| side.offering.is_none()),
                "an offer without an answer, seed {seed}"
            );
            assert_eq!(sides[0].remote, sides[1].remote, "seed {seed}");
        }
    }
}
