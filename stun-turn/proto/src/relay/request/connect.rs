//! Connect and ConnectionBind (RFC 6062 sections 5.2 and 5.4).

use std::sync::Arc;

use super::super::connections::{Asker, Refusal};
use super::super::{Outcome, Relay, ReplyBuffer, reply};
use crate::addr::{FiveTuple, PeerProtocol};
use crate::attribute::{ErrorCode, kind};
use crate::auth::Identity;
use crate::connection_ids::ConnectionId;
use crate::message::Message;
use crate::{Now, policy};

impl Relay {
    /// Answered when the connection is made or its time is over, see [`Relay::poll_reply`].
    pub(super) fn connect(
        &mut self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        identity: &Identity<'_>,
    ) -> Result<Outcome, ErrorCode> {
        let relays = self.table.find(client);
        let first = relays.ok_or(ErrorCode::AllocationMismatch)?.first;
        if self.table.protocol(first) != Some(PeerProtocol::Tcp) {
            return Err(ErrorCode::AllocationMismatch);
        }
        let value = request.first(kind::XOR_PEER_ADDRESS);
        let value = value.ok_or(ErrorCode::BadRequest)?;
        let (relay, peer) = self.read_peer(client, request, value)?;
        self.check_peer(PeerProtocol::Tcp, peer)
            .map_err(|rule| self.forbid(peer, rule))?;
        let allocation = self.table.get(relay);
        let from = allocation.ok_or(ErrorCode::AllocationMismatch)?.relayed;
        let local = self.to_local(peer);
        if local == from {
            // A socket that connects to its own address succeeds and talks to itself.
            return Err(self.forbid(peer, policy::Denial::OwnAddress));
        }
        let asker = Asker {
            signer: identity.signer,
            transaction: request.transaction(),
            fingerprint: request.has_fingerprint(),
        };
        let times = (
            now.monotonic,
            now.monotonic + self.tcp_relay().connect_timeout,
        );
        let (ids, random) = (&self.settings.shared.connection_ids, &mut self.random);
        let draw = || ids.draw(self.worker, random);
        let id = self.connections.connect((relay, peer), asker, times, draw);
        let id = id.map_err(|refusal| match refusal {
            Refusal::Exists => ErrorCode::ConnectionAlreadyExists,
            // As where permissions are full: it may work later, and no quota of allocations (486) is
            // concerned.
            Refusal::Full => ErrorCode::InsufficientCapacity,
        })?;
        Ok(Outcome::Connect {
            id,
            from,
            peer: local,
        })
    }

    /// Comes over a connection of its own, for an allocation whose client is another one. The worker
    /// that has the allocation handles it.
    pub(super) fn connection_bind(
        &mut self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        let id = request.first(kind::CONNECTION_ID);
        let id = id.and_then(ConnectionId::of_bytes);
        // Another five-tuple's, and not over datagrams.
        let may_bind = client.transport.is_stream() && self.table.find(client).is_none();
        let settings = Arc::clone(&self.settings);
        let worker = id.and_then(|id| settings.shared.connection_ids.worker_of(id));
        if let Some(worker) = worker.filter(|worker| may_bind && *worker != self.worker) {
            return Outcome::Elsewhere { worker };
        }
        let relay = id.and_then(|id| self.connections.unbound(id));
        let identity = match self.identify(&settings, now, client, request, relay, reply) {
            Ok(identity) => identity,
            Err(outcome) => return outcome,
        };
        // Whether an id is another user's or nobody's is not told.
        let allocation = relay.and_then(|relay| self.table.get(relay));
        let is_own = allocation.is_some_and(|it| *it.username == *identity.username);
        match id.filter(|_| may_bind && is_own) {
            Some(id) => {
                self.connections.bind(id);
                let outcome = reply::success(request, &identity, reply, |_| ());
                let Outcome::Reply(reply) = outcome else {
                    return outcome;
                };
                Outcome::Bound { id, reply }
            }
            None => reply::error(
                request,
                Some(&identity.signer),
                ErrorCode::BadRequest,
                reply,
            ),
        }
    }
}
