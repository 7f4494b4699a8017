//! Attribute types, error codes and address encoding (RFC 8489 section 14, RFC 8656 section 18).
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::header::{MAGIC_COOKIE, TransactionId};

/// Attribute types by their names in the registry.
#[expect(missing_docs, reason = "the constants are the registry's own names")]
pub mod kind {
    pub const CHANGE_REQUEST: u16 = 0x0003;
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    pub const CHANNEL_NUMBER: u16 = 0x000C;
    pub const LIFETIME: u16 = 0x000D;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub const EVEN_PORT: u16 = 0x0018;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub const DONT_FRAGMENT: u16 = 0x001A;
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
    pub const PASSWORD_ALGORITHM: u16 = 0x001D;
    pub const USERHASH: u16 = 0x001E;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const RESERVATION_TOKEN: u16 = 0x0022;
    pub const RESPONSE_PORT: u16 = 0x0027;
    pub const CONNECTION_ID: u16 = 0x002A;
    pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
    pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
    pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
    pub const ICMP: u16 = 0x8004;
    pub const ALTERNATE_SERVER: u16 = 0x8023;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const RESPONSE_ORIGIN: u16 = 0x802B;
    pub const OTHER_ADDRESS: u16 = 0x802C;
    pub const MOBILITY_TICKET: u16 = 0x8030;
}

/// Comprehension-required attributes that this server understands; any other one is answered with
/// 420 (RFC 8489 section 6.3.1).
const UNDERSTOOD: [u16; 21] = [
    kind::USERNAME,
    kind::MESSAGE_INTEGRITY,
    kind::ERROR_CODE,
    kind::UNKNOWN_ATTRIBUTES,
    kind::CHANNEL_NUMBER,
    kind::LIFETIME,
    kind::XOR_PEER_ADDRESS,
    kind::DATA,
    kind::REALM,
    kind::NONCE,
    kind::XOR_RELAYED_ADDRESS,
    kind::REQUESTED_ADDRESS_FAMILY,
    kind::EVEN_PORT,
    kind::REQUESTED_TRANSPORT,
    kind::DONT_FRAGMENT,
    kind::MESSAGE_INTEGRITY_SHA256,
    kind::PASSWORD_ALGORITHM,
    kind::USERHASH,
    kind::XOR_MAPPED_ADDRESS,
    kind::RESERVATION_TOKEN,
    kind::CONNECTION_ID,
];

/// Whether a request with this attribute must be refused.
#[must_use]
pub fn is_unknown_required(kind: u16) -> bool {
    kind < 0x8000 && !UNDERSTOOD.contains(&kind)
}

/// Error codes of STUN and TURN (RFC 8489 section 14.8, RFC 8656 section 19, RFC 6062 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum ErrorCode {
    /// Another server is to be asked, named by ALTERNATE-SERVER.
    TryAlternate = 300,
    /// The request lacks something or contradicts itself.
    BadRequest = 400,
    /// No or wrong credentials.
    Unauthenticated = 401,
    /// The peer policy forbids this address.
    Forbidden = 403,
    /// Clients may not take their allocations along.
    MobilityForbidden = 405,
    /// A comprehension-required attribute is unknown.
    UnknownAttribute = 420,
    /// No allocation where one is needed, or one where none may be.
    AllocationMismatch = 437,
    /// The nonce is expired or was issued to somebody else.
    StaleNonce = 438,
    /// No relayed address of this family.
    AddressFamilyNotSupported = 440,
    /// The allocation belongs to another user.
    WrongCredentials = 441,
    /// Only UDP can be relayed, and TCP where it is switched on.
    UnsupportedTransport = 442,
    /// The peer's family is not the allocation's.
    PeerAddressFamilyMismatch = 443,
    /// The allocation is connected to this peer already, or about to be.
    ConnectionAlreadyExists = 446,
    /// The peer could not be connected to.
    ConnectionTimeoutOrFailure = 447,
    /// The user or the source has as many allocations as it may.
    AllocationQuotaReached = 486,
    /// No port, no descriptor, or a full table.
    InsufficientCapacity = 508,
}

