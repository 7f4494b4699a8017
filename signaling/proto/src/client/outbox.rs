//! What this client has sent and does not know to be delivered.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{Epoch, MessageId, PeerId};
use crate::message::client::{
    Action, Chat, Event, MediaChange, Moderate, Recipients, Signal, Update,
};
use crate::message::{ClientMessage, Payload, Verbatim};

/// What may wait for its delivery, in bytes.
pub const PENDING_BYTES: usize = 1024 * 1024;

/// A message without its `id`.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Offer, answer or candidate for one peer.
    Signal {
        /// Who gets it.
        to: PeerId,
        /// Which negotiation it belongs to.
        epoch: Epoch,
        /// What it carries.
        payload: Payload,
    },
    /// Text for one peer or the room.
    Chat {
        /// What to say.
        text: String,
        /// Who gets it; everybody else in the room when absent.
        to: Option<PeerId>,
    },
    /// Application event for some peers or the room.
    Event {
        /// The application's name for it.
        name: String,
        /// The application's own JSON.
        data: Option<Verbatim>,
        /// Who gets it; everybody else in the room when absent.
        to: Option<Recipients>,
    },
    /// Changes what the others see of this peer; what is absent stays.
    Update {
        /// A new name.
        name: Option<String>,
        /// What is now on or off.
        media: Option<MediaChange>,
    },
    /// What hosts may do.
    Moderate {
        /// What to do.
        action: Action,
        /// To whom.
        peer: Option<PeerId>,
    },
}

impl Content {
    fn with(self, id: MessageId) -> ClientMessage {
        match self {
            Self::Signal { to, epoch, payload } => ClientMessage::Signal(Signal {
                id,
                to,
                epoch,
                payload,
            }),
            Self::Chat { text, to } => ClientMessage::Chat(Chat { id, text, to }),
            Self::Event { name, data, to } => ClientMessage::Event(Event { id, name, data, to }),
            Self::Update { name, media } => ClientMessage::Update(Update { id, name, media }),
            Self::Moderate { action, peer } => {
                ClientMessage::Moderate(Moderate { id, action, peer })
            }
        }
    }
}

/// Whom a message is for.
#[derive(Debug)]
enum Audience {
    Room,
    Peers(Vec<PeerId>),
    /// The server itself.
    Nobody,
}

impl Audience {
    fn of(message: &ClientMessage) -> Self {
        let to = match message {
            ClientMessage::Signal(signal) => Some(vec![signal.to.clone()]),
            ClientMessage::Chat(chat) => chat.to.clone().map(|to| vec![to]),
            ClientMessage::Event(event) => event.to.clone().map(Recipients::into_vec),
            _ => return Self::Nobody,
        };
        to.map_or(Self::Room, Self::Peers)
    }

    /// Whether somebody may get both: then they must come in order.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nobody, _) | (_, Self::Nobody) => false,
            (Self::Room, _) | (_, Self::Room) => true,
            (Self::Peers(some), Self::Peers(others)) => some.iter().any(|it| others.contains(it)),
        }
    }
}

/// A message on its way.
#[derive(Debug)]
struct Pending {
    /// What the application knows it by: the `id` that it would have if none before it had been refused
    /// for a slow recipient, which takes a new `id` each time.
    name: MessageId,
    frame: String,
    /// Over how many connections it was sent.
    sent: u32,
}

/// What is done with a message that a slow recipient has no room for.
pub(super) enum Deferral {
    /// It had its outcome before.
    Settled,
    /// It is sent again later.
    Kept,
    /// This one was sent over another connection, too, where it may have been delivered: sent again with
    /// another `id` it might come twice.
    Uncertain(MessageId),
}

/// A message that waits for a slow recipient.
#[derive(Debug)]
struct Deferred {
    message: ClientMessage,
    audience: Audience,
    bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    last: MessageId,
    last_name: MessageId,
    /// By `id`.
    pending: BTreeMap<MessageId, Pending>,
    /// By name.
    deferred: BTreeMap<MessageId, Deferred>,
    bytes: usize,
}

