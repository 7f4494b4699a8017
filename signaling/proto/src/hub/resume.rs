//! Going on with a session over a new connection: of this process, or of one that is gone.

use std::sync::Arc;
use std::time::Instant;

use super::enter::refuse_media_of_viewers;
use super::moderate::PUT_OUT;
use super::news::{self, News};
use super::replay::{self, Replay};
use super::reunion::Reunion;
use super::room::RoomKey;
use super::session::{Beginning, Session, Settled};
use super::{Connection, ConnectionId, Environment, Hub, Output, Refusal, SessionKey};
use super::{limits, name, totals};
use crate::id::{PeerId, Seq};
use crate::message::client::{Hello, Resume};
use crate::message::server::{ErrorCode, LeftReason};
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
    /// A host has ended the session.
    Kicked,
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
            Self::Kicked => "kicked",
            Self::Mismatch => "mismatch",
        }
    }

    /// Who was put out must not come back by itself, as a client does that hears `resume_failed`.
    const fn code(self) -> ErrorCode {
        match self {
            Self::Kicked => ErrorCode::Forbidden,
            _ => ErrorCode::ResumeFailed,
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Self::Forged => "This is no ticket of this service: say `hello` without `resume`.",
            Self::Expired => "The ticket has expired: say `hello` without `resume`.",
            Self::Old => "A newer ticket of this session has been used.",
            Self::Over => "The session is over: say `hello` without `resume`.",
            Self::Kicked => PUT_OUT,
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
        match (self.peers.get(&ticket.peer), self.ended.get(&ticket.peer)) {
            (Some(key), _) => self.go_on(now, connection, *key, &hello, &ticket, resume),
            (None, Some(LeftReason::Kicked)) => Err(self.unresumable(Unresumable::Kicked)),
            (None, ended) if ended.is_some() || ticket.instance == self.instance => {
                Err(self.unresumable(Unresumable::Over))
            }
            (None, _) => self.adopt(now, connection, &hello, ticket, resume),
        }
    }

    fn unresumable(&mut self, why: Unresumable) -> Refusal {
        *self.totals.resumes_refused.entry(why.name()).or_default() += 1;
        Refusal::new(why.code(), why.told())
    }

    /// Goes on with a session of this process.
    fn go_on(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        key: SessionKey,
        hello: &Hello,
        ticket: &Ticket,
        resume: Resume,
    ) -> Result<(), Refusal> {
        let received = resume.received;
        if !self.sessions[&key].tickets.accept(ticket.generation) {
            return Err(self.unresumable(Unresumable::Old));
        }
        let was_elsewhere = ticket.instance != self.instance;
        let kept = self.sessions[&key].replay.bytes();
        let arrived = if was_elsewhere {
            self.take_back(key, hello, received)?;
            Vec::new()
        } else {
            let session = self.session_mut(key);
            let Ok(arrived) = session.replay.rewind(received) else {
                return Err(self.unresumable(Unresumable::Mismatch));
            };
            session.outcomes.acknowledge(received);
            session.refusing.acknowledge(received);
            arrived
        };
        let session = self.session_mut(key);
        let acknowledged = kept - session.replay.bytes();
        session.owed.note_roster();
        session.tickets.rotate(ticket.generation);
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
        let session = &self.sessions[&key];
        for frame in replay::unheard(&session.replay, &session.outcomes) {
            self.send(connection, frame);
        }
        self.outdo_old_ice_servers(now, key);
        self.note_acknowledged(key, acknowledged);
        self.watch_again(now, key);
        if !self.sessions[&key].refusing.is_empty() {
            self.tell_lock(key);
        }
        self.send_delivered(key);
        if was_elsewhere && let Some(known) = resume.peers {
            let missing = self.missing(&self.sessions[&key].room, known);
            self.await_missing(now, key, missing);
        }
        if replaced.is_none() || was_elsewhere {
            self.push_updated(key, None);
        }
        self.totals.sessions_resumed += 1;
        Ok(())
    }

    /// A session has gone on in another process and comes back. What its client has counted there means
    /// nothing here: that `seq`s of here are below it does not say that they have arrived, and of its
    /// ids those are missing that were delivered there.
    fn take_back(&mut self, key: SessionKey, hello: &Hello, received: Seq) -> Result<(), Refusal> {
        let session = self.session_mut(key);
        refuse_media_of_viewers(session.role, hello.media)?;
        session.media = hello.media;
        if let Some(name) = hello.name.as_deref().filter(|_| !session.is_named) {
            session.name = name::clean(name);
        }
        session.adopted = true;
        replay::renumber(&mut session.replay, &mut session.outcomes, received);
        session.refusing.renumber(session.replay.sent());
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
        let room = self.readmit(now, connection, hello, &ticket)?;
        let name = ticket.name.as_deref().or(hello.name.as_deref());
        let mut session = Session::new(Beginning {
            peer: ticket.peer.clone(),
            connection,
            source: self.source_of(connection),
            reached_as: self.take_greeting(connection),
            room: room.clone(),
            name: name.map(name::clean).unwrap_or_default(),
            is_named: ticket.name.is_some(),
            role: ticket.role,
            media: hello.media,
            entered_ms: ticket.entered_ms,
        });
        session.adopted = true;
        session.tickets.rotate(ticket.generation);
        session.replay = Replay::after(resume.received);
        let key = self.seat(now, connection, session);
        self.totals.sessions_adopted += 1;
        self.send_welcome(now, connection, key, true);
        self.push_joined(key);
        self.reunite(now, key, &ticket.peer, resume.peers);
        Ok(())
    }

    /// Which room a session of another process comes back to, if it may. It has said whom it is when it
    /// entered, so that neither its token nor a lock counts; but all caps do.
    fn readmit(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        hello: &Hello,
        ticket: &Ticket,
    ) -> Result<Arc<RoomKey>, Refusal> {
        refuse_media_of_viewers(ticket.role, hello.media)?;
        let room = self.find_room(&ticket.namespace, &ticket.room)?;
        let places = self.max_room(&ticket.namespace);
        if let Some(known) = self.rooms.get(&room) {
            if !known.awaits(now, self.config.resume_window, &ticket.peer) {
                return Err(self.unresumable(Unresumable::Over));
            }
            if known.members.len() >= places {
                return Err(Refusal::room_full(places));
            }
        }
        self.check_source(self.source_of(connection))?;
        Ok(room)
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
        let missing = known.map(|known| self.missing(&room_key, known));
        let room = self.rooms.get_mut(&room_key).expect("it has just entered");
        let theirs = room.reunion.as_deref_mut();
        let theirs = theirs.map(|reunion| reunion.handle_return(peer));
        for (body, origin) in theirs.into_iter().flatten() {
            self.push(key, &body, origin);
        }
        match missing {
            Some(missing) => self.await_missing(now, key, missing),
            None => self.open_reunion(now, &room_key).note_silent(key),
        }
        let room = &self.rooms[&room_key];
        let reunion = room.reunion.as_deref();
        if reunion.is_none_or(Reunion::is_complete) {
            self.elect_host(&room.members.clone());
        }
    }

    /// Of those whom somebody knows to be in a room who is not.
    fn missing(&self, room: &RoomKey, mut known: Vec<PeerId>) -> Vec<PeerId> {
        known.retain(|peer| {
            let key = self.peers.get(peer);
            let is_here = key.is_some_and(|key| *self.sessions[key].room == *room);
            peer.is_plausible() && !is_here
        });
        known
    }

    /// What the room's peers who are missing are kept in.
    fn open_reunion(&mut self, now: Instant, room_key: &Arc<RoomKey>) -> &mut Reunion {
        let room = self.rooms.get_mut(room_key).expect("somebody is in it");
        room.reunion.get_or_insert_with(|| {
            let ends = now + self.config.resume_window;
            self.reunions_due.push_back((ends, room_key.clone()));
            Box::new(Reunion::new(ends))
        })
    }

    /// Somebody has come from another process, where it has met those who are missing here: they may
    /// follow it. For whom there is no place it is told at once that they have left.
    fn await_missing(&mut self, now: Instant, key: SessionKey, missing: Vec<PeerId>) {
        let room_key = self.sessions[&key].room.clone();
        let places = self.max_room(&room_key.namespace);
        let room = self.rooms.get_mut(&room_key).expect("it is in it");
        room.is_told = true;
        if missing.is_empty() {
            return;
        }
        let places = places.saturating_sub(room.members.len());
        let reunion = self.open_reunion(now, &room_key);
        let mut hopeless = missing;
        hopeless.retain(|peer| !reunion.note_absent(key, peer, places));
        for peer in hopeless {
            if self.sessions[&key].replay.bytes() > limits::REPLAY_BYTES {
                // It has named more than it can ever have met.
                return self.overflowing.push(key);
            }
            self.push(key, &news::left(peer, LeftReason::Timeout), None);
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
                let reason = LeftReason::Timeout;
                let left = news::left(peer.clone(), reason);
                for member in known_to {
                    if self.sessions.contains_key(&member) {
                        self.tell(member, &peer, News::Left(reason), &left, None);
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

    /// A session has ended whose older tickets are of another process, so that only this says that they
    /// are good for nothing; or that a host has ended, which its client may not have heard.
    pub(super) fn remember_end(&mut self, now: Instant, peer: PeerId, reason: LeftReason) {
        self.ended_order
            .push_back((now + ticket::LIFETIME, peer.clone()));
        self.ended.insert(peer, reason);
        while self.ended_order.len() > limits::ENDED_SESSIONS
            || self.ended_order.front().is_some_and(|(due, _)| *due <= now)
        {
            if let Some((_, peer)) = self.ended_order.pop_front() {
                self.ended.remove(&peer);
            }
        }
    }
}
