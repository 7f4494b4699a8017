//! What a session is given: frames of content, and what became of its own messages.

use std::time::Instant;

use super::limits;
use super::session::{Origin, Settled};
use super::{Environment, Hub, SessionKey};
use crate::frame::{Body, Frame};
use crate::id::MessageId;
use crate::message::ServerMessage;

impl<E: Environment> Hub<E> {
    /// Gives one recipient one frame of content, now or when it comes back.
    pub(super) fn push(&mut self, to: SessionKey, body: &Body, origin: Option<Origin>) {
        let session = self.session_mut(to);
        let connection = session.connection;
        let before = session.replay.bytes();
        let frame = session.replay.push(body, origin);
        let after = session.replay.bytes();
        let crowds = after > limits::CROWDED_BYTES && session.crowded.is_none();
        self.kept_bytes += after - before;
        if crowds {
            self.newly_crowded.push(to);
        }
        if let Some(connection) = connection {
            self.send(connection, frame);
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
            && session.connection.is_some()
            && session.outcomes.has_room()
            // Who is told that a message was delivered must know by then who had left.
            && session.owed.is_empty()
            && let Some(delivered) = session.gathered.pop()
        {
            self.totals.messages_delivered += delivered.ids.len() as u64;
            let frame = Frame::plain(&ServerMessage::Delivered(delivered));
            self.send_outcome(key, frame);
        }
    }

    /// Tells a client what became of a message of its own, now or when it comes back.
    pub(super) fn send_outcome(&mut self, key: SessionKey, frame: Frame) {
        let session = self.session_mut(key);
        let connection = session.connection;
        let must_ask = session.outcomes.push(session.replay.sent(), &frame);
        let is_full = session.outcomes.is_full();
        if let Some(connection) = connection {
            self.send(connection, frame);
        }
        if is_full {
            self.overflowing.push(key);
        } else if must_ask {
            self.tell_lock(key);
        }
    }

    pub(super) fn session_mut(&mut self, key: SessionKey) -> &mut super::Session {
        self.sessions
            .get_mut(&key)
            .expect("keys of sessions that left are in no table")
    }
}
