//! What happens to messages on their way: by chance, by bad code and by bad will.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use stun_turn_proto::attribute::kind;

use crate::attribute::{PADDING, UNASSIGNED};
use crate::layout::{HEADER_LEN, places};

/// XOR-MAPPED-ADDRESS before it had a number.
pub(crate) const OLD_XOR_MAPPED_ADDRESS: u16 = 0x8020;

/// One change.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    FlipBit(Index),
    Cut(Index),
    Insert(Index, Vec<u8>),
    SetLength(u16),
    /// Of one of the attributes.
    SetAttributeLength(Index, u16),
    SetAttributeType(Index, u16),
    InsertAttribute {
        place: Index,
        kind: u16,
        value: Vec<u8>,
    },
    /// Copies an attribute to another place.
    CopyAttribute {
        from: Index,
        to: Index,
    },
    RemoveAttribute(Index),
    /// Makes the length field right again.
    MendLength,
    /// Makes the sum right again when FINGERPRINT is the last attribute.
    MendFingerprint,
}

/// One to four changes, often mended so that the deeper checks are reached, too.
pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let mended = prop_oneof![
        Just(vec![]),
        Just(vec![Mutation::MendLength]),
        Just(vec![Mutation::MendLength, Mutation::MendFingerprint]),
    ];
    (vec(mutation(), 1..4), mended).prop_map(|(mut all, mended)| {
        all.extend(mended);
        all
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let kinds = select(
        &[
            kind::MESSAGE_INTEGRITY,
            kind::MESSAGE_INTEGRITY_SHA256,
            kind::FINGERPRINT,
            kind::USERNAME,
            kind::XOR_PEER_ADDRESS,
            kind::XOR_RELAYED_ADDRESS,
            kind::XOR_MAPPED_ADDRESS,
            kind::DATA,
            OLD_XOR_MAPPED_ADDRESS,
            PADDING,
            UNASSIGNED,
        ][..],
    );
    // Such as make sense, and an address of either family.
    let lengths = prop_oneof![0..40_u16, Just(20), Just(32), any::<u16>()];
    let values = prop_oneof![
        vec(any::<u8>(), 0..40),
        (any::<bool>(), 1..=2_u8, vec(any::<u8>(), 1..20))
            .prop_map(|(odd, family, rest)| { [&[u8::from(odd), family][..], &rest].concat() }),
        vec(any::<u8>(), 20),
        vec(any::<u8>(), 32),
    ];
    let index = any::<Index>;
    prop_oneof![
        4 => index().prop_map(Mutation::FlipBit),
        1 => index().prop_map(Mutation::Cut),
        1 => (index(), vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        1 => prop_oneof![any::<u16>(), 0..200_u16].prop_map(Mutation::SetLength),
        2 => (index(), lengths).prop_map(|(at, length)| Mutation::SetAttributeLength(at, length)),
        2 => (index(), kinds.clone()).prop_map(|(at, kind)| Mutation::SetAttributeType(at, kind)),
        4 => (index(), kinds, values)
            .prop_map(|(place, kind, value)| Mutation::InsertAttribute { place, kind, value }),
        2 => (index(), index()).prop_map(|(from, to)| Mutation::CopyAttribute { from, to }),
        1 => index().prop_map(Mutation::RemoveAttribute),
    ]
}

impl Mutation {
    /// Changes a message.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        let places = places(bytes);
        let pick = |index: &Index| (!places.is_empty()).then(|| places[index.index(places.len())]);
        // In front of an attribute or at the end.
        let gap = |index: &Index| {
            let place = places.get(index.index(places.len() + 1));
            place.map_or(bytes.len(), |place| place.start)
        };
        match self {
            Self::FlipBit(index) if !bytes.is_empty() => {
                let bit = index.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Cut(index) => bytes.truncate(index.index(bytes.len() + 1)),
            Self::Insert(index, more) => {
                let at = index.index(bytes.len() + 1);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::SetLength(length) => set(bytes, 2, *length),
            Self::SetAttributeLength(index, length) => {
                if let Some(place) = pick(index) {
                    set(bytes, place.start + 2, *length);
                }
            }
            Self::SetAttributeType(index, kind) => {
                if let Some(place) = pick(index) {
                    set(bytes, place.start, *kind);
                }
            }
            Self::InsertAttribute { place, kind, value } => {
                let at = gap(place);
                let length = u16::try_from(value.len()).expect("a short value");
                let mut attribute = [kind.to_be_bytes(), length.to_be_bytes()].concat();
                attribute.extend(value);
                attribute.resize(attribute.len().next_multiple_of(4), 0);
                bytes.splice(at..at, attribute);
            }
            Self::CopyAttribute { from, to } => {
                if let Some(place) = pick(from) {
                    let copy = bytes[place.start..place.end].to_vec();
                    let at = gap(to);
                    bytes.splice(at..at, copy);
                }
            }
            Self::RemoveAttribute(index) => {
                if let Some(place) = pick(index) {
                    bytes.drain(place.start..place.end);
                }
            }
            Self::MendLength => {
                let length = bytes.len().saturating_sub(HEADER_LEN);
                set(bytes, 2, u16::try_from(length).unwrap_or(u16::MAX));
            }
            Self::MendFingerprint => {
                if let Some(place) = places
                    .last()
                    .filter(|place| place.kind == kind::FINGERPRINT)
                {
                    let sum = stun::fingerprint::fingerprint_value(&bytes[..place.start]);
                    bytes.truncate(place.start + 4);
                    bytes.extend(sum.to_be_bytes());
                    set(bytes, place.start + 2, 4);
                }
            }
            Self::FlipBit(_) => {}
        }
    }
}

fn set(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}
