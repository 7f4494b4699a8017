//! The codec of webrtc-rs: `stun`, and `turn::proto` for the attributes of TURN.

use std::net::SocketAddr;
use std::time::Duration;

use stun::addr::MappedAddress;
use stun::agent::TransactionId;
use stun::attributes::{
    ATTR_ALTERNATE_SERVER, ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256,
    ATTR_NONCE, ATTR_OTHER_ADDRESS, ATTR_REALM, ATTR_RESPONSE_ORIGIN, ATTR_SOFTWARE, ATTR_USERNAME,
    AttrType,
};
use stun::error_code::{ErrorCode, ErrorCodeAttribute};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter, Message,
    MessageType, Method, Setter,
};
use stun::textattrs::TextAttribute;
use stun::uattrs::UnknownAttributes;
use stun::xoraddr::XorMappedAddress;
use stun_turn_proto::attribute as our_attribute;
use stun_turn_proto::attribute::Family;
use stun_turn_proto::integrity::{Hash, Key};
use stun_turn_proto::message::Class;
use turn::proto::channum::ChannelNumber;
use turn::proto::data::Data;
use turn::proto::dontfrag::DontFragmentAttr;
use turn::proto::evenport::EvenPort;
use turn::proto::lifetime::Lifetime;
use turn::proto::peeraddr::PeerAddress;
use turn::proto::relayaddr::RelayedAddress;
use turn::proto::reqfamily::RequestedAddressFamily;
use turn::proto::reqtrans::RequestedTransport;
use turn::proto::rsrvtoken::ReservationToken;

use crate::attribute::Meaning;
use crate::plan::{Plan, Reading};

const CLASSES: [(Class, stun::message::MessageClass); 4] = [
    (Class::Request, CLASS_REQUEST),
    (Class::Indication, CLASS_INDICATION),
    (Class::Success, CLASS_SUCCESS_RESPONSE),
    (Class::Error, CLASS_ERROR_RESPONSE),
];

/// The methods that it has names for (RFC 8489 section 18.2, RFC 8656 section 17, RFC 6062 section 6.1).
const METHODS: [Method; 10] = [
    stun::message::METHOD_BINDING,
    stun::message::METHOD_ALLOCATE,
    stun::message::METHOD_REFRESH,
    stun::message::METHOD_SEND,
    stun::message::METHOD_DATA,
    stun::message::METHOD_CREATE_PERMISSION,
    stun::message::METHOD_CHANNEL_BIND,
    stun::message::METHOD_CONNECT,
    stun::message::METHOD_CONNECTION_BIND,
    stun::message::METHOD_CONNECTION_ATTEMPT,
];

fn method(bits: u16) -> Method {
    let mut typ = MessageType::default();
    // These bits of the message type are the method's own.
    typ.read_value(bits);
    assert!(METHODS.contains(&typ.method), "{bits:#x}");
    typ.method
}

/// Writes a message; `None` when it is signed in a way that this codec does not know.
pub(crate) fn write(plan: &Plan) -> Option<Vec<u8>> {
    let (_, class) = CLASSES
        .into_iter()
        .find(|(class, _)| *class == plan.class)?;
    let mut message = Message::new();
    message.transaction_id = TransactionId(plan.transaction);
    message.typ = MessageType::new(method(plan.method), class);
    message.write_header();
    for meaning in &plan.attributes {
        put(&mut message, meaning);
    }
    match &plan.seal {
        Some(seal) if seal.hash == Hash::Sha1 => {
            let integrity = MessageIntegrity::new_short_term_integrity(seal.key.clone());
            integrity.add_to(&mut message).expect("signing");
        }
        Some(_) => return None,
        None => {}
    }
    if plan.has_fingerprint {
        FINGERPRINT.add_to(&mut message).expect("the fingerprint");
    }
    Some(message.raw)
}

