//! One other peer of the room: a task that owns the connection with it.

mod echo;
mod state;

use std::sync::Arc;

use anyhow::{Context, Result};
use signaling_proto::id::{Epoch, PeerId};
use signaling_proto::message::server::{IceServer, LeftReason, Peer as RosterEntry};
use signaling_proto::message::{Media, Payload, SdpKind, Verbatim};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep_until};
use webrtc::peer_connection::{
    RTCIceCandidateInit, RTCPeerConnectionState, RTCSdpType, RTCSessionDescription,
};

pub use self::echo::PINGS;
use self::echo::Reaction;
use self::state::State;
pub use self::state::Status;
use crate::config::Role;
use crate::connection::{Connection, Event, Setup};
use crate::media::source::Feed;
use crate::negotiation::{FirstOffer, Negotiation, OnCandidate, OnOffer};
use crate::receive;
use crate::send::{Packetizer, send};
use crate::signaling::Outgoing;

/// How often the status is brought up to date.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);
/// Messages that may wait for a peer's task.
const QUEUE: usize = 256;

/// What the run tells a peer's task.
#[derive(Debug)]
pub enum Input {
    /// The peer has sent a description or candidate.
    Signal(Epoch, Payload),
    /// The peer says what it sends.
    Media(Media),
    /// Fresh STUN and TURN servers.
    IceServers(Vec<IceServer>),
    /// The peer has left the room.
    Left(LeftReason),
    /// The run is over: close the connection.
    Close,
}

/// What every peer of a run shares.
#[derive(Clone)]
pub struct Common {
    /// How connections are made.
    pub setup: Setup,
    /// Who offers.
    pub role: Role,
    /// Sound, when there is any.
    pub audio: Option<Feed>,
    /// Picture, when there is any.
    pub video: Option<Feed>,
    /// Time between two numbered messages.
    pub ping_interval: Duration,
    /// Towards the signaling service.
    pub outgoing: mpsc::Sender<Outgoing>,
}

/// A peer's task as the run sees it.
pub struct Handle {
    /// Tells the task what happens.
    pub input: mpsc::Sender<Input>,
    /// What the task has seen; the channel closes when the task has ended.
    pub status: watch::Receiver<Status>,
}

/// Starts the task for a peer that is in the room.
#[must_use]
pub fn start(common: Common, entry: RosterEntry) -> Handle {
    let (input, inputs) = mpsc::channel(QUEUE);
    let state = State::new(&entry);
    let (status, statuses) = watch::channel(state.status());
    tokio::spawn(async move {
        let id = entry.peer.clone();
        if let Err(error) = Task::run(common, entry, inputs, status).await {
            tracing::warn!("{id}: {error:#}");
        }
    });
    Handle {
        input,
        status: statuses,
    }
}

struct Task {
    id: PeerId,
    common: Common,
    negotiation: Negotiation<RTCIceCandidateInit>,
    connection: Connection,
    /// Epoch of the own description in force, and its first media section's name: candidates carry both.
    local: Option<(Epoch, Option<String>)>,
    /// Own candidates so far, to be said again when the offer they came with was taken back.
    candidates: Vec<Option<RTCIceCandidateInit>>,
    state: State,
    status: watch::Sender<Status>,
}

