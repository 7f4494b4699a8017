//! One allocation: who holds it, and whom it may relay to. Only the table changes what it is
//! indexed by.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::session::{Session, SessionId, Traffic};
use super::sorted::SortedMap;
use crate::addr::{ChannelNumber, FiveTuple, PeerProtocol};
use crate::attribute::{ErrorCode, Family};
use crate::auth::Owner;
use crate::integrity::Signer;
use crate::limits;
use crate::message::TransactionId;
use crate::quotas::Place;
use crate::reservations::Token;
use crate::shaper::Shaper;

/// An allocation (RFC 8656 section 2.2): a relayed transport address and who may use it.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: FiveTuple,
    pub(super) protocol: PeerProtocol,
    /// Where the relayed socket is bound.
    pub(super) relayed: SocketAddr,
    /// What the client was told.
    pub(super) public: SocketAddr,
    pub(super) username: Box<[u8]>,
    pub(super) signer: Signer,
    /// The Allocate that made it, so that a retransmission gets the same answer.
    pub(super) transaction: TransactionId,
    pub(super) granted_s: u32,
    pub(super) token: Option<Token>,
    /// Why there is no relayed address of the other family, which was asked for too.
    pub(super) missing: Option<ErrorCode>,
    pub(super) session: SessionId,
    pub(super) traffic: Traffic,
    /// Limits towards the peer and towards the client.
    pub(super) shapers: [Shaper; 2],
    /// The next ICMP error is told from then on.
    pub(super) icmp_at: Duration,
    /// Held for as long as the allocation lives.
    _place: Place,
    pub(super) created_at: Duration,
    pub(super) expires_at: Duration,
    pub(super) permissions: SortedMap<IpAddr, Duration>,
    pub(super) channels: SortedMap<ChannelNumber, Channel>,
    pub(super) numbers: SortedMap<SocketAddr, ChannelNumber>,
}

/// A channel binding (RFC 8656 section 12).
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel {
    /// As the client knows it.
    pub(super) peer: SocketAddr,
    /// On our own addresses each packet's port is judged again.
    pub(super) is_own: bool,
    pub(super) expires_at: Duration,
}

/// What an allocation is made of.
pub(super) struct New {
    pub(super) client: FiveTuple,
    pub(super) protocol: PeerProtocol,
    pub(super) relayed: SocketAddr,
    pub(super) public: SocketAddr,
    pub(super) username: Box<[u8]>,
    pub(super) signer: Signer,
    pub(super) transaction: TransactionId,
    pub(super) granted_s: u32,
    pub(super) token: Option<Token>,
    pub(super) missing: Option<ErrorCode>,
    pub(super) place: Place,
}

impl Allocation {
    pub(super) fn new(new: New, session: SessionId, now: Duration) -> Self {
        Self {
            client: new.client,
            protocol: new.protocol,
            relayed: new.relayed,
            public: new.public,
            username: new.username,
            signer: new.signer,
            transaction: new.transaction,
            granted_s: new.granted_s,
            token: new.token,
            missing: new.missing,
            session,
            traffic: Traffic::default(),
            shapers: [Shaper::default(); 2],
            icmp_at: Duration::ZERO,
            _place: new.place,
            created_at: now,
            expires_at: now + Duration::from_secs(new.granted_s.into()),
            permissions: SortedMap::default(),
            channels: SortedMap::default(),
            numbers: SortedMap::default(),
        }
    }

    pub(super) fn family(&self) -> Family {
        Family::of(self.relayed.ip())
    }

    pub(super) fn owner(&self) -> Owner<'_> {
        Owner {
            username: &self.username,
            key: self.signer.key,
        }
    }

    pub(super) fn is_permitted(&self, ip: IpAddr, now: Duration) -> bool {
        self.permissions
            .get(ip)
            .is_some_and(|expires_at| now < *expires_at)
    }

    pub(super) fn channel(&self, number: ChannelNumber, now: Duration) -> Option<&Channel> {
        self.channels
            .get(number)
            .filter(|channel| now < channel.expires_at)
    }

    /// The number that is bound to a peer now.
    pub(super) fn number(&self, peer: SocketAddr, now: Duration) -> Option<ChannelNumber> {
        let number = *self.numbers.get(peer)?;
        self.channel(number, now).map(|_| number)
    }

    pub(super) fn session(&self, now: Duration) -> Session<'_> {
        Session {
            id: self.session,
            username: &self.username,
            client: self.client,
            relayed: self.public,
            age: now.saturating_sub(self.created_at),
            expires_in: self.expires_at.saturating_sub(now),
            permissions: self.permissions.len(),
            channels: self.channels.len(),
            traffic: self.traffic,
        }
    }

    /// Whether permissions for all of these fit.
    pub(super) fn has_room_for(&self, peers: &[IpAddr]) -> bool {
        let mut new: Vec<_> = peers
            .iter()
            .filter(|ip| self.permissions.get(**ip).is_none())
            .collect();
        new.sort_unstable();
        new.dedup();
        self.permissions.len() + new.len() <= limits::MAX_PERMISSIONS
    }
}
