//! A session: one client's place in a room, apart from the connection that carries it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::room::RoomKey;
use super::{ConnectionId, SessionKey};
use crate::id::{MessageId, PeerId, Seq};
use crate::message::Media;
use crate::message::server::{Delivered, Peer, Presence, Role};

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) room: Arc<RoomKey>,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) media: Media,
    /// Highest `id` taken from this client.
    pub(super) received: MessageId,
    /// Highest `seq` given to this client.
    sent: Seq,
    /// What this client has not acknowledged, in order of `seq`, without gaps.
    unacknowledged: VecDeque<Option<Origin>>,
    /// What this client has sent and somebody has not acknowledged.
    outstanding: BTreeMap<MessageId, Outstanding>,
    /// What the next `delivered` will say.
    delivered: Delivered,
}

/// Which message of whom a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) sender: SessionKey,
    pub(super) id: MessageId,
}

#[derive(Debug)]
struct Outstanding {
    /// Recipients that have neither acknowledged nor left.
    waiting: usize,
    /// Recipients that left before.
    failed: Vec<PeerId>,
}

/// How a message ended for one recipient.
#[derive(Debug, Clone, Copy)]
pub(super) enum Settled<'a> {
    Acknowledged,
    LeftBefore(&'a PeerId),
}

/// An acknowledgement of something that was never sent.
#[derive(Debug)]
pub(super) struct NotSent;

impl Session {
    pub(super) fn new(
        peer: PeerId,
        connection: ConnectionId,
        room: Arc<RoomKey>,
        name: String,
        role: Role,
        media: Media,
    ) -> Self {
        Self {
            peer,
            connection,
            room,
            name,
            role,
            media,
            received: MessageId::default(),
            sent: Seq::default(),
            unacknowledged: VecDeque::new(),
            outstanding: BTreeMap::new(),
            delivered: Delivered::default(),
        }
    }

    /// How another peer sees this one.
    pub(super) fn roster_entry(&self, polite: bool) -> Peer {
        Peer {
            peer: self.peer.clone(),
            name: self.name.clone(),
            role: self.role,
            state: Presence::Here,
            media: self.media,
            polite,
        }
    }

    /// Takes the next `seq` for a frame and waits for its acknowledgement.
    pub(super) fn next_seq(&mut self, origin: Option<Origin>) -> Seq {
        self.sent = self.sent.next();
        self.unacknowledged.push_back(origin);
        self.sent
    }

    /// How many frames this client has not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Everything up to `seq` has arrived; what arrived is returned.
    pub(super) fn acknowledge(
        &mut self,
        seq: Seq,
    ) -> Result<impl Iterator<Item = Origin> + 'static, NotSent> {
        let open =
            u64::try_from(self.unacknowledged.len()).expect("a queue's length is below 2^64");
        let acknowledged = self.sent.0 - open;
        if seq > self.sent {
            return Err(NotSent);
        }
        let newly = usize::try_from(seq.0.saturating_sub(acknowledged))
            .expect("at most the queue's length");
        let arrived: Vec<_> = self.unacknowledged.drain(..newly).collect();
        if self.unacknowledged.is_empty() {
            // An idle session keeps no memory of a busy one.
            self.unacknowledged.shrink_to(8);
        }
        Ok(arrived.into_iter().flatten())
    }

    /// Everything that will never be acknowledged, because this client is gone.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = Origin> + 'static {
        std::mem::take(&mut self.unacknowledged)
            .into_iter()
            .flatten()
    }

    /// A message of this client goes to `recipients` others; whether a `delivered` has just begun to
    /// gather.
    pub(super) fn expect_deliveries(&mut self, id: MessageId, recipients: usize) -> bool {
        if recipients == 0 {
            return self.gather(id, Vec::new());
        }
        let outstanding = Outstanding {
            waiting: recipients,
            failed: Vec::new(),
        };
        self.outstanding.insert(id, outstanding);
        false
    }

    /// A message of this client is settled for one recipient; whether a `delivered` has just begun to
    /// gather.
    pub(super) fn settle(&mut self, id: MessageId, how: Settled<'_>) -> bool {
        let Some(outstanding) = self.outstanding.get_mut(&id) else {
            debug_assert!(false, "every frame in flight is counted");
            return false;
        };
        outstanding.waiting -= 1;
        if let Settled::LeftBefore(peer) = how {
            outstanding.failed.push(peer.clone());
        }
        if outstanding.waiting > 0 {
            return false;
        }
        let failed = self
            .outstanding
            .remove(&id)
            .map_or_else(Vec::new, |outstanding| outstanding.failed);
        self.gather(id, failed)
    }

    fn gather(&mut self, id: MessageId, failed: Vec<PeerId>) -> bool {
        let begins = self.delivered.ids.is_empty();
        self.delivered.ids.push(id);
        if !failed.is_empty() {
            self.delivered.failed.insert(id, failed);
        }
        begins
    }

    /// How many ids the next `delivered` has gathered.
    pub(super) fn gathered(&self) -> usize {
        self.delivered.ids.len()
    }

    /// What was gathered; `None` when there is nothing.
    pub(super) fn take_delivered(&mut self) -> Option<Delivered> {
        (!self.delivered.ids.is_empty()).then(|| std::mem::take(&mut self.delivered))
    }
}
