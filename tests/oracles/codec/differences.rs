//! Where the other codecs judge a message unlike ours, and which clause decides. Each difference is a condition on the
//! bytes alone, so that it can't excuse anything else; there is none in which ours accepts what the clause forbids.

use stun_turn_proto::attribute::kind;

use crate::layout::{Place, places, promised_len};
use crate::mutation::OLD_XOR_MAPPED_ADDRESS;
use crate::ours;

/// A difference by design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// `stun` does not look at the two leading bits. RFC 8489 section 5: they MUST be zeroes in every message.
    LeadingBits,
    /// Both take bytes behind the end that the header tells; `stun-types` even reads attributes there. RFC 8489 section
    /// 5: the length is the size of the message; section 6.3: it must be sensible.
    MoreThanPromised,
    /// Both read methods that nobody serves. RFC 8489 section 6.3: the method must be a supported one, or the message
    /// is discarded.
    UnknownMethod,
    /// `stun-types` accepts a FINGERPRINT with something behind it. RFC 8489 section 14.7: it MUST be the last attribute.
    FingerprintNotLast,
    /// `stun-types` stops at the first attribute behind the integrity attribute that does not belong there: what follows
    /// may be malformed, a FINGERPRINT wrong, a MESSAGE-INTEGRITY-SHA256 is not seen. RFC 8489 section 14.5: such
    /// attributes are ignored, FINGERPRINT and MESSAGE-INTEGRITY-SHA256 are not; section 6.3: errors are looked for in
    /// the whole message.
    BehindIntegrity,
    /// `stun` knows no MESSAGE-INTEGRITY-SHA256 and judges by the MESSAGE-INTEGRITY beside it. RFC 8489 section 9.2.4:
    /// the former decides.
    Sha256Unknown,
    /// `stun` takes type 0x8020 for XOR-MAPPED-ADDRESS, as drafts had it. RFC 8489 section 18.3: it has no meaning.
    OldType,
    /// `stun` fills an address that is too short with zeroes. RFC 8489 section 14.1: the family fixes the length.
    ShortAddress,
    /// `stun` refuses an address whose first byte is not zero. RFC 8489 section 14.1: receivers ignore it.
    FirstByteOfAddress,
}

/// Why `stun` may accept what we refuse.
pub(crate) fn accepted_by_webrtc_rs(bytes: &[u8]) -> Option<Difference> {
    if bytes.first().is_some_and(|byte| byte & 0xC0 != 0) {
        return Some(Difference::LeadingBits);
    }
    accepted_by_both(bytes)
}

/// Why `stun-types` may accept what we refuse.
pub(crate) fn accepted_by_rice(bytes: &[u8]) -> Option<Difference> {
    let places = places(bytes);
    let is_fingerprint = |place: &Place| place.kind == kind::FINGERPRINT;
    if places.iter().rev().skip(1).any(is_fingerprint) {
        return Some(Difference::FingerprintNotLast);
    }
    accepted_by_both(bytes)
        .or_else(|| has_strangers_behind_integrity(bytes).then_some(Difference::BehindIntegrity))
}

fn accepted_by_both(bytes: &[u8]) -> Option<Difference> {
    if bytes.len() > promised_len(bytes) {
        return Some(Difference::MoreThanPromised);
    }
    let method = u16::from_be_bytes(*bytes.first_chunk()?) & 0x3EEF;
    // Only the lowest four bits of a method that we know are ever set.
    (!ours::methods().contains(&method)).then_some(Difference::UnknownMethod)
}

/// Whether there is anything behind the first integrity attribute besides one MESSAGE-INTEGRITY-SHA256 and one
/// FINGERPRINT, in this order.
pub(crate) fn has_strangers_behind_integrity(bytes: &[u8]) -> bool {
    let places = places(bytes);
    let proofs = places.iter().skip_while(|place| !place.is_proof());
    let kinds: Vec<u16> = proofs.map(|place| place.kind).collect();
    let in_order = [
        kind::MESSAGE_INTEGRITY,
        kind::MESSAGE_INTEGRITY_SHA256,
        kind::FINGERPRINT,
    ];
    let mut allowed = in_order.iter();
    // Also what is broken there.
    let is_whole = places
        .last()
        .map_or(bytes.len() <= 20, |place| place.end == bytes.len());
    !kinds.iter().all(|kind| allowed.any(|other| other == kind)) || (!kinds.is_empty() && !is_whole)
}

/// Why `stun` may read other attributes than we do.
pub(crate) fn read_by_webrtc_rs(bytes: &[u8]) -> Option<Difference> {
    let has_old = places(bytes)
        .iter()
        .any(|place| place.kind == OLD_XOR_MAPPED_ADDRESS);
    has_old.then_some(Difference::OldType)
}

/// Why `stun` may find another key right than we do.
pub(crate) fn judged_by_webrtc_rs(bytes: &[u8]) -> Option<Difference> {
    let has_sha256 = places(bytes)
        .iter()
        .any(|place| place.kind == kind::MESSAGE_INTEGRITY_SHA256);
    has_sha256.then_some(Difference::Sha256Unknown)
}

/// Why `stun` may read an address that we don't, or the other way round.
pub(crate) fn address_by_webrtc_rs(bytes: &[u8], wanted: u16) -> Option<Difference> {
    let old = read_by_webrtc_rs(bytes).filter(|_| wanted == kind::XOR_MAPPED_ADDRESS);
    let place = places(bytes)
        .into_iter()
        .find(|place| place.kind == wanted)?;
    let value = &bytes[place.start + 4..place.start + 4 + place.length];
    old.or(match value {
        [first, ..] if *first != 0 => Some(Difference::FirstByteOfAddress),
        [0, 1, rest @ ..] if rest.len() < 6 => Some(Difference::ShortAddress),
        [0, 2, rest @ ..] if rest.len() < 18 => Some(Difference::ShortAddress),
        _ => None,
    })
}
