//! What happens inside a session: passing content on, acknowledging, telling of deliveries.

use std::time::Instant;

use super::session::{NotSent, Origin, Settled};
use super::{Environment, Hub, Refusal, SessionKey};
use super::{limits, name};
use crate::frame::{Body, Frame};
use crate::id::{MessageId, PeerId, Seq};
use crate::message::client::{Ack, Event, Signal, Update};
use crate::message::server::{self, ErrorCode, PeerUpdated, Role};
use crate::message::{ClientMessage, Media, ParseError, ServerMessage};

/// How a message that was not passed on is answered.
enum Denied {
    /// With an error that names its `id`.
    Message(Refusal),
    /// With the end of the connection.
    Connection(Refusal),
}

impl Denied {
    fn forbidden(message: &'static str) -> Self {
        Self::Message(Refusal::new(ErrorCode::Forbidden, message))
    }

    /// The same for a peer that nobody knows, one of another room and the sender itself: who is
    /// elsewhere is nobody's business.
    fn no_such_peer() -> Self {
        let message = "No such peer is in this room.";
        Self::Message(Refusal::new(ErrorCode::NoSuchPeer, message))
    }
}

impl<E: Environment> Hub<E> {
    /// A frame of a client that has entered.
    pub(super) fn handle_content(
        &mut self,
        now: Instant,
        key: SessionKey,
        message: Result<ClientMessage, ParseError>,
    ) {
        self.totals.messages_received += 1;
        let connection = self.sessions[&key].connection;
        let id = match &message {
            Ok(message) => message.id(),
            Err(ParseError::UnknownType { id, .. }) => *id,
            Err(ParseError::BadMessage(_)) => None,
        };
        let result = self
            .take_id(key, id)
            .and_then(|()| self.dispatch(now, key, message));
        match result {
            Ok(()) => {}
            Err(Denied::Message(refusal)) => self.send_error(connection, refusal, id),
            Err(Denied::Connection(refusal)) => self.refuse(now, connection, refusal),
        }
    }

    /// Ids come without gaps, those of messages that are then refused included.
    fn take_id(&mut self, key: SessionKey, id: Option<MessageId>) -> Result<(), Denied> {
        let Some(id) = id else { return Ok(()) };
        let session = self.session_mut(key);
        let expected = session.received.next();
        if id != expected {
            let message = format!("`id` is {id}, but {expected} is next.");
            return Err(Denied::Connection(Refusal::bad(message)));
        }
        session.received = id;
        Ok(())
    }

    fn dispatch(
        &mut self,
        now: Instant,
        key: SessionKey,
        message: Result<ClientMessage, ParseError>,
    ) -> Result<(), Denied> {
        match message {
            Ok(ClientMessage::Signal(signal)) => self.handle_signal(now, key, signal),
            Ok(ClientMessage::Chat(chat)) => {
                let to = chat.to.as_ref().map(std::slice::from_ref);
                let recipients = self.recipients(key, to)?;
                let from = self.sessions[&key].peer.clone();
                let body = Body::new(&ServerMessage::Chat(server::Chat {
                    from,
                    id: chat.id,
                    text: chat.text,
                    seq: Seq::default(),
                }));
                self.deliver(now, key, chat.id, &recipients, &body);
                Ok(())
            }
            Ok(ClientMessage::Event(event)) => self.handle_event(now, key, event),
            Ok(ClientMessage::Update(update)) => self.handle_update(now, key, &update),
            Ok(ClientMessage::Moderate(_)) => {
                Err(Denied::forbidden("This server does not offer moderation."))
            }
            Ok(ClientMessage::Ack(ack)) => self.handle_ack(now, key, ack),
            Ok(ClientMessage::Bye) => {
                self.handle_bye(now, key);
                Ok(())
            }
            Ok(ClientMessage::Hello(_)) => {
                let refusal = Refusal::bad("`hello` is said once, at the beginning.");
                Err(Denied::Connection(refusal))
            }
            Err(ParseError::BadMessage(why)) => Err(Denied::Connection(Refusal::bad(why))),
            Err(unknown @ ParseError::UnknownType { .. }) => {
                let refusal = Refusal::new(ErrorCode::UnknownType, unknown.to_string());
                Err(Denied::Message(refusal))
            }
        }
    }

    fn handle_signal(
        &mut self,
        now: Instant,
        key: SessionKey,
        signal: Signal,
    ) -> Result<(), Denied> {
        let recipients = self.recipients(key, Some(std::slice::from_ref(&signal.to)))?;
        let session = &self.sessions[&key];
        if session.role == Role::Viewer && signal.payload.sends_media() {
            return Err(Denied::forbidden(
                "A viewer sends no media: use `recvonly` or `inactive`.",
            ));
        }
        let body = Body::new(&ServerMessage::Signal(server::Signal {
            from: session.peer.clone(),
            id: signal.id,
            epoch: signal.epoch,
            payload: signal.payload,
            seq: Seq::default(),
        }));
        self.deliver(now, key, signal.id, &recipients, &body);
        Ok(())
    }

