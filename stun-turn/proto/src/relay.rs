//! The relay's state machine: one value a worker, owner of that worker's allocations.

mod allocation;
mod client_to_peer;
mod connections;
mod deadline;
mod mobility;
mod outcome;
mod peer_to_client;
mod reply;
mod request;
mod session;
mod settings;
mod sorted;
mod table;
mod tcp;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::addr::{FiveTuple, PeerProtocol};
use crate::attribute::ErrorCode;
use crate::auth::credential;
use crate::message::{Class, Message, Method};
use crate::policy::{self, LocalAddresses, PeerPolicy};
use crate::reservations::Token;
use crate::totals::Totals;
use crate::{Now, channel_data, demux, limits};
use connections::Connections;
use table::Table;

pub use crate::refusal::{RefusalCause, RefusalKind};
pub use outcome::{Cause, Closed, DropReason, OpenError, Outcome, Reason, Refusal};
pub use peer_to_client::{FromPeer, Icmp, PeerDatagram};
pub use request::allocate::Open;
pub use session::{Ended, Session, SessionId, Traffic};
pub use settings::{RelayAddress, Settings, Shared, UserTag};
pub use table::RelayId;
pub use tcp::{Direction, TcpRelay};

/// Buffer for a reply.
pub type ReplyBuffer = [u8; limits::MAX_REPLY_BYTES];

/// One worker's relay.
#[derive(Debug)]
pub struct Relay {
    settings: Arc<Settings>,
    /// That of the settings, on this host as it is.
    policy: PeerPolicy,
    local: Arc<LocalAddresses>,
    /// Which one of all workers this is.
    worker: usize,
    table: Table,
    connections: Connections,
    totals: Arc<Totals>,
    is_draining: bool,
    random: StdRng,
    /// Reservations made here, the oldest first: all of them live equally long.
    reserved: VecDeque<(Duration, Token)>,
    unclaimed: VecDeque<SocketAddr>,
    refusal: Option<Refusal>,
    reason: Option<Reason>,
}

impl Relay {
    /// `seed` must come from the system's random source: ports and tokens are drawn from it.
    #[must_use]
    pub fn new(settings: Arc<Settings>, seed: [u8; 32]) -> Self {
        Self {
            policy: settings.policy.clone(),
            settings,
            local: Arc::default(),
            worker: 0,
            table: Table::default(),
            connections: Connections::default(),
            totals: Arc::default(),
            is_draining: false,
            random: StdRng::from_seed(seed),
            reserved: VecDeque::new(),
            unclaimed: VecDeque::new(),
            refusal: None,
            reason: None,
        }
    }

    /// The same for the worker of this number, where there are several.
    #[must_use]
    pub fn of_worker(self, worker: usize) -> Self {
        Self { worker, ..self }
    }

    /// What this relay has done so far, to be read at any time.
    #[must_use]
    pub fn totals(&self) -> Arc<Totals> {
        Arc::clone(&self.totals)
    }

    /// Takes one message of a client: a datagram, or one message cut out of a stream.
    pub fn handle_client(
        &mut self,
        now: Now,
        client: &FiveTuple,
        bytes: &[u8],
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        self.note_data(now, client, bytes);
        let outcome = match demux::kind(bytes) {
            Some(demux::Kind::ChannelData) => self.channel_data(now, client, bytes),
            Some(demux::Kind::Stun) => match Message::parse(bytes) {
                Ok(message) => self.stun(now, client, &message, reply),
                Err(_) => Outcome::Drop(DropReason::Malformed),
            },
            None => Outcome::Drop(DropReason::Malformed),
        };
        self.count(&outcome, reply);
        outcome
    }

    /// Data from an announced address complete the move, if they are for a channel of the client or
    /// a Send indication; requests do so once they are authenticated.
    fn note_data(&mut self, now: Now, client: &FiveTuple, bytes: &[u8]) {
        if !self.settings.mobility {
            return;
        }
        let Some(from) = self.table.movers.announced_by(client) else {
            return;
        };
        let is_data = match channel_data::parse(bytes) {
            Some((number, _)) => self.table.find(&from).is_some_and(|relays| {
                relays.iter().any(|relay| {
                    let allocation = self.table.get(relay);
                    allocation.is_some_and(|it| it.channel(number, now.monotonic).is_some())
                })
            }),
            None => Message::parse(bytes).is_ok_and(|message| {
                (message.class(), message.method()) == (Class::Indication, Method::Send)
            }),
        };
        if is_data {
            self.complete_move(client);
        }
    }

    fn complete_move(&mut self, client: &FiveTuple) {
        if let Some((from, count)) = self.table.move_to(client) {
            self.totals
                .count_moved(count, from.transport, client.transport);
        }
    }

