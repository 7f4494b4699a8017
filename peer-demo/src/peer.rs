//! One other peer of the room: a task that owns the connection with it.

mod echo;
mod exchange;
mod progress;
mod sdp;
mod state;

use std::sync::Arc;

use anyhow::Result;
use signaling_proto::id::{Epoch, PeerId};
use signaling_proto::message::server::{IceServer, LeftReason, Peer as RosterEntry};
use signaling_proto::message::{Media, Payload};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep_until};
use webrtc::peer_connection::{RTCIceCandidateInit, RTCPeerConnectionState};

pub use self::echo::PINGS;
use self::echo::Reaction;
use self::progress::Progress;
use self::state::State;
pub use self::state::Status;
use crate::config::Role;
use crate::connection::{Connection, Event, Setup};
use crate::media::source::Feed;
use crate::negotiation::{Negotiation, OwnOffer};
use crate::receive;
use crate::send::{Packetizer, send};
use crate::signaling::Outgoing;

/// How often the status is brought up to date.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);
/// How long a way may be interrupted before another one is looked for.
const INTERRUPTION_LIMIT: Duration = Duration::from_secs(3);
/// With the server back, how long to wait for the offer of another who was back before: one is enough.
const RETURN_WAIT: Duration = Duration::from_millis(300);
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
    /// One of the relays is lost.
    RelayLost,
    /// Nothing reaches the other side through the server for now,
    SignalingAway,
    /// and now it does again, within the same session.
    SignalingBack,
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
    /// When the first offer is made, unless the other's comes before,
    offer_due: Option<Instant>,
    /// and when one that looks for a new way is.
    restart_due: Option<Instant>,
    /// The way is lost and nobody has looked for another one yet.
    is_lost: bool,
    /// Offers reach the other side.
    can_signal: bool,
    /// Changes when the other side restarts ICE.
    remote_ufrag: Option<String>,
    /// Candidates that the other side has told of since it restarted ICE.
    remote_candidates: usize,
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
            offer_due: None,
            restart_due: None,
            is_lost: false,
            can_signal: true,
            remote_ufrag: None,
            remote_candidates: 0,
            state,
            status,
        };
        task.offer_due = due(task.negotiation.first_offer());
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
                () = when(task.offer_due) => {
                    task.offer_due = None;
                    task.first_offer().await
                }
                () = when(task.restart_due) => {
                    task.restart_due = None;
                    task.restart_ice().await
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
                // What was gathered with the old servers did not lead anywhere.
                if !self.state.is_connected() && self.state.left.is_none() {
                    self.look_for_a_way(Duration::ZERO);
                }
                Ok(())
            }
            Input::RelayLost => {
                if self.may_need_relay() {
                    self.look_for_a_way(Duration::ZERO);
                }
                Ok(())
            }
            Input::SignalingAway => {
                self.can_signal = false;
                Ok(())
            }
            Input::SignalingBack => {
                self.can_signal = true;
                if self.is_lost {
                    self.look_for_a_way(RETURN_WAIT);
                }
                Ok(())
            }
            Input::Left(reason) => {
                self.restart_due = None;
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
            RTCPeerConnectionState::Connected => {
                self.has_way();
                if self.state.connected() {
                    tracing::info!("{}: connected", self.id);
                    self.start_media();
                }
            }
            RTCPeerConnectionState::Disconnected => {
                self.state.interrupted();
                self.lose_way(INTERRUPTION_LIMIT);
            }
            RTCPeerConnectionState::Failed => {
                self.state.broken();
                self.lose_way(Duration::ZERO);
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

    async fn ping(&mut self) -> Result<()> {
        for text in self.state.echo.ping(self.state.elapsed()) {
            self.connection.send_echo(&text).await?;
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        if self.negotiation.has_both() {
            Progress::Wayless {
                here: self.candidates.iter().flatten().count(),
                there: self.remote_candidates,
            }
        } else if self.negotiation.has_begun() {
            Progress::Unanswered
        } else {
            Progress::Unoffered
        }
    }

    /// Brings the status up to date, and tells the other side when it is verified.
    async fn refresh(&mut self) -> Result<()> {
        if self.state.left.is_none()
            && self.state.is_connected()
            && let Some(path) = self.connection.path().await
        {
            if self.state.path.as_ref() != Some(&path) {
                tracing::info!("{}: {path}", self.id);
            }
            self.state.path = Some(path);
        }
        self.state.progress = self.progress();
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

/// The moment for an offer.
fn due(offer: OwnOffer) -> Option<Instant> {
    match offer {
        OwnOffer::Now => Some(Instant::now()),
        OwnOffer::After(wait) => Some(Instant::now() + wait),
        OwnOffer::Never => None,
    }
}

/// Waits for a moment, or without one forever.
async fn when(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
