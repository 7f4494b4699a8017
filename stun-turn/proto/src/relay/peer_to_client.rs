//! HOT: a peer's datagram to the client. The header is written in place in front of the payload.

use std::net::SocketAddr;
use std::ops::Range;

use rand::RngCore as _;

use super::{DropReason, Relay, RelayId, ReplyBuffer};
use crate::addr::{ChannelNumber, FiveTuple, PeerProtocol};
use crate::attribute::{Family, encode_xor_address, kind};
use crate::message::{Class, Method, TransactionId, Writer};
use crate::{Now, channel_data, limits, policy};

/// A datagram in the middle of a buffer: at least [`limits::HEADROOM`] bytes free in front of it
/// and [`limits::TAILROOM`] behind.
#[derive(Debug)]
pub struct PeerDatagram<'b> {
    /// The whole buffer.
    pub buffer: &'b mut [u8],
    /// Where the datagram lies in it.
    pub payload: Range<usize>,
}

/// What the driver has to do with a peer's datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromPeer {
    /// Nothing, and why.
    Drop(DropReason),
    /// Send this part of the buffer to the client.
    ToClient {
        /// The allocation's five-tuple.
        client: FiveTuple,
        /// The datagram with its header (and padding on a stream).
        message: Range<usize>,
    },
}

impl Relay {
    /// Takes a datagram that arrived on a relayed socket (RFC 8656 sections 11.3 and 12.7).
    pub fn handle_peer(
        &mut self,
        now: Now,
        relay: RelayId,
        from: SocketAddr,
        datagram: PeerDatagram<'_>,
    ) -> FromPeer {
        let taken = self.take_from_peer(now, relay, from, datagram);
        match &taken {
            FromPeer::Drop(reason) => self.totals.count_drop(*reason),
            FromPeer::ToClient { .. } => {}
        }
        taken
    }

    /// Whether a datagram of this sender to this relayed address would be relayed, as far as
    /// permissions go.
    #[must_use]
    pub fn has_permission(&self, now: Now, relay: RelayId, from: SocketAddr) -> bool {
        let peer = self.to_public(PeerProtocol::Udp, policy::canonical(from));
        let allocation = self.table.get(relay);
        allocation.is_some_and(|it| it.is_permitted(peer.ip(), now.monotonic))
    }

    fn take_from_peer(
        &mut self,
        now: Now,
        relay: RelayId,
        from: SocketAddr,
        datagram: PeerDatagram<'_>,
    ) -> FromPeer {
        let peer = self.to_public(PeerProtocol::Udp, policy::canonical(from));
        let Some(allocation) = self.table.get(relay) else {
            return FromPeer::Drop(DropReason::NoAllocation);
        };
        if !allocation.is_permitted(peer.ip(), now.monotonic) {
            return FromPeer::Drop(DropReason::NoPermission);
        }
        // What may not be sent to may not send either: other programs of this host.
        if self.policy.is_own(peer.ip()) && self.check_peer(PeerProtocol::Udp, peer).is_err() {
            return FromPeer::Drop(DropReason::Forbidden);
        }
        let length = datagram.payload.len();
        let (client, number) = (allocation.client, allocation.number(peer, now.monotonic));
        if !self.admit_to_client(now, relay, length) {
            return FromPeer::Drop(DropReason::OverLimit);
        }
        let message = match number {
            Some(number) => wrap_channel_data(datagram, number, client.transport.is_stream()),
            None => wrap_data_indication(datagram, peer, self.new_transaction()),
        };
        let Some(message) = message else {
            return FromPeer::Drop(DropReason::TooLarge);
        };
        if let Some(allocation) = self.table.get_mut(relay) {
            allocation.traffic.packets_to_client += 1;
            allocation.traffic.bytes_to_client += length as u64;
        }
        self.totals.to_clients.count(length);
        FromPeer::ToClient { client, message }
    }

    /// Whether the operator's limit lets this many bytes pass.
    fn admit_to_client(&mut self, now: Now, relay: RelayId, bytes: usize) -> bool {
        let (Some(max_bps), Some(allocation)) = (self.settings.max_bps, self.table.get_mut(relay))
        else {
            return true;
        };
        let [_, shaper] = &mut allocation.shapers;
        shaper.admit(bytes, max_bps, now.monotonic)
    }

