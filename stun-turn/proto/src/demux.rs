//! What a client's message is, from its first byte (RFC 8656 section 12).

/// The kinds of message that a TURN client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// First byte 0-3: a STUN message.
    Stun,
    /// First byte 0x40-0x7F: ChannelData with a number that can be bound.
    ChannelData,
}

/// `None` for anything else: RTP, DTLS, QUIC, an empty datagram.
#[must_use]
pub fn kind(datagram: &[u8]) -> Option<Kind> {
    match datagram.first()? {
        0x00..=0x03 => Some(Kind::Stun),
        0x40..=0x7F => Some(Kind::ChannelData),
        _ => None,
    }
}

/// Whether these may be the first bytes of a STUN request (RFC 8489 section 5).
#[must_use]
pub const fn is_request(datagram: &[u8]) -> bool {
    matches!(datagram, [high @ 0..=3, low, ..] if *high & 1 == 0 && *low & 0x10 == 0)
}
