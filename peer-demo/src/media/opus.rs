//! Opus, mono at 48 kHz.

use anyhow::{Context, Result};
use bytes::Bytes;
use opus_pure::{Application, OpusDecoder, OpusEncoder};

use super::tone::SAMPLE_RATE;

/// Samples in one packet: 20 ms, what browsers use.
pub const FRAME_SAMPLES: usize = 960;
/// Longest packet that RFC 6716 allows: 120 ms.
const MAX_FRAME_SAMPLES: usize = 5_760;
/// Bits per second: ample for one voice.
const BITRATE: i32 = 32_000;
/// An Opus packet of one frame is at most this long (RFC 6716, section 3.4).
const MAX_PACKET_BYTES: usize = 1_275;

/// Turns sound into packets.
pub struct Encoder(OpusEncoder);

impl Encoder {
    /// A fresh encoder.
    ///
    /// # Errors
    /// When the codec refuses its own constants.
    pub fn new() -> Result<Self> {
        let mut encoder = OpusEncoder::new(SAMPLE_RATE as i32, 1, Application::Audio)
            .context("can't create an Opus encoder")?;
        encoder.bitrate_bps = BITRATE;
        Ok(Self(encoder))
    }

    /// Encodes [`FRAME_SAMPLES`] samples.
    ///
    /// # Errors
    /// When `samples` is not one frame.
    pub fn encode(&mut self, samples: &[f32]) -> Result<Bytes> {
        let mut packet = vec![0; MAX_PACKET_BYTES];
        let length = self
            .0
            .encode(samples, FRAME_SAMPLES, &mut packet)
            .context("can't encode Opus")?;
        packet.truncate(length);
        Ok(packet.into())
    }
}

/// Turns packets into sound.
pub struct Decoder {
    decoder: OpusDecoder,
    samples: Vec<f32>,
}

impl Decoder {
    /// A fresh decoder.
    ///
    /// # Errors
    /// When the codec refuses its own constants.
    pub fn new() -> Result<Self> {
        Ok(Self {
            decoder: OpusDecoder::new(SAMPLE_RATE as i32, 1)
                .context("can't create an Opus decoder")?,
            samples: vec![0.0; MAX_FRAME_SAMPLES],
        })
    }

    /// Decodes one packet; stereo is mixed down.
    ///
    /// # Errors
    /// When `packet` is not Opus.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[f32]> {
        let count = self
            .decoder
            .decode(packet, MAX_FRAME_SAMPLES, &mut self.samples)
            .context("not an Opus packet")?;
        Ok(&self.samples[..count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::{Tone, WINDOW, tone_share};

    #[test]
    fn the_tone_survives_opus() {
        let (mut tone, mut encoder) = (Tone::default(), Encoder::new().unwrap());
        let mut decoder = Decoder::new().unwrap();
        let mut heard = Vec::new();
        let mut frame = [0.0; FRAME_SAMPLES];
        for _ in 0..50 {
            tone.fill(&mut frame);
            let packet = encoder.encode(&frame).unwrap();
            let samples = decoder.decode(&packet).unwrap();
            assert_eq!(samples.len(), FRAME_SAMPLES);
            heard.extend_from_slice(samples);
        }
        // The first window holds the codec's delay.
        for window in heard.chunks_exact(WINDOW).skip(1) {
            assert!(tone_share(window) > 0.95, "{}", tone_share(window));
        }
    }

    #[test]
    fn rubbish_is_an_error_and_the_decoder_goes_on() {
        let mut decoder = Decoder::new().unwrap();
        // Code 3 (RFC 6716, section 3.2.5) with a frame count that can't fit.
        assert!(decoder.decode(&[0xff, 0x3f]).is_err());
        let packet = Encoder::new()
            .unwrap()
            .encode(&[0.0; FRAME_SAMPLES])
            .unwrap();
        assert_eq!(decoder.decode(&packet).unwrap().len(), FRAME_SAMPLES);
    }
}
