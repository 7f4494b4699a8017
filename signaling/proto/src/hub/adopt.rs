//! Going on with a session that another process began, and the room that comes together again.

use std::sync::Arc;
use std::time::Instant;

use super::enter::refuse_media_of_viewers;
use super::news::{self, News};
use super::replay::Replay;
use super::resume::Unresumable;
use super::reunion::{Kept, Reunion};
use super::room::RoomKey;
use super::session::{Beginning, Session, Settled};
use super::{ConnectionId, Environment, Hub, Refusal, SessionKey, limits};
use crate::id::PeerId;
use crate::message::client::{Hello, Resume};
use crate::message::server::{LeftReason, Role};
use crate::name;
use crate::ticket::Ticket;

impl<E: Environment> Hub<E> {
    /// Goes on with a session that another process began: what that knew of it is lost, except for
    /// what the ticket and the client tell.
    pub(super) fn adopt(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        hello: &Hello,
        ticket: Ticket,
        resume: Resume,
    ) -> Result<(), Refusal> {
        let room = self.readmit(now, connection, hello, &ticket)?;
        let name = ticket.name.as_deref().or(hello.name.as_deref());
        let role = self.claimed_role(&room, &ticket);
        let mut session = Session::new(Beginning {
            peer: ticket.peer.clone(),
            connection,
            source: self.source_of(connection),
            reached_as: self.take_greeting(connection),
            room: room.clone(),
            name: name.map(name::person).unwrap_or_default(),
            is_named: ticket.name.is_some(),
            role,
            is_granted: ticket.is_granted,
            token_expires_at: ticket.token_expires_at,
            host_since_ms: ticket.host_since_ms,
            media: hello.media,
            entered_ms: ticket.entered_ms,
        });
        session.adopted = true;
        session.tickets.rotate(ticket.generation);
        session.tickets.last_expiry = ticket.expires_at;
        session.replay = Replay::after(resume.received);
        let key = self.seat(now, connection, session);
        self.totals.sessions_adopted += 1;
        self.send_welcome(now, connection, key, true);
        self.push_joined(key);
        self.yield_to(key);
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

    /// What an adopted session is: host by a token's word, or if nobody there has a better claim.
    fn claimed_role(&self, room: &RoomKey, ticket: &Ticket) -> Role {
        if ticket.role != Role::Host || ticket.is_granted {
            return ticket.role;
        }
        // Who has become host later has done so because the one before had left; a newcomer has only
        // been faster than all who come back.
        let outdone = self.members(room).iter().any(|member| {
            let other = &self.sessions[member];
            let is_later = other.adopted && other.host_since_ms > ticket.host_since_ms;
            other.role == Role::Host && (other.is_granted || is_later)
        });
        match outdone {
            true => Role::Participant,
            false => Role::Host,
        }
    }

    /// An adopted host is there: members that the room elected host meanwhile are hosts no more. Their
    /// earlier tickets still say host, so the adopted one counts as host since after them: otherwise
    /// such a ticket would outdo it in the next process.
    fn yield_to(&mut self, host: SessionKey) {
        if self.sessions[&host].role != Role::Host {
            return;
        }
        let room = self.sessions[&host].room.clone();
        let mut newest = None;
        for member in self.members(&room).to_vec() {
            let other = self.session_mut(member);
            if member != host && other.role == Role::Host && !other.is_granted {
                newest = newest.max(Some(other.host_since_ms));
                other.role = Role::Participant;
                other.host_since_ms = 0;
                self.push_updated(member, None);
                self.tell_own_entry(member);
                self.send_ticket(member);
            }
        }
        if let Some(newest) = newest {
            let host_since_ms = &mut self.session_mut(host).host_since_ms;
            *host_since_ms = (newest + 1).max(*host_since_ms);
            self.send_ticket(host);
        }
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
    pub(super) fn missing(&self, room: &RoomKey, mut known: Vec<PeerId>) -> Vec<PeerId> {
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

    /// An adopted session has met peers in another process that are missing here: they may follow it.
    /// Of those that the room has no place for it is told at once that they have left.
    pub(super) fn await_missing(&mut self, now: Instant, key: SessionKey, missing: Vec<PeerId>) {
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
    pub(super) fn give_up(&mut self, now: Instant, message: Kept) {
        for peer in &message.waits {
            self.settle(now, message.origin, Settled::LeftBefore(peer));
        }
        if message.waits_for_anybody {
            self.settle(now, message.origin, Settled::Acknowledged);
        }
    }
}
