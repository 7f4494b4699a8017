//! Incoming media: RTP packets of one track are counted, decoded and judged.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp::packet::Packet;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::time::{Instant, interval};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use crate::media::opus::Decoder;
use crate::media::rtp_stats::RtpStats;
use crate::media::tone::SAMPLE_RATE;
use crate::media::vp8::{self, Assembler};
use crate::verify::{AudioCheck, Expect, VideoCheck};

/// Track ids by which two headless peers tell each other that this is the test media.
pub const TONE_TRACK: &str = "tone";
/// See [`TONE_TRACK`].
pub const PATTERN_TRACK: &str = "pattern";
/// How often a key frame is asked for: only those can be decoded, and browsers send them on request.
const KEY_FRAME_INTERVAL: Duration = Duration::from_secs(1);

/// What has been received on one track.
#[derive(Debug)]
pub struct Received {
    stats: RtpStats,
    check: Check,
}

#[derive(Debug)]
enum Check {
    Audio(AudioCheck),
    Video(VideoCheck),
}

/// A track's state, shared between the task that receives and the one that reports.
pub type Shared = Arc<Mutex<Received>>;

impl Received {
    /// Whether this is sound.
    #[must_use]
    pub fn is_audio(&self) -> bool {
        matches!(self.check, Check::Audio(_))
    }

    /// The stream's counters.
    #[must_use]
    pub fn stats(&self) -> &RtpStats {
        &self.stats
    }

    /// What is missing; `None` when the track is verified.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        match &self.check {
            Check::Audio(check) => check.missing(),
            Check::Video(check) => check.missing(),
        }
    }
}

/// Begins to receive a track, in a task that ends with it.
pub async fn start(track: Arc<dyn TrackRemote>) -> Shared {
    let track_id = track.track_id().await;
    let audio = track.kind().await == RtpCodecKind::Audio;
    let test_track = if audio { TONE_TRACK } else { PATTERN_TRACK };
    let expect = if track_id == test_track {
        Expect::TestMedia
    } else {
        Expect::Anything
    };
    let received = Arc::new(Mutex::new(if audio {
        Received {
            stats: RtpStats::new(SAMPLE_RATE),
            check: Check::Audio(AudioCheck::new(expect)),
        }
    } else {
        Received {
            stats: RtpStats::new(vp8::CLOCK_RATE),
            check: Check::Video(VideoCheck::new(expect)),
        }
    }));
    tracing::debug!("receiving {track_id} as {expect:?}");
    if audio {
        tokio::spawn(receive_audio(track, received.clone()));
    } else {
        tokio::spawn(receive_video(track, received.clone()));
    }
    received
}

/// Changes what is shared; a reader that panicked before can't have left it half changed.
fn with<T>(received: &Shared, change: impl FnOnce(&mut Received) -> T) -> T {
    change(&mut received.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Counts a packet; `None` when it carries nothing (browsers probe the path with padding).
fn count<'a>(received: &Shared, packet: &'a Packet, started: Instant) -> Option<&'a Packet> {
    let header = &packet.header;
    with(received, |received| {
        received
            .stats
            .push(header.sequence_number, header.timestamp, started.elapsed());
    });
    (!packet.payload.is_empty()).then_some(packet)
}

async fn receive_audio(track: Arc<dyn TrackRemote>, received: Shared) {
    let mut decoder = match Decoder::new() {
        Ok(decoder) => decoder,
        Err(error) => return tracing::error!("{error:#}"),
    };
    let started = Instant::now();
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(packet) = event else {
            continue;
        };
        let Some(packet) = count(&received, &packet, started) else {
            continue;
        };
        let decoded = decoder.decode(&packet.payload);
        with(&received, |received| {
            if let Check::Audio(check) = &mut received.check {
                match decoded {
                    Ok(samples) => check.push(samples),
                    Err(_) => check.push_broken(),
                }
            }
        });
    }
}

async fn receive_video(track: Arc<dyn TrackRemote>, received: Shared) {
    let mut assembler = Assembler::default();
    let started = Instant::now();
    let mut key_frame_due = interval(KEY_FRAME_INTERVAL);
    loop {
        let event = tokio::select! {
            event = track.poll() => event,
            _ = key_frame_due.tick() => {
                ask_for_key_frame(&*track).await;
                continue;
            }
        };
        let packet = match event {
            Some(TrackRemoteEvent::OnRtpPacket(packet)) => packet,
            Some(_) => continue,
            None => return,
        };
        let Some(packet) = count(&received, &packet, started) else {
            continue;
        };
        let header = &packet.header;
        let frame = assembler.push(
            header.sequence_number,
            header.timestamp,
            header.marker,
            &packet.payload,
        );
        let picture = match frame {
            Ok(Some(frame)) if vp8::is_key_frame(&frame.data) => {
                vp8::decode_key_frame(&frame.data).map(|picture| (frame.timestamp, picture))
            }
            // Frames between key frames need the ones before, and a decoder that is not here.
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        with(&received, |received| {
            if let Check::Video(check) = &mut received.check {
                match picture {
                    Ok((timestamp, picture)) => check.push(timestamp, &picture),
                    Err(error) => {
                        tracing::trace!("{error:#}");
                        check.push_broken();
                    }
                }
            }
        });
    }
}

async fn ask_for_key_frame(track: &dyn TrackRemote) {
    for media_ssrc in track.ssrcs().await {
        let request = PictureLossIndication {
            sender_ssrc: 0,
            media_ssrc,
        };
        if let Err(error) = track.write_rtcp(vec![Box::new(request)]).await {
            tracing::debug!("can't ask for a key frame: {error}");
        }
    }
}
