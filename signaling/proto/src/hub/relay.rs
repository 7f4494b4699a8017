//! What happens inside a session: passing content on, acknowledging, telling of deliveries.

use std::time::Instant;

use super::limits;
use super::replay::NotSent;
use super::reunion::Kept;
use super::session::{Origin, Settled};
use super::{Environment, Hub, Refusal, SessionKey};
use crate::frame::Body;
use crate::id::{MessageId, PeerId, Seq};
use crate::message::client::{self, Ack, Event, Signal, Update};
use crate::message::server::{self, ErrorCode, Role};
use crate::message::{ClientMessage, Media, ParseError, ServerMessage};
use crate::name;

/// How a message that was not passed on is answered.
pub(super) enum Denied {
    /// With an error that names its `id`.
    Message(Refusal),
    /// With the end of the connection.
    Connection(Refusal),
}

/// Whom a message is for.
struct Recipients<'a> {
    here: Vec<SessionKey>,
    /// Those who have not come back yet to a room that comes together again.
    absent: Vec<PeerId>,
    /// As its sender named them; `None` for everybody else in the room.
    to: Option<&'a [PeerId]>,
}

impl Denied {
    pub(super) fn forbidden(message: &'static str) -> Self {
        Self::Message(Refusal::new(ErrorCode::Forbidden, message))
    }

    /// The same for a peer that nobody knows, one of another room and the sender itself: who is
    /// elsewhere is nobody's business.
    pub(super) fn no_such_peer() -> Self {
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
        let session = self.session_mut(key);
        // This client has its newest ticket: it came with the welcome, before anything that it answers.
        session.tickets.previous = None;
        let Some(connection) = session.connection else {
            unreachable!("a frame comes over a connection")
        };
        let id = match &message {
            Ok(message) => message.id(),
            Err(ParseError::UnknownType { id, .. }) => *id,
            Err(ParseError::Unreadable { id, .. }) => Some(*id),
            Err(ParseError::BadMessage(_)) => None,
        };
        let result = self.take_id(key, id).and_then(|()| match message {
            Ok(message) => self.pass_on(now, key, message),
            Err(ParseError::BadMessage(why)) => Err(Denied::Connection(Refusal::bad(why))),
            Err(ParseError::Unreadable { why, .. }) => Err(Denied::Message(Refusal::bad(why))),
            Err(unknown @ ParseError::UnknownType { .. }) => {
                let refusal = Refusal::new(ErrorCode::UnknownType, unknown.to_string());
                Err(Denied::Message(refusal))
            }
        });
        match result {
            Ok(()) => {}
            Err(Denied::Message(refusal)) => self.tell_refusal(key, refusal, id),
            Err(Denied::Connection(refusal)) => self.refuse(now, connection, refusal),
        }
    }

    /// Ids come without gaps, those of messages that are then refused included; in an adopted session
    /// except for what was delivered before.
    fn take_id(&mut self, key: SessionKey, id: Option<MessageId>) -> Result<(), Denied> {
        let Some(id) = id else { return Ok(()) };
        let session = self.session_mut(key);
        let expected = session.received.next();
        if id == expected || (session.adopted && id > expected) {
            session.received = id;
            return Ok(());
        }
        let message = format!("`id` is {id}, but {expected} is next.");
        Err(Denied::Connection(Refusal::bad(message)))
    }

    pub(super) fn dispatch(
        &mut self,
        now: Instant,
        key: SessionKey,
        message: ClientMessage,
    ) -> Result<(), Denied> {
        match message {
            ClientMessage::Signal(signal) => self.handle_signal(now, key, &signal),
            ClientMessage::Chat(chat) => {
                let recipients =
                    self.recipients(key, chat.to.as_ref().map(std::slice::from_ref))?;
                let from = self.sessions[&key].peer.clone();
                let body = Body::new(&ServerMessage::Chat(server::Chat {
                    from,
                    id: chat.id,
                    text: chat.text,
                    seq: Seq::default(),
                }));
                self.deliver(now, key, chat.id, recipients, &body);
                Ok(())
            }
            ClientMessage::Event(event) => self.handle_event(now, key, event),
            ClientMessage::Update(update) => self.handle_update(now, key, &update),
            ClientMessage::Moderate(moderate) => self.handle_moderate(now, key, &moderate),
            ClientMessage::Ack(ack) => self.handle_ack(now, key, ack),
            ClientMessage::Bye => {
                self.handle_bye(now, key);
                Ok(())
            }
            ClientMessage::Hello(_) => {
                let refusal = Refusal::bad("`hello` is said once, at the beginning.");
                Err(Denied::Connection(refusal))
            }
        }
    }

    fn handle_signal(
        &mut self,
        now: Instant,
        key: SessionKey,
        signal: &Signal,
    ) -> Result<(), Denied> {
        let recipients = self.recipients(key, Some(std::slice::from_ref(&signal.to)))?;
        let session = &self.sessions[&key];
        if session.role == Role::Viewer && signal.payload.sends_media() {
            return Err(Denied::forbidden(
                "A viewer sends no media: use `recvonly` or `inactive`.",
            ));
        }
        let body = Body::signal(&session.peer, signal.id, signal.epoch, &signal.payload);
        self.deliver(now, key, signal.id, recipients, &body);
        Ok(())
    }

