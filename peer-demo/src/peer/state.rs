//! What is known about one peer, and how it becomes its part of the report.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use signaling_proto::message::Media;
use signaling_proto::message::server::{LeftReason, Peer as RosterEntry};
use tokio::time::{Duration, Instant};

use super::echo::{Echo, PINGS};
use super::progress::Progress;
use crate::receive::Shared;
use crate::report::{DataReport, MediaReport, Path, PeerReport, Standing};

/// Everything that a run needs to know about a peer at a moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// For the report.
    pub report: PeerReport,
    /// For the verdict.
    pub standing: Standing,
    /// The other side still needs us for its own verdict.
    pub needs_us: bool,
}

pub(super) struct State {
    peer: String,
    name: String,
    met: Instant,
    connected_after: Option<Duration>,
    failure: Option<String>,
    /// When the path stopped working, while it does not work.
    interrupted_after: Option<Duration>,
    /// How far a connection that is not there yet has come.
    pub(super) progress: Progress,
    /// The last thing that went wrong without ending the call.
    note: Option<String>,
    pub(super) media: Media,
    pub(super) path: Option<Path>,
    pub(super) echo: Echo,
    pub(super) tracks: Vec<Shared>,
    pub(super) audio_sent: Arc<AtomicU64>,
    pub(super) video_sent: Arc<AtomicU64>,
    pub(super) left: Option<LeftReason>,
}

impl State {
    pub(super) fn new(entry: &RosterEntry) -> Self {
        Self {
            peer: entry.peer.to_string(),
            name: entry.name.clone(),
            met: Instant::now(),
            connected_after: None,
            failure: None,
            interrupted_after: None,
            progress: Progress::default(),
            note: None,
            media: entry.media,
            path: None,
            echo: Echo::default(),
            tracks: Vec::new(),
            audio_sent: Arc::default(),
            video_sent: Arc::default(),
            left: None,
        }
    }

    /// Time since the peer was met.
    pub(super) fn elapsed(&self) -> Duration {
        self.met.elapsed()
    }

    /// Notes that media can flow; whether that is new.
    pub(super) fn connected(&mut self) -> bool {
        (self.failure, self.interrupted_after) = (None, None);
        let first = self.connected_after.is_none();
        self.connected_after.get_or_insert(self.met.elapsed());
        first
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected_after.is_some()
    }

    pub(super) fn wants_to_ping(&self) -> bool {
        self.left.is_none() && self.echo.wants_to_ping(self.elapsed())
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.failure = Some(reason);
    }

    /// Notes that packets have stopped on a path that there was.
    pub(super) fn interrupted(&mut self) {
        if self.is_connected() {
            self.interrupted_after.get_or_insert(self.met.elapsed());
        }
    }

    /// Notes that ICE has given up. What never connected is described by its progress.
    pub(super) fn broken(&mut self) {
        self.interrupted();
        self.failure = self.interruption();
    }

    /// When the path broke, counted from when it was there.
    fn interruption(&self) -> Option<String> {
        let lasted = self
            .interrupted_after?
            .saturating_sub(self.connected_after?);
        Some(format!(
            "the path broke after {:.1} s",
            lasted.as_secs_f64()
        ))
    }

    pub(super) fn note(&mut self, what: String) {
        self.note = Some(what);
    }

    pub(super) fn status(&self) -> Status {
        let problems = self.problems();
        let report = PeerReport {
            peer: self.peer.clone(),
            name: self.name.clone(),
            connected_ms: self.connected_after.map(|after| after.as_millis() as u64),
            path: self.path.clone(),
            data: self.data(),
            audio: self.media_report(true),
            video: self.media_report(false),
            left: self.left.map(left_reason),
            verified: problems.is_empty(),
            problems: problems.clone(),
        };
        let standing = Standing {
            label: format!(
                "{} ({})",
                self.name.escape_debug(),
                self.peer.escape_debug()
            ),
            connected: self.is_connected(),
            verified: problems.is_empty(),
            left: self.left.is_some(),
            age: self.elapsed(),
            problems,
        };
        Status {
            report,
            standing,
            needs_us: self.left.is_none() && self.echo.is_needed(),
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(failure) = &self.failure {
            problems.push(failure.clone());
        }
        if self.is_connected() {
            if let Some(missing) = self.echo.check().missing(PINGS) {
                problems.push(format!("data: {missing}"));
            }
            for (name, audio) in [("audio", true), ("video", false)] {
                if self.expects(audio)
                    && let Some(missing) = self.missing_media(audio)
                {
                    problems.push(format!("{name}: {missing}"));
                }
            }
        } else if self.failure.is_none() {
            problems.push(format!("never connected: {}", self.progress));
        }
        if !problems.is_empty() {
            if self.failure.is_none()
                && let Some(interruption) = self.interruption()
            {
                problems.push(interruption);
            }
            if let Some(reason) = self.left {
                problems.push(format!("it left ({})", left_reason(reason)));
            }
            if let Some(note) = &self.note {
                problems.push(format!("last error: {note}"));
            }
        }
        problems
    }

    /// Whether the peer says that it sends this. A screen is a picture as well.
    fn expects(&self, audio: bool) -> bool {
        if audio {
            self.media.audio
        } else {
            self.media.video || self.media.screen
        }
    }

    /// What is missing in the best track of this kind.
    fn missing_media(&self, audio: bool) -> Option<String> {
        let mut missing = Some("nothing received".to_owned());
        for track in &self.tracks {
            let track = track.lock().unwrap_or_else(PoisonError::into_inner);
            if track.is_audio() == audio {
                missing = track.missing();
                if missing.is_none() {
                    break;
                }
            }
        }
        missing
    }

    fn data(&self) -> DataReport {
        let check = self.echo.check();
        DataReport {
            sent: check.sent(),
            echoed: check.echoed(),
            lost: check.sent() - check.echoed(),
            rtt_ms: check
                .mean_rtt()
                .map(|rtt| rounded(rtt.as_secs_f64() * 1000.0)),
        }
    }

    fn media_report(&self, audio: bool) -> MediaReport {
        let sent = if audio {
            &self.audio_sent
        } else {
            &self.video_sent
        };
        let mut report = MediaReport {
            expected: self.expects(audio),
            sent: sent.load(Ordering::Relaxed),
            verified: self.missing_media(audio).is_none(),
            ..Default::default()
        };
        for track in &self.tracks {
            let track = track.lock().unwrap_or_else(PoisonError::into_inner);
            if track.is_audio() == audio {
                let stats = track.stats();
                report.received += stats.received();
                report.lost += stats.lost();
                report.jitter_ms = report.jitter_ms.max(rounded(stats.jitter_ms()));
            }
        }
        report
    }
}

/// Microseconds are enough for a reader.
fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1000.0).round() / 1000.0
}

fn left_reason(reason: LeftReason) -> String {
    match reason {
        LeftReason::Bye => "bye",
        LeftReason::Timeout => "timeout",
        LeftReason::Kicked => "kicked",
        LeftReason::Replaced => "replaced",
    }
    .into()
}
