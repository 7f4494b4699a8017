//! Where outgoing media comes from: one clock per run, shared by all peers.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::file::{Piece, duration, read_ivf, read_ogg};
use super::opus::{Encoder, FRAME_SAMPLES};
use super::pattern;
use super::tone::{SAMPLE_RATE, Tone};
use super::vp8;
use crate::config::{AudioSource, VideoSource};

/// Pieces that a slow peer may lag behind before it misses some: more than a second of either kind.
const BACKLOG: usize = 64;

/// One piece on its way to all peers.
#[derive(Debug, Clone)]
pub struct Timed {
    /// An Opus packet or a VP8 frame.
    pub data: Bytes,
    /// When it plays, in ticks of its RTP clock from the beginning of the run; wraps like RTP's.
    pub timestamp: u32,
}

/// What feeds one kind of media.
pub type Feed = broadcast::Sender<Timed>;

/// Starts the sound; `None` when none was asked for. It ends with the last clone of the feed's task handle.
///
/// # Errors
/// When the file can't be played.
pub fn start_audio(source: &AudioSource) -> Result<Option<Feed>> {
    let feed = broadcast::Sender::new(BACKLOG);
    match source {
        AudioSource::None => return Ok(None),
        AudioSource::Tone => {
            let encoder = Encoder::new()?;
            tokio::spawn(play_tone(feed.clone(), encoder));
        }
        AudioSource::File(path) => {
            tokio::spawn(play(feed.clone(), read_ogg(path)?, SAMPLE_RATE));
        }
    }
    Ok(Some(feed))
}

/// Starts the picture; `None` when none was asked for.
///
/// # Errors
/// When the file can't be played.
pub fn start_video(source: &VideoSource) -> Result<Option<Feed>> {
    let feed = broadcast::Sender::new(BACKLOG);
    match source {
        VideoSource::None => return Ok(None),
        VideoSource::Pattern => {
            tokio::spawn(play_pattern(feed.clone()));
        }
        VideoSource::File(path) => {
            tokio::spawn(play(feed.clone(), read_ivf(path)?, vp8::CLOCK_RATE));
        }
    }
    Ok(Some(feed))
}

async fn play_tone(feed: Feed, mut encoder: Encoder) {
    let mut tone = Tone::default();
    let mut samples = [0.0; FRAME_SAMPLES];
    let mut timestamp = 0_u32;
    let mut ticker = interval(duration(FRAME_SAMPLES as u64, SAMPLE_RATE));
    loop {
        ticker.tick().await;
        tone.fill(&mut samples);
        match encoder.encode(&samples) {
            // Without peers nobody listens, and the tone goes on.
            Ok(data) => drop(feed.send(Timed { data, timestamp })),
            Err(error) => return tracing::error!("the tone stops: {error:#}"),
        }
        timestamp = timestamp.wrapping_add(FRAME_SAMPLES as u32);
    }
}

async fn play_pattern(feed: Feed) {
    let ticks = vp8::CLOCK_RATE / pattern::FRAMES_PER_SECOND;
    let mut ticker = interval(Duration::from_secs(1) / pattern::FRAMES_PER_SECOND);
    // A frame that is late is not worth a burst.
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for counter in 0_u32.. {
        ticker.tick().await;
        if feed.receiver_count() == 0 {
            // Painting costs time that nobody would see.
            continue;
        }
        let rgb = pattern::paint(counter as u16);
        match vp8::encode_key_frame(&rgb, pattern::WIDTH, pattern::HEIGHT) {
            Ok(data) => drop(feed.send(Timed {
                data,
                timestamp: counter.wrapping_mul(ticks),
            })),
            Err(error) => return tracing::error!("the pattern stops: {error:#}"),
        }
    }
}

/// Plays recorded pieces over and over.
async fn play(feed: Feed, pieces: Vec<Piece>, rate: u32) {
    let start = Instant::now();
    let mut ticks = 0_u64;
    loop {
        for piece in &pieces {
            sleep_until(start + duration(ticks, rate)).await;
            let data = piece.data.clone();
            // Only the low half of the count goes into RTP.
            let timestamp = ticks as u32;
            drop(feed.send(Timed { data, timestamp }));
            ticks += u64::from(piece.ticks);
        }
    }
}
