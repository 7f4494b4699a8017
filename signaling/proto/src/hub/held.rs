//! What is held back or refused for slow recipients, of one sender.

use std::collections::{BTreeMap, VecDeque};

use super::SessionKey;
use crate::id::Seq;
use crate::message::client::{Event, Recipients};
use crate::message::{ClientMessage, Payload};

/// What a message costs besides its text, in bytes: its envelope and its place in a queue.
const MESSAGE_BYTES: usize = 256;
/// What a recipient in a list costs while the message is held back, in bytes.
const RECIPIENT_BYTES: usize = 64;

/// Messages of one sender that wait for a slow recipient, in order.
#[derive(Debug, Default)]
pub(super) struct Held {
    messages: VecDeque<ClientMessage>,
    bytes: usize,
}

/// For whom messages of one sender are refused, until it has acknowledged something after the refusal.
/// What it sends before it hears of the refusal would overtake what was refused.
#[derive(Debug, Default)]
pub(super) struct Refusing {
    /// By recipient, with the last `seq` before the refusal.
    recipients: BTreeMap<SessionKey, Seq>,
    /// The same for all recipients.
    all: Option<Seq>,
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Adds one; what it costs.
    pub(super) fn push(&mut self, message: ClientMessage) -> usize {
        let cost = held_cost(&message);
        self.bytes += cost;
        self.messages.push_back(message);
        cost
    }

    /// Takes the first one, with what it costs.
    pub(super) fn pop(&mut self) -> Option<(ClientMessage, usize)> {
        let message = self.messages.pop_front()?;
        let cost = held_cost(&message);
        self.bytes -= cost;
        Some((message, cost))
    }

    /// What was taken last has to wait longer.
    pub(super) fn put_back(&mut self, message: ClientMessage) {
        self.bytes += held_cost(&message);
        self.messages.push_front(message);
    }
}

impl Refusing {
    pub(super) fn is_empty(&self) -> bool {
        self.recipients.is_empty() && self.all.is_none()
    }

    pub(super) fn is_for_all(&self) -> bool {
        self.all.is_some()
    }

    pub(super) fn concerns(&self, recipient: SessionKey) -> bool {
        self.recipients.contains_key(&recipient)
    }

    /// A message for these is refused after `seq`.
    pub(super) fn note(&mut self, recipients: &[SessionKey], seq: Seq) {
        let recipients = recipients.iter().map(|recipient| (*recipient, seq));
        self.recipients.extend(recipients);
    }

    pub(super) fn note_all(&mut self, seq: Seq) {
        self.all = Some(seq);
    }

    /// The sender has acknowledged everything up to `seq`.
    pub(super) fn acknowledge(&mut self, seq: Seq) {
        if self.is_empty() {
            return;
        }
        self.recipients.retain(|_, after| *after >= seq);
        self.all = self.all.filter(|after| *after >= seq);
    }

    /// The sender counts differently from now on: only something after `seq` tells what it has heard.
    pub(super) fn renumber(&mut self, seq: Seq) {
        self.recipients.values_mut().for_each(|after| *after = seq);
        self.all = self.all.map(|_| seq);
    }
}

/// What a message will cost each recipient, in bytes; never less than its body.
pub(super) fn cost(message: &ClientMessage) -> usize {
    let text = match message {
        ClientMessage::Signal(signal) => match &signal.payload {
            Payload::Description(json) | Payload::Candidate(json) => json.text().len(),
        },
        ClientMessage::Chat(chat) => escaped(&chat.text),
        ClientMessage::Event(event) => {
            let data = event.data.as_ref().map_or(0, |data| data.text().len());
            escaped(&event.name) + data
        }
        _ => 0,
    };
    text + MESSAGE_BYTES
}

/// What it costs while it is held back, in bytes.
pub(super) fn held_cost(message: &ClientMessage) -> usize {
    let recipients = match message {
        ClientMessage::Event(Event {
            to: Some(Recipients::Many(to)),
            ..
        }) => to.len(),
        _ => 0,
    };
    cost(message) + recipients * RECIPIENT_BYTES
}

/// How long a text is as JSON, in bytes.
fn escaped(text: &str) -> usize {
    let bytes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..=0x1f => 6,
        _ => 1,
    });
    bytes.sum()
}
