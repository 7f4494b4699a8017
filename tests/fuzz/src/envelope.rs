//! What a client of the signaling service may write: whatever it is, it is read or refused, and what was
//! read is written so that it is read alike.

use signaling_proto::message::client::Signal;
use signaling_proto::message::{ClientMessage, MAX_DEPTH, ServerMessage};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(message) = ClientMessage::parse(text) {
        let written = message.to_text();
        assert_eq!(ClientMessage::parse(&written).unwrap(), message);
        if let ClientMessage::Signal(signal) = message {
            // In the usual order they are read in one pass, as the second always is: this is the general way.
            for text in [text, &written] {
                assert_eq!(serde_json::from_str::<Signal>(text).unwrap(), signal);
            }
        }
        let brackets = |byte: &u8| matches!(byte, b'[' | b'{');
        let nested = text.bytes().take_while(brackets).count();
        assert!(nested <= MAX_DEPTH);
    }
    if let Ok(message) = ServerMessage::parse(text) {
        let written = message.to_text();
        assert_eq!(ServerMessage::parse(&written).unwrap(), message);
    }
}
