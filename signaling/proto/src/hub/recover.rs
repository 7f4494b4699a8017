//! After a panic: a mistake of ours costs the rooms that it has touched, and nothing else.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::room::RoomKey;
use super::{Connection, ConnectionId, Environment, Hub, Output, Refusal, SessionKey, totals};
use crate::message::server::{ErrorCode, LeftReason};

/// What a client of such a room is told.
const FAILED: &str = "The server has failed in this room. Come back with your ticket.";

impl<E: Environment> Hub<E> {
    /// The input before this has ended in a panic, somewhere in the middle. Closes the room of the
    /// connection that it came from, and each room that the tables disagree about; their sessions may
    /// be adopted, as after a restart. Returns the tags of these rooms.
    pub fn handle_panic(&mut self, now: Instant, connection: Option<ConnectionId>) -> Vec<String> {
        let broken = self.broken_rooms(connection);
        self.close_failed_rooms(now, connection, &broken)
    }

    /// Panics have followed each other, and closing what the tables disagree about has not ended them:
    /// closes all rooms. Their sessions may be adopted. Returns the tags.
    pub fn handle_panics(&mut self, now: Instant) -> Vec<String> {
        let all = self.rooms.keys().cloned();
        let of_sessions = self.sessions.values().map(|session| session.room.clone());
        let broken = all.chain(of_sessions).collect();
        self.close_failed_rooms(now, None, &broken)
    }

    fn close_failed_rooms(
        &mut self,
        now: Instant,
        connection: Option<ConnectionId>,
        broken: &HashSet<Arc<RoomKey>>,
    ) -> Vec<String> {
        let tags = broken.iter().filter_map(|room| self.rooms.get(room));
        let tags = tags.map(|room| room.tag.to_string()).collect();
        let lost = self.sessions.iter();
        let lost = lost.filter(|(_, session)| broken.contains(&session.room));
        let mut lost: Vec<_> = lost.map(|(key, _)| *key).collect();
        lost.sort_unstable();
        let closed: Vec<_> = lost
            .into_iter()
            .filter_map(|key| self.lose(now, key))
            .collect();
        self.rooms.retain(|room, _| !broken.contains(room));
        let sessions = &self.sessions;
        self.peers.retain(|_, key| sessions.contains_key(key));
        let mut adrift: Vec<_> = self.connections.iter().collect();
        adrift.retain(
            |(_, it)| matches!(it, Connection::Carries(key) if !sessions.contains_key(key)),
        );
        let mut adrift: Vec<_> = adrift
            .into_iter()
            .map(|(connection, _)| *connection)
            .collect();
        adrift.extend(connection.filter(|connection| !closed.contains(connection)));
        adrift.sort_unstable();
        adrift.dedup();
        for connection in adrift {
            self.close_failed(connection);
        }
        self.count_anew();
        self.totals.panics += 1;
        tags
    }

    fn broken_rooms(&self, connection: Option<ConnectionId>) -> HashSet<Arc<RoomKey>> {
        let mut broken = HashSet::new();
        let carried = connection.and_then(|connection| self.connections.get(&connection));
        if let Some(Connection::Carries(key)) = carried
            && let Some(session) = self.sessions.get(key)
        {
            broken.insert(session.room.clone());
        }
        for (key, session) in &self.sessions {
            let room = self.rooms.get(&session.room);
            let is_member = room.is_some_and(|room| room.members.contains(key));
            let is_known = self.peers.get(&session.peer) == Some(key);
            if !is_member || !is_known || !self.is_carried(*key, session.connection) {
                broken.insert(session.room.clone());
            }
        }
        for (name, room) in &self.rooms {
            let is_in_it = |key: &SessionKey| {
                let session = self.sessions.get(key);
                session.is_some_and(|session| session.room == *name)
            };
            let is_empty = room.members.is_empty() && room.reunion.is_none();
            if is_empty || !room.members.iter().all(is_in_it) {
                broken.insert(name.clone());
            }
        }
        broken
    }

    fn is_carried(&self, key: SessionKey, connection: Option<ConnectionId>) -> bool {
        connection.is_none_or(|connection| {
            matches!(self.connections.get(&connection), Some(Connection::Carries(carried)) if *carried == key)
        })
    }

    /// Takes a session out without a look at what it has to do with others, who go as well. The
    /// connection that it had.
    fn lose(&mut self, now: Instant, key: SessionKey) -> Option<ConnectionId> {
        let session = self.sessions.remove(&key)?;
        let due = now + self.ticket_lifetime();
        self.lost
            .remember(now, due, session.peer.clone(), LeftReason::Timeout);
        session
            .connection
            .inspect(|connection| self.close_failed(*connection))
    }

    fn close_failed(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
        let code = ErrorCode::Internal;
        self.send_error(connection, Refusal::new(code, FAILED), None);
        self.outputs.push_back(Output::Close {
            connection,
            code: code.close_code().expect("it is fatal"),
            reason: totals::code_name(code),
        });
    }

    /// What is counted beside the tables may have been about to change.
    fn count_anew(&mut self) {
        self.namespaces.clear();
        for room in self.rooms.keys() {
            self.namespaces.note_room(&room.namespace);
        }
        let greeting = self.connections.values().filter_map(|it| match it {
            Connection::Greeting(arrival) => Some(arrival.source),
            Connection::Carries(_) => None,
        });
        let greeting: Vec<_> = greeting.collect();
        self.greeting = greeting.len();
        let sources = self.sessions.values().map(|session| session.source);
        self.sources.count_anew(&greeting, sources);
        (self.crowded, self.kept_bytes) = (0, 0);
        for session in self.sessions.values() {
            self.namespaces.note_session(&session.room.namespace);
            self.crowded += usize::from(session.crowded.is_some());
            self.kept_bytes += session.replay.bytes() + session.held.bytes();
        }
        let sessions = &self.sessions;
        self.newly_crowded.retain(|key| sessions.contains_key(key));
        self.unblocked.retain(|key| sessions.contains_key(key));
        self.overflowing.retain(|key| sessions.contains_key(key));
    }
}
