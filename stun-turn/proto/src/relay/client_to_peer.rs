//! HOT: a client's ChannelData or Send indication to its peer. The driver sends a part of the very
//! bytes that came in.

use super::{DropReason, Outcome, Relay};
use crate::addr::FiveTuple;
use crate::attribute::{Family, decode_xor_address, is_unknown_required, kind};
use crate::message::Message;
use crate::{Now, channel_data, policy};

impl Relay {
    /// RFC 8656 section 12.6. A bound channel is all that is needed: it was judged when it was
    /// bound. On our own addresses the port is judged again, because allocations come and go.
    pub(super) fn channel_data(&self, now: Now, client: &FiveTuple, message: &[u8]) -> Outcome {
        let Some((number, payload)) = channel_data::parse(message) else {
            return Outcome::Drop(DropReason::Malformed);
        };
        let Some(relay) = self.table.find(client) else {
            return Outcome::Drop(DropReason::NoAllocation);
        };
        let allocation = self.table.get(relay);
        let Some(channel) = allocation.and_then(|it| it.channel(number, now.monotonic)) else {
            return Outcome::Drop(DropReason::NoChannel);
        };
        if !channel.is_own {
            return Outcome::ToPeer {
                relay,
                peer: channel.peer,
                payload,
            };
        }
        match self.check_peer(channel.peer) {
            Ok(()) => Outcome::ToPeer {
                relay,
                peer: self.to_local(channel.peer),
                payload,
            },
            Err(_) => Outcome::Drop(DropReason::Forbidden),
        }
    }

    /// RFC 8656 section 11.2. Indications are never answered.
    pub(super) fn send_indication(
        &self,
        now: Now,
        client: &FiveTuple,
        message: &Message<'_>,
    ) -> Outcome {
        let Some(relay) = self.table.find(client) else {
            return Outcome::Drop(DropReason::NoAllocation);
        };
        let data = message
            .attributes()
            .find(|attribute| attribute.kind == kind::DATA);
        let peer = message
            .first(kind::XOR_PEER_ADDRESS)
            .and_then(|value| decode_xor_address(value, message.transaction()));
        let unknown = message
            .attributes()
            .any(|attribute| is_unknown_required(attribute.kind));
        let (Some(data), Some(peer), false) = (data, peer, unknown) else {
            return Outcome::Drop(DropReason::BadAttribute);
        };
        let peer = policy::canonical(peer);
        let permitted = self.table.get(relay).is_some_and(|allocation| {
            Family::of(allocation.relayed.ip()) == Family::of(peer.ip())
                && allocation.is_permitted(peer.ip(), now.monotonic)
        });
        if !permitted {
            return Outcome::Drop(DropReason::NoPermission);
        }
        if self.check_peer(peer).is_err() {
            return Outcome::Drop(DropReason::Forbidden);
        }
        let start = data.offset + 4;
        let payload = start..start + data.value.len();
        Outcome::ToPeer {
            relay,
            peer: self.to_local(peer),
            payload,
        }
    }
}
