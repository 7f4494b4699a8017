//! Cuts a client's stream into messages (RFC 8489 section 6.2.2, RFC 8656 section 12.5).
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::{channel_data, demux, header, limits};

/// The answer to "does the stream start with a whole message?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// `message` bytes belong to the message, `consumed` (with padding) to its place in the stream.
    Whole {
        /// Length of the message without ChannelData padding, in bytes.
        message: usize,
        /// Where the next message starts, in bytes.
        consumed: usize,
    },
    /// More bytes are needed.
    Partial,
    /// Neither STUN nor ChannelData, or larger than any client may send: the stream can't be
    /// resynchronised, close it.
    Garbage,
}

/// Looks at the rest of a stream. `is_first`: nothing was cut out of it before. No stream begins
/// with ChannelData, which needs an allocation; this tells `GET / HTTP/1.1` (channel 0x4745) apart.
#[must_use]
pub fn next(stream: &[u8], is_first: bool) -> Frame {
    if stream.is_empty() {
        return Frame::Partial;
    }
    let kind = match demux::kind(stream) {
        None => return Frame::Garbage,
        Some(demux::Kind::ChannelData) if is_first => return Frame::Garbage,
        Some(kind) => kind,
    };
    let Some(&[_, _, l0, l1]) = stream.first_chunk::<4>() else {
        return Frame::Partial;
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let (message, consumed) = match kind {
        demux::Kind::Stun => {
            let whole = length.saturating_add(header::HEADER_LEN);
            // A Send indication carries a peer's datagram of any size, a request never much.
            let is_too_long = whole > limits::MAX_STUN_MESSAGE_BYTES && !stream.starts_with(&SEND);
            if length % 4 != 0 || is_too_long || !has_cookie(stream) {
                return Frame::Garbage;
            }
            (whole, whole)
        }
        demux::Kind::ChannelData => {
            let whole = length.saturating_add(channel_data::HEADER_LEN);
            (whole, whole.saturating_add(channel_data::padding(length)))
        }
    };
    if stream.len() < consumed {
        Frame::Partial
    } else {
        Frame::Whole { message, consumed }
    }
}

/// The message type of a Send indication.
const SEND: [u8; 2] = [0x00, 0x16];

/// False only when the bytes that are there already contradict the magic cookie, so that an HTTP
/// request or a port scanner is noticed at once instead of being buffered.
fn has_cookie(stream: &[u8]) -> bool {
    let there = stream.get(4..).unwrap_or_default();
    there
        .iter()
        .zip(header::MAGIC_COOKIE.to_be_bytes())
        .all(|(a, b)| *a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stun_and_channel_data_are_cut_by_their_length_fields() {
        let mut binding = b"\x00\x01\x00\x00\x21\x12\xa4\x42".to_vec();
        binding.resize(20, 7);
        assert_eq!(
            next(&binding, false),
            Frame::Whole {
                message: 20,
                consumed: 20
            }
        );
        let data = b"\x40\x00\x00\x05helloPPP\x40";
        assert_eq!(
            next(data, false),
            Frame::Whole {
                message: 9,
                consumed: 12
            }
        );
    }

    #[test]
    fn every_prefix_of_a_message_is_partial() {
        let mut binding = b"\x00\x01\x00\x00\x21\x12\xa4\x42".to_vec();
        binding.resize(20, 7);
        for end in 0..binding.len() {
            assert_eq!(next(&binding[..end], false), Frame::Partial, "{end} bytes");
        }
        for end in 0..12 {
            assert_eq!(
                next(&b"\x40\x00\x00\x05helloPPP"[..end], false),
                Frame::Partial
            );
        }
    }

    #[test]
    fn other_protocols_are_garbage_from_the_first_telling_byte() {
        assert_eq!(next(b"G", true), Frame::Garbage);
        assert_eq!(next(b"GET / HTTP/1.1\r\n\r\n", true), Frame::Garbage);
        assert_eq!(next(b"\x16\x03\x01", false), Frame::Garbage);
        assert_eq!(next(b"SSH-2.0", true), Frame::Garbage);
        assert_eq!(next(b"\x00\x01\x00\x00\x21\x13", false), Frame::Garbage);
        assert_eq!(next(b"\x00\x01\x00\x03", false), Frame::Garbage);
        assert_eq!(next(b"\x00\x01\xFF\xFC", false), Frame::Garbage);
    }

    #[test]
    fn a_large_send_indication_passes_and_a_large_request_does_not() {
        let header = |kind: u8| [0x00, kind, 0x20, 0x00, 0x21, 0x12, 0xA4, 0x42];
        assert_eq!(next(&header(0x16), false), Frame::Partial);
        assert_eq!(next(&header(0x01), false), Frame::Garbage);
    }

    #[test]
    fn largest_channel_data_does_not_wrap() {
        assert_eq!(next(b"\x40\x01\xFF\xFFxx", false), Frame::Partial);
        let mut whole = b"\x40\x01\xFF\xFF".to_vec();
        whole.resize(4 + 0xFFFF + 1, 0);
        assert_eq!(
            next(&whole, false),
            Frame::Whole {
                message: 0x1_0003,
                consumed: 0x1_0004
            }
        );
    }
}
