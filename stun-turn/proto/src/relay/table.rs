//! The allocations and every index over them. Nothing else writes any of it.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use slab::Slab;

use super::deadline::Deadlines;
use super::sorted::SortedMap;
use super::{Cause, Closed};
use crate::addr::{ChannelNumber, FiveTuple};
use crate::auth::Owner;
use crate::integrity::Signer;
use crate::limits;
use crate::message::TransactionId;
use crate::ports::Ports;
use crate::reservations::Token;

/// Names a relayed socket for as long as it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId(pub(super) usize);

impl RelayId {
    /// The id that has this index.
    #[must_use]
    pub const fn of_index(index: usize) -> Self {
        Self(index)
    }

    /// Small and dense, for the driver's own table of sockets.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// An allocation (RFC 8656 section 2.2): a relayed transport address and who may use it.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: FiveTuple,
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
    pub(super) expires_at: Duration,
    permissions: SortedMap<IpAddr, Duration>,
    channels: SortedMap<ChannelNumber, Channel>,
    numbers: SortedMap<SocketAddr, ChannelNumber>,
}

/// A channel binding (RFC 8656 section 12).
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel {
    /// As the client knows it.
    pub(super) peer: SocketAddr,
    /// On our own addresses each packet's port is judged again.
    pub(super) is_own: bool,
    expires_at: Duration,
}

/// Why a permission or a channel can't be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The allocation holds as many as it may.
    Full,
    /// The number is another peer's, or the peer has another number.
    Paired,
}

impl Allocation {
    pub(super) fn new(
        client: FiveTuple,
        relayed: SocketAddr,
        public: SocketAddr,
        owner: (Box<[u8]>, Signer),
        request: (TransactionId, u32, Option<Token>),
    ) -> Self {
        Self {
            client,
            relayed,
            public,
            username: owner.0,
            signer: owner.1,
            transaction: request.0,
            granted_s: request.1,
            token: request.2,
            expires_at: Duration::ZERO,
            permissions: SortedMap::default(),
            channels: SortedMap::default(),
            numbers: SortedMap::default(),
        }
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

    /// Whether permissions for all of these fit.
    fn has_room_for(&self, peers: &[IpAddr]) -> bool {
        let mut new: Vec<_> = peers
            .iter()
            .filter(|ip| self.permissions.get(**ip).is_none())
            .collect();
        new.sort_unstable();
        new.dedup();
        self.permissions.len() + new.len() <= limits::MAX_PERMISSIONS
    }
}

/// What lies on a relayed socket.
#[derive(Debug)]
enum Slot {
    Live(Box<Allocation>),
    /// The driver has not closed the socket yet.
    Closing,
}

/// All relayed sockets of one worker.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Slab<Slot>,
    by_client: HashMap<FiveTuple, RelayId>,
    deadlines: Deadlines<RelayId>,
    closed: VecDeque<(RelayId, SocketAddr, Cause)>,
}

impl Table {
    pub(super) fn find(&self, client: &FiveTuple) -> Option<RelayId> {
        self.by_client.get(client).copied()
    }

    pub(super) fn get(&self, relay: RelayId) -> Option<&Allocation> {
        match self.slots.get(relay.0) {
            Some(Slot::Live(allocation)) => Some(allocation),
            Some(Slot::Closing) | None => None,
        }
    }

    fn get_mut(&mut self, relay: RelayId) -> Option<&mut Allocation> {
        match self.slots.get_mut(relay.0) {
            Some(Slot::Live(allocation)) => Some(allocation),
            Some(Slot::Closing) | None => None,
        }
    }

    pub(super) fn allocations(&self) -> usize {
        self.by_client.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first()
    }

    /// Adds an allocation whose socket is bound.
    pub(super) fn insert(
        &mut self,
        mut allocation: Allocation,
        now: Duration,
        ports: &Ports,
    ) -> RelayId {
        let expires_at = now + Duration::from_secs(allocation.granted_s.into());
        allocation.expires_at = expires_at;
        ports.go_live(allocation.relayed);
        let client = allocation.client;
        let relay = RelayId(self.slots.insert(Slot::Live(Box::new(allocation))));
        let before = self.by_client.insert(client, relay);
        debug_assert!(before.is_none(), "one allocation for a five-tuple");
        self.deadlines.insert(expires_at, relay);
        relay
    }

