//! A session: one client's place in a room, apart from the connection that carries it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::backpressure::Watch;
use super::gathered::Gathered;
use super::held::{Held, Refusing};
use super::news::Owed;
use super::replay::{Outcomes, Replay};
use super::room::RoomKey;
use super::{ConnectionId, SessionKey};
use crate::id::{MessageId, PeerId};
use crate::message::Media;
use crate::message::server::{Peer, Presence, Role};
use crate::source::Source;

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: PeerId,
    /// `None` while its client is away.
    pub(super) connection: Option<ConnectionId>,
    /// How often it has gone away: tells deadlines of an earlier absence from the present one's.
    pub(super) absences: u32,
    /// The host that its client knows this server by.
    pub(super) reached_as: Box<str>,
    /// Whose limits it counts for.
    pub(super) source: Option<Source>,
    pub(super) room: Arc<RoomKey>,
    pub(super) name: String,
    /// Whether its token says what it is called.
    pub(super) is_named: bool,
    pub(super) role: Role,
    /// Whether its role is a token's word.
    pub(super) is_granted: bool,
    /// Until when the token that let it in is good, in seconds since 1970.
    pub(super) token_expires_at: Option<u64>,
    /// Since when the room has it as its host, in milliseconds since 1970; 0 when it has not.
    pub(super) host_since_ms: u64,
    pub(super) media: Media,
    /// Milliseconds since 1970; of two in a room the one with the lower is impolite.
    pub(super) entered_ms: u64,
    pub(super) tickets: Tickets,
    /// How often it was given credentials: tells deadlines of earlier ones from the present ones'.
    pub(super) issue: u32,
    /// Whether it began in another process. Then what was delivered there leaves gaps in the ids.
    pub(super) adopted: bool,
    /// Highest `id` taken from this client.
    pub(super) received: MessageId,
    pub(super) replay: Replay,
    pub(super) outcomes: Outcomes,
    /// What this client has sent and somebody has not acknowledged.
    outstanding: BTreeMap<MessageId, Outstanding>,
    /// What the next `delivered`s will say.
    pub(super) gathered: Gathered,
    /// News of the room that this client is told when it has acknowledged some of what it has.
    pub(super) owed: Owed,
    /// While this client is crowded.
    pub(super) crowded: Option<Watch>,
    /// Messages of this client that wait for a recipient to acknowledge.
    pub(super) held: Held,
    /// Recipients that messages of this client are refused for.
    pub(super) refusing: Refusing,
    /// Senders whose first held message waits for this client.
    pub(super) waiting: Vec<SessionKey>,
}

/// Which of a session's tickets are good.
#[derive(Debug)]
pub(super) struct Tickets {
    /// Of the newest one.
    pub(super) current: u32,
    /// Of the one that the present connection came with, until a frame shows that it has the newest.
    pub(super) previous: Option<u32>,
    /// When the last of them expires, in seconds since 1970.
    pub(super) last_expiry: u64,
}

impl Tickets {
    /// Whether a ticket of this generation is good. A higher one than was ever written here comes from
    /// another process, where the session has been meanwhile.
    pub(super) fn accept(&self, generation: u32) -> bool {
        generation >= self.current || self.previous == Some(generation)
    }

    /// A ticket of generation `used` was accepted: the generation of its successor.
    pub(super) fn rotate(&mut self, used: u32) -> u32 {
        self.previous = Some(used);
        self.current = self.current.max(used).saturating_add(1);
        self.current
    }
}

/// Which message of whom a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) sender: SessionKey,
    pub(super) id: MessageId,
}

#[derive(Debug)]
struct Outstanding {
    /// Recipients that have neither acknowledged nor left.
    waiting: usize,
    /// Recipients that left before.
    failed: Vec<PeerId>,
}

/// How a message ended for one recipient.
#[derive(Debug, Clone, Copy)]
pub(super) enum Settled<'a> {
    Acknowledged,
    LeftBefore(&'a PeerId),
}

/// What a session begins with.
pub(super) struct Beginning {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) reached_as: Box<str>,
    pub(super) source: Option<Source>,
    pub(super) room: Arc<RoomKey>,
    pub(super) name: String,
    pub(super) is_named: bool,
    pub(super) role: Role,
    pub(super) is_granted: bool,
    pub(super) token_expires_at: Option<u64>,
    pub(super) host_since_ms: u64,
    pub(super) media: Media,
    pub(super) entered_ms: u64,
}

impl Session {
    pub(super) fn new(beginning: Beginning) -> Self {
        Self {
            peer: beginning.peer,
            connection: Some(beginning.connection),
            absences: 0,
            reached_as: beginning.reached_as,
            source: beginning.source,
            room: beginning.room,
            name: beginning.name,
            is_named: beginning.is_named,
            role: beginning.role,
            is_granted: beginning.is_granted,
            token_expires_at: beginning.token_expires_at,
            host_since_ms: beginning.host_since_ms,
            media: beginning.media,
            entered_ms: beginning.entered_ms,
            tickets: Tickets {
                current: 0,
                previous: None,
                last_expiry: 0,
            },
            issue: 0,
            adopted: false,
            received: MessageId::default(),
            replay: Replay::default(),
            outcomes: Outcomes::default(),
            outstanding: BTreeMap::new(),
            gathered: Gathered::default(),
            owed: Owed::default(),
            crowded: None,
            held: Held::default(),
            refusing: Refusing::default(),
            waiting: Vec::new(),
        }
    }

    /// How another peer sees this one.
    pub(super) fn roster_entry(&self, polite: bool) -> Peer {
        Peer {
            peer: self.peer.clone(),
            name: self.name.clone(),
            role: self.role,
            state: match self.connection {
                Some(_) => Presence::Here,
                None => Presence::Away,
            },
            media: self.media,
            polite,
        }
    }

    /// A message of this client goes to `recipients` others; whether a `delivered` has just begun to
    /// gather.
    pub(super) fn expect_deliveries(&mut self, id: MessageId, recipients: usize) -> bool {
        if recipients == 0 {
            return self.gathered.push(id, Vec::new());
        }
        let outstanding = Outstanding {
            waiting: recipients,
            failed: Vec::new(),
        };
        self.outstanding.insert(id, outstanding);
        false
    }

    /// A message of this client is settled for one recipient; whether a `delivered` has just begun to
    /// gather.
    pub(super) fn settle(&mut self, id: MessageId, how: Settled<'_>) -> bool {
        let Some(outstanding) = self.outstanding.get_mut(&id) else {
            debug_assert!(false, "every frame in flight is counted");
            return false;
        };
        outstanding.waiting -= 1;
        if let Settled::LeftBefore(peer) = how {
            outstanding.failed.push(peer.clone());
        }
        if outstanding.waiting > 0 {
            return false;
        }
        let failed = self
            .outstanding
            .remove(&id)
            .map_or_else(Vec::new, |outstanding| outstanding.failed);
        self.gathered.push(id, failed)
    }
}
