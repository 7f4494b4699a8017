//! What the operator decides, and what all workers share.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::TcpRelay;
use crate::auth::{Authenticator, credential};
use crate::budget::Budget;
use crate::connection_ids::ConnectionIds;
use crate::log_window::LogWindow;
use crate::nat_discovery::NatDiscovery;
use crate::policy::PeerPolicy;
use crate::ports::Ports;
use crate::quotas::{QuotaLimits, Quotas};
use crate::records::Records;
use crate::reservations::Reservations;
use crate::revoked::Revoked;

/// What the operator decides; can be replaced while the server runs
/// ([`Relay::reconfigure`](super::Relay::reconfigure)).
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may allocate.
    pub authenticator: Authenticator,
    /// Which peers may be relayed to.
    pub policy: PeerPolicy,
    /// How many allocations there may be.
    pub quotas: QuotaLimits,
    /// How far ahead the expiry of a credential may lie that opens an allocation, in seconds;
    /// [`CREDENTIAL_LEEWAY_S`](crate::limits::CREDENTIAL_LEEWAY_S) more for clocks that differ.
    pub max_credential_ttl_s: u64,
    /// Bytes of application data per second that one allocation may carry in each direction.
    pub max_bps: Option<u64>,
    /// Whether clients may take their allocations along (RFC 8016). All of them must be served by
    /// one worker then; stays the same.
    pub mobility: bool,
    /// Whether TCP is relayed too (RFC 6062).
    pub tcp_relay: Option<TcpRelay>,
    /// Where every Allocate is sent instead (RFC 8489 section 10).
    pub alternate_servers: Vec<SocketAddr>,
    /// Where RFC 5780 is offered, if anywhere; stays the same.
    pub nat_discovery: Option<NatDiscovery>,
    /// Addresses to relay from, the preferred one of each family first.
    pub relay_addresses: Vec<RelayAddress>,
    /// The relayed ports of these addresses, and of those that still have allocations.
    pub ports: Arc<Ports>,
    /// What all workers share; stays the same.
    pub shared: Arc<Shared>,
}

impl Settings {
    /// Without any limit of the operator's.
    #[must_use]
    pub fn new(
        authenticator: Authenticator,
        policy: PeerPolicy,
        relay_addresses: Vec<RelayAddress>,
        ports: Ports,
    ) -> Self {
        Self {
            authenticator,
            policy,
            quotas: QuotaLimits::NONE,
            max_credential_ttl_s: u64::MAX,
            max_bps: None,
            mobility: false,
            tcp_relay: None,
            alternate_servers: Vec::new(),
            nat_discovery: None,
            relay_addresses,
            ports: Arc::new(ports),
            shared: Arc::default(),
        }
    }
}

/// A user's short name in logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserTag(u32);

impl fmt::Display for UserTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The state that all workers of a server share: at first nobody has asked for anything.
#[derive(Debug, Default)]
pub struct Shared {
    /// Ports that wait for their token.
    pub reservations: Reservations,
    /// Connections with peers.
    pub connection_ids: ConnectionIds,
    /// Who has how many allocations.
    pub quotas: Arc<Quotas>,
    /// How much strangers are answered.
    pub strangers: Budget,
    /// Whose credentials are good no more.
    pub revoked: Revoked,
    /// When to tell the operator that strangers are not answered.
    pub unanswered: LogWindow,
    /// Which ended allocations leave a record in the log.
    pub records: Records,
    tag_keys: RandomState,
}

impl Shared {
    /// A short name for a user in logs, which must not tell the real one: two records of one user in
    /// one run of the server can be matched, nothing else.
    #[must_use]
    pub fn tag(&self, username: &[u8]) -> UserTag {
        let hash = self.tag_keys.hash_one(credential::account(username));
        UserTag(hash as u32)
    }
}

/// An address for relayed sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayAddress {
    /// Where sockets are bound.
    pub local: IpAddr,
    /// What clients are told; another one behind a 1:1 NAT.
    pub public: IpAddr,
}
