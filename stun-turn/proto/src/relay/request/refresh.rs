//! Refresh (RFC 8656 section 8.2).

use super::super::{Cause, Outcome, Relay, RelayId, ReplyBuffer, reply};
use super::{grant_lifetime, read_lifetime};
use crate::Now;
use crate::attribute::{ErrorCode, Family, kind};
use crate::auth::Identity;
use crate::message::Message;

impl Relay {
    pub(super) fn refresh(
        &mut self,
        now: Now,
        relay: RelayId,
        request: &Message<'_>,
        identity: &Identity<'_>,
        reply: &mut ReplyBuffer,
    ) -> Result<Outcome, ErrorCode> {
        let allocation = self.table.get(relay).ok_or(ErrorCode::AllocationMismatch)?;
        if let Some(family) = request.first(kind::REQUESTED_ADDRESS_FAMILY) {
            let family = family.first().copied().and_then(Family::from_byte);
            if family != Some(Family::of(allocation.relayed.ip())) {
                return Err(ErrorCode::PeerAddressFamilyMismatch);
            }
        }
        let granted_s = match read_lifetime(request)? {
            Some(0) => 0,
            asked_s => grant_lifetime(asked_s),
        };
        if granted_s == 0 {
            self.table
                .close(relay, Cause::Deleted, &self.settings.ports);
        } else {
            self.table.prolong(relay, granted_s, now.monotonic);
        }
        Ok(reply::success(request, identity, reply, |writer| {
            writer.attribute(kind::LIFETIME, &granted_s.to_be_bytes());
        }))
    }
}
