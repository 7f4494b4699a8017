//! What an operator sees of an allocation, while it lives and when it has ended.

use std::net::SocketAddr;
use std::time::Duration;

use super::Cause;
use crate::addr::FiveTuple;

/// Names an allocation of one worker, never again another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// Application data that was relayed; headers are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams from the client to peers.
    pub packets_to_peers: u64,
    /// Their bytes.
    pub bytes_to_peers: u64,
    /// Datagrams from peers to the client.
    pub packets_to_client: u64,
    /// Their bytes.
    pub bytes_to_client: u64,
}

/// A living allocation.
#[derive(Debug, Clone, Copy)]
pub struct Session<'t> {
    /// Its name.
    pub id: SessionId,
    /// The user who made it.
    pub username: &'t [u8],
    /// Client and server address and the transport between them.
    pub client: FiveTuple,
    /// The relayed transport address that peers know.
    pub relayed: SocketAddr,
    /// How long it has lived.
    pub age: Duration,
    /// How long it will live without a Refresh.
    pub expires_in: Duration,
    /// Permissions held, expired ones that nobody has asked for since included.
    pub permissions: usize,
    /// Channels held, likewise.
    pub channels: usize,
    /// What it has relayed.
    pub traffic: Traffic,
}

/// The record of an allocation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub id: SessionId,
    /// Why it ended.
    pub cause: Cause,
    /// The user who made it.
    pub username: Box<[u8]>,
    /// Client and server address and the transport between them.
    pub client: FiveTuple,
    /// The relayed transport address that peers knew.
    pub relayed: SocketAddr,
    /// How long it lived.
    pub lived: Duration,
    /// What it has relayed.
    pub traffic: Traffic,
}

/// An allocation that ends sooner is churn.
const CHURN: Duration = Duration::from_secs(2);

impl Ended {
    /// Whether it was hardly used: it relayed nothing, or lived for less than two seconds. A client may
    /// make any number of these; of others the quotas allow few a second.
    #[must_use]
    pub fn is_churn(&self) -> bool {
        self.traffic.packets_to_peers + self.traffic.packets_to_client == 0 || self.lived < CHURN
    }

    pub(super) fn new(session: &Session<'_>, cause: Cause) -> Self {
        Self {
            id: session.id,
            cause,
            username: session.username.into(),
            client: session.client,
            relayed: session.relayed,
            lived: session.age,
            traffic: session.traffic,
        }
    }
}
