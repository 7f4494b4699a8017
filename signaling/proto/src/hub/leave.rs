//! Going away, and leaving.

use std::time::Instant;

use super::news::{self, News};
use super::room::RoomKey;
use super::session::Settled;
use super::{Connection, ConnectionId, Environment, Hub, Output, SessionKey};
use crate::message::server::{LeftReason, Role};
use crate::source::Source;

impl<E: Environment> Hub<E> {
    /// `bye`.
    pub(super) fn handle_bye(&mut self, now: Instant, key: SessionKey) {
        // What has been settled is still told.
        self.send_delivered(key);
        if let Some(connection) = self.session_mut(key).connection.take() {
            self.connections.remove(&connection);
            self.close_normally(connection);
        }
        self.leave(now, key, LeftReason::Bye);
    }

    pub(super) fn close_normally(&mut self, connection: ConnectionId) {
        self.outputs.push_back(Output::Close {
            connection,
            code: 1000,
            reason: "bye",
        });
    }

    /// The connection that carried a session is gone, and nobody has said `bye`.
    pub(super) fn go_away(&mut self, now: Instant, key: SessionKey) {
        let session = self.session_mut(key);
        session.connection = None;
        session.absences = session.absences.wrapping_add(1);
        let absence = session.absences;
        if self.config.resume_window.is_zero() {
            return self.leave(now, key, LeftReason::Timeout);
        }
        let due = now + self.config.resume_window;
        self.away_due.push_back((due, key, absence));
        self.push_updated(key, None);
        // Nobody waits for somebody who is away.
        self.unblock(key);
    }

    /// Ends the sessions whose resume window is over.
    pub(super) fn end_absences(&mut self, now: Instant) {
        while self.away_due.front().is_some_and(|(due, ..)| *due <= now) {
            let (_, key, absence) = self.away_due.pop_front().expect("looked at above");
            let still_away = self
                .sessions
                .get(&key)
                .is_some_and(|session| session.connection.is_none() && session.absences == absence);
            if still_away {
                self.leave(now, key, LeftReason::Timeout);
            }
        }
    }

    /// Takes the connection of a session that ends out of the table.
    pub(super) fn session_of(&mut self, connection: ConnectionId) -> Option<SessionKey> {
        match self.connections.remove(&connection)? {
            Connection::Greeting(arrival) => {
                self.end_greeting(arrival.source);
                None
            }
            Connection::Carries(key) => Some(key),
        }
    }

    /// A connection does not greet any more.
    pub(super) fn end_greeting(&mut self, source: Option<Source>) {
        self.greeting -= 1;
        self.sources.greeted(source);
    }

    /// Takes a session out of every table and tells those who are concerned. Its connection has been
    /// taken out already.
    pub(super) fn leave(&mut self, now: Instant, key: SessionKey, reason: LeftReason) {
        let mut session = self
            .sessions
            .remove(&key)
            .expect("a session leaves once, through its connection or its absence");
        self.totals.count_left(reason);
        self.forget_kept(&mut session);
        self.peers.remove(&session.peer);
        self.sources.leave(session.source);
        self.namespaces.forget_session(&session.room.namespace);
        self.note_end(now, &session, reason);
        let room = self.rooms.get_mut(&session.room);
        let room = room.expect("a session is in a room");
        room.members.retain(|member| *member != key);
        let remaining = room.members.clone();
        if remaining.is_empty() && room.reunion.is_none() {
            self.close_room(&session.room);
            return;
        }

        for origin in session.replay.abandon() {
            self.settle(now, origin, Settled::LeftBefore(&session.peer));
        }
        let left = news::left(session.peer.clone(), reason);
        for member in &remaining {
            self.tell(*member, &session.peer, News::Left(reason), &left, None);
        }
        if session.role == Role::Host {
            self.elect_host(&remaining);
        }
    }

    /// Nobody is in a room any more, or will come back to it.
    pub(super) fn close_room(&mut self, room: &RoomKey) {
        self.rooms.remove(room);
        self.namespaces.forget_room(&room.namespace);
    }

    /// The participant who has been there longest becomes host, and the room is told.
    pub(super) fn elect_host(&mut self, members: &[SessionKey]) {
        let role = |key: &SessionKey| self.sessions[key].role;
        if members.iter().any(|key| role(key) == Role::Host) {
            return;
        }
        let Some(next) = members.iter().find(|key| role(key) == Role::Participant) else {
            return;
        };
        let now_ms = self.unix_ms();
        if let Some(session) = self.sessions.get_mut(next) {
            session.role = Role::Host;
            session.host_since_ms = now_ms;
        }
        self.push_updated(*next, None);
        self.tell_own_entry(*next);
        self.send_ticket(*next);
    }
}
