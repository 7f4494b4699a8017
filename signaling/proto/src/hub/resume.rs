//! Going on with a session over a new connection: of this process, or of one that is gone.

use std::time::Instant;

use super::enter::refuse_media_of_viewers;
use super::reunion::Reunion;
use super::session::{Beginning, Session, Settled};
use super::{Connection, ConnectionId, Environment, Hub, Output, Refusal, SessionKey};
use super::{limits, name, totals};
use crate::frame::Body;
use crate::id::{PeerId, Seq};
use crate::message::ServerMessage;
use crate::message::client::{Hello, Resume};
use crate::message::server::{ErrorCode, LeftReason, PeerLeft};
use crate::ticket::{self, Ticket, TicketError};

/// Why a resumption is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unresumable {
    Forged,
    Expired,
    /// A newer ticket has been used.
    Old,
    /// The session is over.
    Over,
    /// Of another room, or at a place that the session never was at.
    Mismatch,
}

impl Unresumable {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::Old => "old",
            Self::Over => "over",
            Self::Mismatch => "mismatch",
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Self::Forged => "This is no ticket of this service: say `hello` without `resume`.",
            Self::Expired => "The ticket has expired: say `hello` without `resume`.",
            Self::Old => "A newer ticket of this session has been used.",
            Self::Over => "The session is over: say `hello` without `resume`.",
            Self::Mismatch => "The ticket does not fit: say `hello` without `resume`.",
        }
    }
}

impl<E: Environment> Hub<E> {
    /// `hello` with `resume`.
    pub(super) fn resume(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        hello: Hello,
        resume: Resume,
    ) -> Result<(), Refusal> {
        if self.draining {
            return Err(Refusal::new(ErrorCode::Draining, "The server is stopping."));
        }
        let unix_time = self.environment.unix_time();
        let ticket = match self.ticket_key.open(&resume.ticket, unix_time) {
            Ok(ticket) => ticket,
            Err(TicketError::Forged) => return Err(self.unresumable(Unresumable::Forged)),
            Err(TicketError::Expired) => return Err(self.unresumable(Unresumable::Expired)),
        };
        let namespace = hello.namespace();
        if *ticket.room != *hello.room || *ticket.namespace != *namespace {
            return Err(self.unresumable(Unresumable::Mismatch));
        }
        match self.peers.get(&ticket.peer) {
            Some(key) => self.go_on(now, connection, *key, ticket.generation, resume.received),
            None if ticket.instance == self.instance || self.ended.contains(&ticket.peer) => {
                Err(self.unresumable(Unresumable::Over))
            }
            None => self.adopt(now, connection, &hello, ticket, resume),
        }
    }

    fn unresumable(&mut self, why: Unresumable) -> Refusal {
        *self.totals.resumes_refused.entry(why.name()).or_default() += 1;
        Refusal::new(ErrorCode::ResumeFailed, why.told())
    }

    /// Goes on with a session of this process.
    fn go_on(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        key: SessionKey,
        generation: u32,
        received: Seq,
    ) -> Result<(), Refusal> {
        let session = self.session_mut(key);
        if !session.tickets.accept(generation) {
            return Err(self.unresumable(Unresumable::Old));
        }
        let Ok(arrived) = session.replay.rewind(received) else {
            return Err(self.unresumable(Unresumable::Mismatch));
        };
        session.outcomes.acknowledge(received);
        session.tickets.rotate(generation);
        let replaced = session.connection.replace(connection);
        if let Some(replaced) = replaced {
            self.replace(replaced);
        }
        let source = self.source_of(connection);
        self.sources.enter(source);
        let reached_as = self.take_greeting(connection);
        let session = self.session_mut(key);
        session.reached_as = reached_as;
        let before = std::mem::replace(&mut session.source, source);
        self.sources.leave(before);
        self.connections
            .insert(connection, Connection::Carries(key));
        for origin in arrived {
            self.settle(now, origin, Settled::Acknowledged);
        }
        self.send_welcome(now, connection, key, true);
        // First what has no `seq`: an acknowledgement of what follows shows that it was heard.
        let session = &self.sessions[&key];
        let frames: Vec<_> = session
            .outcomes
            .frames()
            .chain(session.replay.frames())
            .collect();
        for frame in frames {
            self.send(connection, frame);
        }
        self.send_delivered(key);
        if replaced.is_none() {
            self.push_updated(key, None);
        }
        self.totals.sessions_resumed += 1;
        Ok(())
    }

    /// A newer connection has taken over what this one carried.
    fn replace(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
        let code = ErrorCode::Replaced;
        let refusal = Refusal::new(code, "A newer connection has taken over.");
        self.send_error(connection, refusal, None);
        self.outputs.push_back(Output::Close {
            connection,
            code: code.close_code().expect("it is fatal"),
            reason: totals::code_name(code),
        });
    }