impl Task {
    async fn run(
        common: Common,
        entry: RosterEntry,
        mut inputs: mpsc::Receiver<Input>,
        status: watch::Sender<Status>,
    ) -> Result<()> {
        let (events_in, mut events) = mpsc::unbounded_channel();
        let opened = Connection::open(&common.setup, events_in).await;
        let mut state = State::new(&entry);
        let connection = match opened {
            Ok(connection) => connection,
            Err(error) => {
                state.fail(format!("{error:#}"));
                status.send_replace(state.status());
                return Err(error);
            }
        };
        let mut task = Self {
            id: entry.peer,
            negotiation: Negotiation::new(common.role, entry.polite),
            common,
            connection,
            local: None,
            candidates: Vec::new(),
            state,
            status,
        };
        let first_offer = match task.negotiation.first_offer() {
            FirstOffer::Now => Some(Instant::now()),
            FirstOffer::After(wait) => Some(Instant::now() + wait),
            FirstOffer::Never => None,
        };
        let mut offer_due = std::pin::pin!(async {
            match first_offer {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        });
        let mut may_offer = true;
        let mut pings = interval(task.common.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut report = interval(STATUS_INTERVAL);
        loop {
            let result = tokio::select! {
                input = inputs.recv() => match input {
                    Some(Input::Close) | None => break,
                    Some(input) => task.on_input(input).await,
                },
                Some(event) = events.recv() => task.on_event(event).await,
                () = &mut offer_due, if may_offer => {
                    may_offer = false;
                    task.first_offer().await
                }
                _ = pings.tick(), if task.state.wants_to_ping() => task.ping().await,
                _ = report.tick() => task.refresh().await,
            };
            // What one message breaks must not end the call.
            if let Err(error) = result {
                tracing::debug!("{}: {error:#}", task.id);
                task.state.note(format!("{error:#}"));
            }
        }
        task.refresh().await?;
        task.connection.close().await;
        Ok(())
    }

    async fn on_input(&mut self, input: Input) -> Result<()> {
        match input {
            Input::Signal(epoch, Payload::Description(description)) => {
                self.on_description(epoch, &description).await
            }
            Input::Signal(epoch, Payload::Candidate(candidate)) => {
                self.on_candidate(epoch, &candidate).await
            }
            Input::Media(media) => {
                self.state.media = media;
                Ok(())
            }
            Input::IceServers(servers) => {
                self.connection.set_ice_servers(&servers).await;
                Ok(())
            }
            Input::Left(reason) => {
                self.refresh().await?;
                self.state.left = Some(reason);
                self.connection.close().await;
                Ok(())
            }
            Input::Close => Ok(()),
        }
    }

    async fn on_event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Candidate(candidate) => {
                self.candidates.push(candidate.clone());
                self.send_candidate(candidate).await
            }
            Event::State(state) => {
                self.on_state(state);
                Ok(())
            }
            Event::Track(track) => {
                self.state.tracks.push(receive::start(track).await);
                Ok(())
            }
            Event::EchoOpen => {
                let introduction = self.state.echo.open(self.state.elapsed());
                self.connection.send_echo(&introduction).await
            }
            Event::Echo(text) => match self.state.echo.on_text(&text, self.state.elapsed()) {
                Reaction::Reply(text) => self.connection.send_echo(&text).await,
                Reaction::None => Ok(()),
            },
            Event::Chat(text) => {
                let text = String::from_utf8_lossy(&text);
                tracing::info!("{} says: {}", self.id, text.escape_debug());
                Ok(())
            }
        }
    }

    fn on_state(&mut self, state: RTCPeerConnectionState) {
        tracing::debug!("{}: {state}", self.id);
        match state {
            RTCPeerConnectionState::Connected if self.state.connected() => {
                tracing::info!("{}: connected", self.id);
                self.start_media();
            }
            RTCPeerConnectionState::Failed => {
                self.state
                    .fail("no path to the other side was found, or it broke".into());
            }
            _ => {}
        }
    }

    fn start_media(&mut self) {
        let common = &self.common;
        let (audio, video) = (self.connection.audio.take(), self.connection.video.take());
        let feeds = [
            (
                audio,
                &common.audio,
                Packetizer::Opus,
                &self.state.audio_sent,
            ),
            (
                video,
                &common.video,
                Packetizer::Vp8,
                &self.state.video_sent,
            ),
        ];
        for (outbound, feed, packetizer, sent) in feeds {
            let receiver: Option<broadcast::Receiver<_>> = feed.as_ref().map(Feed::subscribe);
            if let (Some(outbound), Some(receiver)) = (outbound, receiver) {
                tokio::spawn(send(outbound, packetizer, receiver, Arc::clone(sent)));
            }
        }
    }

    async fn first_offer(&mut self) -> Result<()> {
        if self.negotiation.has_begun() {
            return Ok(());
        }
        let Some(epoch) = self.negotiation.offer() else {
            return Ok(());
        };
        let offer = self.connection.offer().await?;
        self.send_description(epoch, &offer).await
    }

