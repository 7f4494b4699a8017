//! VP8: key frames in and out, and their way through RTP (RFC 7741).

use std::collections::{BTreeMap, VecDeque};
use std::io::Cursor;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::{Bytes, BytesMut};
use rtc::rtp::codec::vp8::Vp8Packet;
use rtc::rtp::packetizer::Depacketizer;

use super::picture::Picture;

/// Ticks per second of VP8's RTP timestamps.
pub const CLOCK_RATE: u32 = 90_000;
/// Quality of our own frames, 0 to 100: the pattern is simple and must arrive in few packets.
const QUALITY: f32 = 60.0;
/// Largest picture that is decoded, in pixels: a sender must not choose how much memory we take.
const MAX_PIXELS: usize = 1920 * 1200;
/// Largest frame that is put together, in bytes.
const MAX_FRAME_BYTES: usize = 2 * 1024 * 1024;
/// Frames that may be incomplete at a time.
const MAX_PENDING_FRAMES: usize = 8;

/// Encodes an RGB picture as a key frame.
///
/// # Errors
/// When the encoder refuses the size.
pub fn encode_key_frame(rgb: &[u8], width: usize, height: usize) -> Result<Bytes> {
    let mut config =
        webp::WebPConfig::new().map_err(|()| anyhow!("libwebp refuses its default settings"))?;
    config.quality = QUALITY;
    // The fastest: dozens of frames a second next to everything else.
    config.method = 0;
    let webp = webp::Encoder::new(rgb, webp::PixelLayout::Rgb, width as u32, height as u32)
        .encode_advanced(&config)
        .map_err(|error| anyhow!("can't encode VP8: {error:?}"))?;
    vp8_chunk(&webp)
        .map(Bytes::copy_from_slice)
        .context("libwebp wrote no VP8 chunk")
}

/// The `VP8 ` chunk of a lossy WebP file: one key frame as RFC 6386 has it.
fn vp8_chunk(webp: &[u8]) -> Option<&[u8]> {
    let mut chunks = webp
        .strip_prefix(b"RIFF")?
        .get(4..)?
        .strip_prefix(b"WEBP")?;
    loop {
        let (name, rest) = chunks.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if name == b"VP8 " {
            return rest.get(..length);
        }
        // Chunks are padded to even lengths.
        chunks = rest.get(length + length % 2..)?;
    }
}

/// Whether `frame` is a key frame (RFC 6386, section 9.1).
#[must_use]
pub fn is_key_frame(frame: &[u8]) -> bool {
    frame.first().is_some_and(|byte| byte & 1 == 0)
}

/// Decodes a key frame.
///
/// # Errors
/// When it is none, broken, or larger than 1920×1200 pixels.
pub fn decode_key_frame(frame: &[u8]) -> Result<Picture> {
    ensure!(is_key_frame(frame), "not a key frame");
    let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = *frame else {
        anyhow::bail!("not a VP8 key frame");
    };
    // The two highest bits only tell how to scale.
    let width = usize::from(u16::from_le_bytes([w0, w1]) & 0x3fff);
    let height = usize::from(u16::from_le_bytes([h0, h1]) & 0x3fff);
    ensure!(
        width * height <= MAX_PIXELS,
        "a picture of {width}x{height} pixels is too large"
    );
    let decoded = image_webp::vp8::Vp8Decoder::decode_frame(Cursor::new(frame))
        .context("broken VP8 key frame")?;
    // The decoder keeps whole macroblocks of 16 pixels.
    let stride = width.next_multiple_of(16);
    Picture::new(width, height, stride, decoded.ybuf).context("VP8 key frame without a picture")
}

/// A frame as it came out of RTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// RTP timestamp.
    pub timestamp: u32,
    /// The encoded frame.
    pub data: Bytes,
}

/// Puts frames together from packets that may come late, twice or never.
#[derive(Debug, Default)]
pub struct Assembler {
    pending: VecDeque<Pending>,
}

#[derive(Debug)]
struct Pending {
    timestamp: u32,
    /// Sequence number of the packet that came first; the others are counted from it.
    origin: u16,
    bytes: usize,
    packets: BTreeMap<i16, Part>,
}

#[derive(Debug)]
struct Part {
    starts: bool,
    ends: bool,
    data: Bytes,
}

