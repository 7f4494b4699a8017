//! Refresh (RFC 8656 section 8.2).

use rand::RngCore as _;

use super::super::allocation::Allocation;
use super::super::mobility::Ticket;
use super::super::{Cause, Outcome, Relay, RelayId, ReplyBuffer, reply};
use super::{grant_lifetime, read_lifetime};
use crate::Now;
use crate::addr::FiveTuple;
use crate::attribute::{ErrorCode, Family, kind};
use crate::auth::Identity;
use crate::message::Message;

impl Relay {
    /// Without REQUESTED-ADDRESS-FAMILY it is about all allocations of the five-tuple. `known` is the
    /// one in force, which a ticket may name from another address (RFC 8016 section 3.2).
    pub(super) fn refresh(
        &mut self,
        now: Now,
        (client, known): (&FiveTuple, &FiveTuple),
        request: &Message<'_>,
        identity: &Identity<'_>,
        reply: &mut ReplyBuffer,
    ) -> Result<Outcome, ErrorCode> {
        let relays = self.table.find(known);
        let relays = relays.ok_or(ErrorCode::AllocationMismatch)?;
        let family = match request.first(kind::REQUESTED_ADDRESS_FAMILY) {
            None => None,
            Some([family, _, _, _]) => {
                let family = Family::from_byte(*family);
                Some(family.ok_or(ErrorCode::PeerAddressFamilyMismatch)?)
            }
            Some(_) => return Err(ErrorCode::BadRequest),
        };
        let is_meant = |relay: &RelayId| {
            let found = self.table.get(*relay).map(Allocation::family);
            family.is_none() || found == family
        };
        let meant: Vec<RelayId> = relays.iter().filter(is_meant).collect();
        if meant.is_empty() {
            return Err(ErrorCode::PeerAddressFamilyMismatch);
        }
        let granted_s = match read_lifetime(request)? {
            Some(0) => 0,
            asked_s => grant_lifetime(asked_s),
        };
        for relay in meant {
            if granted_s == 0 {
                self.close(now, relay, Cause::Deleted);
            } else {
                self.table.prolong(relay, granted_s, now.monotonic);
            }
        }
        let ticket = self.ticket_for(client, known);
        Ok(reply::success(request, identity, reply, |writer| {
            writer.attribute(kind::LIFETIME, &granted_s.to_be_bytes());
            if let Some(ticket) = ticket {
                writer.attribute(kind::MOBILITY_TICKET, &ticket);
            }
        }))
    }

    /// The ticket that a client has from now on; from a new address this announces its move.
    fn ticket_for(&mut self, client: &FiveTuple, known: &FiveTuple) -> Option<Ticket> {
        let ticket = self.table.ticket(known)?;
        if client == known {
            return Some(ticket);
        }
        let fresh = self.new_ticket();
        Some(self.table.movers.announce(known, *client, fresh))
    }

    /// Nobody can guess it.
    pub(in super::super) fn new_ticket(&mut self) -> Ticket {
        let mut ticket = Ticket::default();
        self.random.fill_bytes(&mut ticket);
        ticket
    }
}
