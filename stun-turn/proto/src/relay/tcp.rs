//! What the driver tells of connections with peers (RFC 6062), and what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use super::connections::{News, Note};
use super::{DropReason, Outcome, Relay, RelayId, ReplyBuffer, reply};
use crate::addr::{FiveTuple, PeerProtocol};
use crate::attribute::{ErrorCode, kind};
use crate::connection_ids::ConnectionId;
use crate::message::{Class, Method, Writer};
use crate::{Now, limits, policy};

/// TCP towards peers, and how long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpRelay {
    /// From a Connect to the answer that it failed.
    pub connect_timeout: Duration,
    /// From a peer's connection to its ConnectionBind.
    pub bind_timeout: Duration,
}

impl Default for TcpRelay {
    fn default() -> Self {
        Self {
            connect_timeout: limits::CONNECT_TIMEOUT,
            bind_timeout: limits::BIND_TIMEOUT,
        }
    }
}

/// Where data of a spliced pair of connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToPeer,
    /// From the peer.
    ToClient,
}

impl Relay {
    pub(super) fn tcp_relay(&self) -> TcpRelay {
        // Allocations that live go on, also when no new ones are made any more.
        self.settings.tcp_relay.unwrap_or_default()
    }

    /// A peer has connected to a relayed address (RFC 6062 section 5.3). Keep the connection under the
    /// returned id, instead of an attempt that may be under way under it, and leave what it sends in the kernel; close it without a byte on `None`.
    pub fn handle_incoming(
        &mut self,
        now: Now,
        relay: RelayId,
        from: SocketAddr,
    ) -> Option<ConnectionId> {
        let taken = self.take_incoming(now, relay, from);
        if let Err(reason) = taken {
            self.totals.count_drop(reason);
        }
        taken.ok()
    }

    fn take_incoming(
        &mut self,
        now: Now,
        relay: RelayId,
        from: SocketAddr,
    ) -> Result<ConnectionId, DropReason> {
        let peer = self.to_public(PeerProtocol::Tcp, policy::canonical(from));
        if let Some(id) = self.connections.connecting(relay, peer) {
            // Both sides connected at once. There can be one connection between two addresses, and this
            // is what the client asked for; its own attempt has failed.
            self.handle_connected(now, id);
            return Ok(id);
        }
        let allocation = self.table.get(relay).ok_or(DropReason::NoAllocation)?;
        if !allocation.is_permitted(peer.ip(), now.monotonic) {
            return Err(DropReason::NoPermission);
        }
        let is_own = self.policy.is_own(peer.ip());
        if is_own && self.check_peer(PeerProtocol::Tcp, peer).is_err() {
            return Err(DropReason::Forbidden);
        }
        let ends_at = now.monotonic + self.tcp_relay().bind_timeout;
        let (ids, random) = (&self.settings.shared.connection_ids, &mut self.random);
        let draw = || ids.draw(self.worker, random);
        let incoming = self.connections.incoming((relay, peer), ends_at, draw);
        incoming.map_err(|_| DropReason::OverLimit)
    }

    /// The connection of [`Outcome::Connect`] is made. When making it fails there is nothing to tell:
    /// the client learns so when the time for it is over, whatever the reason was.
    ///
    /// False when nobody waits for it any more: close it.
    pub fn handle_connected(&mut self, now: Now, id: ConnectionId) -> bool {
        let ends_at = now.monotonic + self.tcp_relay().bind_timeout;
        self.connections.connected(id, ends_at)
    }

    /// There is no socket for [`Outcome::Connect`]: the client is told 508 at once, which says nothing
    /// about the peer.
    pub fn handle_no_socket(&mut self, id: ConnectionId, reply: &mut ReplyBuffer) -> Outcome {
        let ids = &self.settings.shared.connection_ids;
        let Some(asker) = self.connections.abandon(id, ids) else {
            return Outcome::Drop(DropReason::NoAllocation);
        };
        let mut writer = Writer::new(reply, Class::Error, Method::Connect, asker.transaction);
        writer.error_code(ErrorCode::InsufficientCapacity);
        let outcome = reply::sent(writer.finish(Some(&asker.signer), asker.fingerprint));
        self.count(&outcome, reply);
        outcome
    }

