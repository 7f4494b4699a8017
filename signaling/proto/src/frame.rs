//! What goes over the wire to one client.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::id::Seq;
use crate::message::ServerMessage;

/// One text frame. A broadcast is encoded once: its recipients share the body, and only the `seq` at
/// its end is each one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// With `seq`: a JSON object up to where its last field `seq` belongs. Without: all of it.
    body: Arc<str>,
    seq: Option<Seq>,
}

/// Room for `,"seq":` and the number.
const SEQ_BYTES: usize = 28;

impl Frame {
    /// A frame without `seq`.
    #[must_use]
    pub fn plain(message: &ServerMessage) -> Self {
        debug_assert_eq!(message.seq(), None, "content needs a `Body`");
        Self {
            body: encode(message, |text| text),
            seq: None,
        }
    }

    /// The JSON text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.body.len() + SEQ_BYTES);
        text.push_str(&self.body);
        if let Some(seq) = self.seq {
            write!(text, r#","seq":{seq}}}"#).expect("a string takes everything");
        }
        text
    }

    /// How much memory the frame is worth in a queue, in bytes; never less than its text.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.body.len() + SEQ_BYTES
    }
}

/// A message that carries content, encoded, without its `seq`.
#[derive(Debug, Clone)]
pub struct Body(Arc<str>);

impl Body {
    /// Encodes it; the message's own `seq` does not matter.
    ///
    /// # Panics
    /// When the message has no `seq`, or not as its last field: a mistake of ours.
    #[must_use]
    pub fn new(message: &ServerMessage) -> Self {
        assert!(message.seq().is_some(), "only content has a body");
        Self(encode(message, |text| {
            without_seq(text).expect("`seq` is the last field")
        }))
    }

    /// How long it is in bytes.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it tells of ICE servers.
    #[must_use]
    pub(crate) fn is_ice_servers(&self) -> bool {
        self.0.starts_with(r#"{"type":"ice_servers""#)
    }

    /// The frame for one recipient.
    #[must_use]
    pub fn frame(&self, seq: Seq) -> Frame {
        Frame {
            body: self.0.clone(),
            seq: Some(seq),
        }
    }
}

/// The text of a message, or a part of it, without room to spare: it may be kept for long.
fn encode(message: &ServerMessage, part: impl Fn(&str) -> &str) -> Arc<str> {
    thread_local! {
        static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    TEXT.with_borrow_mut(|text| {
        text.clear();
        serde_json::to_writer(&mut *text, message)
            .expect("messages have string keys only, so they always encode");
        let text = std::str::from_utf8(text).expect("serde_json writes UTF-8");
        Arc::from(part(text))
    })
}

/// A JSON object up to its last field, which is `seq`.
fn without_seq(text: &str) -> Option<&str> {
    let number_ends = text.strip_suffix('}')?;
    let number = number_ends.bytes().rev().take_while(u8::is_ascii_digit);
    number_ends[..number_ends.len() - number.count()].strip_suffix(r#","seq":"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{MessageId, PeerId};
    use crate::message::server::Chat;

    #[test]
    fn recipients_share_a_body_and_have_their_own_seq() {
        let chat = |seq| {
            ServerMessage::Chat(Chat {
                from: PeerId::new("a"),
                id: MessageId(3),
                text: r#"quote " and ,"seq":0}"#.into(),
                seq: Seq(seq),
            })
        };
        let body = Body::new(&chat(0));
        for seq in [1, u64::MAX] {
            let frame = body.frame(Seq(seq));
            assert_eq!(frame.to_text(), chat(seq).to_text());
            assert!(frame.cost() >= frame.to_text().len());
        }
    }
}
