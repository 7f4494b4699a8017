//! The codec of librice: `stun-types`, and `turn-types` for the attributes of TURN.

use std::net::SocketAddr;

use stun_turn_proto::attribute as our_attribute;
use stun_turn_proto::attribute::{Family, kind};
use stun_turn_proto::integrity::Hash;
use stun_turn_proto::message::Class;
use stun_types::AddressFamily;
use stun_types::attribute::{
    AlternateServer, AttributeFromRaw, AttributeStaticType, AttributeWrite, ErrorCode, Fingerprint,
    MappedSocketAddr, MessageIntegrity, MessageIntegritySha256, Nonce, PasswordAlgorithm,
    PasswordAlgorithmValue, PasswordAlgorithms, RawAttribute, Realm, Software, UnknownAttributes,
    Userhash, Username, XorMappedAddress,
};
use stun_types::message::{
    IntegrityAlgorithm, Message, MessageClass, MessageIntegrityCredentials, MessageType,
    MessageWrite as _, MessageWriteExt as _, MessageWriteVec, Method, ShortTermCredentials,
    TransactionId,
};
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, Data, DontFragment, EvenPort, Icmp,
    Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
    XorRelayedAddress,
};

use crate::attribute::{Algorithm, Meaning};
use crate::plan::{Plan, Reading, Seal};

const CLASSES: [(Class, MessageClass); 4] = [
    (Class::Request, MessageClass::Request),
    (Class::Indication, MessageClass::Indication),
    (Class::Success, MessageClass::Success),
    (Class::Error, MessageClass::Error),
];

fn transaction(id: [u8; 12]) -> TransactionId {
    let mut all = [0; 16];
    all[4..].copy_from_slice(&id);
    u128::from_be_bytes(all).into()
}

const fn algorithm(hash: Hash) -> IntegrityAlgorithm {
    match hash {
        Hash::Sha1 => IntegrityAlgorithm::Sha1,
        Hash::Sha256 => IntegrityAlgorithm::Sha256,
    }
}

/// A key of any bytes, as far as they are text.
fn credentials(seal: &Seal) -> MessageIntegrityCredentials {
    ShortTermCredentials::new(seal.key.clone()).into()
}

fn value(algorithm: Algorithm) -> PasswordAlgorithmValue {
    match algorithm {
        Algorithm::Md5 => PasswordAlgorithmValue::MD5,
        Algorithm::Sha256 => PasswordAlgorithmValue::SHA256,
    }
}

fn of_value(value: PasswordAlgorithmValue) -> Algorithm {
    match value {
        PasswordAlgorithmValue::MD5 => Algorithm::Md5,
        PasswordAlgorithmValue::SHA256 => Algorithm::Sha256,
    }
}

const fn family(family: Family) -> AddressFamily {
    match family {
        Family::Ipv4 => AddressFamily::IPV4,
        Family::Ipv6 => AddressFamily::IPV6,
    }
}

const fn of_family(family: AddressFamily) -> Family {
    match family {
        AddressFamily::IPV4 => Family::Ipv4,
        AddressFamily::IPV6 => Family::Ipv6,
    }
}

fn error(code: our_attribute::ErrorCode) -> ErrorCode {
    ErrorCode::new(code as u16, "because").expect("a code that there is")
}

fn of_error(error: &ErrorCode) -> our_attribute::ErrorCode {
    let mut all = our_attribute::ErrorCode::ALL.into_iter();
    let found = all.find(|code| *code as u16 == error.code());
    found.expect("a code of ours")
}

/// Writes a message.
pub(crate) fn write(plan: &Plan) -> Vec<u8> {
    let class = CLASSES.into_iter().find(|(class, _)| *class == plan.class);
    let (_, class) = class.expect("each class");
    let typ = MessageType::from_class_method(class, Method::new(plan.method));
    let transaction = transaction(plan.transaction);
    let mut message = Message::builder(typ, transaction, MessageWriteVec::new());
    for meaning in &plan.attributes {
        let attribute = attribute(meaning, transaction);
        message.add_attribute(&*attribute).expect("room");
    }
    if let Some(seal) = &plan.seal {
        let signed = message.add_message_integrity(&credentials(seal), algorithm(seal.hash));
        signed.expect("signing");
    }
    if plan.has_fingerprint {
        message.add_fingerprint().expect("the fingerprint");
    }
    message.finish()
}

