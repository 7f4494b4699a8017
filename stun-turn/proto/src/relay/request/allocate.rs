//! Allocate (RFC 8656 section 7.2), in two steps: the request is judged and a port claimed, then the
//! driver binds the socket, and only then the client is told. A dual allocation takes the second
//! step twice.

mod wish;

use std::net::{IpAddr, SocketAddr};

use rand::seq::IteratorRandom as _;
use rand::{Rng as _, RngCore as _};

use super::super::allocation::New;
use super::super::table::Relays;
use super::super::{
    OpenError, Outcome, RefusalCause, Relay, RelayAddress, RelayId, ReplyBuffer, reply,
};
use super::grant_lifetime;
use crate::addr::{FiveTuple, PeerProtocol};
use crate::attribute::{ErrorCode, Family, kind};
use crate::auth::{Identity, credential};
use crate::integrity::Signer;
use crate::message::{Class, Message, Method, TransactionId, Writer};
use crate::ports::{Class as PortClass, Parity, Search};
use crate::quotas::Place;
use crate::reservations::Token;
use crate::{Now, limits};
use wish::{Families, Wish};

/// An Allocate that waits for its socket.
#[derive(Debug)]
pub struct Open {
    /// Bind a socket here, IPv6 ones for IPv6 only.
    pub address: SocketAddr,
    /// A UDP socket, or a TCP one that listens and shares its address with outgoing connections.
    pub protocol: PeerProtocol,
    /// The socket was bound as somebody's next one: take that.
    pub is_reserved: bool,
    parity: Parity,
    attempts: u32,
    /// Where the search for a port began.
    start: u16,
    /// How good the port was thought to be.
    class: PortClass,
    relay_address: RelayAddress,
    place: Place,
    /// For the reserved next port.
    next_place: Option<Place>,
    /// Still to be opened after this one.
    then: Option<Family>,
    /// Why there is none of the other family.
    missing: Option<ErrorCode>,
    /// The other family's, already opened.
    first: Option<RelayId>,
    asker: Asker,
}

/// Who asked, and how to answer.
#[derive(Debug, Clone)]
struct Asker {
    client: FiveTuple,
    protocol: PeerProtocol,
    username: Box<[u8]>,
    account: Box<[u8]>,
    signer: Signer,
    transaction: TransactionId,
    granted_s: u32,
    fingerprint: bool,
    is_mobile: bool,
}

impl Open {
    /// Bind another one here, on the next port, and keep it for whoever claims it.
    #[must_use]
    pub fn next_address(&self) -> Option<SocketAddr> {
        let next = self.address.port().saturating_add(1);
        (self.parity == Parity::EvenWithNext).then(|| SocketAddr::new(self.address.ip(), next))
    }
}

