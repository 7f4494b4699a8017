//! What an Allocate request wants, judged in the order of RFC 8656 section 7.2.

use super::super::read_lifetime;
use crate::addr::{PeerProtocol, Transport};
use crate::attribute::{ErrorCode, Family, kind};
use crate::message::Message;
use crate::ports::Parity;
use crate::reservations::Token;

/// Before anything is claimed.
pub(super) struct Wish {
    pub(super) protocol: PeerProtocol,
    pub(super) families: Families,
    pub(super) parity: Parity,
    pub(super) token: Option<Token>,
    pub(super) lifetime_s: Option<u32>,
    /// The client asks for a ticket (RFC 8016 section 3.1).
    pub(super) is_mobile: bool,
}

/// Of which families relayed addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    /// The client does not care, as browsers don't.
    Any,
    One(Family),
    /// ADDITIONAL-ADDRESS-FAMILY.
    Both,
}

/// Protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What TCP allocations can't have (RFC 6062 section 5.1), and families that would need a second one.
const NOT_WITH_TCP: [u16; 4] = [
    kind::DONT_FRAGMENT,
    kind::EVEN_PORT,
    kind::RESERVATION_TOKEN,
    kind::ADDITIONAL_ADDRESS_FAMILY,
];

/// `client` is the transport that the request came by, `has_tcp` whether TCP is relayed at all.
///
/// # Errors
/// 400, 440 or 442.
pub(super) fn read(
    request: &Message<'_>,
    client: Transport,
    has_tcp: bool,
) -> Result<Wish, ErrorCode> {
    let protocol = match request.first(kind::REQUESTED_TRANSPORT) {
        Some([UDP, _, _, _]) => PeerProtocol::Udp,
        Some([TCP, _, _, _]) if has_tcp => PeerProtocol::Tcp,
        Some([_, _, _, _]) => return Err(ErrorCode::UnsupportedTransport),
        Some(_) | None => return Err(ErrorCode::BadRequest),
    };
    if protocol == PeerProtocol::Tcp {
        let contradicts = NOT_WITH_TCP.iter().any(|it| request.first(*it).is_some());
        if contradicts || !client.is_stream() {
            return Err(ErrorCode::BadRequest);
        }
    }
    let lifetime_s = read_lifetime(request)?;
    let token = match request.first(kind::RESERVATION_TOKEN) {
        None => None,
        Some(value) => Some(Token::try_from(value).map_err(|_| ErrorCode::BadRequest)?),
    };
    let families = read_families(request)?;
    let parity = match request.first(kind::EVEN_PORT) {
        None => Parity::Any,
        Some([flags]) if flags & 0x80 != 0 => Parity::EvenWithNext,
        Some([_]) => Parity::Even,
        Some(_) => return Err(ErrorCode::BadRequest),
    };
    // A token names its port already; two families can't both have the one port reserved.
    let contradicts_token = parity != Parity::Any || families != Families::Any;
    let contradicts_pair = parity == Parity::EvenWithNext && families == Families::Both;
    if (token.is_some() && contradicts_token) || contradicts_pair {
        return Err(ErrorCode::BadRequest);
    }
    let is_mobile = match request.first(kind::MOBILITY_TICKET) {
        None => false,
        Some([]) => true,
        Some(_) => return Err(ErrorCode::BadRequest),
    };
    Ok(Wish {
        protocol,
        families,
        parity,
        token,
        lifetime_s,
        is_mobile,
    })
}

fn read_families(request: &Message<'_>) -> Result<Families, ErrorCode> {
    let read = |kind| match request.first(kind) {
        None => Ok(None),
        Some([family, _, _, _]) => Ok(Some(*family)),
        Some(_) => Err(ErrorCode::BadRequest),
    };
    let requested = read(kind::REQUESTED_ADDRESS_FAMILY)?;
    let additional = read(kind::ADDITIONAL_ADDRESS_FAMILY)?;
    match (requested, additional) {
        (None, None) => Ok(Families::Any),
        (Some(family), None) => {
            let family = Family::from_byte(family);
            Ok(Families::One(
                family.ok_or(ErrorCode::AddressFamilyNotSupported)?,
            ))
        }
        // Only IPv6 is ever additional.
        (None, Some(family)) if family == Family::Ipv6.byte() => Ok(Families::Both),
        (_, Some(_)) => Err(ErrorCode::BadRequest),
    }
}