    /// Gives an allocation a new lifetime (RFC 8656 section 8.2).
    pub(super) fn prolong(&mut self, relay: RelayId, lifetime_s: u32, now: Duration) {
        let expires_at = now + Duration::from_secs(lifetime_s.into());
        if let Some(allocation) = self.get_mut(relay) {
            let before = std::mem::replace(&mut allocation.expires_at, expires_at);
            self.deadlines.remove(before, relay);
            self.deadlines.insert(expires_at, relay);
        }
    }

    /// Installs or refreshes permissions, all or none.
    pub(super) fn permit(
        &mut self,
        relay: RelayId,
        peers: &[IpAddr],
        now: Duration,
    ) -> Result<(), Refusal> {
        let allocation = self.get_mut(relay).ok_or(Refusal::Full)?;
        if !allocation.has_room_for(peers) {
            allocation
                .permissions
                .retain(|_, expires_at| now < *expires_at);
        }
        if !allocation.has_room_for(peers) {
            return Err(Refusal::Full);
        }
        for ip in peers {
            allocation
                .permissions
                .insert(*ip, now + limits::PERMISSION_LIFETIME);
        }
        Ok(())
    }

    /// Binds or refreshes a channel together with its permission.
    pub(super) fn bind(
        &mut self,
        relay: RelayId,
        number: ChannelNumber,
        peer: SocketAddr,
        is_own: bool,
        now: Duration,
    ) -> Result<(), Refusal> {
        let allocation = self.get_mut(relay).ok_or(Refusal::Full)?;
        let free_at = |channel: &Channel| channel.expires_at + limits::CHANNEL_QUARANTINE;
        allocation
            .channels
            .retain(|_, channel| now < free_at(channel));
        let channels = &allocation.channels;
        allocation
            .numbers
            .retain(|_, number| channels.get(*number).is_some());

        let number_is_anothers = channels
            .get(number)
            .is_some_and(|channel| channel.peer != peer);
        let peer_has_another = allocation
            .numbers
            .get(peer)
            .is_some_and(|bound| *bound != number);
        if number_is_anothers || peer_has_another {
            return Err(Refusal::Paired);
        }
        if channels.get(number).is_none() && channels.len() >= limits::MAX_CHANNELS {
            return Err(Refusal::Full);
        }
        self.permit(relay, &[peer.ip()], now)?;
        let allocation = self.get_mut(relay).ok_or(Refusal::Full)?;
        let expires_at = now + limits::CHANNEL_LIFETIME;
        allocation.channels.insert(
            number,
            Channel {
                peer,
                is_own,
                expires_at,
            },
        );
        allocation.numbers.insert(peer, number);
        Ok(())
    }

    /// Ends an allocation; its id stays taken until the driver knows.
    pub(super) fn close(&mut self, relay: RelayId, cause: Cause, ports: &Ports) {
        let Some(slot) = self.slots.get_mut(relay.0) else {
            return;
        };
        let Slot::Live(allocation) = std::mem::replace(slot, Slot::Closing) else {
            return;
        };
        self.by_client.remove(&allocation.client);
        self.deadlines.remove(allocation.expires_at, relay);
        ports.withdraw(allocation.relayed);
        self.closed.push_back((relay, allocation.relayed, cause));
    }

    pub(super) fn expire(&mut self, now: Duration, ports: &Ports) {
        while let Some(relay) = self.deadlines.due(now) {
            self.close(relay, Cause::Expired, ports);
        }
    }

    pub(super) fn poll_closed(&mut self) -> Option<Closed> {
        let (relay, relayed, cause) = self.closed.pop_front()?;
        self.slots.remove(relay.0);
        Some(Closed::Allocation {
            relay,
            relayed,
            cause,
        })
    }

    /// What must hold after every call.
    #[cfg(test)]
    pub(super) fn assert_consistent(&self) {
        let live = self.slots.iter().filter_map(|(id, slot)| match slot {
            Slot::Live(allocation) => Some((RelayId(id), allocation)),
            Slot::Closing => None,
        });
        let mut allocations = 0;
        for (relay, allocation) in live {
            allocations += 1;
            assert_eq!(self.find(&allocation.client), Some(relay));
            assert_eq!(allocation.channels.len(), allocation.numbers.len());
            assert!(allocation.channels.len() <= limits::MAX_CHANNELS);
            assert!(allocation.permissions.len() <= limits::MAX_PERMISSIONS);
        }
        assert_eq!(self.by_client.len(), allocations);
        assert_eq!(self.deadlines.len(), allocations);
        assert_eq!(self.slots.len(), allocations + self.closed.len());
    }
}
