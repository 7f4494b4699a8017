//! CreatePermission (RFC 8656 section 10.2): all addresses or none.

use std::net::IpAddr;

use super::super::table::Relays;
use super::super::{Outcome, Relay, RelayId, ReplyBuffer, reply};
use crate::addr::FiveTuple;
use crate::attribute::{ErrorCode, kind};
use crate::auth::Identity;
use crate::message::Message;
use crate::{Now, limits};

impl Relay {
    pub(super) fn create_permission(
        &mut self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        identity: &Identity<'_>,
        reply: &mut ReplyBuffer,
    ) -> Result<Outcome, ErrorCode> {
        let mut peers: Vec<(RelayId, IpAddr)> = Vec::new();
        let named = request
            .attributes()
            .filter(|a| a.kind == kind::XOR_PEER_ADDRESS);
        for attribute in named {
            let (relay, peer) = self.read_peer(client, request, attribute.value)?;
            self.check_permission(peer.ip())
                .map_err(|rule| self.forbid(peer, rule))?;
            if peers.len() >= limits::MAX_PERMISSIONS {
                return Err(ErrorCode::InsufficientCapacity);
            }
            peers.push((relay, peer.ip()));
        }
        if peers.is_empty() {
            return Err(ErrorCode::BadRequest);
        }
        self.permit_all(now, client, &peers)?;
        Ok(reply::success(request, identity, reply, |_| ()))
    }

    /// Peers of both families may be named on a five-tuple that has an allocation of each.
    fn permit_all(
        &mut self,
        now: Now,
        client: &FiveTuple,
        peers: &[(RelayId, IpAddr)],
    ) -> Result<(), ErrorCode> {
        let relays = self.table.find(client).into_iter().flat_map(Relays::iter);
        let of_relay = |relay| {
            let of_relay = peers.iter().filter(move |(of, _)| *of == relay);
            (relay, of_relay.map(|(_, ip)| *ip).collect::<Vec<_>>())
        };
        let split: Vec<_> = relays.map(of_relay).collect();
        let now = now.monotonic;
        if !split
            .iter()
            .all(|(relay, ips)| self.table.has_room_for(*relay, ips, now))
        {
            return Err(ErrorCode::InsufficientCapacity);
        }
        for (relay, ips) in split {
            self.table
                .permit(relay, &ips, now)
                .map_err(|_| ErrorCode::InsufficientCapacity)?;
        }
        Ok(())
    }
}