impl ErrorCode {
    /// All of them, ascending.
    pub const ALL: [Self; 16] = [
        Self::TryAlternate,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::MobilityForbidden,
        Self::UnknownAttribute,
        Self::AllocationMismatch,
        Self::StaleNonce,
        Self::AddressFamilyNotSupported,
        Self::WrongCredentials,
        Self::UnsupportedTransport,
        Self::PeerAddressFamilyMismatch,
        Self::ConnectionAlreadyExists,
        Self::ConnectionTimeoutOrFailure,
        Self::AllocationQuotaReached,
        Self::InsufficientCapacity,
    ];

    /// Hundreds and the rest, as ERROR-CODE has them (RFC 8489 section 14.8).
    #[must_use]
    pub(crate) const fn digits(self) -> [u8; 2] {
        let code = self as u16;
        [(code / 100) as u8, (code % 100) as u8]
    }

    /// The recommended reason phrase (RFC 8489 section 14.8, RFC 8656 section 19, RFC 6062 section 6.3,
    /// RFC 8016 section 4.2).
    #[must_use]
    pub const fn reason_phrase(self) -> &'static str {
        match self {
            Self::TryAlternate => "Try Alternate",
            Self::BadRequest => "Bad Request",
            Self::Unauthenticated => "Unauthenticated",
            Self::Forbidden => "Forbidden",
            Self::MobilityForbidden => "Mobility Forbidden",
            Self::UnknownAttribute => "Unknown Attribute",
            Self::AllocationMismatch => "Allocation Mismatch",
            Self::StaleNonce => "Stale Nonce",
            Self::AddressFamilyNotSupported => "Address Family not Supported",
            Self::WrongCredentials => "Wrong Credentials",
            Self::UnsupportedTransport => "Unsupported Transport Protocol",
            Self::PeerAddressFamilyMismatch => "Peer Address Family Mismatch",
            Self::ConnectionAlreadyExists => "Connection Already Exists",
            Self::ConnectionTimeoutOrFailure => "Connection Timeout or Failure",
            Self::AllocationQuotaReached => "Allocation Quota Reached",
            Self::InsufficientCapacity => "Insufficient Capacity",
        }
    }

    /// The code that has these digits.
    #[must_use]
    pub(crate) fn of_digits(digits: [u8; 2]) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.digits() == digits)
    }

    /// The place in [`ErrorCode::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        let found = Self::ALL.iter().position(|code| *code == self);
        found.unwrap_or_default()
    }
}

/// Address families on the wire (RFC 8489 section 14.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// 0x01
    Ipv4,
    /// 0x02
    Ipv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The byte that stands for it.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Ipv4 => Self::Ipv6,
            Self::Ipv6 => Self::Ipv4,
        }
    }

    /// Reads the first byte of REQUESTED-ADDRESS-FAMILY.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Ipv4),
            2 => Some(Self::Ipv6),
            _ => None,
        }
    }
}

/// Decodes an XOR-*-ADDRESS value (RFC 8489 section 14.2); `None` for any wrong family or length.
#[must_use]
pub fn decode_xor_address(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([p0, p1]) ^ PORT_MASK;
    let ip = match Family::from_byte(family)? {
        Family::Ipv4 => {
            let bits = u32::from_be_bytes(address.try_into().ok()?);
            IpAddr::V4(Ipv4Addr::from_bits(bits ^ MAGIC_COOKIE))
        }
        Family::Ipv6 => {
            let bits = u128::from_be_bytes(address.try_into().ok()?);
            IpAddr::V6(Ipv6Addr::from_bits(bits ^ ipv6_mask(transaction)))
        }
    };
    Some(SocketAddr::new(ip, port))
}

