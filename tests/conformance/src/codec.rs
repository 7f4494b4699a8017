//! STUN's wire format, written for this suite alone: builds any message, also wrong ones, and reads strictly.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, Mac as _};
use rand::Rng as _;
use sha1::Sha1;
use sha2::Sha256;

mod names;

pub(crate) use names::{attribute, method};

/// The magic cookie, RFC 8489 §5.
pub(crate) const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const HEADER: usize = 20;
/// The bits of the class in a message type.
const CLASS: u16 = 0x110;
const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// The class bits of a message type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// The message type of a method and a class: the class's two bits stand between the method's.
pub(crate) fn message_type(method: u16, class: Class) -> u16 {
    let class = match class {
        Class::Request => 0x000,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    (method & 0x00F) | ((method & 0x070) << 1) | ((method & 0xF80) << 2) | class
}

/// The keyed hash of an integrity attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integrity {
    Sha1,
    Sha256,
}

fn hmac(integrity: Integrity, key: &[u8], text: &[u8]) -> Vec<u8> {
    match integrity {
        Integrity::Sha1 => {
            let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any length is a key");
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        }
        Integrity::Sha256 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        }
    }
}

/// A message being built. Nothing is checked: wrong messages are what the suite is for.
#[derive(Debug, Clone)]
pub(crate) struct Builder(Vec<u8>);

impl Builder {
    pub(crate) fn new(method: u16, class: Class) -> Self {
        let mut bytes = message_type(method, class).to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(COOKIE);
        bytes.extend(rand::rng().random::<[u8; 12]>());
        Self(bytes)
    }

    pub(crate) fn request(method: u16) -> Self {
        Self::new(method, Class::Request)
    }

    pub(crate) fn indication(method: u16) -> Self {
        Self::new(method, Class::Indication)
    }

    /// An Allocate request for UDP.
    pub(crate) fn allocate() -> Self {
        Self::request(method::ALLOCATE).attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(kind.to_be_bytes());
        let length = u16::try_from(value.len()).expect("the suite's attributes are short");
        self.0.extend(length.to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.set_length(self.0.len() - HEADER);
        self
    }

    pub(crate) fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// REQUESTED-ADDRESS-FAMILY or ADDITIONAL-ADDRESS-FAMILY.
    pub(crate) fn family(self, kind: u16, family: u8) -> Self {
        self.attribute(kind, &[family, 0, 0, 0])
    }

    pub(crate) fn peer(self, peer: SocketAddr) -> Self {
        let value = xor_address(peer, &self.transaction());
        self.attribute(attribute::XOR_PEER_ADDRESS, &value)
    }

    pub(crate) fn channel(self, number: u16) -> Self {
        self.number(attribute::CHANNEL_NUMBER, u32::from(number) << 16)
    }

    /// The integrity attribute over everything so far.
    pub(crate) fn integrity(self, integrity: Integrity, key: &[u8]) -> Self {
        self.integrity_with(integrity, key, 0)
    }

    /// As if the covered length were `off` bytes more: wrong unless 0.
    pub(crate) fn integrity_with(mut self, integrity: Integrity, key: &[u8], off: usize) -> Self {
        let (kind, length) = match integrity {
            Integrity::Sha1 => (attribute::MESSAGE_INTEGRITY, 20),
            Integrity::Sha256 => (attribute::MESSAGE_INTEGRITY_SHA256, 32),
        };
        self.set_length(self.0.len() - HEADER + 4 + length + off);
        let value = hmac(integrity, key, &self.0);
        self.attribute(kind, &value)
    }

    pub(crate) fn fingerprint(mut self) -> Self {
        self.set_length(self.0.len() - HEADER + 8);
        let value = crc32fast::hash(&self.0) ^ FINGERPRINT_XOR;
        self.number(attribute::FINGERPRINT, value)
    }

    /// Writes the header's length field.
    pub(crate) fn set_length(&mut self, length: usize) {
        let length = u16::try_from(length).expect("the suite's messages are short");
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }

    /// The method's bits, where they stand in the message type.
    pub(crate) fn method(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]]) & !CLASS
    }

    pub(crate) fn transaction(&self) -> [u8; 12] {
        self.0[8..20].try_into().expect("twelve bytes")
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The value of an XOR'd address attribute, RFC 8489 §14.2.
pub(crate) fn xor_address(address: SocketAddr, transaction: &[u8; 12]) -> Vec<u8> {
    let mask: Vec<u8> = COOKIE.iter().chain(transaction).copied().collect();
    let (family, octets) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend((address.port() ^ 0x2112).to_be_bytes());
    value.extend(octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask));
    value
}

/// A message that arrived, with its framing checked.
#[derive(Clone)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    attributes: Vec<Attribute>,
}

#[derive(Clone, Copy)]
struct Attribute {
    kind: u16,
    /// Where its header begins.
    start: usize,
    length: usize,
}

