//! Recorded media: Opus in Ogg, VP8 in IVF. Only files that will play are accepted.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use opus_pure::OggOpusReader;
use rtc::media::io::ivf_reader::IVFReader;

use super::tone::SAMPLE_RATE;
use super::vp8;

/// One encoded piece of media and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// An Opus packet or a VP8 frame.
    pub data: Bytes,
    /// How long it lasts, in ticks of its RTP clock.
    pub ticks: u32,
}

/// Reads a whole Opus file.
///
/// # Errors
/// When it can't be read or is not Opus in Ogg; the file is named.
pub fn read_ogg(path: &Path) -> Result<Vec<Piece>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("can't read {name}"))?;
    let mut reader = OggOpusReader::new(BufReader::new(file))
        .with_context(|| format!("{name} is not an Opus file (Ogg)"))?;
    let mut pieces = Vec::new();
    for packet in reader.packets() {
        let packet = packet.with_context(|| format!("{name} is broken"))?;
        let ticks = opus_pure::packet::samples(&packet.data, SAMPLE_RATE as i32)
            .with_context(|| format!("{name} holds a broken Opus packet"))?;
        pieces.push(Piece {
            data: packet.data.into(),
            ticks: ticks as u32,
        });
    }
    ensure!(!pieces.is_empty(), "{name} holds no sound");
    Ok(pieces)
}

/// Reads a whole VP8 file.
///
/// # Errors
/// When it can't be read, is not VP8 in IVF, or does not begin with a key frame; the file is named.
pub fn read_ivf(path: &Path) -> Result<Vec<Piece>> {
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("can't read {name}"))?;
    parse_ivf(&bytes).with_context(|| format!("can't play {name}"))
}

fn parse_ivf(bytes: &[u8]) -> Result<Vec<Piece>> {
    /// Bytes of the file's and of each frame's header.
    const FILE_HEADER: usize = 32;
    const FRAME_HEADER: usize = 12;
    let (mut reader, header) = IVFReader::new(Cursor::new(bytes)).context("not an IVF file")?;
    ensure!(
        &header.four_cc == b"VP80",
        "its codec is {}, not VP8",
        String::from_utf8_lossy(&header.four_cc)
    );
    // The frame rate is denominator / numerator.
    let ticks = u64::from(vp8::CLOCK_RATE) * u64::from(header.timebase_numerator)
        / u64::from(header.timebase_denominator.max(1));
    let ticks = u32::try_from(ticks)
        .ok()
        .filter(|&ticks| (vp8::CLOCK_RATE / 240..=vp8::CLOCK_RATE).contains(&ticks));
    let ticks = ticks.context("its frame rate is not between 1 and 240 frames per second")?;
    let mut pieces = Vec::new();
    let mut position = FILE_HEADER;
    while position < bytes.len() {
        let (data, frame) = reader.parse_next_frame().context("a frame is cut off")?;
        position += FRAME_HEADER + frame.frame_size as usize;
        pieces.push(Piece {
            data: data.freeze(),
            ticks,
        });
    }
    ensure!(
        pieces
            .first()
            .is_some_and(|first| vp8::is_key_frame(&first.data)),
        "it does not begin with a key frame"
    );
    Ok(pieces)
}

/// How long `ticks` of a clock with `rate` ticks a second last.
#[must_use]
pub fn duration(ticks: u64, rate: u32) -> Duration {
    Duration::from_secs_f64(ticks as f64 / f64::from(rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::opus::{Encoder, FRAME_SAMPLES};
    use crate::media::pattern;
    use opus_pure::{OggOpusWriter, OpusHead};

    fn ivf(four_cc: &[u8; 4], frames: &[Bytes]) -> Vec<u8> {
        let mut file = b"DKIF".to_vec();
        file.extend([0, 0, 32, 0]);
        file.extend(four_cc);
        file.extend([64, 1, 240, 0]);
        file.extend(15_u32.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend((frames.len() as u32).to_le_bytes());
        file.extend([0; 4]);
        for (n, frame) in frames.iter().enumerate() {
            file.extend((frame.len() as u32).to_le_bytes());
            file.extend((n as u64).to_le_bytes());
            file.extend(frame);
        }
        file
    }

    fn frames(count: u16) -> Vec<Bytes> {
        (0..count)
            .map(|n| {
                vp8::encode_key_frame(&pattern::paint(n), pattern::WIDTH, pattern::HEIGHT).unwrap()
            })
            .collect()
    }

    #[test]
    fn an_ivf_file_gives_its_frames_back() {
        let frames = frames(3);
        let pieces = parse_ivf(&ivf(b"VP80", &frames)).unwrap();
        assert_eq!(
            pieces
                .iter()
                .map(|piece| piece.data.clone())
                .collect::<Vec<_>>(),
            frames
        );
        assert!(pieces.iter().all(|piece| piece.ticks == 6_000));
    }

    #[test]
    fn files_that_would_not_play_are_refused_with_the_reason() {
        let refusal = |bytes: &[u8]| format!("{:#}", parse_ivf(bytes).unwrap_err());
        assert!(refusal(b"RIFF").contains("not an IVF file"));
        assert!(refusal(&ivf(b"VP90", &frames(1))).contains("VP90"));
        assert!(refusal(&ivf(b"VP80", &[])).contains("key frame"));
        assert!(refusal(&ivf(b"VP80", &[Bytes::from_static(&[1; 40])])).contains("key frame"));
        let mut cut = ivf(b"VP80", &frames(2));
        cut.truncate(cut.len() - 10);
        assert!(refusal(&cut).contains("cut off"));
        let mut slow = ivf(b"VP80", &frames(1));
        slow[16..20].copy_from_slice(&0_u32.to_le_bytes());
        assert!(
            parse_ivf(&slow).is_ok(),
            "a missing denominator counts as 1"
        );
        slow[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(refusal(&slow).contains("frame rate"));
    }

    #[test]
    fn an_opus_file_gives_its_packets_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("silence.ogg");
        let head = OpusHead::new(1, 48_000).unwrap();
        let mut writer = OggOpusWriter::new(File::create(&path).unwrap(), head).unwrap();
        let mut encoder = Encoder::new().unwrap();
        let packets: Vec<Bytes> = (0..10)
            .map(|_| encoder.encode(&[0.0; FRAME_SAMPLES]).unwrap())
            .collect();
        for packet in &packets {
            writer.write_packet(packet).unwrap();
        }
        writer.finish().unwrap();
        let pieces = read_ogg(&path).unwrap();
        assert_eq!(
            pieces,
            packets
                .into_iter()
                .map(|data| Piece { data, ticks: 960 })
                .collect::<Vec<_>>()
        );
        std::fs::write(&path, b"not Ogg").unwrap();
        let error = format!("{:#}", read_ogg(&path).unwrap_err());
        assert!(error.contains("silence.ogg"), "{error}");
    }
}
