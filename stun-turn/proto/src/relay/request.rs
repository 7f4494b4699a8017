//! Requests: who asks, may they, and which handler answers.

pub(super) mod allocate;
mod binding;
mod channel_bind;
mod connect;
mod create_permission;
mod refresh;

use std::net::SocketAddr;
use std::sync::Arc;

use super::allocation::Allocation;
use super::{DropReason, Outcome, RefusalCause, Relay, RelayId, ReplyBuffer, Settings, reply};
use crate::addr::FiveTuple;
use crate::attribute::{ErrorCode, Family, decode_xor_address, is_unknown_required, kind};
use crate::auth::Identity;
use crate::integrity::Signer;
use crate::message::{Message, Method};
use crate::{Now, limits, policy};

impl Relay {
    pub(super) fn request(
        &mut self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        self.reason = None;
        match request.method() {
            Method::Binding => return self.binding(now, client, request, reply),
            Method::ConnectionBind => return self.connection_bind(now, client, request, reply),
            Method::Send | Method::Data | Method::ConnectionAttempt => {
                return Outcome::Drop(DropReason::NotForServers);
            }
            Method::Allocate
            | Method::Refresh
            | Method::CreatePermission
            | Method::ChannelBind
            | Method::Connect => {}
        }
        let known = self.find_known(client, request);
        let relays = known.and_then(|known| self.table.find(&known));
        let holder = relays.map(|relays| relays.first);
        // A handle of its own: the user's name may be borrowed from it while the table changes.
        let settings = Arc::clone(&self.settings);
        let identity = match self.identify(&settings, now, client, request, holder, reply) {
            Ok(identity) => identity,
            Err(outcome) => return outcome,
        };
        let has_moved = self.settle_move(client, request, identity.username);
        if request.method() == Method::Allocate {
            return self.allocate(now, client, request, &identity, reply);
        }
        let known = known.filter(|_| !has_moved).unwrap_or(*client);
        match self.handle_on_allocation(now, (client, &known), request, &identity, reply) {
            Ok(outcome) => outcome,
            Err(code) => reply::error(request, Some(&identity.signer), code, reply),
        }
    }

