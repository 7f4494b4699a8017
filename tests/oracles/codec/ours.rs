//! Our codec.

use std::sync::OnceLock;

use stun_turn_proto::attribute::{decode_xor_address, kind};
use stun_turn_proto::integrity::{Hash, Key, Signer};
use stun_turn_proto::message::{Message, Method, TransactionId, Writer};

use crate::attribute::{Algorithm, Meaning};
use crate::plan::{Plan, Reading};

/// The methods that our codec reads, as bits of the message type and by name.
fn table() -> &'static [(u16, Method)] {
    static TABLE: OnceLock<Vec<(u16, Method)>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let all = (0..0x0010).filter_map(|bits| {
            let mut header = [0; 20];
            header[1] = u8::try_from(bits).ok()?;
            header[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
            Some((bits, Message::parse(&header).ok()?.method()))
        });
        let table: Vec<_> = all.collect();
        assert_eq!(
            table.len(),
            Method::ALL.len(),
            "each method fits into four bits"
        );
        table
    })
}

/// The bits of all methods that our codec reads.
pub(crate) fn methods() -> Vec<u16> {
    table().iter().map(|(bits, _)| *bits).collect()
}

/// Writes a message.
pub(crate) fn write(plan: &Plan) -> Vec<u8> {
    let signer = plan.seal.as_ref().map(|seal| Signer {
        key: seal.key(),
        hash: seal.hash,
    });
    write_with(plan, signer.as_ref())
}

/// Writes a message that is signed in another way than planned.
pub(crate) fn write_signed(plan: &Plan, key: Key, hash: Hash) -> Vec<u8> {
    write_with(plan, Some(&Signer { key, hash }))
}

fn write_with(plan: &Plan, signer: Option<&Signer>) -> Vec<u8> {
    let known = table().iter().find(|(bits, _)| *bits == plan.method);
    let method = known.expect("a method of ours").1;
    // Dirty, so that forgotten padding shows.
    let mut buffer = vec![0xEE; 16_384];
    let transaction = TransactionId(plan.transaction);
    let mut writer = Writer::new(&mut buffer, plan.class, method, transaction);
    for meaning in &plan.attributes {
        put(&mut writer, meaning);
    }
    let length = writer.finish(signer, plan.has_fingerprint);
    buffer.truncate(length.expect("a buffer that is large enough"));
    buffer
}

fn put(writer: &mut Writer<'_>, meaning: &Meaning) {
    let kind = meaning.kind();
    match meaning {
        Meaning::Username(text)
        | Meaning::Realm(text)
        | Meaning::Nonce(text)
        | Meaning::Software(text) => writer.attribute(kind, text.as_bytes()),
        Meaning::Error(code) => writer.error_code(*code),
        Meaning::AddressError(family, code) => writer.address_error_code(*family, *code),
        Meaning::Peer(address) | Meaning::Relayed(address) | Meaning::Mapped(address) => {
            writer.xor_address(kind, *address)
        }
        Meaning::AlternateServer(address)
        | Meaning::ResponseOrigin(address)
        | Meaning::OtherAddress(address) => writer.address(kind, *address),
        Meaning::UnknownAttributes(types) => {
            let types: Vec<u8> = types.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            writer.attribute(kind, &types)
        }
        Meaning::Channel(number) => {
            writer.attribute_of_parts(kind, &[&number.to_be_bytes(), &[0, 0]])
        }
        Meaning::LifetimeS(seconds) => writer.attribute(kind, &seconds.to_be_bytes()),
        Meaning::RequestedFamily(family) | Meaning::AdditionalFamily(family) => {
            writer.attribute(kind, &[family.byte(), 0, 0, 0])
        }
        Meaning::EvenPort { reserves_the_next } => {
            writer.attribute(kind, &[u8::from(*reserves_the_next) << 7])
        }
        Meaning::RequestedTransport(protocol) => writer.attribute(kind, &[*protocol, 0, 0, 0]),
        Meaning::DontFragment => writer.attribute(kind, &[]),
        Meaning::ReservationToken(token) => writer.attribute(kind, token),
        Meaning::PasswordAlgorithm(algorithm) => writer.attribute(kind, &algorithm.bytes()),
        Meaning::PasswordAlgorithms(algorithms) => {
            let all: Vec<u8> = algorithms
                .iter()
                .copied()
                .flat_map(Algorithm::bytes)
                .collect();
            writer.attribute(kind, &all)
        }
        Meaning::Userhash(hash) => writer.attribute(kind, hash),
        Meaning::Icmp {
            kind: icmp,
            code,
            data,
        } => writer.attribute_of_parts(kind, &[&[0, 0, *icmp, *code], &data.to_be_bytes()]),
        Meaning::Data(value) | Meaning::MobilityTicket(value) | Meaning::Other(_, value) => {
            writer.attribute(kind, value)
        }
    };
}

/// Reads a message.
pub(crate) fn read(bytes: &[u8]) -> Option<Reading> {
    let message = Message::parse(bytes).ok()?;
    let known = table()
        .iter()
        .find(|(_, method)| *method == message.method());
    let all = message.attributes();
    Some(Reading {
        class: message.class(),
        method: known.expect("a method of ours").0,
        transaction: message.transaction().0,
        attributes: all
            .map(|attribute| (attribute.kind, attribute.value.to_vec()))
            .collect(),
        has_fingerprint: message.has_fingerprint(),
    })
}

/// Whether a message is signed with this key.
pub(crate) fn is_signed(bytes: &[u8], key: &Key) -> bool {
    Message::parse(bytes).is_ok_and(|message| message.is_signed_with(key))
}

/// What our codec reads of an attribute that somebody else wrote, where it has a reader for it; the bytes themselves
/// otherwise, which must be those that it would have written.
pub(crate) fn understands(bytes: &[u8], meaning: &Meaning, written_by_us: &[u8]) -> bool {
    let (Ok(message), Ok(own)) = (Message::parse(bytes), Message::parse(written_by_us)) else {
        return false;
    };
    let (value, own) = (message.first(meaning.kind()), own.first(meaning.kind()));
    match meaning {
        Meaning::Peer(address) | Meaning::Relayed(address) | Meaning::Mapped(address) => {
            value.and_then(|value| decode_xor_address(value, message.transaction()))
                == Some(*address)
        }
        // Four bytes, behind which each has a reason phrase of its own or none.
        Meaning::Error(_) | Meaning::AddressError(..) => {
            let code = own.and_then(|own| own.first_chunk::<4>());
            value
                .zip(code)
                .is_some_and(|(value, code)| value.starts_with(code))
        }
        _ => value == own,
    }
}

/// Types whose value is an address under the mask (RFC 8489 section 14.2).
pub(crate) const XOR_ADDRESSES: [u16; 3] = [
    kind::XOR_PEER_ADDRESS,
    kind::XOR_RELAYED_ADDRESS,
    kind::XOR_MAPPED_ADDRESS,
];
