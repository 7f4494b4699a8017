//! Signals as they are usually written, read in one pass.
//!
//! Our clients write `type`, `id`, `to`, `epoch` and the payload in this order and without spaces. Any
//! other writing of the same is as good, and read in the general way.

use super::client::Signal;
use super::payload::Payload;
use crate::id::PeerId;

impl Signal {
    /// Reads a whole frame; `None` when it is written otherwise, is something else, or is wrong.
    pub(super) fn parse_usual(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(r#"{"type":"signal","id":"#)?;
        let (id, rest) = rest.split_once(',')?;
        let (to, rest) = rest.strip_prefix(r#""to":""#)?.split_once('"')?;
        let (epoch, rest) = rest.strip_prefix(r#","epoch":"#)?.split_once(',')?;
        if !to.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let payload = if let Some(candidate) = rest.strip_prefix(r#""candidate":"#) {
            Payload::last_candidate(candidate)?
        } else {
            Payload::last_description(rest.strip_prefix(r#""description":"#)?)?
        };
        Some(Self {
            id: serde_json::from_str(id).ok()?,
            to: PeerId::new(to),
            epoch: serde_json::from_str(epoch).ok()?,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Epoch, MessageId};
    use crate::message::{ClientMessage, Verbatim};

    #[test]
    fn what_our_clients_write_is_read_in_one_pass() {
        let verbatim = |json: &str| serde_json::from_str::<Verbatim>(json).unwrap();
        for payload in [
            Payload::Description(verbatim(r#"{"type":"offer","sdp":"v=0\r\n\u00e9"}"#)),
            Payload::Description(verbatim(r#"{ "sdp":"", "type":"rollback" }"#)),
            Payload::Candidate(verbatim(
                r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 5000 typ host","sdpMid":"0"}"#,
            )),
        ] {
            let signal = Signal {
                id: MessageId(7),
                to: PeerId::new("0af9"),
                epoch: Epoch(3),
                payload,
            };
            let written = ClientMessage::Signal(signal.clone()).to_text();
            assert_eq!(Signal::parse_usual(&written), Some(signal), "{written}");
        }
    }
}