    /// Who asks, if they can prove it and say nothing that this server does not understand. `holder`
    /// is the allocation that the request is about: its user's key is at hand.
    ///
    /// # Errors
    /// What is answered instead.
    fn identify<'a>(
        &mut self,
        settings: &'a Settings,
        now: Now,
        client: &FiveTuple,
        request: &Message<'a>,
        holder: Option<RelayId>,
        reply: &mut ReplyBuffer,
    ) -> Result<Identity<'a>, Outcome> {
        let owner = holder.and_then(|relay| self.table.get(relay));
        let owner = owner.map(Allocation::owner);
        let verified = settings
            .authenticator
            .verify(request, client, owner, now.unix_s)
            .and_then(|identity| self.refuse_revoked(now, identity));
        let identity = match verified {
            Ok(identity) => identity,
            Err(code) => {
                self.explain_unknown(settings, now, request, code);
                return Err(self.challenge(now, client, request, code, reply));
            }
        };
        self.trust(now, client);
        match refuse_unknown_attributes(request, &[], Some(&identity.signer), reply) {
            Some(refusal) => Err(refusal),
            None => Ok(identity),
        }
    }

    /// Remembers what is wrong with credentials. A request without any is how every client begins.
    fn explain_unknown(
        &mut self,
        settings: &Settings,
        now: Now,
        request: &Message<'_>,
        code: ErrorCode,
    ) {
        if code != ErrorCode::Unauthenticated || request.integrity().is_none() {
            return;
        }
        let name = request.first(kind::USERNAME).unwrap_or_default();
        let is_revoked = settings.shared.revoked.holds(name, now.unix_s);
        let cause = match is_revoked {
            true => RefusalCause::Revoked,
            false => settings.authenticator.why_unknown(request),
        };
        self.explain(name, cause);
    }

    /// Whoever is revoked is answered like a stranger.
    fn refuse_revoked<'a>(
        &self,
        now: Now,
        identity: Identity<'a>,
    ) -> Result<Identity<'a>, ErrorCode> {
        let revoked = &self.settings.shared.revoked;
        if revoked.holds(identity.username, now.unix_s) {
            return Err(ErrorCode::Unauthenticated);
        }
        Ok(identity)
    }

    /// The five-tuple in force of whoever asks: their own, that of the ticket they show, or the one
    /// that they announced to leave.
    fn find_known(&self, client: &FiveTuple, request: &Message<'_>) -> Option<FiveTuple> {
        if self.table.find(client).is_some() {
            return Some(*client);
        }
        if !self.settings.mobility {
            return None;
        }
        match request.first(kind::MOBILITY_TICKET) {
            Some(ticket) if request.method() == Method::Refresh => self.table.movers.find(ticket),
            Some(_) => None,
            None => self.table.movers.announced_by(client),
        }
    }

    /// An authenticated request from the announced address, without a ticket, completes the move;
    /// whether it did.
    fn settle_move(&mut self, client: &FiveTuple, request: &Message<'_>, username: &[u8]) -> bool {
        let announced = self.table.movers.announced_by(client);
        let relays = announced.and_then(|from| self.table.find(&from));
        let allocation = relays.and_then(|relays| self.table.get(relays.first));
        let is_owner = allocation.is_some_and(|it| *it.username == *username);
        let completes = is_owner && request.first(kind::MOBILITY_TICKET).is_none();
        if completes {
            self.complete_move(client);
        }
        completes
    }

    /// Whether a stranger may be answered once more. What comes over a connection has proven its
    /// address.
    pub(super) fn may_answer(&self, now: Now, client: &FiveTuple) -> bool {
        let strangers = &self.settings.shared.strangers;
        client.transport.is_stream() || strangers.spend(client.client.ip(), now.monotonic)
    }

    /// The client has shown that it receives at its address.
    fn trust(&self, now: Now, client: &FiveTuple) {
        if !client.transport.is_stream() {
            let strangers = &self.settings.shared.strangers;
            strangers.earn(client.client.ip(), now.monotonic);
        }
    }

    /// Refresh, CreatePermission, ChannelBind and Connect need an allocation of the same user.
    fn handle_on_allocation(
        &mut self,
        now: Now,
        (client, known): (&FiveTuple, &FiveTuple),
        request: &Message<'_>,
        identity: &Identity<'_>,
        reply: &mut ReplyBuffer,
    ) -> Result<Outcome, ErrorCode> {
        let shows_ticket = request.first(kind::MOBILITY_TICKET).is_some();
        if shows_ticket && request.method() == Method::Refresh && !self.settings.mobility {
            return Err(ErrorCode::MobilityForbidden);
        }
        let relays = self
            .table
            .find(known)
            .ok_or(ErrorCode::AllocationMismatch)?;
        let first = self.table.get(relays.first);
        if *first.ok_or(ErrorCode::AllocationMismatch)?.username != *identity.username {
            return Err(ErrorCode::WrongCredentials);
        }
        match request.method() {
            Method::Refresh => self.refresh(now, (client, known), request, identity, reply),
            Method::CreatePermission => {
                self.create_permission(now, client, request, identity, reply)
            }
            Method::Connect => self.connect(now, client, request, identity),
            _ => self.channel_bind(now, client, request, identity, reply),
        }
    }

    /// An XOR-PEER-ADDRESS and the client's allocation that may have it as its peer: 400 when it
    /// can't be read, 443 when there is no allocation of its family, 403 where an IPv6 form hides
    /// an IPv4 address, which no relayed IPv6 socket can reach.
    fn read_peer(
        &self,
        client: &FiveTuple,
        request: &Message<'_>,
        value: &[u8],
    ) -> Result<(RelayId, SocketAddr), ErrorCode> {
        let peer = decode_xor_address(value, request.transaction()).ok_or(ErrorCode::BadRequest)?;
        let family = Family::of(peer.ip());
        let relay = self.table.find_family(client, family);
        let relay = relay.ok_or(ErrorCode::PeerAddressFamilyMismatch)?;
        let peer = policy::canonical(peer);
        if Family::of(peer.ip()) != family {
            return Err(ErrorCode::Forbidden);
        }
        Ok((relay, peer))
    }
}

/// 420 with the attributes that this server does not know (RFC 8489 section 6.3.1).
fn refuse_unknown_attributes(
    request: &Message<'_>,
    known_here: &[u16],
    signer: Option<&Signer>,
    reply: &mut ReplyBuffer,
) -> Option<Outcome> {
    let mut listed = [0; limits::MAX_UNKNOWN_ATTRIBUTES * 2];
    let mut length = 0;
    let unknown = request
        .attributes()
        .map(|a| a.kind)
        .filter(|kind| is_unknown_required(*kind) && !known_here.contains(kind));
    for (place, kind) in listed.chunks_exact_mut(2).zip(unknown) {
        place.copy_from_slice(&kind.to_be_bytes());
        length += 2;
    }
    (length > 0).then(|| {
        reply::error_with(
            request,
            signer,
            ErrorCode::UnknownAttribute,
            reply,
            |writer| {
                writer.attribute(
                    kind::UNKNOWN_ATTRIBUTES,
                    listed.get(..length).unwrap_or_default(),
                );
            },
        )
    })
}

/// LIFETIME as sent; 400 when it has not four bytes.
fn read_lifetime(request: &Message<'_>) -> Result<Option<u32>, ErrorCode> {
    let Some(value) = request.first(kind::LIFETIME) else {
        return Ok(None);
    };
    let bytes = value.try_into().map_err(|_| ErrorCode::BadRequest)?;
    Ok(Some(u32::from_be_bytes(bytes)))
}

/// What is granted for a lifetime that was asked for (RFC 8656 sections 7.2 and 8.2).
fn grant_lifetime(asked_s: Option<u32>) -> u32 {
    asked_s
        .unwrap_or(limits::DEFAULT_LIFETIME_S)
        .clamp(limits::DEFAULT_LIFETIME_S, limits::MAX_LIFETIME_S)
}
