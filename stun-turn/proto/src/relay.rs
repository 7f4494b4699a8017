//! The relay's state machine: one value a worker, owner of that worker's allocations.

mod client_to_peer;
mod deadline;
mod peer_to_client;
mod reply;
mod request;
mod sorted;
mod table;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::addr::FiveTuple;
use crate::attribute::{ErrorCode, Family};
use crate::auth::Authenticator;
use crate::message::{Class, Message, Method};
use crate::policy::{self, PeerPolicy};
use crate::ports::Ports;
use crate::reservations::{Reservations, Token};
use crate::{Now, demux, limits};
use table::Table;

pub use peer_to_client::{FromPeer, PeerDatagram};
pub use request::allocate::Open;
pub use table::RelayId;

/// Buffer for a reply.
pub type ReplyBuffer = [u8; limits::MAX_REPLY_BYTES];

/// What all workers of a server share.
#[derive(Debug)]
pub struct Settings {
    /// Who may allocate.
    pub authenticator: Authenticator,
    /// Which peers may be relayed to.
    pub policy: PeerPolicy,
    /// Addresses to relay from, the preferred one of each family first.
    pub relay_addresses: Vec<RelayAddress>,
    /// The ports on them.
    pub ports: Ports,
    /// Ports that wait for their token.
    pub reservations: Reservations,
}

/// An address for relayed sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayAddress {
    /// Where sockets are bound.
    pub local: IpAddr,
    /// What clients are told; another one behind a 1:1 NAT.
    pub public: IpAddr,
}

/// What the driver has to do now.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing, and why.
    Drop(DropReason),
    /// Send the first bytes of the reply buffer to the client, from where its packet arrived.
    Reply(usize),
    /// Send this part of the client's message to the peer, from the relayed socket.
    ToPeer {
        /// The relayed socket.
        relay: RelayId,
        /// Where to, as this host knows the address.
        peer: SocketAddr,
        /// The application data within the message.
        payload: Range<usize>,
    },
    /// Bind a relayed socket, then call [`Relay::handle_opened`] before anything else.
    Open(Box<Open>),
    /// The socket just bound belongs to `relay`; send the reply.
    Opened {
        /// Names the socket from now on.
        relay: RelayId,
        /// Length of the reply.
        reply: usize,
    },
}

/// Why a message went nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Neither STUN nor ChannelData, or broken.
    Malformed,
    /// A response, or an indication that servers don't take.
    NotForServers,
    /// No allocation on this five-tuple.
    NoAllocation,
    /// The channel is not bound.
    NoChannel,
    /// No permission for this peer.
    NoPermission,
    /// The peer policy says no.
    Forbidden,
    /// An attribute is missing or wrong.
    BadAttribute,
    /// A datagram too large for a Data indication or ChannelData.
    TooLarge,
}

/// Why a relayed socket could not be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// Another program has the port: another one is tried.
    AddressInUse,
    /// Anything else (no descriptors, no such address): the client is told 508.
    Failed,
}

/// One worker's relay.
#[derive(Debug)]
pub struct Relay {
    settings: Arc<Settings>,
    table: Table,
    random: StdRng,
    /// Reservations made here, the oldest first: all of them live equally long.
    reserved: VecDeque<(Duration, Token)>,
    unclaimed: VecDeque<SocketAddr>,
    refusal: Option<Refusal>,
}

impl Relay {
    /// `seed` must come from the system's random source: ports and tokens are drawn from it.
    #[must_use]
    pub fn new(settings: Arc<Settings>, seed: [u8; 32]) -> Self {
        Self {
            settings,
            table: Table::default(),
            random: StdRng::from_seed(seed),
            reserved: VecDeque::new(),
            unclaimed: VecDeque::new(),
            refusal: None,
        }
    }