    /// So many bytes were read from one side of a spliced pair of connections. Read no more from
    /// this side before the time that is returned, if any.
    pub fn handle_carried(
        &mut self,
        now: Now,
        id: ConnectionId,
        direction: Direction,
        bytes: usize,
    ) -> Option<Duration> {
        let relay = self.connections.bound(id)?;
        let half_closed_until = now.monotonic + limits::HALF_CLOSED_TIMEOUT;
        self.connections.touch(id, half_closed_until);
        let allocation = self.table.get_mut(relay)?;
        let [to_peer, to_client] = &mut allocation.shapers;
        let (shaper, bytes_of, total) = match direction {
            Direction::ToPeer => (
                to_peer,
                &mut allocation.traffic.bytes_to_peers,
                &self.totals.to_peers,
            ),
            Direction::ToClient => (
                to_client,
                &mut allocation.traffic.bytes_to_client,
                &self.totals.to_clients,
            ),
        };
        *bytes_of += bytes as u64;
        total.bytes.add(bytes as u64);
        let resumes_at = shaper.charge(bytes, self.settings.max_bps?, now.monotonic);
        Some(resumes_at).filter(|at| now.monotonic < *at)
    }

    /// One side of a spliced pair sends no more. The other one may go on for as long as it does not
    /// fall silent.
    pub fn handle_half_closed(&mut self, now: Now, id: ConnectionId) {
        let ends_at = now.monotonic + limits::HALF_CLOSED_TIMEOUT;
        self.connections.half_closed(id, ends_at);
    }

    /// A peer's connection is over; [`Relay::poll_closed`] will name it.
    pub fn handle_connection_ended(&mut self, id: ConnectionId) {
        let ids = &self.settings.shared.connection_ids;
        self.connections.end(id, ids);
    }

    /// The next answer to a Connect, or ConnectionAttempt, and the client that it is for. Call until
    /// `None` after [`Relay::handle_incoming`], [`Relay::handle_connected`] and
    /// [`Relay::handle_timeout`].
    pub fn poll_reply(&mut self, buffer: &mut ReplyBuffer) -> Option<(FiveTuple, usize)> {
        let (client, news) = loop {
            let Note { relay, news } = self.connections.next_note()?;
            if let Some(allocation) = self.table.get(relay) {
                break (allocation.client, news);
            }
        };
        let (class, asker) = match &news {
            News::Connected(asker, _) => (Class::Success, Some(*asker)),
            News::Failed(asker) => (Class::Error, Some(*asker)),
            News::Attempt(..) => (Class::Indication, None),
        };
        let (method, transaction) = match asker {
            Some(asker) => (Method::Connect, asker.transaction),
            None => (Method::ConnectionAttempt, self.new_transaction()),
        };
        let mut writer = Writer::new(buffer, class, method, transaction);
        match news {
            News::Connected(_, id) => writer.attribute(kind::CONNECTION_ID, &id.to_bytes()),
            News::Failed(_) => writer.error_code(ErrorCode::ConnectionTimeoutOrFailure),
            News::Attempt(id, peer) => writer
                .attribute(kind::CONNECTION_ID, &id.to_bytes())
                .xor_address(kind::XOR_PEER_ADDRESS, peer),
        };
        let (signer, fingerprint) = match &asker {
            Some(asker) => (Some(&asker.signer), asker.fingerprint),
            None => (None, false),
        };
        let length = writer.finish(signer, fingerprint);
        let length = length.expect("MAX_REPLY_BYTES holds the largest reply");
        if asker.is_some() {
            // That of an earlier request is none of this reply.
            self.reason = None;
            self.count(&Outcome::Reply(length), buffer);
        }
        Some((client, length))
    }
}