impl Assembler {
    /// Takes one packet and returns the frame that it completes.
    ///
    /// # Errors
    /// When the payload is not VP8.
    pub fn push(
        &mut self,
        sequence: u16,
        timestamp: u32,
        marker: bool,
        payload: &Bytes,
    ) -> Result<Option<Frame>> {
        let mut descriptor = Vp8Packet::default();
        let data = descriptor
            .depacketize(payload)
            .context("not a VP8 payload")?;
        let part = Part {
            starts: descriptor.s == 1 && descriptor.pid == 0,
            ends: marker,
            data,
        };
        let index = match self
            .pending
            .iter()
            .position(|frame| frame.timestamp == timestamp)
        {
            Some(index) => index,
            None => {
                if self.pending.len() == MAX_PENDING_FRAMES {
                    self.pending.pop_front();
                }
                self.pending.push_back(Pending {
                    timestamp,
                    origin: sequence,
                    bytes: 0,
                    packets: BTreeMap::new(),
                });
                self.pending.len() - 1
            }
        };
        let frame = &mut self.pending[index];
        frame.bytes += part.data.len();
        if frame.bytes > MAX_FRAME_BYTES {
            self.pending.remove(index);
            anyhow::bail!("a frame of more than {MAX_FRAME_BYTES} bytes");
        }
        let offset = sequence.wrapping_sub(frame.origin).cast_signed();
        frame.packets.insert(offset, part);
        if !frame.is_complete() {
            return Ok(None);
        }
        let frame = self.pending.remove(index);
        Ok(frame.map(Pending::join))
    }
}

impl Pending {
    fn is_complete(&self) -> bool {
        let (Some((first, start)), Some((last, end))) = (
            self.packets.first_key_value(),
            self.packets.last_key_value(),
        ) else {
            return false;
        };
        let span = i32::from(*last) - i32::from(*first) + 1;
        start.starts && end.ends && usize::try_from(span) == Ok(self.packets.len())
    }

    fn join(self) -> Frame {
        let mut data = BytesMut::with_capacity(self.bytes);
        for part in self.packets.values() {
            data.extend_from_slice(&part.data);
        }
        Frame {
            timestamp: self.timestamp,
            data: data.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::rtp::codec::vp8::Vp8Payloader;
    use rtc::rtp::packetizer::Payloader;

    /// One frame as the payloads of its packets.
    fn payloads(frame: &[u8]) -> Vec<Bytes> {
        let mut payloader = Vp8Payloader::default();
        payloader.enable_picture_id = true;
        payloader
            .payload(100, &Bytes::copy_from_slice(frame))
            .expect("payloads")
    }

    fn frame(length: usize) -> Vec<u8> {
        (0..length).map(|n| n as u8).collect()
    }

    #[test]
    fn packets_become_the_frame_in_any_order_and_over_the_end_of_the_numbers() {
        let frame = frame(1000);
        let payloads = payloads(&frame);
        let last = payloads.len() - 1;
        let orders: [Vec<usize>; 3] = [
            (0..=last).collect(),
            (0..=last).rev().collect(),
            (0..=last).map(|n| (n + 4) % (last + 1)).collect(),
        ];
        for order in orders {
            let mut assembler = Assembler::default();
            for (count, n) in order.iter().enumerate() {
                let sequence = 0xfffd_u16.wrapping_add(*n as u16);
                let done = assembler
                    .push(sequence, 77, *n == last, &payloads[*n])
                    .expect("VP8");
                if count == last {
                    let done = done.expect("complete");
                    assert_eq!((done.timestamp, &done.data[..]), (77, &frame[..]));
                } else {
                    assert_eq!(done, None);
                }
            }
        }
    }

    #[test]
    fn a_lost_packet_costs_one_frame_only() {
        let frame = frame(500);
        let payloads = payloads(&frame);
        let last = payloads.len() - 1;
        let mut assembler = Assembler::default();
        let mut sequence = 0_u16;
        let mut complete = Vec::new();
        for timestamp in 0..20 {
            for (n, payload) in payloads.iter().enumerate() {
                let lost = timestamp % 2 == 0 && n == 1;
                if !lost {
                    complete.extend(
                        assembler
                            .push(sequence, timestamp, n == last, payload)
                            .expect("VP8")
                            .map(|frame| frame.timestamp),
                    );
                }
                sequence = sequence.wrapping_add(1);
            }
        }
        assert_eq!(complete, (0..20).filter(|n| n % 2 == 1).collect::<Vec<_>>());
        assert!(assembler.pending.len() <= MAX_PENDING_FRAMES);
    }

    #[test]
    fn an_endless_frame_is_given_up() {
        let mut assembler = Assembler::default();
        let payload = Bytes::from(vec![0x10; 1200]);
        let refused = (0..5000_u16).find(|&n| assembler.push(n, 1, false, &payload).is_err());
        assert!(refused.is_some_and(|n| usize::from(n) * 1199 <= MAX_FRAME_BYTES));
    }

    #[test]
    fn what_is_not_a_key_frame_is_an_error() {
        assert!(decode_key_frame(&[]).is_err());
        assert!(decode_key_frame(&[0x01; 64]).is_err());
        assert!(decode_key_frame(&[0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0]).is_err());
        let huge = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 0, 0];
        let error = decode_key_frame(&huge).expect_err("too large").to_string();
        assert!(error.contains("too large"), "{error}");
        assert!(
            Assembler::default()
                .push(0, 0, true, &Bytes::new())
                .is_err()
        );
    }
}