    fn handle_event(&mut self, now: Instant, key: SessionKey, event: Event) -> Result<(), Denied> {
        if event.name.is_empty() || event.name.chars().count() > limits::EVENT_NAME_CHARS {
            let longest = limits::EVENT_NAME_CHARS;
            let refusal =
                Refusal::bad(format!("`name` of an event has 1 to {longest} characters."));
            return Err(Denied::Connection(refusal));
        }
        let to = event.to.as_ref().map(|to| to.as_slice());
        if to == Some(&[]) {
            let refusal = Refusal::bad("`to` is an empty list: leave it out to address the room.");
            return Err(Denied::Connection(refusal));
        }
        let recipients = self.recipients(key, to)?;
        let body = Body::new(&ServerMessage::Event(server::Event {
            from: self.sessions[&key].peer.clone(),
            id: event.id,
            name: event.name,
            data: event.data,
            seq: Seq::default(),
        }));
        self.deliver(now, key, event.id, &recipients, &body);
        Ok(())
    }

    fn handle_update(
        &mut self,
        now: Instant,
        key: SessionKey,
        update: &Update,
    ) -> Result<(), Denied> {
        let session = self.session_mut(key);
        let media = update
            .media
            .map_or(session.media, |change| change.apply(session.media));
        if session.role == Role::Viewer && media != Media::default() {
            return Err(Denied::forbidden("A viewer sends no media."));
        }
        session.media = media;
        if let Some(name) = &update.name {
            session.name = name::clean(name);
        }
        let recipients = self.recipients(key, None)?;
        self.expect_deliveries(now, key, update.id, recipients.len());
        self.push_updated(key, Some(update.id));
        Ok(())
    }

    fn handle_ack(&mut self, now: Instant, key: SessionKey, ack: Ack) -> Result<(), Denied> {
        match self.session_mut(key).acknowledge(ack.seq) {
            Ok(arrived) => {
                for origin in arrived {
                    self.settle(now, origin, Settled::Acknowledged);
                }
                Ok(())
            }
            Err(NotSent) => {
                let refusal = Refusal::bad(format!("`seq` {} was never sent to you.", ack.seq));
                Err(Denied::Connection(refusal))
            }
        }
    }

    /// Whom a message reaches: the named ones, or everybody else in the room. A list is all or nothing,
    /// and a peer that it names twice gets the message once.
    fn recipients(
        &self,
        sender: SessionKey,
        to: Option<&[PeerId]>,
    ) -> Result<Vec<SessionKey>, Denied> {
        let room = &self.sessions[&sender].room;
        let Some(to) = to else {
            return Ok(self.rooms[room].others(sender).collect());
        };
        let mut recipients = Vec::with_capacity(to.len().min(self.config.max_room));
        for peer in to {
            let key = self
                .peers
                .get(peer)
                .copied()
                .filter(|key| *key != sender && self.sessions[key].room == *room)
                .ok_or_else(Denied::no_such_peer)?;
            if !recipients.contains(&key) {
                recipients.push(key);
            }
        }
        Ok(recipients)
    }

    fn deliver(
        &mut self,
        now: Instant,
        sender: SessionKey,
        id: MessageId,
        recipients: &[SessionKey],
        body: &Body,
    ) {
        self.expect_deliveries(now, sender, id, recipients.len());
        for recipient in recipients {
            self.push(*recipient, body, Some(Origin { sender, id }));
        }
    }

    /// Gives one recipient one frame of content.
    pub(super) fn push(&mut self, to: SessionKey, body: &Body, origin: Option<Origin>) {
        let session = self.session_mut(to);
        let (connection, seq) = (session.connection, session.next_seq(origin));
        if session.unacknowledged() == limits::UNACKNOWLEDGED + 1 {
            self.overflowing.push(to);
        }
        self.send(connection, body.frame(seq));
    }

    /// `peer_updated` about `key`, as those see it who have this role in negotiation towards it.
    pub(super) fn updated(&self, key: SessionKey, polite: bool) -> Body {
        Body::new(&ServerMessage::PeerUpdated(PeerUpdated {
            peer: self.sessions[&key].roster_entry(polite),
            seq: Seq::default(),
        }))
    }

    /// Tells the others in the room how `key` looks now. It is encoded twice: of each pair, who came
    /// later is polite.
    pub(super) fn push_updated(&mut self, key: SessionKey, id: Option<MessageId>) {
        let origin = id.map(|id| Origin { sender: key, id });
        let members = self.rooms[&self.sessions[&key].room].members.clone();
        let mut polite = false;
        let mut body = self.updated(key, polite);
        for member in members {
            if member == key {
                polite = true;
                body = self.updated(key, polite);
            } else {
                self.push(member, &body, origin);
            }
        }
    }

    fn expect_deliveries(&mut self, now: Instant, key: SessionKey, id: MessageId, others: usize) {
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
        if self.sessions[&key].gathered() >= limits::DELIVERED_IDS {
            self.send_delivered(key);
        }
    }

    /// Sends what `delivered` has gathered, if it has.
    pub(super) fn send_delivered(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let connection = session.connection;
        if let Some(delivered) = session.take_delivered() {
            self.totals.messages_delivered += delivered.ids.len() as u64;
            self.send(
                connection,
                Frame::plain(&ServerMessage::Delivered(delivered)),
            );
        }
    }

    fn session_mut(&mut self, key: SessionKey) -> &mut super::Session {
        self.sessions
            .get_mut(&key)
            .expect("keys of sessions that left are in no table")
    }
}
