//! What attributes mean, independent of any codec.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use stun_turn_proto::attribute::{ErrorCode, Family, kind};

/// RFC 8489 section 14.14. No codec of ours writes it.
pub(crate) const SOFTWARE: u16 = 0x8022;
/// RFC 5780 section 7.6, which no server needs to understand: a type without meaning for all three codecs.
pub(crate) const PADDING: u16 = 0x0026;
/// A type that nobody has assigned, in the comprehension-optional range.
pub(crate) const UNASSIGNED: u16 = 0xC0DE;

/// An algorithm for passwords (RFC 8489 section 18.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// Number and length of the parameters.
    pub(crate) const fn bytes(self) -> [u8; 4] {
        match self {
            Self::Md5 => [0, 1, 0, 0],
            Self::Sha256 => [0, 2, 0, 0],
        }
    }
}

/// An attribute as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    Username(String),
    Realm(String),
    Nonce(String),
    Software(String),
    /// Without its reason phrase, which is for people.
    Error(ErrorCode),
    UnknownAttributes(Vec<u16>),
    Channel(u16),
    LifetimeS(u32),
    Peer(SocketAddr),
    Relayed(SocketAddr),
    Mapped(SocketAddr),
    AlternateServer(SocketAddr),
    ResponseOrigin(SocketAddr),
    OtherAddress(SocketAddr),
    Data(Vec<u8>),
    RequestedFamily(Family),
    AdditionalFamily(Family),
    AddressError(Family, ErrorCode),
    EvenPort {
        reserves_the_next: bool,
    },
    RequestedTransport(u8),
    DontFragment,
    ReservationToken([u8; 8]),
    PasswordAlgorithm(Algorithm),
    PasswordAlgorithms(Vec<Algorithm>),
    Userhash([u8; 32]),
    /// Two bytes in which RFC 8656 section 18.13 draws seven bits of type and nine of code; `turn-types` takes each for
    /// one of them.
    Icmp {
        kind: u8,
        code: u8,
        data: u32,
    },
    MobilityTicket(Vec<u8>),
    /// A type without meaning here.
    Other(u16, Vec<u8>),
}

impl Meaning {
    /// The attribute's type.
    pub(crate) const fn kind(&self) -> u16 {
        match self {
            Self::Username(_) => kind::USERNAME,
            Self::Realm(_) => kind::REALM,
            Self::Nonce(_) => kind::NONCE,
            Self::Software(_) => SOFTWARE,
            Self::Error(_) => kind::ERROR_CODE,
            Self::UnknownAttributes(_) => kind::UNKNOWN_ATTRIBUTES,
            Self::Channel(_) => kind::CHANNEL_NUMBER,
            Self::LifetimeS(_) => kind::LIFETIME,
            Self::Peer(_) => kind::XOR_PEER_ADDRESS,
            Self::Relayed(_) => kind::XOR_RELAYED_ADDRESS,
            Self::Mapped(_) => kind::XOR_MAPPED_ADDRESS,
            Self::AlternateServer(_) => kind::ALTERNATE_SERVER,
            Self::ResponseOrigin(_) => kind::RESPONSE_ORIGIN,
            Self::OtherAddress(_) => kind::OTHER_ADDRESS,
            Self::Data(_) => kind::DATA,
            Self::RequestedFamily(_) => kind::REQUESTED_ADDRESS_FAMILY,
            Self::AdditionalFamily(_) => kind::ADDITIONAL_ADDRESS_FAMILY,
            Self::AddressError(..) => kind::ADDRESS_ERROR_CODE,
            Self::EvenPort { .. } => kind::EVEN_PORT,
            Self::RequestedTransport(_) => kind::REQUESTED_TRANSPORT,
            Self::DontFragment => kind::DONT_FRAGMENT,
            Self::ReservationToken(_) => kind::RESERVATION_TOKEN,
            Self::PasswordAlgorithm(_) => kind::PASSWORD_ALGORITHM,
            Self::PasswordAlgorithms(_) => kind::PASSWORD_ALGORITHMS,
            Self::Userhash(_) => kind::USERHASH,
            Self::Icmp { .. } => kind::ICMP,
            Self::MobilityTicket(_) => kind::MOBILITY_TICKET,
            Self::Other(kind, _) => *kind,
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    // Sums and boundaries don't care for letters; lengths over all remainders of four do matter.
    "\\PC{1,40}"
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn family() -> impl Strategy<Value = Family> {
    select(&[Family::Ipv4, Family::Ipv6][..])
}

fn error() -> impl Strategy<Value = ErrorCode> {
    select(&ErrorCode::ALL[..])
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    select(&[Algorithm::Md5, Algorithm::Sha256][..])
}

/// Any attribute.
pub(crate) fn meaning() -> impl Strategy<Value = Meaning> {
    let texts = prop_oneof![
        text().prop_map(Meaning::Username),
        text().prop_map(Meaning::Realm),
        text().prop_map(Meaning::Nonce),
        text().prop_map(Meaning::Software),
    ];
    let addresses = prop_oneof![
        address().prop_map(Meaning::Peer),
        address().prop_map(Meaning::Relayed),
        address().prop_map(Meaning::Mapped),
        address().prop_map(Meaning::AlternateServer),
        address().prop_map(Meaning::ResponseOrigin),
        address().prop_map(Meaning::OtherAddress),
    ];
    let wishes = prop_oneof![
        family().prop_map(Meaning::RequestedFamily),
        // RFC 8656 section 18.11: it can ask for IPv6 only.
        Just(Meaning::AdditionalFamily(Family::Ipv6)),
        any::<bool>().prop_map(|reserves_the_next| Meaning::EvenPort { reserves_the_next }),
        any::<u8>().prop_map(Meaning::RequestedTransport),
        Just(Meaning::DontFragment),
        any::<[u8; 8]>().prop_map(Meaning::ReservationToken),
        any::<u16>().prop_map(Meaning::Channel),
        any::<u32>().prop_map(Meaning::LifetimeS),
    ];
    let trouble = prop_oneof![
        error().prop_map(Meaning::Error),
        (family(), error()).prop_map(|(family, code)| Meaning::AddressError(family, code)),
        vec(any::<u16>(), 0..6).prop_map(Meaning::UnknownAttributes),
        (0..128_u8, 0..=255_u8, any::<u32>()).prop_map(|(kind, code, data)| Meaning::Icmp {
            kind,
            code,
            data
        }),
    ];
    let authentication = prop_oneof![
        algorithm().prop_map(Meaning::PasswordAlgorithm),
        vec(algorithm(), 1..4).prop_map(Meaning::PasswordAlgorithms),
        any::<[u8; 32]>().prop_map(Meaning::Userhash),
    ];
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..300).prop_map(Meaning::Data),
        vec(any::<u8>(), 0..60).prop_map(Meaning::MobilityTicket),
        vec(any::<u8>(), 0..20).prop_map(|value| Meaning::Other(PADDING, value)),
        vec(any::<u8>(), 0..20).prop_map(|value| Meaning::Other(UNASSIGNED, value)),
    ];
    prop_oneof![texts, addresses, wishes, trouble, authentication, bytes]
}
