//! MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 sections 14.5 to 14.7).
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::message::{Attribute, HEADER_LEN, Integrity, Message};

/// MESSAGE-INTEGRITY with its header.
pub(crate) const SHA1_ATTRIBUTE_LEN: usize = 24;
/// MESSAGE-INTEGRITY-SHA256 with its header. TURN defines no truncated form.
const SHA256_ATTRIBUTE_LEN: usize = 36;
/// FINGERPRINT with its header.
pub(crate) const FINGERPRINT_ATTRIBUTE_LEN: usize = 8;
/// RFC 8489 section 14.7.
const FINGERPRINT_MASK: u32 = 0x5354_554E;

/// Whether the message's deciding integrity attribute was made with `key`. False when there is
/// none. Takes the same time for any wrong key.
#[must_use]
pub fn verify(message: &Message<'_>, key: &[u8]) -> bool {
    let (offset, whole) = match message.integrity() {
        Some(Integrity::Sha1(offset)) => (offset, SHA1_ATTRIBUTE_LEN),
        Some(Integrity::Sha256(offset)) => (offset, SHA256_ATTRIBUTE_LEN),
        None => return false,
    };
    let end = offset.saturating_add(whole);
    let Some(parts) = covered(message.bytes(), offset, end) else {
        return false;
    };
    let Some(&[_, _, l0, l1]) = message.bytes().get(offset..).and_then(<[u8]>::first_chunk) else {
        return false;
    };
    if usize::from(u16::from_be_bytes([l0, l1])).saturating_add(4) != whole {
        return false;
    }
    let claimed = message
        .bytes()
        .get(offset.saturating_add(4)..end)
        .unwrap_or_default();
    let parts = [parts.0, &parts.1, parts.2];
    match message.integrity() {
        Some(Integrity::Sha256(_)) => hmac_sha256(key, &parts).ct_eq(claimed).into(),
        _ => hmac_sha1(key, &parts).ct_eq(claimed).into(),
    }
}

/// The bytes under an attribute at `offset`, with the length field changed so that the message
/// seems to end behind this attribute.
fn covered(bytes: &[u8], offset: usize, end: usize) -> Option<(&[u8], [u8; 2], &[u8])> {
    if end > bytes.len() {
        return None;
    }
    let length = u16::try_from(end.checked_sub(HEADER_LEN)?).ok()?;
    Some((bytes.get(..2)?, length.to_be_bytes(), bytes.get(4..offset)?))
}

/// CRC-32 over everything in front of the attribute, XORed as the RFC wants it. The length field
/// must already count the attribute.
pub(crate) fn fingerprint(message: &[u8]) -> u32 {
    crc32fast::hash(message) ^ FINGERPRINT_MASK
}

pub(crate) fn fingerprint_matches(bytes: &[u8], attribute: &Attribute<'_>) -> bool {
    let is_last = attribute.offset.saturating_add(FINGERPRINT_ATTRIBUTE_LEN) == bytes.len();
    let claimed = attribute.value.try_into().map(u32::from_be_bytes).ok();
    let covered = bytes.get(..attribute.offset).unwrap_or_default();
    is_last && claimed == Some(fingerprint(covered))
}

/// HMAC-SHA1 over the concatenation of `parts`.
#[must_use]
pub fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC-SHA256 over the concatenation of `parts`.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
