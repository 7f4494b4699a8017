//! STUN messages: a zero-copy view of what came in, a writer for what goes out
//! (RFC 8489 sections 5 and 14).
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod verify;
mod writer;

pub use crate::header::TransactionId;
pub use writer::Writer;

use crate::attribute::kind;
use crate::header::{HEADER_LEN, MAGIC_COOKIE};

/// Type and length in front of each attribute's value.
const ATTRIBUTE_HEADER_LEN: usize = 4;

/// The class bits of the message type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The answer to a request that was carried out.
    Success,
    /// The answer to one that was not.
    Error,
}

/// The methods that this server knows (RFC 8489 section 18.2, RFC 8656 section 17, RFC 6062
/// section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Tells the client its server-reflexive address.
    Binding,
    /// Creates an allocation.
    Allocate,
    /// Prolongs or deletes it.
    Refresh,
    /// Client to peer without a channel.
    Send,
    /// Peer to client without a channel.
    Data,
    /// Lets an address send to the allocation.
    CreatePermission,
    /// Binds a channel number to a peer.
    ChannelBind,
    /// Connects a TCP allocation to a peer.
    Connect,
    /// Splices the connection it comes over with a peer's.
    ConnectionBind,
    /// Tells the client that a peer has connected.
    ConnectionAttempt,
}

impl Method {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 10] = [
        Self::Binding,
        Self::Allocate,
        Self::Refresh,
        Self::Send,
        Self::Data,
        Self::CreatePermission,
        Self::ChannelBind,
        Self::Connect,
        Self::ConnectionBind,
        Self::ConnectionAttempt,
    ];

    /// The name in records and metrics: the RFC's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binding => "Binding",
            Self::Allocate => "Allocate",
            Self::Refresh => "Refresh",
            Self::Send => "Send",
            Self::Data => "Data",
            Self::CreatePermission => "CreatePermission",
            Self::ChannelBind => "ChannelBind",
            Self::Connect => "Connect",
            Self::ConnectionBind => "ConnectionBind",
            Self::ConnectionAttempt => "ConnectionAttempt",
        }
    }

    /// Whether it is one of requests; the others are indications only.
    #[must_use]
    pub const fn is_request(self) -> bool {
        !matches!(self, Self::Send | Self::Data | Self::ConnectionAttempt)
    }

    const fn from_bits(bits: u16) -> Option<Self> {
        Some(match bits {
            0x001 => Self::Binding,
            0x003 => Self::Allocate,
            0x004 => Self::Refresh,
            0x006 => Self::Send,
            0x007 => Self::Data,
            0x008 => Self::CreatePermission,
            0x009 => Self::ChannelBind,
            0x00A => Self::Connect,
            0x00B => Self::ConnectionBind,
            0x00C => Self::ConnectionAttempt,
            _ => return None,
        })
    }

    const fn bits(self) -> u16 {
        match self {
            Self::Binding => 0x001,
            Self::Allocate => 0x003,
            Self::Refresh => 0x004,
            Self::Send => 0x006,
            Self::Data => 0x007,
            Self::CreatePermission => 0x008,
            Self::ChannelBind => 0x009,
            Self::Connect => 0x00A,
            Self::ConnectionBind => 0x00B,
            Self::ConnectionAttempt => 0x00C,
        }
    }
}

/// Class and method interleaved as in RFC 8489 figure 3. All of our methods fit into four bits, so
/// that only the lowest group of method bits is ever set.
const fn message_type(class: Class, method: Method) -> u16 {
    let class_bits = match class {
        Class::Request => 0x000,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    class_bits | method.bits()
}

/// A well-formed STUN message. Everything behind its integrity attribute is out of reach.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: Method,
    /// End of the attributes that may be acted on.
    covered_end: usize,
    integrity: Option<Integrity>,
    has_fingerprint: bool,
}

/// Where an integrity attribute starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// MESSAGE-INTEGRITY at this offset.
    Sha1(usize),
    /// MESSAGE-INTEGRITY-SHA256 at this offset; decides when both are present.
    Sha256(usize),
}

/// Why bytes are no message for us. None of these is answered: whoever can't form a header can't
/// be expected to read an answer, and a reply to noise is a reflection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Wrong leading bits, cookie or length.
    Header,
    /// A method that nobody asked this server to serve.
    Method,
    /// An attribute reaches behind the end.
    Attribute,
    /// FINGERPRINT is wrong or not last.
    Fingerprint,
}