    /// Goes on with a session that another process began: what that knew of it is lost, except for
    /// what the ticket and the client tell.
    fn adopt(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        hello: &Hello,
        ticket: Ticket,
        resume: Resume,
    ) -> Result<(), Refusal> {
        refuse_media_of_viewers(ticket.role, hello.media)?;
        // Its place in the room was given before: only the server's own caps count.
        let room = self.find_room(&ticket.namespace, &ticket.room)?;
        let mut session = Session::new(Beginning {
            peer: ticket.peer.clone(),
            connection,
            source: self.source_of(connection),
            reached_as: self.take_greeting(connection),
            room: room.clone(),
            name: hello.name.as_deref().map(name::clean).unwrap_or_default(),
            role: ticket.role,
            media: hello.media,
            entered_ms: ticket.entered_ms,
        });
        session.adopted = true;
        session.tickets.rotate(ticket.generation);
        session.replay = super::replay::Replay::after(resume.received);
        let key = self.seat(connection, session);
        self.totals.sessions_adopted += 1;
        self.send_welcome(now, connection, key, true);
        self.push_joined(key);
        self.reunite(now, key, &ticket.peer, resume.peers);
        Ok(())
    }

    /// An adopted session is in its room: it gets what was kept for it, and what it says of the others
    /// tells whom to keep messages for.
    fn reunite(
        &mut self,
        now: Instant,
        key: SessionKey,
        peer: &PeerId,
        known: Option<Vec<PeerId>>,
    ) {
        let room_key = self.sessions[&key].room.clone();
        let missing: Option<Vec<_>> = known.map(|known| {
            let is_here = |other: &PeerId| {
                let other = self.peers.get(other);
                other.is_some_and(|other| self.sessions[other].room == room_key)
            };
            known.into_iter().filter(|other| !is_here(other)).collect()
        });
        let max_room = self.max_room(&room_key.namespace);
        let room = self.rooms.get_mut(&room_key).expect("it has just entered");
        let members = room.members.clone();
        if room.reunion.is_none() && missing.as_ref().is_none_or(|missing| !missing.is_empty()) {
            let ends = now + self.config.resume_window;
            room.reunion = Some(Box::new(Reunion::new(ends)));
            self.reunions_due.push_back((ends, room_key));
        }
        let Some(reunion) = &mut room.reunion else {
            return self.elect_host(&members);
        };
        let theirs = reunion.handle_return(peer);
        match missing {
            None => reunion.note_silent(key),
            Some(missing) => {
                let places = max_room.saturating_sub(members.len());
                for peer in missing {
                    reunion.note_absent(key, peer, places);
                }
            }
        }
        let complete = reunion.is_complete();
        for (body, origin) in theirs {
            self.push(key, &body, origin);
        }
        if complete {
            self.elect_host(&members);
        }
    }

    /// Ends the reunions whose time is over.
    pub(super) fn end_reunions(&mut self, now: Instant) {
        while self
            .reunions_due
            .front()
            .is_some_and(|(due, _)| *due <= now)
        {
            let (due, key) = self.reunions_due.pop_front().expect("looked at above");
            let Some(room) = self.rooms.get_mut(&key) else {
                continue;
            };
            let Some(reunion) = room.reunion.take_if(|reunion| reunion.ends == due) else {
                continue;
            };
            let members = room.members.clone();
            if members.is_empty() {
                self.close_room(&key);
                continue;
            }
            let (kept, absent) = reunion.end();
            for message in kept {
                self.give_up(now, message);
            }
            for (peer, known_to) in absent {
                let left = Body::new(&ServerMessage::PeerLeft(PeerLeft {
                    peer,
                    reason: LeftReason::Timeout,
                    seq: Seq::default(),
                }));
                for member in known_to {
                    if self.sessions.contains_key(&member) {
                        self.push(member, &left, None);
                    }
                }
            }
            self.elect_host(&members);
        }
    }

    /// Who has not come back for a kept message will not get it.
    pub(super) fn give_up(&mut self, now: Instant, message: super::reunion::Kept) {
        for peer in &message.waits {
            self.settle(now, message.origin, Settled::LeftBefore(peer));
        }
        if message.waits_for_anybody {
            self.settle(now, message.origin, Settled::Acknowledged);
        }
    }

    /// An adopted session has ended. Its older tickets are of another process, so that only this says
    /// that they are good for nothing.
    pub(super) fn remember_end(&mut self, now: Instant, peer: PeerId) {
        self.ended_order
            .push_back((now + ticket::LIFETIME, peer.clone()));
        self.ended.insert(peer);
        while self.ended_order.len() > limits::ENDED_SESSIONS
            || self.ended_order.front().is_some_and(|(due, _)| *due <= now)
        {
            if let Some((_, peer)) = self.ended_order.pop_front() {
                self.ended.remove(&peer);
            }
        }
    }
}