fn attribute(meaning: &Meaning, transaction: TransactionId) -> Box<dyn AttributeWrite + '_> {
    let kind = meaning.kind().into();
    match meaning {
        Meaning::Username(text) => Box::new(Username::new(text).expect("a name")),
        Meaning::Realm(text) => Box::new(Realm::new(text).expect("a realm")),
        Meaning::Nonce(text) => Box::new(Nonce::new(text).expect("a nonce")),
        Meaning::Software(text) => Box::new(Software::new(text).expect("a text")),
        Meaning::Error(code) => Box::new(error(*code)),
        Meaning::UnknownAttributes(types) => {
            let types: Vec<_> = types.iter().map(|kind| (*kind).into()).collect();
            Box::new(UnknownAttributes::new(&types))
        }
        Meaning::Channel(number) => Box::new(ChannelNumber::new(*number)),
        Meaning::LifetimeS(seconds) => Box::new(Lifetime::new(*seconds)),
        Meaning::Peer(address) => Box::new(XorPeerAddress::new(*address, transaction)),
        Meaning::Relayed(address) => Box::new(XorRelayedAddress::new(*address, transaction)),
        Meaning::Mapped(address) => Box::new(XorMappedAddress::new(*address, transaction)),
        Meaning::AlternateServer(address) => Box::new(AlternateServer::new(*address)),
        Meaning::ResponseOrigin(address) | Meaning::OtherAddress(address) => {
            let raw = MappedSocketAddr::new(*address).to_raw(kind).into_owned();
            Box::new(raw)
        }
        Meaning::Data(value) => Box::new(Data::new(value)),
        Meaning::RequestedFamily(wanted) => Box::new(RequestedAddressFamily::new(family(*wanted))),
        Meaning::AdditionalFamily(wanted) => {
            Box::new(AdditionalAddressFamily::new(family(*wanted)))
        }
        Meaning::AddressError(of, code) => {
            Box::new(AddressErrorCode::new(family(*of), error(*code)))
        }
        Meaning::EvenPort { reserves_the_next } => Box::new(EvenPort::new(*reserves_the_next)),
        Meaning::RequestedTransport(protocol) => Box::new(RequestedTransport::new(*protocol)),
        Meaning::DontFragment => Box::new(DontFragment::new()),
        Meaning::ReservationToken(token) => {
            Box::new(ReservationToken::new(u64::from_be_bytes(*token)))
        }
        Meaning::PasswordAlgorithm(algorithm) => {
            Box::new(PasswordAlgorithm::new(value(*algorithm)))
        }
        Meaning::PasswordAlgorithms(algorithms) => {
            let values: Vec<_> = algorithms.iter().copied().map(value).collect();
            Box::new(PasswordAlgorithms::new(&values))
        }
        Meaning::Userhash(hash) => Box::new(Userhash::new(*hash)),
        Meaning::Icmp { kind, code, data } => Box::new(Icmp::new(*kind, *code, *data)),
        // What it has no types for.
        Meaning::MobilityTicket(value) | Meaning::Other(_, value) => {
            Box::new(RawAttribute::new(kind, value))
        }
    }
}

/// Reads a message.
pub(crate) fn read(bytes: &[u8]) -> Option<Reading> {
    let message = Message::from_bytes(bytes).ok()?;
    let ends = [
        MessageIntegrity::TYPE,
        MessageIntegritySha256::TYPE,
        Fingerprint::TYPE,
    ];
    let all = message.iter_attributes();
    let all = all.take_while(|(_, attribute)| !ends.contains(&attribute.header.get_type()));
    let class = CLASSES
        .into_iter()
        .find(|(_, class)| *class == message.class());
    let id = u128::from(message.transaction_id()).to_be_bytes();
    Some(Reading {
        class: class.expect("each class").0,
        method: message.method().value(),
        transaction: id[4..].try_into().expect("twelve bytes"),
        attributes: all
            .map(|(_, attribute)| {
                (
                    attribute.header.get_type().value(),
                    attribute.value.to_vec(),
                )
            })
            .collect(),
        has_fingerprint: message.has_attribute(Fingerprint::TYPE),
    })
}

/// Whether a message is signed in this way.
pub(crate) fn is_signed(bytes: &[u8], seal: &Seal) -> bool {
    let message = Message::from_bytes(bytes);
    message.is_ok_and(|message| message.validate_integrity(&credentials(seal)).is_ok())
}

