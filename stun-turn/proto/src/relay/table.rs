//! The allocations and every index over them. Nothing else writes any of it.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use slab::Slab;

use super::allocation::{Allocation, Channel, New};
use super::deadline::Deadlines;
use super::mobility::{Movers, Ticket};
use super::session::{Ended, SessionId};
use super::{Cause, Closed};
use crate::addr::{ChannelNumber, FiveTuple, PeerProtocol};
use crate::attribute::Family;
use crate::limits;
use crate::ports::Ports;

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

/// Why a permission or a channel can't be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The allocation holds as many as it may.
    Full,
    /// The number is another peer's, or the peer has another number.
    Paired,
}

/// What lies on a relayed socket.
#[derive(Debug)]
enum Slot {
    Live(Box<Allocation>),
    /// The driver has not closed the socket yet.
    Closing,
}

/// The allocations of one five-tuple: one, or one of each family (RFC 8656 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relays {
    pub(super) first: RelayId,
    pub(super) second: Option<RelayId>,
}

impl Relays {
    pub(super) fn iter(self) -> impl Iterator<Item = RelayId> {
        [Some(self.first), self.second].into_iter().flatten()
    }

    /// What is left without one of them.
    fn without(self, relay: RelayId) -> Option<Self> {
        let first = self.iter().find(|other| *other != relay)?;
        Some(Self {
            first,
            second: None,
        })
    }
}

/// An allocation whose socket is to be closed.
#[derive(Debug)]
struct Closing {
    relay: RelayId,
    relayed: SocketAddr,
    ended: Box<Ended>,
}

/// The discard-only prefix (RFC 6666), and port 0: no packet comes from there.
const NOWHERE: u128 = 0x0100 << 112;

/// All relayed sockets of one worker.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Slab<Slot>,
    by_client: HashMap<FiveTuple, Relays>,
    deadlines: Deadlines<RelayId>,
    closed: VecDeque<Closing>,
    pub(super) movers: Movers,
    next_session: u64,
    /// Clients that have lost their connections so far.
    detached: u64,
}

impl Table {
    pub(super) fn find(&self, client: &FiveTuple) -> Option<Relays> {
        self.by_client.get(client).copied()
    }

    /// The allocation of a client that relays to peers of this family.
    pub(super) fn find_family(&self, client: &FiveTuple, family: Family) -> Option<RelayId> {
        let mut relays = self.find(client)?.iter();
        relays.find(|relay| self.get(*relay).is_some_and(|it| it.family() == family))
    }

    pub(super) fn get(&self, relay: RelayId) -> Option<&Allocation> {
        match self.slots.get(relay.0) {
            Some(Slot::Live(allocation)) => Some(allocation),
            Some(Slot::Closing) | None => None,
        }
    }

    /// For what no index depends on.
    pub(super) fn get_mut(&mut self, relay: RelayId) -> Option<&mut Allocation> {
        match self.slots.get_mut(relay.0) {
            Some(Slot::Live(allocation)) => Some(allocation),
            Some(Slot::Closing) | None => None,
        }
    }

