//! What this client has sent and does not know to be delivered.

use std::collections::BTreeMap;

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

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    last: MessageId,
    pending: BTreeMap<MessageId, String>,
    bytes: usize,
}

impl Outbox {
    /// Gives a message its `id` and keeps it; `None` when too much is kept.
    pub(super) fn push(&mut self, content: Content) -> Option<(MessageId, String)> {
        let id = self.last.next();
        let frame = content.with(id).to_text();
        if self.bytes + frame.len() > PENDING_BYTES {
            return None;
        }
        self.last = id;
        self.bytes += frame.len();
        self.pending.insert(id, frame.clone());
        Some((id, frame))
    }

    /// This message has its outcome; whether that is news.
    pub(super) fn settle(&mut self, id: MessageId) -> bool {
        let frame = self.pending.remove(&id);
        self.bytes -= frame.as_ref().map_or(0, String::len);
        frame.is_some()
    }

    /// What has no outcome yet and a higher `id`, in order.
    pub(super) fn frames_after(&self, id: MessageId) -> impl Iterator<Item = String> {
        self.pending
            .range(id.next()..)
            .map(|(_, frame)| frame.clone())
    }

    /// The session is over, and the next one counts from 1: what had no outcome.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = MessageId> + use<> {
        std::mem::take(self).pending.into_keys()
    }
}