fn put(message: &mut Message, meaning: &Meaning) {
    let kind = AttrType(meaning.kind());
    let mut raw = |value: &[u8]| {
        message.add(kind, value);
        Ok(())
    };
    let outcome = match meaning {
        Meaning::Username(text)
        | Meaning::Realm(text)
        | Meaning::Nonce(text)
        | Meaning::Software(text) => TextAttribute::new(kind, text.clone()).add_to(message),
        Meaning::Error(code) => ErrorCodeAttribute {
            code: ErrorCode(*code as u16),
            reason: b"because".to_vec(),
        }
        .add_to(message),
        Meaning::UnknownAttributes(types) => {
            UnknownAttributes(types.iter().copied().map(AttrType).collect()).add_to(message)
        }
        Meaning::Channel(number) => ChannelNumber(*number).add_to(message),
        Meaning::LifetimeS(seconds) => {
            Lifetime(Duration::from_secs((*seconds).into())).add_to(message)
        }
        Meaning::Peer(address) => PeerAddress {
            ip: address.ip(),
            port: address.port(),
        }
        .add_to(message),
        Meaning::Relayed(address) => RelayedAddress {
            ip: address.ip(),
            port: address.port(),
        }
        .add_to(message),
        Meaning::Mapped(address) => XorMappedAddress {
            ip: address.ip(),
            port: address.port(),
        }
        .add_to(message),
        Meaning::AlternateServer(address)
        | Meaning::ResponseOrigin(address)
        | Meaning::OtherAddress(address) => MappedAddress {
            ip: address.ip(),
            port: address.port(),
        }
        .add_to_as(message, kind),
        Meaning::Data(value) => Data(value.clone()).add_to(message),
        Meaning::RequestedFamily(family) => RequestedAddressFamily(family.byte()).add_to(message),
        // Nobody outside of `turn` can ask for the next port.
        Meaning::EvenPort {
            reserves_the_next: false,
        } => EvenPort::default().add_to(message),
        Meaning::RequestedTransport(protocol) => RequestedTransport {
            protocol: turn::proto::Protocol(*protocol),
        }
        .add_to(message),
        Meaning::DontFragment => DontFragmentAttr.add_to(message),
        Meaning::ReservationToken(token) => ReservationToken(token.to_vec()).add_to(message),
        // What it has no types for.
        Meaning::EvenPort {
            reserves_the_next: true,
        } => raw(&[0x80]),
        Meaning::AdditionalFamily(family) => raw(&[family.byte(), 0, 0, 0]),
        Meaning::AddressError(family, code) => {
            let code = *code as u16;
            let digits =
                [code / 100, code % 100].map(|digits| u8::try_from(digits).expect("three digits"));
            raw(&[family.byte(), 0, digits[0], digits[1]])
        }
        Meaning::PasswordAlgorithm(algorithm) => raw(&algorithm.bytes()),
        Meaning::PasswordAlgorithms(algorithms) => raw(&algorithms
            .iter()
            .flat_map(|algorithm| algorithm.bytes())
            .collect::<Vec<u8>>()),
        Meaning::Userhash(hash) => raw(hash),
        Meaning::Icmp { kind, code, data } => {
            let [a, b, c, d] = data.to_be_bytes();
            raw(&[0, 0, *kind, *code, a, b, c, d])
        }
        Meaning::MobilityTicket(value) | Meaning::Other(_, value) => raw(value),
    };
    outcome.unwrap_or_else(|error| panic!("{meaning:?}: {error}"));
}

fn decode(bytes: &[u8]) -> Option<Message> {
    let mut message = Message::new();
    message.unmarshal_binary(bytes).ok()?;
    let fits = !message.contains(ATTR_FINGERPRINT) || FINGERPRINT.check(&message).is_ok();
    fits.then_some(message)
}

/// Reads a message, and checks its FINGERPRINT as `turn` does where there is one.
pub(crate) fn read(bytes: &[u8]) -> Option<Reading> {
    let message = decode(bytes)?;
    let ends = [
        ATTR_MESSAGE_INTEGRITY,
        ATTR_MESSAGE_INTEGRITY_SHA256,
        ATTR_FINGERPRINT,
    ];
    let all = message.attributes.0.iter();
    // It hands out what stands behind the integrity attribute, too: its users must know better.
    let all = all.take_while(|attribute| !ends.contains(&attribute.typ));
    let (class, _) = CLASSES
        .into_iter()
        .find(|(_, class)| *class == message.typ.class)?;
    Some(Reading {
        class,
        method: message.typ.method.bits(),
        transaction: message.transaction_id.0,
        attributes: all
            .map(|attribute| (attribute.typ.value(), attribute.value.clone()))
            .collect(),
        has_fingerprint: message.contains(ATTR_FINGERPRINT),
    })
}

/// The method's number, which the type keeps to itself.
trait Bits {
    fn bits(self) -> u16;
}

impl Bits for Method {
    fn bits(self) -> u16 {
        // All twelve bits at the places where a request has them.
        let value = MessageType::new(self, CLASS_REQUEST).value();
        (value & 0x000F) | ((value & 0x00E0) >> 1) | ((value & 0x3E00) >> 2)
    }
}

/// Whether a message has a MESSAGE-INTEGRITY that was made with this key.
pub(crate) fn is_signed(bytes: &[u8], key: &Key) -> bool {
    let Some(mut message) = decode(bytes) else {
        return false;
    };
    MessageIntegrity(key.as_bytes().to_vec())
        .check(&mut message)
        .is_ok()
}