impl<'a> Message<'a> {
    /// Checks header, attribute boundaries and FINGERPRINT of a whole message.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (class, method) = parse_header(bytes)?;
        let mut message = Self {
            bytes,
            class,
            method,
            covered_end: bytes.len(),
            integrity: None,
            has_fingerprint: false,
        };
        for attribute in Attributes::new(bytes, bytes.len()) {
            let attribute = attribute?;
            message.note_end_of_cover(&attribute)?;
        }
        Ok(message)
    }

    /// Remembers where trust ends: the first of MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and
    /// FINGERPRINT (RFC 8489 section 9).
    fn note_end_of_cover(&mut self, attribute: &Attribute<'a>) -> Result<(), Malformed> {
        if self.has_fingerprint {
            return Err(Malformed::Fingerprint);
        }
        match attribute.kind {
            kind::MESSAGE_INTEGRITY if self.integrity.is_none() => {
                self.integrity = Some(Integrity::Sha1(attribute.offset));
            }
            // Behind MESSAGE-INTEGRITY only this attribute still counts, and then it decides.
            kind::MESSAGE_INTEGRITY_SHA256
                if !matches!(self.integrity, Some(Integrity::Sha256(_))) =>
            {
                self.integrity = Some(Integrity::Sha256(attribute.offset));
            }
            kind::FINGERPRINT => {
                if !self.fingerprint_matches(attribute) {
                    return Err(Malformed::Fingerprint);
                }
                self.has_fingerprint = true;
            }
            _ => return Ok(()),
        }
        self.covered_end = self.covered_end.min(attribute.offset);
        Ok(())
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// All bytes, header included.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The client's transaction id.
    #[must_use]
    pub fn transaction(&self) -> TransactionId {
        let id = self
            .bytes
            .get(8..HEADER_LEN)
            .and_then(|id| id.try_into().ok());
        TransactionId(id.unwrap_or_default())
    }

    /// The integrity attribute that decides.
    #[must_use]
    pub const fn integrity(&self) -> Option<Integrity> {
        self.integrity
    }

    /// Whether a reply should carry FINGERPRINT too.
    #[must_use]
    pub const fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// The attributes in front of the integrity attribute, in order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        Attributes::new(self.bytes, self.covered_end).map_while(Result::ok)
    }

    /// The value of the first attribute of this type; later ones are ignored
    /// (RFC 8489 section 14).
    #[must_use]
    pub fn first(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes()
            .find(|attribute| attribute.kind == kind)
            .map(|attribute| attribute.value)
    }
}

fn parse_header(bytes: &[u8]) -> Result<(Class, Method), Malformed> {
    let (&[t0, _, l0, l1, c0, c1, c2, c3], _) =
        bytes.split_first_chunk::<8>().ok_or(Malformed::Header)?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let is_stun = t0 & 0xC0 == 0
        && u32::from_be_bytes([c0, c1, c2, c3]) == MAGIC_COOKIE
        && length % 4 == 0
        && bytes.len() == length.saturating_add(HEADER_LEN);
    if !is_stun {
        return Err(Malformed::Header);
    }
    class_and_method(bytes).ok_or(Malformed::Method)
}

/// Reads the message type, which the header was checked to have, or which we wrote.
pub(crate) fn class_and_method(bytes: &[u8]) -> Option<(Class, Method)> {
    let &[t0, t1] = bytes.first_chunk::<2>()?;
    let class = match (t0 & 0x01, t1 & 0x10) {
        (0, 0) => Class::Request,
        (0, _) => Class::Indication,
        (_, 0) => Class::Success,
        (_, _) => Class::Error,
    };
    // Method bits M0-M3, M4-M6, M7-M11 lie around the two class bits.
    let (high, low) = (u16::from(t0), u16::from(t1));
    let bits = (low & 0x0F) | ((low & 0xE0) >> 1) | ((high & 0x3E) << 6);
    Some((class, Method::from_bits(bits)?))
}

/// One attribute where it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The attribute's type.
    pub kind: u16,
    /// Without padding.
    pub value: &'a [u8],
    /// Where the attribute's header starts, counted from the message's first byte.
    pub offset: usize,
}

/// Walks over attributes up to a given end.
struct Attributes<'a> {
    bytes: &'a [u8],
    offset: usize,
    end: usize,
}

impl<'a> Attributes<'a> {
    const fn new(bytes: &'a [u8], end: usize) -> Self {
        Self {
            bytes,
            offset: HEADER_LEN,
            end,
        }
    }

    fn read(&mut self) -> Option<Attribute<'a>> {
        let offset = self.offset;
        let rest = self.bytes.get(offset..self.end)?;
        let (&[k0, k1, l0, l1], rest) = rest.split_first_chunk::<ATTRIBUTE_HEADER_LEN>()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = rest.get(..length)?;
        let padded = length.checked_next_multiple_of(4)?;
        rest.get(..padded)?;
        self.offset = offset
            .checked_add(ATTRIBUTE_HEADER_LEN)?
            .checked_add(padded)?;
        Some(Attribute {
            kind: u16::from_be_bytes([k0, k1]),
            value,
            offset,
        })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.end {
            return None;
        }
        let attribute = self.read().ok_or(Malformed::Attribute);
        if attribute.is_err() {
            self.offset = self.end;
        }
        Some(attribute)
    }
}

#[cfg(test)]
mod tests;
