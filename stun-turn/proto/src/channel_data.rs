//! ChannelData: four bytes of header in front of application data (RFC 8656 section 12.4).
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::ops::Range;

use crate::addr::ChannelNumber;

/// Channel number and length, two bytes each.
pub const HEADER_LEN: usize = 4;

/// Splits a ChannelData message into its channel and where its application data lies.
///
/// `None` when the number can't be bound or the datagram is shorter than its length field says.
/// Bytes behind the data are padding and ignored (section 12.5).
#[must_use]
pub fn parse(message: &[u8]) -> Option<(ChannelNumber, Range<usize>)> {
    let (header, data) = message.split_first_chunk::<HEADER_LEN>()?;
    let [n0, n1, l0, l1] = *header;
    let number = ChannelNumber::new(u16::from_be_bytes([n0, n1]))?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    (length <= data.len()).then(|| (number, HEADER_LEN..HEADER_LEN.saturating_add(length)))
}

/// The header for `length` bytes of application data.
#[must_use]
pub const fn header(number: ChannelNumber, length: u16) -> [u8; HEADER_LEN] {
    let [n0, n1] = number.get().to_be_bytes();
    let [l0, l1] = length.to_be_bytes();
    [n0, n1, l0, l1]
}

/// Bytes of padding behind `length` bytes, so that the next message starts on a multiple of four.
#[must_use]
pub const fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_field_decides_and_trailing_bytes_are_padding() {
        let number = ChannelNumber::new(0x4001).unwrap();
        assert_eq!(parse(b"\x40\x01\x00\x02abXX"), Some((number, 4..6)));
        assert_eq!(parse(b"\x40\x01\x00\x00"), Some((number, 4..4)));
    }

    #[test]
    fn refuses_what_is_short_or_out_of_range() {
        for message in [
            &b""[..],
            b"\x40",
            b"\x40\x01\x00",
            b"\x40\x01\x00\x01",
            b"\x3F\xFF\x00\x00",
            b"\x80\x00\x00\x00",
            b"\x40\x01\xFF\xFFab",
        ] {
            assert_eq!(parse(message), None, "{message:02x?}");
        }
    }

    #[test]
    fn padding_reaches_the_next_multiple_of_four() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(padding), [0, 3, 2, 1, 0, 3]);
    }
}