impl Outbox {
    /// Gives a message its name and keeps it; `None` when too much is kept. With a frame it is sent if the
    /// client `is_open`; without one it waits behind others for a slow recipient.
    pub(super) fn push(
        &mut self,
        content: Content,
        is_open: bool,
    ) -> Option<(MessageId, Option<String>)> {
        let id = self.last.next();
        let name = self.last_name.next();
        let message = content.with(id);
        let frame = message.to_text();
        let bytes = frame.len();
        if self.bytes + bytes > PENDING_BYTES {
            return None;
        }
        self.bytes += bytes;
        self.last_name = name;
        if !self.deferred.is_empty() {
            let audience = Audience::of(&message);
            let mut before = self.deferred.values();
            if before.any(|it| it.audience.overlaps(&audience)) {
                self.keep(name, message, bytes);
                return Some((name, None));
            }
        }
        self.last = id;
        let kept = frame.clone();
        let pending = Pending {
            name,
            frame: kept,
            sent: u32::from(is_open),
        };
        self.pending.insert(id, pending);
        Some((name, Some(frame)))
    }

    fn keep(&mut self, name: MessageId, message: ClientMessage, bytes: usize) {
        let audience = Audience::of(&message);
        let deferred = Deferred {
            message,
            audience,
            bytes,
        };
        self.deferred.insert(name, deferred);
    }

    /// This message has its outcome: its name, if that is news.
    pub(super) fn settle(&mut self, id: MessageId) -> Option<MessageId> {
        let Pending { name, frame, .. } = self.pending.remove(&id)?;
        self.bytes -= frame.len();
        Some(name)
    }

    /// A recipient has no room for this message.
    pub(super) fn defer(&mut self, id: MessageId) -> Deferral {
        let Some(Pending { name, frame, sent }) = self.pending.remove(&id) else {
            return Deferral::Settled;
        };
        if sent > 1 {
            self.bytes -= frame.len();
            return Deferral::Uncertain(name);
        }
        let message = ClientMessage::parse(&frame).expect("the server has read it");
        self.keep(name, message, frame.len());
        Deferral::Kept
    }

    /// What was deferred, in order, each with its new `id`.
    pub(super) fn retry(&mut self) -> Vec<String> {
        let mut frames = Vec::with_capacity(self.deferred.len());
        for (name, deferred) in std::mem::take(&mut self.deferred) {
            self.last = self.last.next();
            let frame = renumbered(deferred.message, self.last).to_text();
            self.bytes = self.bytes - deferred.bytes + frame.len();
            frames.push(frame.clone());
            let sent = 1;
            self.pending
                .insert(self.last, Pending { name, frame, sent });
        }
        frames
    }

    /// What has no outcome yet and a higher `id`, in order, for another connection.
    pub(super) fn frames_after(&mut self, id: MessageId) -> impl Iterator<Item = String> {
        let pending = self.pending.range_mut(id.next()..);
        pending.map(|(_, pending)| {
            pending.sent = pending.sent.saturating_add(1);
            pending.frame.clone()
        })
    }

    /// The session is over, and the next one counts from 1: what had no outcome.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = MessageId> + use<> {
        let left = std::mem::take(self);
        let pending = left.pending.into_values().map(|pending| pending.name);
        let names: BTreeSet<_> = pending.chain(left.deferred.into_keys()).collect();
        names.into_iter()
    }
}

fn renumbered(mut message: ClientMessage, new: MessageId) -> ClientMessage {
    match &mut message {
        ClientMessage::Signal(Signal { id, .. })
        | ClientMessage::Chat(Chat { id, .. })
        | ClientMessage::Event(Event { id, .. }) => *id = new,
        other => unreachable!("never deferred: {other:?}"),
    }
    message
}
