//! Allocate (RFC 8656 section 7.2), in two steps: the request is judged and a port claimed, then the
//! driver binds the socket, and only then the client is told.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use rand::{Rng as _, RngCore as _};

use super::super::table::Allocation;
use super::super::{OpenError, Outcome, Relay, RelayAddress, RelayId, ReplyBuffer, reply};
use super::{grant_lifetime, read_lifetime};
use crate::addr::FiveTuple;
use crate::attribute::{ErrorCode, Family, kind};
use crate::auth::Identity;
use crate::integrity::Signer;
use crate::message::{Class, Message, Method, TransactionId, Writer};
use crate::reservations::Token;
use crate::{Now, limits};

/// An Allocate that waits for its socket.
#[derive(Debug)]
pub struct Open {
    /// Bind a UDP socket here, IPv6 ones for IPv6 only.
    pub address: SocketAddr,
    /// The socket was bound as somebody's next one: take that.
    pub is_reserved: bool,
    parity: Parity,
    attempts: u32,
    relay_address: RelayAddress,
    client: FiveTuple,
    username: Box<[u8]>,
    signer: Signer,
    transaction: TransactionId,
    granted_s: u32,
    fingerprint: bool,
}

impl Open {
    /// Bind another one here, on the next port, and keep it for whoever claims it.
    #[must_use]
    pub fn next_address(&self) -> Option<SocketAddr> {
        (self.parity == Parity::EvenWithNext).then(|| next_port(self.address))
    }
}

/// What EVEN-PORT asks for (RFC 8656 section 18.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parity {
    Any,
    Even,
    EvenWithNext,
}

/// What the request wants, before anything is claimed.
struct Wish {
    /// `None` when the client does not care, as browsers don't.
    family: Option<Family>,
    parity: Parity,
    token: Option<Token>,
    lifetime_s: Option<u32>,
}

impl Relay {
    pub(super) fn allocate(
        &mut self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        identity: &Identity<'_>,
        existing: Option<RelayId>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        if let Some(allocation) = existing.and_then(|relay| self.table.get(relay)) {
            // A retransmission gets the same answer, anything else on this five-tuple none.
            return if allocation.transaction == request.transaction()
                && *allocation.username == *identity.username
            {
                let fingerprint = request.has_fingerprint();
                granted(allocation, fingerprint, reply)
            } else {
                reply::error(
                    request,
                    Some(&identity.signer),
                    ErrorCode::AllocationMismatch,
                    reply,
                )
            };
        }
        if identity.expired {
            return self.challenge(now, client, request, ErrorCode::Unauthenticated, reply);
        }
        let opened =
            read_wish(request).and_then(|wish| self.open(client, request, identity, &wish));
        opened.unwrap_or_else(|code| reply::error(request, Some(&identity.signer), code, reply))
    }

    fn open(
        &mut self,
        client: &FiveTuple,
        request: &Message<'_>,
        identity: &Identity<'_>,
        wish: &Wish,
    ) -> Result<Outcome, ErrorCode> {
        let (relay_address, address) = match wish.token {
            Some(token) => self.claim_reserved(&token, identity.username)?,
            None => self.claim_new(client, wish)?,
        };
        Ok(Outcome::Open(Box::new(Open {
            address,
            is_reserved: wish.token.is_some(),
            parity: wish.parity,
            attempts: 1,
            relay_address,
            client: *client,
            username: identity.username.into(),
            signer: identity.signer,
            transaction: request.transaction(),
            granted_s: grant_lifetime(wish.lifetime_s),
            fingerprint: request.has_fingerprint(),
        })))
    }

    fn claim_new(
        &mut self,
        client: &FiveTuple,
        wish: &Wish,
    ) -> Result<(RelayAddress, SocketAddr), ErrorCode> {
        let relay_address = self
            .relay_address(client, wish.family.unwrap_or(Family::Ipv4))
            .or_else(|| match wish.family {
                // IPv4 by the RFC; but a server without it still has something to offer.
                None => self.relay_address(client, Family::Ipv6),
                Some(_) => None,
            })
            .ok_or(ErrorCode::AddressFamilyNotSupported)?;
        let address = self.claim_port(relay_address, wish.parity);
        Ok((
            relay_address,
            address.ok_or(ErrorCode::InsufficientCapacity)?,
        ))
    }

    fn claim_reserved(
        &self,
        token: &Token,
        username: &[u8],
    ) -> Result<(RelayAddress, SocketAddr), ErrorCode> {
        let address = self.settings.reservations.claim(token, username);
        let address = address.ok_or(ErrorCode::InsufficientCapacity)?;
        let mut addresses = self.settings.relay_addresses.iter();
        let relay_address = addresses.find(|it| it.local == address.ip()).copied();
        Ok((
            relay_address.ok_or(ErrorCode::InsufficientCapacity)?,
            address,
        ))
    }

