//! Refresh (RFC 8656 section 8.2).

use super::super::table::{Allocation, Relays};
use super::super::{Cause, Outcome, Relay, RelayId, ReplyBuffer, reply};
use super::{grant_lifetime, read_lifetime};
use crate::Now;
use crate::attribute::{ErrorCode, Family, kind};
use crate::auth::Identity;
use crate::message::Message;

impl Relay {
    /// Without REQUESTED-ADDRESS-FAMILY it is about all allocations of the five-tuple.
    pub(super) fn refresh(
        &mut self,
        now: Now,
        relays: Relays,
        request: &Message<'_>,
        identity: &Identity<'_>,
        reply: &mut ReplyBuffer,
    ) -> Result<Outcome, ErrorCode> {
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
        Ok(reply::success(request, identity, reply, |writer| {
            writer.attribute(kind::LIFETIME, &granted_s.to_be_bytes());
        }))
    }
}
