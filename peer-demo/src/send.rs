//! Outgoing media: pieces of a feed become RTP packets on one peer's track.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use rtc::rtp::codec::opus::OpusPayloader;
use rtc::rtp::codec::vp8::Vp8Payloader;
use rtc::rtp::header::Header;
use rtc::rtp::packet::Packet;
use rtc::rtp::packetizer::Payloader;
use tokio::sync::broadcast::{self, error::RecvError};
use webrtc::media_stream::track_local::TrackLocal;

use crate::connection::Outbound;
use crate::media::source::Timed;

/// Payload bytes per packet: fits the smallest path that WebRTC expects, relay headers included.
const MAX_PAYLOAD: usize = 1_150;

/// How a codec is cut into packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packetizer {
    /// One packet each (RFC 7587).
    Opus,
    /// As many as needed, the last one marked (RFC 7741).
    Vp8,
}

impl Packetizer {
    fn payloader(self) -> Box<dyn Payloader + Send> {
        match self {
            Self::Opus => Box::new(OpusPayloader),
            Self::Vp8 => {
                let mut payloader = Vp8Payloader::default();
                payloader.enable_picture_id = true;
                Box::new(payloader)
            }
        }
    }
}

/// Sends a feed until it ends or the connection does; counts packets in `sent`.
pub async fn send(
    outbound: Outbound,
    packetizer: Packetizer,
    feed: broadcast::Receiver<Timed>,
    sent: Arc<AtomicU64>,
) {
    if let Err(error) = try_send(outbound, packetizer, feed, &sent).await {
        // Also when the peer is gone: its task tells that.
        tracing::debug!("{packetizer:?} is no longer sent: {error}");
    }
}

async fn try_send(
    outbound: Outbound,
    packetizer: Packetizer,
    mut feed: broadcast::Receiver<Timed>,
    sent: &AtomicU64,
) -> Result<()> {
    let parameters = outbound.sender.get_parameters().await?;
    // The crate refuses packets with a payload type that was not negotiated.
    let payload_type = parameters
        .rtp_parameters
        .codecs
        .first()
        .context("the other side does not want it")?
        .payload_type;
    let mut payloader = packetizer.payloader();
    let mut sequence = getrandom::u32()? as u16;
    let first_timestamp = getrandom::u32()?;
    loop {
        let piece = match feed.recv().await {
            Ok(piece) => piece,
            Err(RecvError::Lagged(missed)) => {
                tracing::debug!("too slow: {missed} pieces of {packetizer:?} left out");
                continue;
            }
            Err(RecvError::Closed) => return Ok(()),
        };
        let payloads = payloader.payload(MAX_PAYLOAD, &piece.data)?;
        let last = payloads.len().saturating_sub(1);
        for (index, payload) in payloads.into_iter().enumerate() {
            let header = Header {
                version: 2,
                marker: packetizer == Packetizer::Vp8 && index == last,
                payload_type,
                sequence_number: sequence,
                timestamp: first_timestamp.wrapping_add(piece.timestamp),
                ssrc: outbound.ssrc,
                ..Default::default()
            };
            // The crate's own error quotes the packet.
            outbound
                .track
                .write_rtp(Packet { header, payload })
                .await
                .context("the connection is closed")?;
            sequence = sequence.wrapping_add(1);
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::vp8::Assembler;
    use bytes::Bytes;

    #[test]
    fn a_frame_fits_its_packets_and_comes_back() {
        let frame = Bytes::from(vec![7; 10_000]);
        let payloads = Packetizer::Vp8
            .payloader()
            .payload(MAX_PAYLOAD, &frame)
            .unwrap();
        assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD));
        let mut assembler = Assembler::default();
        let last = payloads.len() - 1;
        let back = payloads
            .iter()
            .enumerate()
            .find_map(|(n, payload)| assembler.push(n as u16, 1, n == last, payload).unwrap());
        assert_eq!(back.unwrap().data, frame);
    }

    #[test]
    fn an_opus_packet_is_one_payload() {
        let packet = Bytes::from_static(&[1, 2, 3]);
        let payloads = Packetizer::Opus
            .payloader()
            .payload(MAX_PAYLOAD, &packet)
            .unwrap();
        assert_eq!(payloads, [packet]);
    }
}