    /// Takes a free port, beginning at a random one so that nobody can guess the next.
    fn claim_port(&mut self, address: RelayAddress, parity: Parity) -> Option<SocketAddr> {
        let ports = &self.settings.ports;
        let start: u32 = self.random.random_range(0..ports.count());
        let try_port = |offset: u32| {
            let port = ports.at(start.wrapping_add(offset));
            if parity != Parity::Any && !port.is_multiple_of(2) {
                return ControlFlow::Continue(());
            }
            let first = SocketAddr::new(address.local, port);
            if !ports.claim(first) {
                return ControlFlow::Continue(());
            }
            let next = next_port(first);
            if parity == Parity::EvenWithNext && !ports.claim(next) {
                ports.release(first);
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(first)
        };
        (0..ports.count()).try_for_each(try_port).break_value()
    }

    /// The driver's answer to [`Outcome::Open`]. On success the client gets its reply, on a taken
    /// port another one is tried, everything else is 508.
    pub fn handle_opened(
        &mut self,
        now: Now,
        mut open: Box<Open>,
        result: Result<(), OpenError>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        let Err(error) = result else {
            return self.opened(now, *open, reply);
        };
        self.settings.ports.release(open.address);
        if let Some(next) = open.next_address() {
            self.settings.ports.release(next);
        }
        let may_retry = open.attempts < limits::MAX_PORT_ATTEMPTS && !open.is_reserved;
        if error == OpenError::AddressInUse && may_retry {
            open.attempts += 1;
            if let Some(address) = self.claim_port(open.relay_address, open.parity) {
                open.address = address;
                return Outcome::Open(open);
            }
        }
        refused(&open, reply)
    }

    fn opened(&mut self, now: Now, open: Open, reply: &mut ReplyBuffer) -> Outcome {
        let token = open.next_address().map(|next| {
            let mut token = Token::default();
            self.random.fill_bytes(&mut token);
            self.settings
                .reservations
                .insert(token, open.username.clone(), next);
            self.reserved
                .push_back((now.monotonic + limits::RESERVATION_LIFETIME, token));
            token
        });
        let public = SocketAddr::new(open.relay_address.public, open.address.port());
        let allocation = Allocation::new(
            open.client,
            open.address,
            public,
            (open.username, open.signer),
            (open.transaction, open.granted_s, token),
        );
        let relay = self
            .table
            .insert(allocation, now.monotonic, &self.settings.ports);
        let allocation = self.table.get(relay).expect("it was inserted just now");
        match granted(allocation, open.fingerprint, reply) {
            Outcome::Reply(reply) => Outcome::Opened { relay, reply },
            other => other,
        }
    }
}

fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port().saturating_add(1))
}

/// Judges the request's attributes in the order of RFC 8656 section 7.2.
fn read_wish(request: &Message<'_>) -> Result<Wish, ErrorCode> {
    match request.first(kind::REQUESTED_TRANSPORT) {
        Some([UDP, _, _, _]) => {}
        Some([_, _, _, _]) => return Err(ErrorCode::UnsupportedTransport),
        Some(_) | None => return Err(ErrorCode::BadRequest),
    }
    let lifetime_s = read_lifetime(request)?;
    let parity = match request.first(kind::EVEN_PORT) {
        None => Parity::Any,
        Some([flags]) if flags & 0x80 != 0 => Parity::EvenWithNext,
        Some([_]) => Parity::Even,
        Some(_) => return Err(ErrorCode::BadRequest),
    };
    let asked_family = match request.first(kind::REQUESTED_ADDRESS_FAMILY) {
        None => None,
        Some([family, _, _, _]) => {
            Some(Family::from_byte(*family).ok_or(ErrorCode::AddressFamilyNotSupported)?)
        }
        Some(_) => return Err(ErrorCode::BadRequest),
    };
    let token = match request.first(kind::RESERVATION_TOKEN) {
        None => None,
        Some(value) => Some(Token::try_from(value).map_err(|_| ErrorCode::BadRequest)?),
    };
    if token.is_some() && (parity != Parity::Any || asked_family.is_some()) {
        return Err(ErrorCode::BadRequest);
    }
    Ok(Wish {
        family: asked_family,
        parity,
        token,
        lifetime_s,
    })
}

/// Protocol number of UDP.
const UDP: u8 = 17;

/// The success response; the same for every retransmission.
fn granted(allocation: &Allocation, fingerprint: bool, buffer: &mut ReplyBuffer) -> Outcome {
    let mut writer = Writer::new(
        buffer,
        Class::Success,
        Method::Allocate,
        allocation.transaction,
    );
    writer.xor_address(kind::XOR_RELAYED_ADDRESS, allocation.public);
    writer.attribute(kind::LIFETIME, &allocation.granted_s.to_be_bytes());
    writer.xor_address(kind::XOR_MAPPED_ADDRESS, allocation.client.client);
    if let Some(token) = allocation.token {
        writer.attribute(kind::RESERVATION_TOKEN, &token);
    }
    reply::sent(writer.finish(Some(&allocation.signer), fingerprint))
}

/// 508 for a request whose socket could not be bound.
fn refused(open: &Open, buffer: &mut ReplyBuffer) -> Outcome {
    let mut writer = Writer::new(buffer, Class::Error, Method::Allocate, open.transaction);
    writer.error_code(ErrorCode::InsufficientCapacity);
    reply::sent(writer.finish(Some(&open.signer), open.fingerprint))
}
