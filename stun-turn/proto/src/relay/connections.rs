//! Peers' connections of one worker's TCP allocations (RFC 6062) and every index over them. Nothing
//! else writes any of it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::RelayId;
use super::deadline::Deadlines;
use crate::connection_ids::{ConnectionId, ConnectionIds};
use crate::integrity::Signer;
use crate::limits;
use crate::message::TransactionId;

/// A connection between a relayed address and a peer.
#[derive(Debug)]
struct Connection {
    relay: RelayId,
    /// As the client knows it.
    peer: SocketAddr,
    state: State,
    /// When its state ends of itself.
    ends_at: Option<Duration>,
}

#[derive(Debug)]
enum State {
    /// A Connect waits for it, and is answered with 447 when its time is over.
    Connecting(Asker),
    /// It waits for its ConnectionBind.
    Unbound,
    /// A client's connection is spliced with it; its time counts from when one side has finished.
    Bound,
}

/// How to answer a Connect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub(super) signer: Signer,
    pub(super) transaction: TransactionId,
    pub(super) fingerprint: bool,
}

/// What a client is to be told.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) relay: RelayId,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    Connected(Asker, ConnectionId),
    Failed(Asker),
    Attempt(ConnectionId, SocketAddr),
}

/// Why there is no new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is one to this peer.
    Exists,
    /// The allocation has as many as it may.
    Full,
}

/// The connections of one allocation.
#[derive(Debug, Default)]
struct OfRelay {
    ids: Vec<ConnectionId>,
    /// The Connects of the last second.
    connects: VecDeque<Duration>,
}

impl OfRelay {
    /// False when there were too many within the last second.
    fn may_connect(&mut self, now: Duration) -> bool {
        let is_old = |at: &Duration| *at + Duration::from_secs(1) <= now;
        while self.connects.front().is_some_and(is_old) {
            self.connects.pop_front();
        }
        let may = self.connects.len() < limits::MAX_CONNECTS_PER_S;
        if may {
            self.connects.push_back(now);
        }
        may
    }
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    by_id: HashMap<ConnectionId, Connection>,
    by_relay: HashMap<RelayId, OfRelay>,
    deadlines: Deadlines<ConnectionId>,
    closed: VecDeque<ConnectionId>,
    notes: VecDeque<Note>,
}

