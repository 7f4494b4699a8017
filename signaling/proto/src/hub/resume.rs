//! Going on with a session over a new connection, where this process knows it.

use std::time::Instant;

use super::enter::refuse_media_of_viewers;
use super::moderate::PUT_OUT;
use super::session::Settled;
use super::{Connection, ConnectionId, Environment, Hub, Output, Refusal, SessionKey};
use super::{replay, totals};
use crate::id::Seq;
use crate::message::client::{Hello, Resume};
use crate::message::server::{ErrorCode, LeftReason};
use crate::name;
use crate::ticket::Ticket;

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
        let source = self.source_of(connection);
        self.sources
            .take_hello(now, source)
            .map_err(|wait| Refusal::too_fast("Your network comes back too often.", wait))?;
        let Ok(ticket) = self.ticket_key.open(&resume.ticket) else {
            return Err(self.unresumable(Unresumable::Forged));
        };
        let namespace = hello.namespace();
        if *ticket.room != *hello.room || *ticket.namespace != *namespace {
            return Err(self.unresumable(Unresumable::Mismatch));
        }
        match (
            self.peers.get(&ticket.peer),
            self.ended.reason(&ticket.peer),
        ) {
            (Some(key), _) => self.go_on(now, connection, *key, &hello, &ticket, resume),
            (None, Some(LeftReason::Kicked)) => Err(self.unresumable(Unresumable::Kicked)),
            (None, ended) if ended.is_some() || self.has_seen_end(&ticket) => {
                Err(self.unresumable(Unresumable::Over))
            }
            (None, _) if self.config.resume_window.is_zero() => {
                Err(self.unresumable(Unresumable::Over))
            }
            (None, _) if ticket.is_expired(self.environment.unix_time()) => {
                Err(self.unresumable(Unresumable::Expired))
            }
            (None, _) => self.adopt(now, connection, &hello, ticket, resume),
        }
    }

    /// Whether the session began here, so that it is over when it is unknown here.
    fn has_seen_end(&self, ticket: &Ticket) -> bool {
        ticket.instance == self.instance && self.lost.reason(&ticket.peer).is_none()
    }

    pub(super) fn unresumable(&mut self, why: Unresumable) -> Refusal {
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
        session.tickets.last_expiry = session.tickets.last_expiry.max(ticket.expires_at);
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
            session.name = name::person(name);
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
}