    fn handle_event(&mut self, now: Instant, key: SessionKey, event: Event) -> Result<(), Denied> {
        check_event(&event)?;
        let to = event.to.map(client::Recipients::into_vec);
        let places = self.max_room(&self.sessions[&key].room.namespace);
        if to.as_ref().is_some_and(|to| to.len() > places) {
            let why = format!("`to` names more than the {places} peers that a room holds.");
            let refusal = Refusal::new(ErrorCode::TooLarge, why);
            return Err(Denied::Message(refusal));
        }
        let recipients = self.recipients(key, to.as_deref())?;
        let body = Body::new(&ServerMessage::Event(server::Event {
            from: self.sessions[&key].peer.clone(),
            id: event.id,
            name: event.name,
            data: event.data,
            seq: Seq::default(),
        }));
        self.deliver(now, key, event.id, recipients, &body);
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
        let name = update.name.as_deref().map(name::person);
        if session.is_named && name.as_ref().is_some_and(|name| *name != session.name) {
            return Err(Denied::forbidden("Your token says what you are called."));
        }
        session.media = media;
        session.name = name.unwrap_or_else(|| std::mem::take(&mut session.name));
        let others = self.members(&self.sessions[&key].room).len() - 1;
        self.expect_deliveries(now, key, update.id, others);
        let id = update.id;
        // Those who are owed it hear of the newest state: nothing can be lost.
        for _ in 0..self.push_updated(key, Some(id)) {
            self.settle(now, Origin { sender: key, id }, Settled::Acknowledged);
        }
        Ok(())
    }

    fn handle_ack(&mut self, now: Instant, key: SessionKey, ack: Ack) -> Result<(), Denied> {
        let session = self.session_mut(key);
        let before = session.replay.bytes();
        match session.replay.acknowledge(ack.seq) {
            Ok(arrived) => {
                let acknowledged = before - session.replay.bytes();
                let waited = !session.outcomes.has_room();
                session.outcomes.acknowledge(ack.seq);
                session.refusing.acknowledge(ack.seq);
                for origin in arrived {
                    self.settle(now, origin, Settled::Acknowledged);
                }
                self.note_acknowledged(key, acknowledged);
                if waited {
                    self.send_delivered(key);
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
    fn recipients<'a>(
        &self,
        sender: SessionKey,
        to: Option<&'a [PeerId]>,
    ) -> Result<Recipients<'a>, Denied> {
        let session = &self.sessions[&sender];
        let room = &self.rooms[&session.room];
        let reunion = room.reunion.as_deref();
        let Some(to) = to else {
            return Ok(Recipients {
                here: room.others(sender).collect(),
                absent: reunion.map_or_else(Vec::new, |reunion| {
                    reunion.absent_peers().cloned().collect()
                }),
                to: None,
            });
        };
        let (mut here, mut absent) = (Vec::new(), Vec::new());
        for peer in to {
            if *peer == session.peer {
                return Err(Denied::no_such_peer());
            }
            let key = self.peers.get(peer).copied();
            let key = key.filter(|key| self.sessions[key].room == session.room);
            match key {
                Some(key) if here.contains(&key) => {}
                Some(key) => here.push(key),
                None if absent.contains(peer) => {}
                None if !peer.is_plausible() => return Err(Denied::no_such_peer()),
                None if reunion.is_some_and(|reunion| reunion.may_return(sender, peer)) => {
                    absent.push(peer.clone());
                }
                None => return Err(Denied::no_such_peer()),
            }
        }
        Ok(Recipients {
            here,
            absent,
            to: Some(to),
        })
    }

    fn deliver(
        &mut self,
        now: Instant,
        sender: SessionKey,
        id: MessageId,
        recipients: Recipients<'_>,
        body: &Body,
    ) {
        let origin = Origin { sender, id };
        let Recipients { here, absent, to } = recipients;
        let room = self.rooms.get_mut(&self.sessions[&sender].room);
        let reunion = room.and_then(|room| room.reunion.as_deref_mut());
        let mut waiting = here.len() + absent.len();
        let mut given_up = Vec::new();
        if let Some(reunion) = reunion {
            let waits_for_anybody = waiting == 0 && to.is_none() && reunion.is_silent(sender);
            waiting += usize::from(waits_for_anybody);
            let reached = here.iter().map(|key| self.sessions[key].peer.clone());
            given_up = reunion.keep(Kept {
                origin,
                body: body.clone(),
                to: to.map(<[PeerId]>::to_vec),
                reached: reached.collect(),
                waits: absent,
                waits_for_anybody,
            });
        }
        self.expect_deliveries(now, sender, id, waiting);
        for message in given_up {
            self.give_up(now, message);
        }
        for recipient in here {
            self.push(recipient, body, Some(origin));
        }
    }
}

/// What is wrong with an event however its room looks.
pub(super) fn check_event(event: &Event) -> Result<(), Denied> {
    if event.name.is_empty() || event.name.chars().count() > limits::EVENT_NAME_CHARS {
        let longest = limits::EVENT_NAME_CHARS;
        let refusal = Refusal::bad(format!("`name` of an event has 1 to {longest} characters."));
        return Err(Denied::Message(refusal));
    }
    if matches!(&event.to, Some(client::Recipients::Many(to)) if to.is_empty()) {
        let refusal = Refusal::bad("`to` is an empty list: leave it out to address the room.");
        return Err(Denied::Message(refusal));
    }
    Ok(())
}
