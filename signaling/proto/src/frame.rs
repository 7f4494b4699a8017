//! What goes over the wire to one client.

use std::sync::Arc;

use crate::id::{Epoch, MessageId, PeerId, Seq};
use crate::message::{Payload, ServerMessage};

/// One text frame. A broadcast is encoded once: its recipients share the body, and only the `seq` at
/// its end is each one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// With `seq`: a JSON object up to where its last field `seq` belongs. Without: all of it.
    body: Arc<str>,
    seq: Option<Seq>,
}

const SEQ_NAME: &str = r#","seq":"#;
/// Room for [`SEQ_NAME`], the number and what closes the object.
const SEQ_BYTES: usize = SEQ_NAME.len() + 20 + 1;

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
        let Some(seq) = self.seq else {
            return self.body.as_ref().to_owned();
        };
        let mut digits = itoa::Buffer::new();
        // With no room to spare, or else whoever shares the text moves it once more.
        [&*self.body, SEQ_NAME, digits.format(seq.0), "}"].concat()
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

    /// The same for a signal, whose payload is copied as it is.
    pub(crate) fn signal(from: &PeerId, id: MessageId, epoch: Epoch, payload: &Payload) -> Self {
        debug_assert!(from.is_plausible(), "a name that needs no escapes");
        let (field, payload) = payload.field();
        let (mut id_digits, mut epoch_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        let text = [
            r#"{"type":"signal","from":""#,
            from.as_str(),
            r#"","id":"#,
            id_digits.format(id.0),
            r#","epoch":"#,
            epoch_digits.format(epoch.0),
            r#",""#,
            field,
            r#"":"#,
            payload,
        ]
        .concat();
        Self(text.into())
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
    Arc::from(part(&message.to_text()))
}

/// A JSON object up to its last field, which is `seq`.
fn without_seq(text: &str) -> Option<&str> {
    let number_ends = text.strip_suffix('}')?;
    let number = number_ends.bytes().rev().take_while(u8::is_ascii_digit);
    number_ends[..number_ends.len() - number.count()].strip_suffix(SEQ_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Verbatim;
    use crate::message::server::{Chat, Signal};

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

    #[test]
    fn a_signal_s_body_is_what_its_message_says() {
        let payload = serde_json::json!({"candidate": "candidate:\u{e9}\"\\", "sdpMLineIndex": 0});
        let payload = Payload::Candidate(Verbatim::new(&payload).expect("it has string keys"));
        for payload in [payload, Payload::Description(Verbatim::null())] {
            for number in [0, 9, 10, u64::MAX] {
                let (id, epoch, seq) = (MessageId(number), Epoch(number), Seq(number));
                let from = PeerId::new("0af9");
                let body = Body::signal(&from, id, epoch, &payload);
                let message = ServerMessage::Signal(Signal {
                    from,
                    id,
                    epoch,
                    payload: payload.clone(),
                    seq,
                });
                assert_eq!(body.frame(seq).to_text(), message.to_text());
            }
        }
    }
}
