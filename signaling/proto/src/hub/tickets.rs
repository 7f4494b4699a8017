//! What tickets are worth: written with each welcome and again while their client is connected, and
//! worth nothing when their session has ended.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::session::Session;
use super::{Environment, Hub, Output, SessionKey, limits};
use crate::frame::Frame;
use crate::id::PeerId;
use crate::message::ServerMessage;
use crate::message::server::{LeftReason, NewTicket};
use crate::ticket::{self, Ticket};

/// A session that has ended before its tickets have expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whose session.
    pub peer: PeerId,
    /// How it ended.
    pub reason: LeftReason,
    /// When its last ticket expires, in seconds since 1970.
    pub until: u64,
}

/// Sessions that are over and whose tickets do not tell it.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    reasons: HashMap<PeerId, LeftReason>,
    /// Until when each is remembered: byes, which clients make at will, and apart from them all others.
    orders: [VecDeque<(Instant, PeerId)>; 2],
}

impl EndedSessions {
    pub(super) fn reason(&self, peer: &PeerId) -> Option<LeftReason> {
        self.reasons.get(peer).copied()
    }

    /// Remembers one until `due`, and forgets those that are due at `now` or too many.
    pub(super) fn remember(
        &mut self,
        now: Instant,
        due: Instant,
        peer: PeerId,
        reason: LeftReason,
    ) {
        let kind = usize::from(reason != LeftReason::Bye);
        self.orders[kind].push_back((due, peer.clone()));
        self.reasons.insert(peer, reason);
        for order in &mut self.orders {
            while order.len() > limits::ENDED_SESSIONS
                || order.front().is_some_and(|(due, _)| *due <= now)
            {
                if let Some((_, peer)) = order.pop_front() {
                    self.reasons.remove(&peer);
                }
            }
        }
    }
}

impl<E: Environment> Hub<E> {
    pub(super) fn ticket_lifetime(&self) -> Duration {
        ticket::lifetime(self.config.resume_window)
    }

    /// The newest ticket of a session.
    pub(super) fn ticket(&mut self, key: SessionKey) -> String {
        let expires_at = self.environment.unix_time() + self.ticket_lifetime();
        let session = self.session_mut(key);
        let token_expires_at = session.token_expires_at;
        let expires_at = expires_at
            .as_secs()
            .min(token_expires_at.unwrap_or(u64::MAX));
        session.tickets.last_expiry = session.tickets.last_expiry.max(expires_at);
        let session = &self.sessions[&key];
        self.ticket_key.sign(&Ticket {
            peer: session.peer.clone(),
            namespace: session.room.namespace.clone(),
            room: session.room.name.clone(),
            role: session.role,
            name: session.is_named.then(|| session.name.as_str().into()),
            generation: session.tickets.current,
            instance: self.instance,
            entered_ms: session.entered_ms,
            expires_at,
            is_granted: session.is_granted,
            token_expires_at,
            host_since_ms: session.host_since_ms,
        })
    }

    /// A welcome has brought a ticket, which another one replaces later.
    pub(super) fn schedule_refresh(&mut self, now: Instant, key: SessionKey) {
        if !self.config.resume_window.is_zero() {
            let generation = self.sessions[&key].tickets.current;
            let due = now + ticket::REFRESH;
            self.refresh_due.push_back((due, key, generation));
        }
    }

    /// Gives connected clients tickets that are good for longer. Who is away gets one with its welcome.
    pub(super) fn refresh_tickets(&mut self, now: Instant) {
        while self
            .refresh_due
            .front()
            .is_some_and(|(due, ..)| *due <= now)
        {
            let Some((_, key, generation)) = self.refresh_due.pop_front() else {
                return;
            };
            let session = self.sessions.get(&key);
            if session.is_some_and(|session| session.tickets.current == generation)
                && self.send_ticket(key)
            {
                self.schedule_refresh(now, key);
            }
        }
    }

    /// Gives a client its newest ticket, if it is connected: it is good for longer, or says what its
    /// session has become.
    pub(super) fn send_ticket(&mut self, key: SessionKey) -> bool {
        let Some(connection) = self.sessions[&key].connection else {
            return false;
        };
        if !self.config.resume_window.is_zero() {
            let ticket = self.ticket(key);
            let message = ServerMessage::Ticket(NewTicket { ticket });
            self.send(connection, Frame::plain(&message));
        }
        true
    }

    /// A session has ended: its tickets are worth nothing here. Neither are they in the next process
    /// after a goodbye, when it was put out, or when its room lets nobody in. Otherwise it may have gone
    /// on in another process, and come back from there.
    pub(super) fn note_end(&mut self, now: Instant, session: &Session, reason: LeftReason) {
        if self.config.resume_window.is_zero() {
            return;
        }
        let peer = session.peer.clone();
        let until = session.tickets.last_expiry.saturating_add(1);
        let due = now + self.time_until(until);
        let is_for_good = match reason {
            LeftReason::Bye | LeftReason::Kicked => true,
            LeftReason::Timeout | LeftReason::Replaced => self.rooms[&session.room].locked,
        };
        // Of the others' tickets this process knows that it has written them.
        if session.adopted || is_for_good {
            self.ended.remember(now, due, peer.clone(), reason);
        }
        if is_for_good {
            let ended = Ended {
                peer,
                reason,
                until,
            };
            self.outputs.push_back(Output::Ended(ended));
        }
    }

    /// How long it is until a time in seconds since 1970; a day at most, as clocks may be wrong.
    fn time_until(&mut self, until: u64) -> Duration {
        let left = Duration::from_secs(until).saturating_sub(self.environment.unix_time());
        left.min(Duration::from_secs(24 * 60 * 60))
    }

    /// Sessions have ended in an earlier process with the same key; in the order of their `until`.
    pub fn handle_ended(&mut self, now: Instant, ended: impl IntoIterator<Item = Ended>) {
        for Ended {
            peer,
            reason,
            until,
        } in ended
        {
            let due = now + self.time_until(until);
            if due > now {
                self.ended.remember(now, due, peer, reason);
            }
        }
    }
}
