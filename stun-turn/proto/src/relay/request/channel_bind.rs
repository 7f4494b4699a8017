//! ChannelBind (RFC 8656 section 12.2).

use super::super::table::Refusal;
use super::super::{Outcome, Relay, ReplyBuffer, reply};
use crate::Now;
use crate::addr::{ChannelNumber, FiveTuple, PeerProtocol};
use crate::attribute::{ErrorCode, kind};
use crate::auth::Identity;
use crate::message::Message;

impl Relay {
    pub(super) fn channel_bind(
        &mut self,
        now: Now,
        client: &FiveTuple,
        request: &Message<'_>,
        identity: &Identity<'_>,
        reply: &mut ReplyBuffer,
    ) -> Result<Outcome, ErrorCode> {
        let number = request.first(kind::CHANNEL_NUMBER).and_then(read_number);
        let value = request.first(kind::XOR_PEER_ADDRESS);
        let number = number.filter(|number| number.is_rfc8656() || !knows_rfc8489(request));
        let (number, value) = number.zip(value).ok_or(ErrorCode::BadRequest)?;
        let (relay, peer) = self.read_peer(client, request, value)?;
        if self.table.protocol(relay) == Some(PeerProtocol::Tcp) {
            // Channels are for datagrams (RFC 6062 section 5).
            return Err(ErrorCode::BadRequest);
        }
        self.check_peer(PeerProtocol::Udp, peer)
            .map_err(|rule| self.forbid(peer, rule))?;
        let is_own = self.policy.is_own(peer.ip());
        let bound = self.table.bind(relay, number, peer, is_own, now.monotonic);
        bound.map_err(|refusal| match refusal {
            Refusal::Paired => ErrorCode::BadRequest,
            Refusal::Full => ErrorCode::InsufficientCapacity,
        })?;
        Ok(reply::success(request, identity, reply, |_| ()))
    }
}

/// Whether the client is held to RFC 8656's numbers. One that was offered password algorithms and
/// names none authenticates as in RFC 5389 (RFC 8489 section 9.2.4), so that its TURN is RFC 5766,
/// whose numbers go on to 0x7FFF.
fn knows_rfc8489(request: &Message<'_>) -> bool {
    request.first(kind::PASSWORD_ALGORITHM).is_some()
}

/// Two bytes of number, two reserved (RFC 8656 section 18.1).
fn read_number(value: &[u8]) -> Option<ChannelNumber> {
    let [n0, n1, _, _] = *<&[u8; 4]>::try_from(value).ok()?;
    ChannelNumber::new(u16::from_be_bytes([n0, n1]))
}
