//! HOT: a peer's datagram to the client. The header is written in place in front of the payload.

use std::net::SocketAddr;
use std::ops::Range;

use rand::RngCore as _;

use super::{DropReason, Relay, RelayId};
use crate::addr::{ChannelNumber, FiveTuple};
use crate::attribute::{encode_xor_address, kind};
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
        let peer = self.to_public(policy::canonical(from));
        let Some(allocation) = self.table.get(relay) else {
            return FromPeer::Drop(DropReason::NoAllocation);
        };
        if !allocation.is_permitted(peer.ip(), now.monotonic) {
            return FromPeer::Drop(DropReason::NoPermission);
        }
        // What may not be sent to may not send either: other programs of this host.
        if self.settings.policy.is_own(peer.ip()) && self.check_peer(peer).is_err() {
            return FromPeer::Drop(DropReason::Forbidden);
        }
        let client = allocation.client;
        let message = match allocation.number(peer, now.monotonic) {
            Some(number) => wrap_channel_data(datagram, number, client.transport.is_stream()),
            None => {
                let mut transaction = TransactionId([0; 12]);
                self.random.fill_bytes(&mut transaction.0);
                wrap_data_indication(datagram, peer, transaction)
            }
        };
        match message {
            Some(message) => FromPeer::ToClient { client, message },
            None => FromPeer::Drop(DropReason::TooLarge),
        }
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
