//! Where the attributes of a message stand, found without any of the codecs.

use stun_turn_proto::attribute::kind;

pub(crate) const HEADER_LEN: usize = 20;

/// An attribute's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: u16,
    /// Of its header.
    pub(crate) start: usize,
    /// Without padding.
    pub(crate) length: usize,
    /// With padding.
    pub(crate) end: usize,
}

impl Place {
    /// Whether it proves what stands in front of it.
    pub(crate) const fn is_proof(&self) -> bool {
        matches!(
            self.kind,
            kind::MESSAGE_INTEGRITY | kind::MESSAGE_INTEGRITY_SHA256 | kind::FINGERPRINT
        )
    }
}

/// The attributes of bytes that may be a message, up to the first that does not fit.
pub(crate) fn places(bytes: &[u8]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut start = HEADER_LEN;
    while let Some(&[k0, k1, l0, l1]) = bytes.get(start..).and_then(|rest| rest.first_chunk()) {
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let end = start + 4 + length.next_multiple_of(4);
        if end > bytes.len() {
            break;
        }
        let kind = u16::from_be_bytes([k0, k1]);
        places.push(Place {
            kind,
            start,
            length,
            end,
        });
        start = end;
    }
    places
}

/// Number of bytes that the header promises, itself included.
pub(crate) fn promised_len(bytes: &[u8]) -> usize {
    let field = bytes.get(2..4).and_then(|field| field.first_chunk());
    field.map_or(0, |field| {
        usize::from(u16::from_be_bytes(*field)) + HEADER_LEN
    })
}