    fn count(&mut self, outcome: &Outcome, reply: &ReplyBuffer) {
        match outcome {
            Outcome::Drop(reason) => {
                // Without a reply nothing tells it, and it must not explain the next one.
                self.reason = None;
                self.totals.count_drop(*reason);
            }
            Outcome::Reply(length)
            | Outcome::ReplyFrom { reply: length, .. }
            | Outcome::Bound { reply: length, .. } => {
                let cause = self.reason.map(|reason| reason.cause);
                let reply = reply.get(..*length).unwrap_or_default();
                self.totals.count_reply(reply, cause);
            }
            Outcome::ToPeer { payload, .. } => self.totals.to_peers.count(payload.len()),
            Outcome::Opened { next, .. } => self.count(next, reply),
            Outcome::Open(_) | Outcome::Connect { .. } | Outcome::Elsewhere { .. } => {}
        }
    }

    fn stun(
        &mut self,
        now: Now,
        client: &FiveTuple,
        message: &Message<'_>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        match (message.class(), message.method()) {
            (Class::Request, _) => self.request(now, client, message, reply),
            (Class::Indication, Method::Send) => self.send_indication(now, client, message),
            (Class::Indication | Class::Success | Class::Error, _) => {
                Outcome::Drop(DropReason::NotForServers)
            }
        }
    }

    /// When [`Relay::handle_timeout`] wants to be called; `None` while nothing can expire.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let reserved = self.reserved.front().map(|(at, _)| *at);
        let all = [
            self.table.next_deadline(),
            self.connections.next_deadline(),
            reserved,
        ];
        all.into_iter().flatten().min()
    }

    /// Ends what has expired, [`limits::MAX_EXPIRIES`] allocations at most, so that thousands which
    /// end at once do not hold up packets: [`Relay::poll_timeout`] stays in the past until all are
    /// gone.
    pub fn handle_timeout(&mut self, now: Now) {
        for _ in 0..limits::MAX_EXPIRIES {
            let Some(relay) = self.table.due(now.monotonic) else {
                break;
            };
            self.close(now, relay, Cause::Expired);
        }
        let ids = &self.settings.shared.connection_ids;
        self.connections.expire(now.monotonic, ids);
        while let Some((_, token)) = self.reserved.front().filter(|(at, _)| *at <= now.monotonic) {
            self.unclaimed
                .extend(self.settings.shared.reservations.expire(token));
            self.reserved.pop_front();
        }
    }

    /// The client's connection ended; without it its allocations are of no use to anybody, unless
    /// the client has a ticket to come back with.
    pub fn handle_client_gone(&mut self, now: Now, client: &FiveTuple) {
        self.table.movers.forget_announcement(client);
        if self.table.movers.may_return(client) {
            self.table.detach(client);
            return;
        }
        for relay in self
            .table
            .find(client)
            .into_iter()
            .flat_map(table::Relays::iter)
        {
            self.close(now, relay, Cause::ClientGone);
        }
    }

    /// Ends an allocation whose socket can't be used, whoever its client is and wherever that may
    /// return from.
    pub fn abandon(&mut self, now: Now, relay: RelayId) {
        self.close(now, relay, Cause::ClientGone);
    }

    /// Ends an allocation by the operator's word; false when there is none of this name.
    pub fn end_session(&mut self, now: Now, id: SessionId) -> bool {
        let found = self
            .table
            .live()
            .find(|(_, allocation)| allocation.session == id);
        let found = found.map(|(relay, _)| relay);
        found
            .map(|relay| self.close(now, relay, Cause::Operator))
            .is_some()
    }

    /// Ends what an account holds, or all of which it is the first part, by the operator's word. It may allocate again unless it is [`Shared::revoked`].
    pub fn end_account(&mut self, now: Now, account: &[u8]) {
        let is_theirs = |username: &[u8]| {
            let whole = credential::account(username);
            whole == account || credential::first_part(whole) == account
        };
        let live = self.table.live();
        let theirs = live.filter(|(_, allocation)| is_theirs(&allocation.username));
        let theirs: Vec<RelayId> = theirs.map(|(relay, _)| relay).collect();
        for relay in theirs {
            self.close(now, relay, Cause::Operator);
        }
    }

    /// Ends everything, because the server does.
    pub fn shut_down(&mut self, now: Now) {
        let all: Vec<RelayId> = self.table.live().map(|(relay, _)| relay).collect();
        for relay in all {
            self.close(now, relay, Cause::Shutdown);
        }
    }

    fn close(&mut self, now: Now, relay: RelayId, cause: Cause) {
        if let Some(allocation) = self.table.get(relay) {
            self.totals.count_closed(allocation.client.transport, cause);
            let ids = &self.settings.shared.connection_ids;
            self.connections.close_relay(relay, ids);
            self.table
                .close(relay, cause, now.monotonic, &self.settings.ports);
        }
    }

    /// Takes no new allocations from now on: Allocate is answered with 508, or with 300 where there
    /// is an alternate server.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Replaces what the operator decides. Permissions, channels and connections that the new policy
    /// forbids end at once; allocations stay, whatever became of their users.
    pub fn reconfigure(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
        self.judge_again();
    }

    /// Says what the kernel delivers to this host from now on. Permissions, channels and connections
    /// for such addresses end at once, unless the operator allows them.
    pub fn set_local(&mut self, local: Arc<LocalAddresses>) {
        if !Arc::ptr_eq(&self.local, &local) {
            self.local = local;
            self.judge_again();
        }
    }

    fn judge_again(&mut self) {
        self.policy = self.settings.policy.with_local(&self.local);
        let (settings, policy) = (&self.settings, &self.policy);
        let may_reach = |ip| check_permission(settings, policy, ip).is_ok();
        self.table.revoke(may_reach, |ip| policy.is_own(ip));
        let ids = &settings.shared.connection_ids;
        self.connections.revoke(ids, |peer| may_reach(peer.ip()));
    }

    /// Counts a datagram that the driver has dropped itself.
    pub fn count_drop(&self, reason: DropReason) {
        self.totals.count_drop(reason);
    }

    /// The living allocations.
    pub fn sessions(&self, now: Now) -> impl Iterator<Item = Session<'_>> {
        self.table
            .live()
            .map(move |(_, allocation)| allocation.session(now.monotonic))
    }

    /// A socket to close now, after which its port, if it had one of its own, must be given back to
    /// [`Settings::ports`]. Call
    /// until `None` after every `handle_*`: until then the id is not used again.
    pub fn poll_closed(&mut self) -> Option<Closed> {
        let connection = self.connections.poll_closed().map(Closed::Connection);
        let unclaimed = || self.unclaimed.pop_front().map(Closed::Reservation);
        connection
            .or_else(unclaimed)
            .or_else(|| self.table.poll_closed())
    }

    /// The peer that the last request was refused with 403 for, and the rule, to be told to the
    /// operator.
    pub fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// Why the last request was refused, to be told to the operator, if the code alone does not tell.
    pub fn take_reason(&mut self) -> Option<Reason> {
        self.reason.take()
    }

    /// Remembers why a request is refused.
    fn explain(&mut self, username: &[u8], cause: RefusalCause) {
        let user = self.settings.shared.tag(username);
        self.reason = Some(Reason { user, cause });
    }

    /// Remembers which rule refuses a request; the client learns only the code.
    fn forbid(&mut self, peer: SocketAddr, rule: policy::Denial) -> ErrorCode {
        self.refusal = Some(Refusal { peer, rule });
        ErrorCode::Forbidden
    }

    /// How many allocations live.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.table.allocations()
    }

    /// Whether the client holds an allocation.
    #[must_use]
    pub fn has_allocation(&self, client: &FiveTuple) -> bool {
        self.table.find(client).is_some()
    }

    /// A peer's address as this host must send to it: our public address is ours locally.
    fn to_local(&self, peer: SocketAddr) -> SocketAddr {
        let ours = self.settings.relay_addresses.iter();
        let found = ours.clone().find(|address| address.public == peer.ip());
        found.map_or(peer, |address| SocketAddr::new(address.local, peer.port()))
    }

    /// A sender's address as clients know it: a relayed socket of ours has its public address.
    fn to_public(&self, protocol: PeerProtocol, peer: SocketAddr) -> SocketAddr {
        let mut ours = self.settings.relay_addresses.iter();
        let found = ours.find(|address| address.local == peer.ip());
        match found {
            Some(address)
                if address.public != address.local
                    && self.settings.ports.is_live(protocol, peer) =>
            {
                SocketAddr::new(address.public, peer.port())
            }
            _ => peer,
        }
    }

    /// Whether a permission for this peer may be installed.
    fn check_permission(&self, ip: IpAddr) -> Result<(), policy::Denial> {
        check_permission(&self.settings, &self.policy, ip)
    }

    /// Whether packets may be sent, or connections made, to this peer now.
    fn check_peer(&self, protocol: PeerProtocol, peer: SocketAddr) -> Result<(), policy::Denial> {
        let (local, ports) = (self.to_local(peer), &self.settings.ports);
        self.policy.check(protocol, peer, local, ports)
    }
}

/// Our own addresses are judged with every packet, all others once.
fn check_permission(
    settings: &Settings,
    policy: &PeerPolicy,
    ip: IpAddr,
) -> Result<(), policy::Denial> {
    let mut ours = settings.relay_addresses.iter();
    if ours.any(|address| address.public == ip) {
        return Ok(());
    }
    policy.check_address(ip)
}

#[cfg(test)]
mod tests;