impl Connections {
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first()
    }

    /// Whether an allocation may have one more, to this peer.
    fn check_room(&self, relay: RelayId, peer: SocketAddr) -> Result<(), Refusal> {
        let ids = self.by_relay.get(&relay).map(|it| &it.ids[..]);
        let ids = ids.unwrap_or_default();
        let is_peer = |id| self.by_id.get(id).is_some_and(|it| it.peer == peer);
        if ids.iter().any(is_peer) {
            Err(Refusal::Exists)
        } else if ids.len() >= limits::MAX_PEER_CONNECTIONS {
            Err(Refusal::Full)
        } else {
            Ok(())
        }
    }

    fn insert(&mut self, id: ConnectionId, connection: Connection) {
        if let Some(at) = connection.ends_at {
            self.deadlines.insert(at, id);
        }
        let of_relay = self.by_relay.entry(connection.relay).or_default();
        of_relay.ids.push(id);
        self.by_id.insert(id, connection);
    }

    /// Notes a Connect under way; `draw` is called when it may be.
    pub(super) fn connect(
        &mut self,
        (relay, peer): (RelayId, SocketAddr),
        asker: Asker,
        (now, ends_at): (Duration, Duration),
        draw: impl FnOnce() -> ConnectionId,
    ) -> Result<ConnectionId, Refusal> {
        self.check_room(relay, peer)?;
        if !self.by_relay.entry(relay).or_default().may_connect(now) {
            return Err(Refusal::Full);
        }
        let connection = Connection {
            relay,
            peer,
            state: State::Connecting(asker),
            ends_at: Some(ends_at),
        };
        let id = draw();
        self.insert(id, connection);
        Ok(id)
    }

    /// Notes a connection that a peer has made.
    pub(super) fn incoming(
        &mut self,
        (relay, peer): (RelayId, SocketAddr),
        ends_at: Duration,
        draw: impl FnOnce() -> ConnectionId,
    ) -> Result<ConnectionId, Refusal> {
        self.check_room(relay, peer)?;
        let connection = Connection {
            relay,
            peer,
            state: State::Unbound,
            ends_at: Some(ends_at),
        };
        let id = draw();
        self.insert(id, connection);
        let news = News::Attempt(id, peer);
        self.notes.push_back(Note { relay, news });
        Ok(id)
    }

    /// The Connect to this peer that is under way.
    pub(super) fn connecting(&self, relay: RelayId, peer: SocketAddr) -> Option<ConnectionId> {
        let ids = &self.by_relay.get(&relay)?.ids;
        let is_meant = |id: &&ConnectionId| {
            let found = self.by_id.get(id);
            found.is_some_and(|it| it.peer == peer && matches!(it.state, State::Connecting(_)))
        };
        ids.iter().find(is_meant).copied()
    }

    /// The peer has answered; false when nobody waits for it any more.
    pub(super) fn connected(&mut self, id: ConnectionId, ends_at: Duration) -> bool {
        let Some(connection) = self.by_id.get_mut(&id) else {
            return false;
        };
        let State::Connecting(asker) = connection.state else {
            return false;
        };
        connection.state = State::Unbound;
        let (relay, news) = (connection.relay, News::Connected(asker, id));
        self.notes.push_back(Note { relay, news });
        self.reschedule(id, Some(ends_at));
        true
    }

    /// The allocation of a connection that waits for its ConnectionBind.
    pub(super) fn unbound(&self, id: ConnectionId) -> Option<RelayId> {
        let connection = self.by_id.get(&id)?;
        matches!(connection.state, State::Unbound).then_some(connection.relay)
    }

    /// Its ConnectionBind has come.
    pub(super) fn bind(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id) {
            connection.state = State::Bound;
            self.reschedule(id, None);
        }
    }

    /// The allocation of a spliced connection.
    pub(super) fn bound(&self, id: ConnectionId) -> Option<RelayId> {
        let connection = self.by_id.get(&id)?;
        matches!(connection.state, State::Bound).then_some(connection.relay)
    }

    /// One side sends no more: the other one's time begins.
    pub(super) fn half_closed(&mut self, id: ConnectionId, ends_at: Duration) {
        if self.bound(id).is_some() {
            self.reschedule(id, Some(ends_at));
        }
    }

    /// Data passed: where one side has finished, the other one's time begins again.
    pub(super) fn touch(&mut self, id: ConnectionId, ends_at: Duration) {
        if self.by_id.get(&id).is_some_and(|it| it.ends_at.is_some()) {
            self.half_closed(id, ends_at);
        }
    }

    fn reschedule(&mut self, id: ConnectionId, ends_at: Option<Duration>) {
        let Some(connection) = self.by_id.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut connection.ends_at, ends_at);
        if let Some(before) = before {
            self.deadlines.remove(before, id);
        }
        if let Some(at) = ends_at {
            self.deadlines.insert(at, id);
        }
    }

    /// Ends what is due. A Connect is answered then.
    pub(super) fn expire(&mut self, now: Duration, ids: &ConnectionIds) {
        while let Some(id) = self.deadlines.due(now) {
            self.close_and_answer(id, ids);
        }
    }

    fn close_and_answer(&mut self, id: ConnectionId, ids: &ConnectionIds) {
        if let Some((relay, State::Connecting(asker))) = self.close(id, ids) {
            let news = News::Failed(asker);
            self.notes.push_back(Note { relay, news });
        }
    }

    /// A Connect can't even be tried: who asked.
    pub(super) fn abandon(&mut self, id: ConnectionId, ids: &ConnectionIds) -> Option<Asker> {
        match self.close(id, ids)? {
            (_, State::Connecting(asker)) => Some(asker),
            (_, State::Unbound | State::Bound) => None,
        }
    }

    /// Ends a connection, whatever its state.
    pub(super) fn end(&mut self, id: ConnectionId, ids: &ConnectionIds) {
        self.close(id, ids);
    }

    fn close(&mut self, id: ConnectionId, ids: &ConnectionIds) -> Option<(RelayId, State)> {
        let Connection {
            relay,
            state,
            ends_at,
            ..
        } = self.by_id.remove(&id)?;
        if let Some(at) = ends_at {
            self.deadlines.remove(at, id);
        }
        if let Some(of_relay) = self.by_relay.get_mut(&relay) {
            of_relay.ids.retain(|other| *other != id);
        }
        ids.release(id);
        self.closed.push_back(id);
        Some((relay, state))
    }

    /// Ends all connections of an allocation that has ended.
    pub(super) fn close_relay(&mut self, relay: RelayId, ids: &ConnectionIds) {
        let of_relay = self.by_relay.remove(&relay).unwrap_or_default();
        for id in of_relay.ids {
            self.close(id, ids);
        }
        self.notes.retain(|note| note.relay != relay);
    }

    /// Ends the connections to peers that `may_reach` no longer grants.
    pub(super) fn revoke(&mut self, ids: &ConnectionIds, may_reach: impl Fn(SocketAddr) -> bool) {
        let is_forbidden =
            |(id, it): (&ConnectionId, &Connection)| Some(*id).filter(|_| !may_reach(it.peer));
        let forbidden: Vec<_> = self.by_id.iter().filter_map(is_forbidden).collect();
        for id in forbidden {
            self.close_and_answer(id, ids);
        }
    }

    pub(super) fn next_note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }

    pub(super) fn poll_closed(&mut self) -> Option<ConnectionId> {
        self.closed.pop_front()
    }

    /// What must hold after every call.
    #[cfg(test)]
    pub(super) fn assert_consistent(&self, ids: &ConnectionIds) {
        let mut indexed = 0;
        for (relay, of_relay) in &self.by_relay {
            indexed += of_relay.ids.len();
            assert!(of_relay.ids.len() <= limits::MAX_PEER_CONNECTIONS);
            let of_ids = of_relay.ids.iter().map(|id| &self.by_id[id]);
            let mut peers: Vec<_> = of_ids.clone().map(|it| it.peer).collect();
            assert!(of_ids.clone().all(|it| it.relay == *relay));
            peers.sort_unstable();
            peers.dedup();
            assert_eq!(peers.len(), of_relay.ids.len(), "one connection a peer");
        }
        assert_eq!(indexed, self.by_id.len());
        let timed = self.by_id.values().filter(|it| it.ends_at.is_some());
        assert_eq!(timed.count(), self.deadlines.len());
        assert_eq!(ids.count(), self.by_id.len());
    }
}
