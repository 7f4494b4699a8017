//! What goes over the wire to one client.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::id::Seq;
use crate::message::ServerMessage;

/// One text frame. A broadcast is encoded once: its recipients share the body, and only the `seq` at
/// its end is each one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// With `seq`: a JSON object up to where its last field `seq` belongs. Without: all of it.
    body: Bytes,
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
            body: Bytes::from(message.to_text()),
            seq: None,
        }
    }

    /// The JSON text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let body = std::str::from_utf8(&self.body).expect("serde_json writes UTF-8");
        let mut text = String::with_capacity(body.len() + SEQ_BYTES);
        text.push_str(body);
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
pub struct Body(Bytes);

impl Body {
    /// Encodes it; the message's own `seq` does not matter.
    ///
    /// # Panics
    /// When the message has no `seq`, or not as its last field: a mistake of ours.
    #[must_use]
    pub fn new(message: &ServerMessage) -> Self {
        let seq = message.seq().expect("only content has a body");
        let mut text = message.to_text();
        let end = format!(r#","seq":{seq}}}"#);
        assert!(text.ends_with(&end), "`seq` is the last field");
        text.truncate(text.len() - end.len());
        // Without room to spare: it may be kept for long.
        Self(Bytes::from(text.into_boxed_str().into_boxed_bytes()))
    }

    /// How long it is in bytes.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
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