/// What this codec reads an attribute as; `None` when it has no type for it.
pub(crate) fn meaning(bytes: &[u8], like: &Meaning) -> Option<Meaning> {
    let message = Message::from_bytes(bytes).expect("a message");
    let id = message.transaction_id();
    Some(match like {
        Meaning::Username(_) => Meaning::Username(got::<Username>(&message).username().into()),
        Meaning::Realm(_) => Meaning::Realm(got::<Realm>(&message).realm().into()),
        Meaning::Nonce(_) => Meaning::Nonce(got::<Nonce>(&message).nonce().into()),
        Meaning::Software(_) => Meaning::Software(got::<Software>(&message).software().into()),
        Meaning::Error(_) => Meaning::Error(of_error(&got::<ErrorCode>(&message))),
        Meaning::UnknownAttributes(types) => {
            let read = got::<UnknownAttributes>(&message);
            // It tells of given types only whether they are among them; the bytes are compared elsewhere.
            let all = types.iter().all(|kind| read.has_attribute((*kind).into()));
            Meaning::UnknownAttributes(if all { types.clone() } else { Vec::new() })
        }
        Meaning::Channel(_) => Meaning::Channel(got::<ChannelNumber>(&message).channel()),
        Meaning::LifetimeS(_) => Meaning::LifetimeS(got::<Lifetime>(&message).seconds()),
        Meaning::Peer(_) => Meaning::Peer(got::<XorPeerAddress>(&message).addr(id)),
        Meaning::Relayed(_) => Meaning::Relayed(got::<XorRelayedAddress>(&message).addr(id)),
        Meaning::Mapped(_) => Meaning::Mapped(got::<XorMappedAddress>(&message).addr(id)),
        Meaning::AlternateServer(_) => {
            Meaning::AlternateServer(got::<AlternateServer>(&message).server())
        }
        Meaning::ResponseOrigin(_) => {
            Meaning::ResponseOrigin(plain_address(&message, kind::RESPONSE_ORIGIN))
        }
        Meaning::OtherAddress(_) => {
            Meaning::OtherAddress(plain_address(&message, kind::OTHER_ADDRESS))
        }
        Meaning::Data(_) => Meaning::Data(got::<Data<'_>>(&message).data().to_vec()),
        Meaning::RequestedFamily(_) => {
            Meaning::RequestedFamily(of_family(got::<RequestedAddressFamily>(&message).family()))
        }
        Meaning::AdditionalFamily(_) => {
            Meaning::AdditionalFamily(of_family(got::<AdditionalAddressFamily>(&message).family()))
        }
        Meaning::AddressError(..) => {
            let read = got::<AddressErrorCode>(&message);
            Meaning::AddressError(of_family(read.family()), of_error(read.error()))
        }
        Meaning::EvenPort { .. } => Meaning::EvenPort {
            reserves_the_next: got::<EvenPort>(&message).requested(),
        },
        Meaning::RequestedTransport(_) => {
            Meaning::RequestedTransport(got::<RequestedTransport>(&message).protocol())
        }
        Meaning::DontFragment => {
            got::<DontFragment>(&message);
            Meaning::DontFragment
        }
        Meaning::ReservationToken(_) => {
            Meaning::ReservationToken(got::<ReservationToken>(&message).token().to_be_bytes())
        }
        Meaning::PasswordAlgorithm(_) => {
            Meaning::PasswordAlgorithm(of_value(got::<PasswordAlgorithm>(&message).algorithm()))
        }
        Meaning::PasswordAlgorithms(_) => {
            let read = got::<PasswordAlgorithms>(&message);
            Meaning::PasswordAlgorithms(read.algorithms().iter().copied().map(of_value).collect())
        }
        Meaning::Userhash(_) => Meaning::Userhash(*got::<Userhash>(&message).hash()),
        Meaning::Icmp { .. } => {
            let read = got::<Icmp>(&message);
            Meaning::Icmp {
                kind: read.icmp_type(),
                code: read.code(),
                data: read.data(),
            }
        }
        Meaning::MobilityTicket(_) | Meaning::Other(..) => return None,
    })
}

fn got<'a, A: AttributeFromRaw<'a> + AttributeStaticType>(message: &'a Message<'_>) -> A {
    message
        .attribute::<A>()
        .expect("an attribute that can be read")
}

fn plain_address(message: &Message<'_>, kind: u16) -> SocketAddr {
    let raw = message.raw_attribute(kind.into()).expect("the attribute");
    MappedSocketAddr::from_raw(&raw).expect("an address").addr()
}

/// What it reads the first attribute of a type as that is an address under the mask.
pub(crate) fn xor_address(bytes: &[u8], wanted: u16) -> Option<SocketAddr> {
    let message = Message::from_bytes(bytes).ok()?;
    let id = message.transaction_id();
    match wanted {
        kind::XOR_PEER_ADDRESS => message
            .attribute::<XorPeerAddress>()
            .ok()
            .map(|address| address.addr(id)),
        kind::XOR_RELAYED_ADDRESS => message
            .attribute::<XorRelayedAddress>()
            .ok()
            .map(|address| address.addr(id)),
        _ => message
            .attribute::<XorMappedAddress>()
            .ok()
            .map(|address| address.addr(id)),
    }
}