/// Encodes an XOR-*-ADDRESS value; returns the bytes and how many of them count.
#[must_use]
pub fn encode_xor_address(address: SocketAddr, transaction: TransactionId) -> ([u8; 20], usize) {
    let port = address.port() ^ PORT_MASK;
    match address.ip() {
        IpAddr::V4(ip) => encode_ipv4(port, ip.to_bits() ^ MAGIC_COOKIE),
        IpAddr::V6(ip) => encode_ipv6(port, ip.to_bits() ^ ipv6_mask(transaction)),
    }
}

/// Encodes an address in the manner of MAPPED-ADDRESS (RFC 8489 section 14.1); returns the bytes
/// and how many of them count.
#[must_use]
pub fn encode_address(address: SocketAddr) -> ([u8; 20], usize) {
    match address.ip() {
        IpAddr::V4(ip) => encode_ipv4(address.port(), ip.to_bits()),
        IpAddr::V6(ip) => encode_ipv6(address.port(), ip.to_bits()),
    }
}

fn encode_ipv4(port: u16, bits: u32) -> ([u8; 20], usize) {
    let ([p0, p1], [a, b, c, d]) = (port.to_be_bytes(), bits.to_be_bytes());
    let mut value = [0; 20];
    if let Some(place) = value.first_chunk_mut() {
        *place = [0, Family::Ipv4.byte(), p0, p1, a, b, c, d];
    }
    (value, 8)
}

fn encode_ipv6(port: u16, bits: u128) -> ([u8; 20], usize) {
    let [p0, p1] = port.to_be_bytes();
    let mut value = [0; 20];
    if let Some((head, ip)) = value.split_first_chunk_mut::<4>() {
        *head = [0, Family::Ipv6.byte(), p0, p1];
        ip.copy_from_slice(&bits.to_be_bytes());
    }
    (value, 20)
}

/// The magic cookie's upper half.
const PORT_MASK: u16 = (MAGIC_COOKIE >> 16) as u16;

/// Magic cookie followed by the transaction id.
fn ipv6_mask(transaction: TransactionId) -> u128 {
    let mut id = [0; 16];
    let (_, low) = id.split_at_mut(4);
    low.copy_from_slice(&transaction.0);
    (u128::from(MAGIC_COOKIE) << 96) | u128::from_be_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc_5769_section_2_2_ipv4() {
        let transaction = TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");
        let value = b"\x00\x01\xa1\x47\xe1\x12\xa6\x43";
        let address = "192.0.2.1:32853".parse().unwrap();
        assert_eq!(decode_xor_address(value, transaction), Some(address));
        let (encoded, length) = encode_xor_address(address, transaction);
        assert_eq!(&encoded[..length], value);
    }

    #[test]
    fn rfc_5769_section_2_3_ipv6() {
        let transaction = TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");
        let value =
            b"\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
        let address = "[2001:db8:1234:5678:11:2233:4455:6677]:32853"
            .parse()
            .unwrap();
        assert_eq!(decode_xor_address(value, transaction), Some(address));
        let (encoded, length) = encode_xor_address(address, transaction);
        assert_eq!(&encoded[..length], value);
    }

    #[test]
    fn wrong_family_or_length_is_refused() {
        let id = TransactionId([0; 12]);
        for value in [
            &b""[..],
            b"\0\x01\0",
            b"\0\x00\0\0\0\0\0\0",
            b"\0\x03\0\0\0\0\0\0",
            b"\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\0\x02\0\0\0\0\0\0",
        ] {
            assert_eq!(decode_xor_address(value, id), None, "{value:02x?}");
        }
    }

    proptest! {
        #[test]
        fn decode_reverses_encode(v6: bool, bits: u128, port: u16, id: [u8; 12]) {
            let ip = if v6 {
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            } else {
                IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
            };
            let address = SocketAddr::new(ip, port);
            let (value, length) = encode_xor_address(address, TransactionId(id));
            prop_assert_eq!(decode_xor_address(&value[..length], TransactionId(id)), Some(address));
        }
    }
}
