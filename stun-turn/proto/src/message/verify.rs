//! Whether a message is what its sums say.

use subtle::ConstantTimeEq;

use super::{Attribute, Integrity, Message};
use crate::header::HEADER_LEN;
use crate::integrity::{self, Key};

impl Message<'_> {
    /// Whether the message's deciding integrity attribute was made with `key`. False when there is
    /// none. Takes the same time for any wrong key.
    #[must_use]
    pub fn is_signed_with(&self, key: &Key) -> bool {
        let (offset, whole) = match self.integrity() {
            Some(Integrity::Sha1(offset)) => (offset, integrity::SHA1_ATTRIBUTE_LEN),
            Some(Integrity::Sha256(offset)) => (offset, integrity::SHA256_ATTRIBUTE_LEN),
            None => return false,
        };
        let end = offset.saturating_add(whole);
        let Some(parts) = covered(self.bytes(), offset, end) else {
            return false;
        };
        let Some(&[_, _, l0, l1]) = self.bytes().get(offset..).and_then(<[u8]>::first_chunk) else {
            return false;
        };
        if usize::from(u16::from_be_bytes([l0, l1])).saturating_add(4) != whole {
            return false;
        }
        let claimed = self
            .bytes()
            .get(offset.saturating_add(4)..end)
            .unwrap_or_default();
        let (parts, key) = ([parts.0, &parts.1, parts.2], key.as_bytes());
        match self.integrity() {
            Some(Integrity::Sha256(_)) => integrity::hmac_sha256(key, &parts).ct_eq(claimed).into(),
            _ => integrity::hmac_sha1(key, &parts).ct_eq(claimed).into(),
        }
    }

    /// Whether this FINGERPRINT stands last and is right.
    pub(super) fn fingerprint_matches(&self, attribute: &Attribute<'_>) -> bool {
        let bytes = self.bytes();
        let is_last = attribute
            .offset
            .saturating_add(integrity::FINGERPRINT_ATTRIBUTE_LEN)
            == bytes.len();
        let claimed = attribute.value.try_into().map(u32::from_be_bytes).ok();
        let covered = bytes.get(..attribute.offset).unwrap_or_default();
        is_last && claimed == Some(integrity::fingerprint(covered))
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
