//! What was said, who heard it, and what its sender was told: the reference that runs are judged by.
//!
//! What holds, on whichever servers a room's peers are:
//! - A peer's name is given once, and an `id` once for each peer.
//! - A client process hears the messages of one peer in the order of their ids and each at most once, also
//!   when it has been on several servers and all of them had a message for it. While there is one server,
//!   that is the order in which they were said, however slow a recipient is.
//! - A message whose sender lives has exactly one outcome: `delivered`, an error, or lost, when its session
//!   ended with `resume_failed`.
//! - Where that is `delivered`, each peer that its sender knew has heard it, or is among its `failed`, or
//!   its sender was told before that this peer has left. So it is when peers of a room are on
//!   different servers: who is elsewhere is waited for until the resume window is over, and has left then.

use std::collections::{BTreeMap, BTreeSet};

use signaling_proto::id::{MessageId, PeerId};

/// A message, by its place in all that its sender has said to others of this room.
pub(crate) type Name = (PeerId, MessageId);

/// What a sender was told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Delivered { failed: Vec<PeerId> },
    Refused,
    Lost,
}

#[derive(Debug)]
struct Said {
    /// Whom the sender knew and meant.
    meant: Vec<PeerId>,
    direct: bool,
    outcome: Option<Outcome>,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    /// Whether all clients have been on one server only.
    pub(crate) is_simple: bool,
    said: BTreeMap<Name, Said>,
    /// By the client process that heard it; in order.
    heard: BTreeMap<usize, Vec<Name>>,
    /// Highest id by the client process that heard it and the peer that said it.
    ids: BTreeMap<(usize, PeerId), MessageId>,
    /// Which process is behind a peer,
    processes: BTreeMap<PeerId, usize>,
    /// and which peer a process is now.
    current: BTreeMap<usize, PeerId>,
    /// Processes that no longer run: what they have heard or not is nobody's business.
    dead: BTreeSet<usize>,
}

impl History {
    /// Of a network with so many servers.
    pub(crate) fn new(servers: usize) -> Self {
        Self {
            is_simple: servers == 1,
            ..Self::default()
        }
    }

    /// A process has a new session.
    pub(crate) fn entered(&mut self, process: usize, peer: &PeerId) {
        let known = self.processes.insert(peer.clone(), process);
        assert_eq!(known, None, "a peer id was given twice");
        self.current.insert(process, peer.clone());
    }

    pub(crate) fn died(&mut self, process: usize) {
        self.dead.insert(process);
    }

    pub(crate) fn said(&mut self, name: Name, meant: Vec<PeerId>, direct: bool) {
        let said = Said {
            meant,
            direct,
            outcome: None,
        };
        let earlier = self.said.insert(name, said);
        assert!(earlier.is_none(), "an id was given twice");
    }

    /// `peer` has learned that another one has left: whatever it said before is for those who are there.
    pub(crate) fn parted(&mut self, peer: &PeerId, left: &PeerId) {
        for (_, said) in self.said.iter_mut().filter(|(name, _)| name.0 == *peer) {
            if said.outcome.is_none() {
                said.meant.retain(|meant| meant != left);
            }
        }
    }

    pub(crate) fn heard(&mut self, process: usize, name: Name, id: MessageId) {
        assert!(self.said.contains_key(&name), "nobody has said {name:?}");
        let last = self.ids.insert((process, name.0.clone()), id);
        assert!(
            last.is_none_or(|last| last < id),
            "{id} came after {last:?}"
        );
        let heard = self.heard.entry(process).or_default();
        assert!(!heard.contains(&name), "{name:?} came twice");
        let before = heard.iter().rev().find(|(from, _)| *from == name.0);
        assert!(
            !self.is_simple || before.is_none_or(|(_, place)| *place < name.1),
            "{name:?} came after {before:?}"
        );
        heard.push(name);
    }

    pub(crate) fn told(&mut self, name: &Name, outcome: Outcome) {
        let said = self.said.get_mut(name).expect("it was said");
        assert_eq!(said.outcome, None, "told twice about {name:?}");
        said.outcome = Some(outcome);
    }

    /// Everything has come to rest.
    pub(crate) fn check(&self) {
        for (name, said) in &self.said {
            let Some(outcome) = &said.outcome else {
                let process = self.processes[&name.0];
                assert!(self.dead.contains(&process), "no outcome of {name:?}");
                continue;
            };
            match outcome {
                Outcome::Lost => {}
                Outcome::Refused => assert!(said.direct, "{name:?} was for all"),
                Outcome::Delivered { failed } => {
                    // Who has left may have done so before the server knew of the message.
                    let told = said.meant.iter().filter(|peer| !failed.contains(peer));
                    for peer in told.filter(|peer| self.is_there(peer)) {
                        assert!(self.has_heard(peer, name), "{peer} never heard {name:?}");
                    }
                }
            }
        }
    }

    fn is_there(&self, peer: &PeerId) -> bool {
        // Nobody is behind a peer whose welcome was lost.
        self.processes.get(peer).is_some_and(|process| {
            !self.dead.contains(process) && self.current.get(process) == Some(peer)
        })
    }

    fn has_heard(&self, peer: &PeerId, name: &Name) -> bool {
        let process = self.processes[peer];
        let heard = self.heard.get(&process);
        heard.is_some_and(|heard| heard.contains(name))
    }
}