    async fn on_description(&mut self, epoch: Epoch, description: &Verbatim) -> Result<()> {
        let description: RTCSessionDescription = description
            .decode()
            .context("a description that can't be read")?;
        match description.sdp_type {
            RTCSdpType::Offer => {
                let roll_back = match self.negotiation.on_offer(epoch) {
                    OnOffer::Ignore => {
                        tracing::debug!("{}: offers crossed, ours counts", self.id);
                        return Ok(());
                    }
                    OnOffer::Answer => false,
                    OnOffer::RollBackAndAnswer => true,
                };
                let answer = self.connection.answer(description, roll_back).await?;
                self.send_description(epoch, &answer).await?;
                if roll_back {
                    // The other side has dropped those of the offer that was taken back.
                    for candidate in self.candidates.clone() {
                        self.send_candidate(candidate).await?;
                    }
                }
            }
            RTCSdpType::Answer if self.negotiation.on_answer(epoch) => {
                self.connection.apply_answer(description).await?;
            }
            other => {
                tracing::debug!("{}: dropped a stale {other}", self.id);
                return Ok(());
            }
        }
        for candidate in self.negotiation.take_held() {
            self.connection.add_candidate(candidate).await?;
        }
        Ok(())
    }

    async fn on_candidate(&mut self, epoch: Epoch, candidate: &Verbatim) -> Result<()> {
        let candidate: Option<RTCIceCandidateInit> = candidate
            .decode()
            .context("a candidate that can't be read")?;
        // The end of candidates needs no action: checks go on until a pair is found.
        let Some(candidate) = candidate.filter(|candidate| !candidate.candidate.is_empty()) else {
            return Ok(());
        };
        match self.negotiation.on_candidate(epoch, candidate) {
            OnCandidate::Add(candidate) => self.connection.add_candidate(candidate).await,
            OnCandidate::Held | OnCandidate::Stale => Ok(()),
        }
    }

    async fn send_description(
        &mut self,
        epoch: Epoch,
        description: &RTCSessionDescription,
    ) -> Result<()> {
        self.local = Some((epoch, first_mid(&description.sdp)));
        let kind = match description.sdp_type {
            RTCSdpType::Offer => SdpKind::Offer,
            _ => SdpKind::Answer,
        };
        let json = serde_json::json!({"type": kind, "sdp": description.sdp});
        let payload = Payload::Description(Verbatim::new(&json)?);
        self.send_signal(epoch, payload).await
    }

    async fn send_candidate(&mut self, candidate: Option<RTCIceCandidateInit>) -> Result<()> {
        let Some((epoch, mid)) = self.local.clone() else {
            // It is sent with the first description.
            return Ok(());
        };
        let candidate = candidate.map(|candidate| RTCIceCandidateInit {
            // The crate leaves it empty, which browsers take for the name of a section.
            sdp_mid: mid,
            ..candidate
        });
        self.send_signal(epoch, Payload::Candidate(Verbatim::new(&candidate)?))
            .await
    }

    async fn send_signal(&mut self, epoch: Epoch, payload: Payload) -> Result<()> {
        let to = self.id.clone();
        self.common
            .outgoing
            .send(Outgoing::Signal { to, epoch, payload })
            .await
            .context("signaling is gone")
    }

    async fn ping(&mut self) -> Result<()> {
        for text in self.state.echo.ping(self.state.elapsed()) {
            self.connection.send_echo(&text).await?;
        }
        Ok(())
    }

    /// Brings the status up to date, and tells the other side when it is verified.
    async fn refresh(&mut self) -> Result<()> {
        if self.state.left.is_none()
            && self.state.is_connected()
            && let Some(path) = self.connection.path().await
        {
            self.state.path = Some(path);
        }
        let verified = self.state.status().report.verified;
        if verified
            && self.state.left.is_none()
            && let Reaction::Reply(text) = self.state.echo.say_verified()
        {
            self.connection.send_echo(&text).await?;
        }
        self.status.send_replace(self.state.status());
        Ok(())
    }
}

/// Name of the first media section of a description.
fn first_mid(sdp: &str) -> Option<String> {
    sdp.lines()
        .find_map(|line| line.strip_prefix("a=mid:"))
        .map(|mid| mid.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::first_mid;

    #[test]
    fn candidates_belong_to_the_first_section() {
        let sdp = "v=0\r\na=group:BUNDLE audio video\r\nm=audio 9 X 111\r\na=mid:audio\r\nm=video 9 X 96\r\na=mid:video\r\n";
        assert_eq!(first_mid(sdp).as_deref(), Some("audio"));
        assert_eq!(first_mid("v=0\r\n"), None);
    }
}