/// What this codec reads an attribute as; `None` when it has no type for it.
pub(crate) fn meaning(bytes: &[u8], like: &Meaning) -> Option<Meaning> {
    let message = decode(bytes).expect("a message");
    let text = |kind| {
        TextAttribute::get_from_as(&message, kind)
            .expect("a text")
            .text
    };
    let address = |kind| {
        let mut address = MappedAddress::default();
        address.get_from_as(&message, kind).expect("an address");
        SocketAddr::new(address.ip, address.port)
    };
    Some(match like {
        Meaning::Username(_) => Meaning::Username(text(ATTR_USERNAME)),
        Meaning::Realm(_) => Meaning::Realm(text(ATTR_REALM)),
        Meaning::Nonce(_) => Meaning::Nonce(text(ATTR_NONCE)),
        Meaning::Software(_) => Meaning::Software(text(ATTR_SOFTWARE)),
        Meaning::Error(_) => {
            let number = got::<ErrorCodeAttribute>(&message).code.0;
            let mut all = our_attribute::ErrorCode::ALL.into_iter();
            Meaning::Error(
                all.find(|code| *code as u16 == number)
                    .expect("a code of ours"),
            )
        }
        Meaning::UnknownAttributes(_) => {
            let mut types = UnknownAttributes(Vec::new());
            types.get_from(&message).expect("a list of types");
            Meaning::UnknownAttributes(types.0.into_iter().map(|kind| kind.value()).collect())
        }
        Meaning::Channel(_) => Meaning::Channel(got::<ChannelNumber>(&message).0),
        Meaning::LifetimeS(_) => {
            let seconds = got::<Lifetime>(&message).0.as_secs();
            Meaning::LifetimeS(seconds.try_into().expect("32 bits"))
        }
        Meaning::Peer(_) => {
            let PeerAddress { ip, port } = got(&message);
            Meaning::Peer(SocketAddr::new(ip, port))
        }
        Meaning::Relayed(_) => {
            let RelayedAddress { ip, port } = got(&message);
            Meaning::Relayed(SocketAddr::new(ip, port))
        }
        Meaning::Mapped(_) => {
            let XorMappedAddress { ip, port } = got(&message);
            Meaning::Mapped(SocketAddr::new(ip, port))
        }
        Meaning::AlternateServer(_) => Meaning::AlternateServer(address(ATTR_ALTERNATE_SERVER)),
        Meaning::ResponseOrigin(_) => Meaning::ResponseOrigin(address(ATTR_RESPONSE_ORIGIN)),
        Meaning::OtherAddress(_) => Meaning::OtherAddress(address(ATTR_OTHER_ADDRESS)),
        Meaning::Data(_) => Meaning::Data(got::<Data>(&message).0),
        Meaning::RequestedFamily(_) => {
            let byte = got::<RequestedAddressFamily>(&message).0;
            Meaning::RequestedFamily(Family::from_byte(byte).expect("a family"))
        }
        Meaning::EvenPort { .. } => Meaning::EvenPort {
            reserves_the_next: got::<EvenPort>(&message).to_string() == "reserve: true",
        },
        Meaning::RequestedTransport(_) => {
            Meaning::RequestedTransport(got::<RequestedTransport>(&message).protocol.0)
        }
        Meaning::DontFragment => {
            got::<DontFragmentAttr>(&message);
            Meaning::DontFragment
        }
        Meaning::ReservationToken(_) => {
            let token = got::<ReservationToken>(&message).0;
            Meaning::ReservationToken(token.try_into().expect("eight bytes"))
        }
        Meaning::AdditionalFamily(_)
        | Meaning::AddressError(..)
        | Meaning::PasswordAlgorithm(_)
        | Meaning::PasswordAlgorithms(_)
        | Meaning::Userhash(_)
        | Meaning::Icmp { .. }
        | Meaning::MobilityTicket(_)
        | Meaning::Other(..) => return None,
    })
}

fn got<A: Getter + Default>(message: &Message) -> A {
    let mut attribute = A::default();
    attribute
        .get_from(message)
        .expect("an attribute that can be read");
    attribute
}

/// What it reads the first attribute of a type as that is an address under the mask.
pub(crate) fn xor_address(bytes: &[u8], kind: u16) -> Option<SocketAddr> {
    let message = decode(bytes)?;
    let mut address = XorMappedAddress::default();
    address.get_from_as(&message, AttrType(kind)).ok()?;
    Some(SocketAddr::new(address.ip, address.port))
}
