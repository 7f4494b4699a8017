//! Which tickets each server process has seen used: an older one must not win over a newer one.

use std::collections::BTreeMap;
use std::time::Duration;

use signaling_proto::id::PeerId;
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::Welcome;
use signaling_proto::ticket::{Ticket, TicketKey};

use super::server::key;

/// What one server process knows of one session.
#[derive(Default)]
struct Known {
    /// Whether it has ever carried it.
    carried: bool,
    /// The newest ticket that its client has shown to have.
    shown: Option<u32>,
}

pub(super) struct Generations {
    key: TicketKey,
    /// By process and session.
    known: BTreeMap<(u64, PeerId), Known>,
    /// By connection.
    carried: BTreeMap<usize, Carried>,
    /// By session.
    newest: BTreeMap<PeerId, Welcome>,
    pub(super) moves: Moves,
}

/// The tickets of a session on one connection: the one that it came with, and the one that it was given.
#[derive(Default)]
struct Carried {
    offered: Option<Ticket>,
    given: Option<Ticket>,
}

/// How often sessions went from one process to another.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Moves {
    /// To one that did not know them.
    pub(crate) adoptions: u64,
    /// To one where they had been before.
    pub(crate) returns: u64,
    /// Tickets of sessions that had ended, offered to a later process.
    pub(crate) thefts: u64,
}

impl Generations {
    pub(super) fn new() -> Self {
        Self {
            key: key(),
            known: BTreeMap::new(),
            carried: BTreeMap::new(),
            newest: BTreeMap::new(),
            moves: Moves::default(),
        }
    }

    fn read(&self, ticket: &str) -> Ticket {
        let opened = self.key.open(ticket);
        opened.expect("all tickets are written with one key")
    }

    /// A server has got this `hello`.
    pub(super) fn offered(&mut self, link: usize, hello: &Hello) {
        let resume = hello.resume.as_ref();
        let carried = Carried {
            offered: resume.map(|resume| self.read(&resume.ticket)),
            given: None,
        };
        self.carried.insert(link, carried);
    }

    /// A server has got something else than a `hello`: the client has got its welcome.
    pub(super) fn shown(&mut self, process: u64, link: usize) {
        let carried = self.carried.get(&link);
        if let Some(given) = carried.and_then(|carried| carried.given.as_ref()) {
            let known = self.known.entry((process, given.peer.clone()));
            let known = known.or_default();
            known.shown = known.shown.max(Some(given.generation));
        }
    }

    /// The newest welcome of a session.
    pub(super) fn newest(&self, peer: &PeerId) -> Option<&Welcome> {
        self.newest.get(peer)
    }

    /// A server has welcomed this connection.
    pub(super) fn welcomed(
        &mut self,
        process: u64,
        link: usize,
        welcome: &Welcome,
        calendar: Duration,
    ) {
        let given = self.read(&welcome.ticket);
        let known = self.known.entry((process, given.peer.clone()));
        let known = known.or_default();
        let carried = self.carried.get_mut(&link).expect("it has said hello");
        let offered = carried.offered.as_ref();
        assert!(
            offered.map(|ticket| ticket.generation) >= known.shown,
            "an old ticket was taken"
        );
        if let Some(offered) = offered.filter(|ticket| ticket.instance != given.instance) {
            match known.carried {
                false => {
                    assert!(!offered.is_expired(calendar), "its time is over");
                    self.moves.adoptions += 1;
                }
                true => self.moves.returns += 1,
            }
        }
        known.carried = true;
        self.newest.insert(given.peer.clone(), welcome.clone());
        carried.given = Some(given);
    }
}
