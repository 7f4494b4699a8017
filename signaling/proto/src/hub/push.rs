//! What a session is given: content and news of its room, and what became of its own messages.

use std::time::Instant;

use super::limits;
use super::session::{Origin, Settled};
use super::{ConnectionId, Environment, Hub, SessionKey};
use crate::frame::{Body, Frame};
use crate::id::{MessageId, Seq};
use crate::message::ServerMessage;
use crate::message::server::{PeerUpdated, RoomUpdated};

impl<E: Environment> Hub<E> {
    /// Gives one recipient one frame of content, now or when it comes back.
    pub(super) fn push(&mut self, to: SessionKey, body: &Body, origin: Option<Origin>) {
        let session = self.session_mut(to);
        let connection = session.connection;
        let was_full = session.replay.is_full();
        let frame = session.replay.push(body, origin);
        if !was_full && session.replay.is_full() {
            self.overflowing.push(to);
        }
        if let Some(connection) = connection {
            self.send(connection, frame);
        }
    }

    /// `peer_updated` about `key`, as those see it who have this role in negotiation towards it.
    pub(super) fn updated(&self, key: SessionKey, polite: bool) -> Body {
        Body::new(&ServerMessage::PeerUpdated(PeerUpdated {
            peer: self.sessions[&key].roster_entry(polite),
            seq: Seq::default(),
        }))
    }

    /// Tells the others in the room how `key` looks now.
    pub(super) fn push_updated(&mut self, key: SessionKey, id: Option<MessageId>) {
        let origin = id.map(|id| Origin { sender: key, id });
        self.push_entry(key, origin, |hub, polite| hub.updated(key, polite));
    }

    /// Tells the others in the room something about `key`. It is encoded at most twice: of each pair,
    /// who came later is polite.
    pub(super) fn push_entry(
        &mut self,
        key: SessionKey,
        origin: Option<Origin>,
        body: impl Fn(&Self, bool) -> Body,
    ) {
        let members = self.members(&self.sessions[&key].room).to_vec();
        let place = members.iter().position(|member| *member == key);
        let (earlier, later) = members.split_at(place.expect("it is in its room"));
        for (readers, polite) in [(earlier, false), (&later[1..], true)] {
            if !readers.is_empty() {
                let body = body(self, polite);
                for reader in readers {
                    self.push(*reader, &body, origin);
                }
            }
        }
    }

    pub(super) fn expect_deliveries(
        &mut self,
        now: Instant,
        key: SessionKey,
        id: MessageId,
        others: usize,
    ) {
        let begins = self.session_mut(key).expect_deliveries(id, others);
        self.gather(now, key, begins);
    }

    /// A message is settled for one recipient. Its sender may be gone: then nobody wants to know.
    pub(super) fn settle(&mut self, now: Instant, origin: Origin, how: Settled<'_>) {
        if let Some(session) = self.sessions.get_mut(&origin.sender) {
            let begins = session.settle(origin.id, how);
            self.gather(now, origin.sender, begins);
        }
    }

    fn gather(&mut self, now: Instant, key: SessionKey, begins: bool) {
        if begins {
            self.delivered_due
                .push_back((now + limits::DELIVERED_DELAY, key));
        }
        if self.sessions[&key].gathered.has_full_frame() {
            self.send_delivered(key);
        }
        if self.sessions[&key].gathered.bytes() > limits::GATHERED_BYTES {
            self.overflowing.push(key);
        }
    }

    /// Sends what `delivered` has gathered, if it has: as much as the client may leave unheard. The
    /// rest follows its acknowledgement.
    pub(super) fn send_delivered(&mut self, key: SessionKey) {
        while let Some(session) = self.sessions.get_mut(&key)
            // Who is away is told when it comes back.
            && let Some(connection) = session.connection
            && session.outcomes.has_room()
            && let Some(delivered) = session.gathered.pop()
        {
            self.totals.messages_delivered += delivered.ids.len() as u64;
            let frame = Frame::plain(&ServerMessage::Delivered(delivered));
            self.send_outcome(key, connection, frame);
        }
    }

    /// Tells a client what became of a message of its own.
    pub(super) fn send_outcome(&mut self, key: SessionKey, connection: ConnectionId, frame: Frame) {
        let session = self.session_mut(key);
        let must_ask = session.outcomes.push(session.replay.sent(), &frame);
        let is_full = session.outcomes.is_full();
        self.send(connection, frame);
        if is_full {
            self.overflowing.push(key);
        } else if must_ask {
            self.push_lock(key);
        }
    }

    /// Tells one peer whether its room is locked. It may know: then only its acknowledgement is wanted.
    fn push_lock(&mut self, key: SessionKey) {
        let locked = self.rooms[&self.sessions[&key].room].locked;
        let seq = Seq::default();
        let body = Body::new(&ServerMessage::RoomUpdated(RoomUpdated { locked, seq }));
        self.push(key, &body, None);
    }

    pub(super) fn session_mut(&mut self, key: SessionKey) -> &mut super::Session {
        self.sessions
            .get_mut(&key)
            .expect("keys of sessions that left are in no table")
    }
}