impl Relay {
    pub(super) fn allocate(
        &mut self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        identity: &Identity<'_>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        if let Some(relays) = self.table.find(client) {
            // A retransmission gets the same answer, anything else on this five-tuple none.
            let first = self.table.get(relays.first);
            let is_same = first.is_some_and(|allocation| {
                allocation.transaction == request.transaction()
                    && *allocation.username == *identity.username
            });
            return if is_same {
                self.granted(relays, request.has_fingerprint(), reply)
            } else {
                reply::error(
                    request,
                    Some(&identity.signer),
                    ErrorCode::AllocationMismatch,
                    reply,
                )
            };
        }
        let ahead_s = identity.ahead_s;
        let most_s = self.settings.max_credential_ttl_s;
        let is_too_far = ahead_s > most_s.saturating_add(limits::CREDENTIAL_LEEWAY_S);
        if identity.expired || is_too_far {
            let expired_at = credential::expires_at(identity.username);
            let since_s = now.unix_s.saturating_sub(expired_at.unwrap_or_default());
            let cause = match is_too_far {
                true => RefusalCause::TooFarAhead(ahead_s),
                false => RefusalCause::Expired(since_s),
            };
            self.explain(identity.username, cause);
            return self.challenge(now, client, request, ErrorCode::Unauthenticated, reply);
        }
        self.settings.ports.pass_time(now.monotonic);
        let wish = wish::read(request, client.transport, self.settings.tcp_relay.is_some());
        let opened = wish.and_then(|wish| self.open(now, client, request, identity, &wish));
        opened.unwrap_or_else(|code| self.refuse(client, request, identity, code, reply))
    }

    /// An error, with another server's address where the client is sent there.
    fn refuse(
        &mut self,
        client: &FiveTuple,
        request: &Message<'_>,
        identity: &Identity<'_>,
        code: ErrorCode,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        let alternate = (code == ErrorCode::TryAlternate)
            .then(|| self.alternate(client))
            .flatten();
        reply::error_with(request, Some(&identity.signer), code, reply, |writer| {
            if let Some(server) = alternate {
                writer.address(kind::ALTERNATE_SERVER, server);
            }
        })
    }

    /// Another server that the client can reach over the family it came by.
    fn alternate(&mut self, client: &FiveTuple) -> Option<SocketAddr> {
        let servers = self.settings.alternate_servers.iter();
        let of_family = servers.filter(|server| server.is_ipv4() == client.client.is_ipv4());
        of_family.choose(&mut self.random).copied()
    }

    fn open(
        &mut self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        identity: &Identity<'_>,
        wish: &Wish,
    ) -> Result<Outcome, ErrorCode> {
        if wish.is_mobile && !self.settings.mobility {
            return Err(ErrorCode::MobilityForbidden);
        }
        if self.alternate(client).is_some() {
            return Err(ErrorCode::TryAlternate);
        }
        if self.is_draining {
            self.explain(identity.username, RefusalCause::Draining);
            return Err(ErrorCode::InsufficientCapacity);
        }
        let asker = Asker {
            client: *client,
            protocol: wish.protocol,
            username: identity.username.into(),
            account: identity.account.into(),
            signer: identity.signer,
            transaction: request.transaction(),
            granted_s: grant_lifetime(wish.lifetime_s),
            fingerprint: request.has_fingerprint(),
            is_mobile: wish.is_mobile,
        };
        let open = match (&wish.token, wish.families) {
            (Some(token), _) => self.claim_reserved(asker, token),
            (None, Families::One(family)) => self.claim_new(now, asker, family, wish.parity),
            // IPv4 by the RFC; but a server without it still has something to offer.
            (None, Families::Any) => {
                let has_ipv4 = self.relay_address(client, Family::Ipv4).is_some();
                let family = if has_ipv4 { Family::Ipv4 } else { Family::Ipv6 };
                self.claim_new(now, asker, family, wish.parity)
            }
            (None, Families::Both) => self.claim_both(now, asker, wish.parity),
        };
        open.map(|open| Outcome::Open(Box::new(open)))
    }

    /// IPv4 first and IPv6 then; where one of them is not to be had, the other one alone.
    fn claim_both(&mut self, now: Now, asker: Asker, parity: Parity) -> Result<Open, ErrorCode> {
        match self.claim_new(now, asker.clone(), Family::Ipv4, parity) {
            Ok(open) => Ok(Open {
                then: Some(Family::Ipv6),
                ..open
            }),
            Err(ErrorCode::AllocationQuotaReached) => Err(ErrorCode::AllocationQuotaReached),
            Err(code) => {
                let open = self.claim_new(now, asker, Family::Ipv6, parity)?;
                Ok(Open {
                    missing: Some(code),
                    ..open
                })
            }
        }
    }

    fn claim_new(
        &mut self,
        now: Now,
        asker: Asker,
        family: Family,
        parity: Parity,
    ) -> Result<Open, ErrorCode> {
        let relay_address = self.relay_address(&asker.client, family);
        let relay_address = relay_address.ok_or(ErrorCode::AddressFamilyNotSupported)?;
        let place = self.take_place(now, &asker)?;
        let next_place = match parity {
            Parity::EvenWithNext => Some(self.take_place(now, &asker)?),
            Parity::Any | Parity::Even => None,
        };
        let search = Search {
            ip: relay_address.local,
            parity,
            start: self.random_port(),
            worst: PortClass::SetAside,
            tried: None,
        };
        let Some((address, class)) = self.settings.ports.take(search) else {
            self.explain(&asker.username, RefusalCause::NoPort);
            return Err(ErrorCode::InsufficientCapacity);
        };
        Ok(Open {
            address,
            protocol: asker.protocol,
            is_reserved: false,
            parity,
            attempts: 1,
            start: search.start,
            class,
            relay_address,
            place,
            next_place,
            then: None,
            missing: None,
            first: None,
            asker,
        })
    }

    fn take_place(&mut self, now: Now, asker: &Asker) -> Result<Place, ErrorCode> {
        let quotas = &self.settings.shared.quotas;
        let source = asker.client.client.ip();
        let limits = self.settings.quotas;
        let place = quotas.take(limits, &asker.account, source, now.monotonic);
        place.map_err(|exceeded| {
            self.explain(&asker.username, RefusalCause::Quota(exceeded));
            exceeded.code()
        })
    }

    fn claim_reserved(&mut self, asker: Asker, token: &Token) -> Result<Open, ErrorCode> {
        let reservations = &self.settings.shared.reservations;
        let Some((address, place)) = reservations.claim(token, &asker.username) else {
            self.explain(&asker.username, RefusalCause::NoReservation);
            return Err(ErrorCode::InsufficientCapacity);
        };
        let mut addresses = self.settings.relay_addresses.iter();
        let relay_address = addresses.find(|it| it.local == address.ip()).copied();
        Ok(Open {
            address,
            protocol: asker.protocol,
            is_reserved: true,
            parity: Parity::Any,
            attempts: 1,
            start: address.port(),
            class: PortClass::Free,
            relay_address: relay_address.ok_or(ErrorCode::InsufficientCapacity)?,
            place,
            next_place: None,
            then: None,
            missing: None,
            first: None,
            asker,
        })
    }

    /// Where a search begins: nobody can guess the next port.
    fn random_port(&mut self) -> u16 {
        let ports = &self.settings.ports;
        ports.at(self.random.random_range(0..ports.count()))
    }

    /// The driver's answer to [`Outcome::Open`]. On success the client gets its reply, on a taken
    /// port another one is tried, everything else is 508.
    pub fn handle_opened(
        &mut self,
        now: Now,
        open: Box<Open>,
        result: Result<(), OpenError>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        let outcome = match result {
            Ok(()) => self.opened(now, *open, reply),
            Err(error) => self.not_opened(now, *open, error, reply),
        };
        self.count(&outcome, reply);
        outcome
    }

    fn not_opened(
        &mut self,
        now: Now,
        mut open: Open,
        error: OpenError,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        let cause = match error {
            OpenError::Failed => RefusalCause::NoSocket,
            OpenError::AddressInUse | OpenError::NextAddressInUse => RefusalCause::NoPort,
        };
        self.explain(&open.asker.username, cause);
        self.give_up_ports(&open, error);
        if error != OpenError::Failed && self.take_another_port(&mut open) {
            return Outcome::Open(Box::new(open));
        }
        let Open {
            asker,
            then,
            parity,
            first,
            place,
            ..
        } = open;
        drop(place);
        let code = ErrorCode::InsufficientCapacity;
        if let Some(first) = first {
            return self.grant_without(&asker, first, code, reply);
        }
        // Nothing was opened yet: the other family alone, if it was asked for.
        let other = then.map(|family| self.claim_new(now, asker.clone(), family, parity));
        match other {
            Some(Ok(open)) => Outcome::Open(Box::new(Open {
                missing: Some(code),
                ..open
            })),
            Some(Err(_)) | None => refused(&asker, reply),
        }
    }

    /// Gives back what was taken; what another program holds is not tried again soon.
    fn give_up_ports(&self, open: &Open, error: OpenError) {
        let ports = &self.settings.ports;
        let give_up = |address, is_foreign| match is_foreign {
            true => ports.set_aside(address),
            false => ports.give_back(address),
        };
        give_up(open.address, error == OpenError::AddressInUse);
        if let Some(next) = open.next_address() {
            give_up(next, error == OpenError::NextAddressInUse);
        }
    }

    /// Whether there is a port that this request has not tried. Ports that were set aside before the
    /// request are tried only when it began with one, because there was no other.
    fn take_another_port(&self, open: &mut Open) -> bool {
        let (limit, tried) = match open.class {
            PortClass::SetAside => (limits::MAX_SET_ASIDE_ATTEMPTS, Some(open.address.port())),
            PortClass::Free | PortClass::Resting => (limits::MAX_PORT_ATTEMPTS, None),
        };
        if open.is_reserved || open.attempts >= limit {
            return false;
        }
        open.attempts += 1;
        let search = Search {
            ip: open.relay_address.local,
            parity: open.parity,
            start: open.start,
            worst: open.class.max(PortClass::Resting),
            tried,
        };
        let found = self.settings.ports.take(search);
        if let Some((address, class)) = found {
            (open.address, open.class) = (address, class);
        }
        found.is_some()
    }

    /// The answer to a dual allocation of which only the first part could be made.
    fn grant_without(
        &mut self,
        asker: &Asker,
        first: RelayId,
        code: ErrorCode,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        if let Some(allocation) = self.table.get_mut(first) {
            allocation.missing = Some(code);
        }
        match self.table.find(&asker.client) {
            Some(relays) => self.granted(relays, asker.fingerprint, reply),
            None => refused(asker, reply),
        }
    }

    fn opened(&mut self, now: Now, open: Open, reply: &mut ReplyBuffer) -> Outcome {
        let next = open.next_address().zip(open.next_place);
        let asker = open.asker;
        let token = next.map(|(address, place)| self.reserve(now, &asker, address, place));
        let new = New {
            client: asker.client,
            protocol: asker.protocol,
            relayed: open.address,
            public: SocketAddr::new(open.relay_address.public, open.address.port()),
            username: asker.username.clone(),
            signer: asker.signer,
            transaction: asker.transaction,
            granted_s: asker.granted_s,
            token,
            missing: open.missing,
            place: open.place,
        };
        let ports = &self.settings.ports;
        let relay = self.table.insert(new, now.monotonic, ports);
        self.totals.count_created(asker.client.transport);
        if asker.is_mobile && self.table.ticket(&asker.client).is_none() {
            let ticket = self.new_ticket();
            self.table.movers.admit(asker.client, ticket);
        }
        let next = match open.then {
            Some(family) => match self.claim_new(now, asker.clone(), family, open.parity) {
                Ok(open) => Outcome::Open(Box::new(Open {
                    first: Some(relay),
                    ..open
                })),
                Err(ErrorCode::AddressFamilyNotSupported) => {
                    let code = ErrorCode::AddressFamilyNotSupported;
                    self.grant_without(&asker, relay, code, reply)
                }
                Err(_) => self.grant_without(&asker, relay, ErrorCode::InsufficientCapacity, reply),
            },
            None => match self.table.find(&asker.client) {
                Some(relays) => self.granted(relays, asker.fingerprint, reply),
                None => refused(&asker, reply),
            },
        };
        Outcome::Opened {
            relay,
            next: Box::new(next),
        }
    }

    /// Keeps the next port for the same user.
    fn reserve(&mut self, now: Now, asker: &Asker, address: SocketAddr, place: Place) -> Token {
        let mut token = Token::default();
        self.random.fill_bytes(&mut token);
        let reservations = &self.settings.shared.reservations;
        reservations.insert(token, asker.username.clone(), address, place);
        self.reserved
            .push_back((now.monotonic + limits::RESERVATION_LIFETIME, token));
        token
    }

    /// The success response; the same for every retransmission.
    fn granted(&self, relays: Relays, fingerprint: bool, buffer: &mut ReplyBuffer) -> Outcome {
        let allocations = || relays.iter().filter_map(|relay| self.table.get(relay));
        let first = allocations()
            .next()
            .expect("a five-tuple that is found has an allocation");
        let mut writer = Writer::new(buffer, Class::Success, Method::Allocate, first.transaction);
        for allocation in allocations() {
            writer.xor_address(kind::XOR_RELAYED_ADDRESS, allocation.public);
        }
        writer.attribute(kind::LIFETIME, &first.granted_s.to_be_bytes());
        writer.xor_address(kind::XOR_MAPPED_ADDRESS, first.client.client);
        if let Some(token) = first.token {
            writer.attribute(kind::RESERVATION_TOKEN, &token);
        }
        if let Some(ticket) = self.table.ticket(&first.client) {
            writer.attribute(kind::MOBILITY_TICKET, &ticket);
        }
        if let Some(code) = first.missing {
            writer.address_error_code(first.family().other(), code);
        }
        reply::sent(writer.finish(Some(&first.signer), fingerprint))
    }

    /// The relay address for a client, by family: the one it reached us on, else the first.
    fn relay_address(&self, client: &FiveTuple, family: Family) -> Option<RelayAddress> {
        let reached = |ip: IpAddr| ip == client.server.ip();
        let addresses = self.settings.relay_addresses.iter();
        let of_family = || {
            addresses
                .clone()
                .filter(|it| Family::of(it.local) == family)
        };
        of_family()
            .find(|address| reached(address.local))
            .or_else(|| of_family().next())
            .copied()
    }
}

/// 508 for a request whose socket could not be bound.
fn refused(asker: &Asker, buffer: &mut ReplyBuffer) -> Outcome {
    let mut writer = Writer::new(buffer, Class::Error, Method::Allocate, asker.transaction);
    writer.error_code(ErrorCode::InsufficientCapacity);
    reply::sent(writer.finish(Some(&asker.signer), asker.fingerprint))
}
