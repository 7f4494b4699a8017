//! HOT: a client's ChannelData or Send indication to its peer. The driver sends a part of the very
//! bytes that came in.

use std::net::SocketAddr;
use std::ops::Range;

use super::table::Relays;
use super::{DropReason, Outcome, Relay, RelayId};
use crate::addr::{FiveTuple, PeerProtocol};
use crate::attribute::{Family, decode_xor_address, is_unknown_required, kind};
use crate::message::Message;
use crate::{Now, channel_data, policy};

/// Application data that may go to its peer if the limits allow.
struct Datagram {
    relay: RelayId,
    /// As this host knows it.
    peer: SocketAddr,
    payload: Range<usize>,
    dont_fragment: bool,
}

impl Relay {
    /// RFC 8656 section 12.6. A bound channel is all that is needed: it was judged when it was
    /// bound. On our own addresses the port is judged again, because allocations come and go.
    pub(super) fn channel_data(&mut self, now: Now, client: &FiveTuple, message: &[u8]) -> Outcome {
        let Some((number, payload)) = channel_data::parse(message) else {
            return Outcome::Drop(DropReason::Malformed);
        };
        let Some(relays) = self.table.find(client) else {
            return Outcome::Drop(DropReason::NoAllocation);
        };
        let bound = |relay| {
            let channel = self.table.get(relay)?.channel(number, now.monotonic)?;
            Some((relay, *channel))
        };
        let Some((relay, channel)) = Relays::iter(relays).find_map(bound) else {
            return Outcome::Drop(DropReason::NoChannel);
        };
        let peer = if channel.is_own {
            if self.check_peer(PeerProtocol::Udp, channel.peer).is_err() {
                return Outcome::Drop(DropReason::Forbidden);
            }
            self.to_local(channel.peer)
        } else {
            channel.peer
        };
        self.forward(
            now,
            Datagram {
                relay,
                peer,
                payload,
                dont_fragment: false,
            },
        )
    }

    /// RFC 8656 section 11.2. Indications are never answered.
    pub(super) fn send_indication(
        &mut self,
        now: Now,
        client: &FiveTuple,
        message: &Message<'_>,
    ) -> Outcome {
        if self.table.find(client).is_none() {
            return Outcome::Drop(DropReason::NoAllocation);
        }
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
        let permitted = self
            .table
            .find_family(client, Family::of(peer.ip()))
            .filter(|relay| {
                let allocation = self.table.get(*relay);
                // A TCP allocation has no datagrams (RFC 6062 section 5).
                allocation.is_some_and(|it| {
                    it.protocol == PeerProtocol::Udp && it.is_permitted(peer.ip(), now.monotonic)
                })
            });
        let Some(relay) = permitted else {
            return Outcome::Drop(DropReason::NoPermission);
        };
        if self.check_peer(PeerProtocol::Udp, peer).is_err() {
            return Outcome::Drop(DropReason::Forbidden);
        }
        let start = data.offset + 4;
        let datagram = Datagram {
            relay,
            peer: self.to_local(peer),
            payload: start..start + data.value.len(),
            dont_fragment: message.first(kind::DONT_FRAGMENT).is_some(),
        };
        self.forward(now, datagram)
    }

    /// Counts, and drops what is faster than the operator's limit.
    fn forward(&mut self, now: Now, datagram: Datagram) -> Outcome {
        let Datagram {
            relay,
            peer,
            payload,
            dont_fragment,
        } = datagram;
        if let Some(allocation) = self.table.get_mut(relay) {
            let [shaper, _] = &mut allocation.shapers;
            if let Some(max_bps) = self.settings.max_bps
                && !shaper.admit(payload.len(), max_bps, now.monotonic)
            {
                return Outcome::Drop(DropReason::OverLimit);
            }
            allocation.traffic.packets_to_peers += 1;
            allocation.traffic.bytes_to_peers += payload.len() as u64;
        }
        Outcome::ToPeer {
            relay,
            peer,
            payload,
            dont_fragment,
        }
    }
}