    pub(super) fn new_transaction(&mut self) -> TransactionId {
        let mut transaction = TransactionId([0; 12]);
        self.random.fill_bytes(&mut transaction.0);
        transaction
    }

    /// Takes an ICMP error about a datagram that this relayed socket sent to `peer`
    /// (RFC 8656 section 11.5), and writes the Data indication for the client; `None` when there is
    /// none to send. Who sent the error does not matter, whom we sent to does.
    pub fn handle_icmp(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
        icmp: Icmp,
        buffer: &mut ReplyBuffer,
    ) -> Option<(FiveTuple, usize)> {
        let peer = self.to_public(PeerProtocol::Udp, policy::canonical(peer));
        if !icmp.is_relayed(Family::of(peer.ip())) {
            return None;
        }
        let transaction = self.new_transaction();
        let allocation = self.table.get_mut(relay)?;
        if !allocation.is_permitted(peer.ip(), now.monotonic) || now.monotonic < allocation.icmp_at
        {
            return None;
        }
        allocation.icmp_at = now.monotonic + limits::ICMP_INTERVAL;
        let client = allocation.client;
        let mut writer = Writer::new(buffer, Class::Indication, Method::Data, transaction);
        writer.xor_address(kind::XOR_PEER_ADDRESS, peer);
        writer.attribute(kind::ICMP, &icmp.to_bytes());
        let length = writer.finish(None, false)?;
        self.totals.icmp.add(1);
        Some((client, length))
    }
}

/// An ICMP error as the ICMP attribute tells it (RFC 8656 section 18.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// ICMP type of the peer's family.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// The MTU of the next hop where the error tells one, else 0.
    pub data: u32,
}

impl Icmp {
    /// Types 3 and 11 of ICMP, 1 to 3 of ICMPv6.
    const fn is_relayed(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => matches!(self.kind, 3 | 11),
            Family::Ipv6 => matches!(self.kind, 1..=3),
        }
    }

    /// Two reserved bytes, seven bits of type, nine of code, four bytes of data.
    fn to_bytes(self) -> [u8; 8] {
        let type_and_code = u16::from(self.kind & 0x7F) << 9 | u16::from(self.code);
        let [t, c] = type_and_code.to_be_bytes();
        let [d0, d1, d2, d3] = self.data.to_be_bytes();
        [0, 0, t, c, d0, d1, d2, d3]
    }
}

/// Four bytes in front, on a stream padding behind (RFC 8656 section 12.5).
fn wrap_channel_data(
    datagram: PeerDatagram<'_>,
    number: ChannelNumber,
    is_stream: bool,
) -> Option<Range<usize>> {
    let PeerDatagram { buffer, payload } = datagram;
    let header = channel_data::header(number, u16::try_from(payload.len()).ok()?);
    let start = payload.start.checked_sub(header.len())?;
    buffer
        .get_mut(start..payload.start)?
        .copy_from_slice(&header);
    let padding = if is_stream {
        channel_data::padding(payload.len())
    } else {
        0
    };
    let end = payload.end.checked_add(padding)?;
    buffer.get_mut(payload.end..end)?.fill(0);
    Some(start..end)
}

/// A Data indication whose DATA attribute comes last, so that the payload stays where it is.
fn wrap_data_indication(
    datagram: PeerDatagram<'_>,
    peer: SocketAddr,
    transaction: TransactionId,
) -> Option<Range<usize>> {
    let PeerDatagram { buffer, payload } = datagram;
    let length = u16::try_from(payload.len()).ok()?;
    let padding = channel_data::padding(payload.len());
    let end = payload.end.checked_add(padding)?;
    buffer.get_mut(payload.end..end)?.fill(0);

    let (_, address_length) = encode_xor_address(peer, transaction);
    let head = crate::header::HEADER_LEN + 4 + address_length + 4;
    let start = payload.start.checked_sub(head)?;
    let place = buffer.get_mut(start..payload.start)?;
    let mut writer = Writer::new(place, Class::Indication, Method::Data, transaction);
    writer.xor_address(kind::XOR_PEER_ADDRESS, peer);
    writer.open_attribute(kind::DATA, length);
    writer.finish_before(payload.len() + padding)?;
    Some(start..end)
}

const _: () = assert!(limits::HEADROOM >= 20 + 24 + 4);
const _: () = assert!(limits::TAILROOM >= 3);