impl Message {
    /// Reads a message; what is wrong with it otherwise.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() < HEADER || bytes[0] > 0x3F {
            return Err("no STUN header".into());
        }
        if bytes[4..8] != COOKIE {
            return Err("no magic cookie".into());
        }
        if usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) + HEADER != bytes.len() {
            return Err("the header's length is not the message's".into());
        }
        let mut attributes = Vec::new();
        let mut start = HEADER;
        while start < bytes.len() {
            let Some(&[a, b, c, d]) = bytes.get(start..start + 4) else {
                return Err("a cut attribute header".into());
            };
            let length = usize::from(u16::from_be_bytes([c, d]));
            let kind = u16::from_be_bytes([a, b]);
            attributes.push(Attribute {
                kind,
                start,
                length,
            });
            start += 4 + length.next_multiple_of(4);
            if start > bytes.len() {
                return Err(format!("attribute {kind:#06x} goes past the end"));
            }
        }
        let bytes = bytes.to_vec();
        Ok(Self { bytes, attributes })
    }

    pub(crate) fn is(&self, method: u16, class: Class) -> bool {
        self.kind() == message_type(method, class)
    }

    pub(crate) fn kind(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    /// The method's bits, where they stand in the message type.
    pub(crate) fn method(&self) -> u16 {
        self.kind() & !CLASS
    }

    pub(crate) fn class(&self) -> Class {
        match self.kind() & CLASS {
            0x000 => Class::Request,
            0x010 => Class::Indication,
            0x100 => Class::Success,
            _ => Class::Error,
        }
    }

    pub(crate) fn transaction(&self) -> [u8; 12] {
        self.bytes[8..20].try_into().expect("twelve bytes")
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The types of all attributes in their order.
    pub(crate) fn kinds(&self) -> Vec<u16> {
        self.attributes.iter().map(|a| a.kind).collect()
    }

    pub(crate) fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }

    /// The value of the first attribute of a type.
    pub(crate) fn get(&self, kind: u16) -> Option<&[u8]> {
        self.all(kind).next()
    }

    pub(crate) fn all(&self, kind: u16) -> impl Iterator<Item = &[u8]> {
        let attributes = self.attributes.iter().filter(move |a| a.kind == kind);
        attributes.map(|a| &self.bytes[a.start + 4..a.start + 4 + a.length])
    }

    pub(crate) fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// The code of ERROR-CODE.
    pub(crate) fn error(&self) -> Option<u16> {
        error_code(self.get(attribute::ERROR_CODE)?)
    }

    /// All addresses of an XOR'd attribute's type.
    pub(crate) fn addresses(&self, kind: u16) -> Vec<SocketAddr> {
        let values = self.all(kind);
        values.filter_map(|value| self.address(value)).collect()
    }

    fn address(&self, value: &[u8]) -> Option<SocketAddr> {
        let (head, rest) = value.split_at_checked(4)?;
        let port = u16::from_be_bytes([head[2], head[3]]) ^ 0x2112;
        let octets = rest.iter().zip(&self.bytes[4..20]).map(|(a, b)| a ^ b);
        let octets: Vec<u8> = octets.collect();
        let ip = match (head[1], rest.len()) {
            (1, 4) => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
            (2, 16) => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// Whether an integrity attribute is there and right. `None`: it is not there.
    pub(crate) fn integrity(&self, integrity: Integrity, key: &[u8]) -> Option<bool> {
        let kind = match integrity {
            Integrity::Sha1 => attribute::MESSAGE_INTEGRITY,
            Integrity::Sha256 => attribute::MESSAGE_INTEGRITY_SHA256,
        };
        let found = self.attributes.iter().find(|a| a.kind == kind)?;
        let mut covered = self.bytes[..found.start].to_vec();
        let length = u16::try_from(found.start - HEADER + 4 + found.length).ok()?;
        covered[2..4].copy_from_slice(&length.to_be_bytes());
        let value = &self.bytes[found.start + 4..found.start + 4 + found.length];
        Some(hmac(integrity, key, &covered) == value)
    }

    /// Whether FINGERPRINT is there, last, and right. `None`: it is not there.
    pub(crate) fn fingerprint(&self) -> Option<bool> {
        let value = self.number(attribute::FINGERPRINT)?;
        let start = self.bytes.len() - 8;
        let is_last = self.attributes.last()?.kind == attribute::FINGERPRINT;
        Some(is_last && crc32fast::hash(&self.bytes[..start]) ^ FINGERPRINT_XOR == value)
    }

    /// All bytes behind attributes up to the next multiple of four.
    pub(crate) fn padding(&self) -> Vec<u8> {
        let mut padding = Vec::new();
        for a in &self.attributes {
            let end = a.start + 4 + a.length;
            padding.extend(&self.bytes[end..end.next_multiple_of(4)]);
        }
        padding
    }
}

/// The code in the value of ERROR-CODE or ADDRESS-ERROR-CODE.
pub(crate) fn error_code(value: &[u8]) -> Option<u16> {
    let &[_, _, class, number, ..] = value else {
        return None;
    };
    Some(u16::from(class & 7) * 100 + u16::from(number))
}

/// As a failure shows it: what it is and which attributes it has.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method() {
            method::BINDING => "Binding".to_owned(),
            method::ALLOCATE => "Allocate".to_owned(),
            method::REFRESH => "Refresh".to_owned(),
            method::SEND => "Send".to_owned(),
            method::DATA => "Data".to_owned(),
            method::CREATE_PERMISSION => "CreatePermission".to_owned(),
            method::CHANNEL_BIND => "ChannelBind".to_owned(),
            other => format!("{other:#05x}"),
        };
        match (self.class(), self.error()) {
            (Class::Error, Some(code)) => write!(f, "{method} {code}")?,
            (class, _) => write!(f, "{method} {class:?}")?,
        }
        let kinds = self.kinds();
        let kinds: Vec<_> = kinds.iter().map(|kind| format!("{kind:04x}")).collect();
        write!(f, " [{}]", kinds.join(" "))
    }
}

/// A ChannelData message, without padding.
pub(crate) fn channel_data(channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("the suite's payloads are short");
    let mut bytes = channel.to_be_bytes().to_vec();
    bytes.extend(length.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An address of a family that is nobody's.
pub(crate) fn unspecified(is_ipv4: bool) -> IpAddr {
    if is_ipv4 {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    }
}

#[cfg(test)]
mod tests;