    pub(super) fn protocol(&self, relay: RelayId) -> Option<PeerProtocol> {
        self.get(relay).map(|allocation| allocation.protocol)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (RelayId, &Allocation)> {
        self.slots.iter().filter_map(|(index, slot)| match slot {
            Slot::Live(allocation) => Some((RelayId(index), &**allocation)),
            Slot::Closing => None,
        })
    }

    pub(super) fn allocations(&self) -> usize {
        self.deadlines.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first()
    }

    /// Adds an allocation whose socket is bound; the second one of a five-tuple has the other
    /// family.
    pub(super) fn insert(&mut self, new: New, now: Duration, ports: &Ports) -> RelayId {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let allocation = Allocation::new(new, session, now);
        ports.go_live(allocation.protocol, allocation.relayed);
        let (client, expires_at) = (allocation.client, allocation.expires_at);
        let relay = RelayId(self.slots.insert(Slot::Live(Box::new(allocation))));
        let alone = Relays {
            first: relay,
            second: None,
        };
        let relays = self.by_client.entry(client).or_insert(alone);
        if *relays != alone {
            debug_assert!(relays.second.is_none(), "at most one of each family");
            relays.second = Some(relay);
        }
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

    /// Whether permissions for all of these fit, once those that have expired are gone.
    pub(super) fn has_room_for(&mut self, relay: RelayId, peers: &[IpAddr], now: Duration) -> bool {
        let Some(allocation) = self.get_mut(relay) else {
            return false;
        };
        if !allocation.has_room_for(peers) {
            allocation
                .permissions
                .retain(|_, expires_at| now < *expires_at);
        }
        allocation.has_room_for(peers)
    }

    /// Installs or refreshes permissions, all or none.
    pub(super) fn permit(
        &mut self,
        relay: RelayId,
        peers: &[IpAddr],
        now: Duration,
    ) -> Result<(), Refusal> {
        if !self.has_room_for(relay, peers, now) {
            return Err(Refusal::Full);
        }
        let allocation = self.get_mut(relay).ok_or(Refusal::Full)?;
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
        if self.is_number_of_sibling(relay, number, now) {
            return Err(Refusal::Paired);
        }
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

    /// A channel number belongs to the five-tuple, so it can't stand for peers of both families.
    fn is_number_of_sibling(&self, relay: RelayId, number: ChannelNumber, now: Duration) -> bool {
        let client = self.get(relay).map(|allocation| allocation.client);
        let relays = client.and_then(|client| self.find(&client));
        let mut others = relays
            .into_iter()
            .flat_map(Relays::iter)
            .filter(|other| *other != relay);
        others.any(|other| {
            let channel = self.get(other).and_then(|it| it.channels.get(number));
            channel.is_some_and(|channel| now < channel.expires_at + limits::CHANNEL_QUARANTINE)
        })
    }

    /// Takes back permissions and channels that `may_reach` no longer grants, and notes which of the
    /// others lead to this host.
    pub(super) fn revoke(
        &mut self,
        may_reach: impl Fn(IpAddr) -> bool,
        is_own: impl Fn(IpAddr) -> bool,
    ) {
        for (_, slot) in &mut self.slots {
            if let Slot::Live(allocation) = slot {
                let Allocation {
                    permissions,
                    channels,
                    numbers,
                    ..
                } = &mut **allocation;
                permissions.retain(|ip, _| may_reach(*ip));
                channels.retain(|_, channel| {
                    channel.is_own = is_own(channel.peer.ip());
                    may_reach(channel.peer.ip())
                });
                numbers.retain(|peer, _| may_reach(peer.ip()));
            }
        }
    }

    /// Completes an announced move to `client`: its allocations are reached there from now on.
    /// Returns where they were, and how many they are.
    pub(super) fn move_to(&mut self, client: &FiveTuple) -> Option<(FiveTuple, usize)> {
        if self.by_client.contains_key(client) {
            return None;
        }
        let from = self.movers.complete(client)?;
        Some((from, self.rename(&from, *client)))
    }

    /// Keeps the allocations of a client whose connection has ended for whoever shows its ticket. Its
    /// address is nobody's: the next one who has it is somebody else.
    pub(super) fn detach(&mut self, client: &FiveTuple) {
        let nowhere = Ipv6Addr::from_bits(NOWHERE | u128::from(self.detached));
        self.detached += 1;
        let name = FiveTuple {
            client: SocketAddr::new(nowhere.into(), 0),
            ..*client
        };
        self.movers.rename(client, name);
        self.rename(client, name);
    }

    /// Returns how many allocations have another five-tuple now.
    fn rename(&mut self, from: &FiveTuple, to: FiveTuple) -> usize {
        let Some(relays) = self.by_client.remove(from) else {
            return 0;
        };
        self.by_client.insert(to, relays);
        for relay in relays.iter() {
            if let Some(allocation) = self.get_mut(relay) {
                allocation.client = to;
            }
        }
        relays.iter().count()
    }

    /// The ticket of a client that may move.
    pub(super) fn ticket(&self, client: &FiveTuple) -> Option<Ticket> {
        self.movers.ticket(client)
    }

    /// Ends an allocation; its id stays taken until the driver knows.
    pub(super) fn close(&mut self, relay: RelayId, cause: Cause, now: Duration, ports: &Ports) {
        let Some(slot) = self.slots.get_mut(relay.0) else {
            return;
        };
        let Slot::Live(allocation) = std::mem::replace(slot, Slot::Closing) else {
            return;
        };
        let relays = self.by_client.remove(&allocation.client);
        match relays.and_then(|relays| relays.without(relay)) {
            Some(rest) => drop(self.by_client.insert(allocation.client, rest)),
            None => self.movers.remove(&allocation.client),
        }
        self.deadlines.remove(allocation.expires_at, relay);
        ports.withdraw(allocation.relayed);
        let ended = Box::new(Ended::new(&allocation.session(now), cause));
        self.closed.push_back(Closing {
            relay,
            relayed: allocation.relayed,
            ended,
        });
    }

    /// The next allocation whose time is over.
    pub(super) fn due(&self, now: Duration) -> Option<RelayId> {
        self.deadlines.due(now)
    }

    pub(super) fn poll_closed(&mut self) -> Option<Closed> {
        let Closing {
            relay,
            relayed,
            ended,
        } = self.closed.pop_front()?;
        self.slots.remove(relay.0);
        Some(Closed::Allocation {
            relay,
            relayed,
            ended,
        })
    }

    /// What must hold after every call.
    #[cfg(test)]
    pub(super) fn assert_consistent(&self) {
        let mut allocations = 0;
        for (relay, allocation) in self.live() {
            allocations += 1;
            let relays = self.find(&allocation.client).expect("it can be found");
            assert!(relays.iter().any(|found| found == relay));
            let families = relays
                .iter()
                .filter_map(|it| self.get(it))
                .map(Allocation::family);
            assert_eq!(families.filter(|it| *it == allocation.family()).count(), 1);
            assert_eq!(allocation.channels.len(), allocation.numbers.len());
            assert!(allocation.channels.len() <= limits::MAX_CHANNELS);
            assert!(allocation.permissions.len() <= limits::MAX_PERMISSIONS);
        }
        let found: usize = self
            .by_client
            .values()
            .map(|relays| relays.iter().count())
            .sum();
        assert_eq!(found, allocations);
        assert_eq!(self.deadlines.len(), allocations);
        assert_eq!(self.slots.len(), allocations + self.closed.len());
    }
}