    /// Takes one message of a client: a datagram, or one message cut out of a stream.
    pub fn handle_client(
        &mut self,
        now: Now,
        client: &FiveTuple,
        bytes: &[u8],
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        match demux::kind(bytes) {
            Some(demux::Kind::ChannelData) => self.channel_data(now, client, bytes),
            Some(demux::Kind::Stun) => match Message::parse(bytes) {
                Ok(message) => self.stun(now, client, &message, reply),
                Err(_) => Outcome::Drop(DropReason::Malformed),
            },
            None => Outcome::Drop(DropReason::Malformed),
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
        self.table.next_deadline().into_iter().chain(reserved).min()
    }

    /// Ends what has expired.
    pub fn handle_timeout(&mut self, now: Now) {
        self.table.expire(now.monotonic, &self.settings.ports);
        while let Some((_, token)) = self.reserved.front().filter(|(at, _)| *at <= now.monotonic) {
            self.unclaimed
                .extend(self.settings.reservations.expire(token));
            self.reserved.pop_front();
        }
    }

    /// The client's connection ended; without it the allocation is of no use to anybody.
    pub fn handle_client_gone(&mut self, client: &FiveTuple) {
        if let Some(relay) = self.table.find(client) {
            self.table
                .close(relay, Cause::ClientGone, &self.settings.ports);
        }
    }

    /// A socket to close now, after which its port must be given back to [`Settings::ports`]. Call
    /// until `None` after every `handle_*`: until then the id is not used again.
    pub fn poll_closed(&mut self) -> Option<Closed> {
        let unclaimed = self.unclaimed.pop_front().map(Closed::Reservation);
        unclaimed.or_else(|| self.table.poll_closed())
    }

    /// The peer that the last request was refused with 403 for, and the rule, to be told to the
    /// operator.
    pub fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
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

    /// The relay address for a client, by family: the one it reached us on, else the first.
    fn relay_address(&self, client: &FiveTuple, family: Family) -> Option<RelayAddress> {
        let of_family = |address: &&RelayAddress| Family::of(address.local) == family;
        let addresses = &self.settings.relay_addresses;
        addresses
            .iter()
            .find(|address| address.local == client.server.ip() && of_family(address))
            .or_else(|| addresses.iter().find(of_family))
            .copied()
    }

    /// A peer's address as this host must send to it: our public address is ours locally.
    fn to_local(&self, peer: SocketAddr) -> SocketAddr {
        let ours = self.settings.relay_addresses.iter();
        let found = ours.clone().find(|address| address.public == peer.ip());
        found.map_or(peer, |address| SocketAddr::new(address.local, peer.port()))
    }

    /// A sender's address as clients know it: a relayed socket of ours has its public address.
    fn to_public(&self, peer: SocketAddr) -> SocketAddr {
        let mut ours = self.settings.relay_addresses.iter();
        let found = ours.find(|address| address.local == peer.ip());
        match found {
            Some(address)
                if address.public != address.local && self.settings.ports.is_live(peer) =>
            {
                SocketAddr::new(address.public, peer.port())
            }
            _ => peer,
        }
    }

    /// Whether a permission for this peer may be installed.
    fn check_permission(&self, ip: IpAddr) -> Result<(), policy::Denial> {
        let mut addresses = self.settings.relay_addresses.iter();
        if addresses.any(|address| address.public == ip) {
            return Ok(());
        }
        self.settings.policy.check_address(ip)
    }

    /// Whether packets may be sent to this peer now.
    fn check_peer(&self, peer: SocketAddr) -> Result<(), policy::Denial> {
        self.settings
            .policy
            .check(peer, self.to_local(peer), &self.settings.ports)
    }
}

/// A peer that the policy forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// As the client named it.
    pub peer: SocketAddr,
    /// Why.
    pub rule: policy::Denial,
}

/// Why a relayed socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Not refreshed in time.
    Expired,
    /// Refresh with lifetime 0.
    Deleted,
    /// The client's connection ended.
    ClientGone,
}

/// A socket that has no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Of an allocation that has ended.
    Allocation {
        /// The socket.
        relay: RelayId,
        /// Where it is bound.
        relayed: SocketAddr,
        /// Why.
        cause: Cause,
    },
    /// Bound to a reserved port that nobody claimed.
    Reservation(SocketAddr),
}

#[cfg(test)]
mod tests;
