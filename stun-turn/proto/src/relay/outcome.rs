//! What the relay gives back: what to do with a message, why not, and what has ended.

use std::net::SocketAddr;
use std::ops::Range;

use super::request::allocate::Open;
use super::session::Ended;
use super::settings::UserTag;
use super::table::RelayId;
use crate::connection_ids::ConnectionId;
use crate::policy;
use crate::refusal::RefusalCause;

/// What the driver has to do now.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing, and why.
    Drop(DropReason),
    /// Send the first bytes of the reply buffer to the client, from where its packet arrived.
    Reply(usize),
    /// Send the first bytes of the reply buffer from another of our addresses (RFC 5780).
    ReplyFrom {
        /// Length of the reply.
        reply: usize,
        /// One of [`NatDiscovery::pairs`](crate::nat_discovery::NatDiscovery::pairs).
        from: SocketAddr,
        /// The client, maybe at another port.
        to: SocketAddr,
    },
    /// Send this part of the client's message to the peer, from the relayed socket.
    ToPeer {
        /// The relayed socket.
        relay: RelayId,
        /// Where to, as this host knows the address.
        peer: SocketAddr,
        /// The application data within the message.
        payload: Range<usize>,
        /// Set the DF bit, as the client asked (RFC 8656 section 14).
        dont_fragment: bool,
    },
    /// Connect to a peer, then call [`Relay::handle_connected`](super::Relay::handle_connected);
    /// or [`Relay::handle_no_socket`](super::Relay::handle_no_socket).
    Connect {
        /// Names the connection from now on.
        id: ConnectionId,
        /// The relayed address to connect from.
        from: SocketAddr,
        /// Whom to connect to, as this host knows the address.
        peer: SocketAddr,
    },
    /// Send the first bytes of the reply buffer to the client. All other bytes of this connection, in
    /// both directions, are those of the peer's connection.
    Bound {
        /// The peer's connection.
        id: ConnectionId,
        /// Length of the reply.
        reply: usize,
    },
    /// Hand the client's connection to another worker, with this message still to be handled.
    Elsewhere {
        /// The one given to its [`Relay::of_worker`](super::Relay::of_worker).
        worker: usize,
    },
    /// Bind a relayed socket, then call [`Relay::handle_opened`](super::Relay::handle_opened)
    /// before anything else.
    Open(Box<Open>),
    /// The socket just bound belongs to `relay`.
    Opened {
        /// Names the socket from now on.
        relay: RelayId,
        /// To be done then: [`Outcome::Reply`], or [`Outcome::Open`] for the other family's socket.
        next: Box<Outcome>,
    },
}

/// Why a message went nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
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
    /// A stranger has been answered enough.
    OverBudget,
    /// Faster than `max_bps`.
    OverLimit,
    /// Beyond one client's share of a worker that can't keep up.
    OverShare,
}

impl DropReason {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::NotForServers,
        Self::NoAllocation,
        Self::NoChannel,
        Self::NoPermission,
        Self::Forbidden,
        Self::BadAttribute,
        Self::TooLarge,
        Self::OverBudget,
        Self::OverLimit,
        Self::OverShare,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotForServers => "not_for_servers",
            Self::NoAllocation => "no_allocation",
            Self::NoChannel => "no_channel",
            Self::NoPermission => "no_permission",
            Self::Forbidden => "forbidden",
            Self::BadAttribute => "bad_attribute",
            Self::TooLarge => "too_large",
            Self::OverBudget => "over_budget",
            Self::OverLimit => "over_limit",
            Self::OverShare => "over_share",
        }
    }
}

/// Why a relayed socket could not be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// Another program has the port of [`Open::address`]: another one is tried.
    AddressInUse,
    /// Another program has the port of [`Open::next_address`]: another pair is tried.
    NextAddressInUse,
    /// Anything else (no descriptors, no such address): the client is told 508.
    Failed,
}

/// A peer that the policy forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// As the client named it.
    pub peer: SocketAddr,
    /// Why.
    pub rule: policy::Denial,
}

/// Why a request was refused: for the operator, as the client learns only the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// [`Shared::tag`](super::Shared::tag) of the name that the request gave.
    pub user: UserTag,
    /// What was wrong.
    pub cause: RefusalCause,
}

/// Why an allocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Cause {
    /// Not refreshed in time.
    Expired,
    /// Refresh with lifetime 0.
    Deleted,
    /// The client's connection ended.
    ClientGone,
    /// The operator ended it.
    Operator,
    /// The server ended.
    Shutdown,
}

impl Cause {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 5] = [
        Self::Expired,
        Self::Deleted,
        Self::ClientGone,
        Self::Operator,
        Self::Shutdown,
    ];

    /// The name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::ClientGone => "client_gone",
            Self::Operator => "operator",
            Self::Shutdown => "shutdown",
        }
    }
}

/// A socket that has no use any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Of an allocation that has ended.
    Allocation {
        /// The socket.
        relay: RelayId,
        /// Where it is bound.
        relayed: SocketAddr,
        /// The allocation's record.
        ended: Box<Ended>,
    },
    /// Bound to a reserved port that nobody claimed.
    Reservation(SocketAddr),
    /// Connected to a peer, or about to be; and the client's connection that it was spliced with.
    Connection(ConnectionId),
}
