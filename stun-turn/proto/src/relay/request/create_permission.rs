//! CreatePermission (RFC 8656 section 10.2): all addresses or none.

use super::super::{Outcome, Relay, RelayId, ReplyBuffer, reply};
use crate::attribute::{ErrorCode, kind};
use crate::auth::Identity;
use crate::message::Message;
use crate::{Now, limits};

impl Relay {
    pub(super) fn create_permission(
        &mut self,
        now: Now,
        relay: RelayId,
        request: &Message<'_>,
        identity: &Identity<'_>,
        reply: &mut ReplyBuffer,
    ) -> Result<Outcome, ErrorCode> {
        let mut peers = Vec::new();
        let named = request
            .attributes()
            .filter(|a| a.kind == kind::XOR_PEER_ADDRESS);
        for attribute in named {
            let peer = self.read_peer(relay, request, attribute.value)?;
            self.check_permission(peer.ip())
                .map_err(|rule| self.forbid(peer, rule))?;
            if peers.len() >= limits::MAX_PERMISSIONS {
                return Err(ErrorCode::InsufficientCapacity);
            }
            peers.push(peer.ip());
        }
        if peers.is_empty() {
            return Err(ErrorCode::BadRequest);
        }
        self.table
            .permit(relay, &peers, now.monotonic)
            .map_err(|_| ErrorCode::InsufficientCapacity)?;
        Ok(reply::success(request, identity, reply, |_| ()))
    }
}
