//! The sums behind MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 sections
//! 14.5 to 14.7).
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// MESSAGE-INTEGRITY with its header.
pub(crate) const SHA1_ATTRIBUTE_LEN: usize = 24;
/// MESSAGE-INTEGRITY-SHA256 with its header. TURN defines no truncated form.
pub(crate) const SHA256_ATTRIBUTE_LEN: usize = 36;
/// FINGERPRINT with its header.
pub(crate) const FINGERPRINT_ATTRIBUTE_LEN: usize = 8;
/// RFC 8489 section 14.7.
const FINGERPRINT_MASK: u32 = 0x5354_554E;

/// Which integrity attribute a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// MESSAGE-INTEGRITY.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256.
    Sha256,
}

/// What a reply is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signer {
    /// The long-term key.
    pub key: Key,
    /// The attribute.
    pub hash: Hash,
}

/// A long-term key: 16 bytes made by MD5 or 32 made by SHA-256 (RFC 8489 section 18.5.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The password algorithm of old.
    Md5([u8; 16]),
    /// The one that PASSWORD-ALGORITHMS offers first.
    Sha256([u8; 32]),
}

impl Key {
    /// For the HMAC.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(key) => key,
            Self::Sha256(key) => key,
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(hidden)")
    }
}

/// CRC-32 over everything in front of the attribute, XORed as the RFC wants it. The length field
/// must already count the attribute.
pub(crate) fn fingerprint(message: &[u8]) -> u32 {
    crc32fast::hash(message) ^ FINGERPRINT_MASK
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
