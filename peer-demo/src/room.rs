//! One run: who is in the room, when the call is over, and what it was worth.

mod clock;

use std::collections::HashMap;
use std::future::Future;

use anyhow::{Result, ensure};
use signaling_proto::id::PeerId;
use signaling_proto::message::client::{Hello, WantedRole};
use signaling_proto::message::server::{
    IceServer, IceServersReason, LeftReason, Peer as RosterEntry, Welcome,
};
use signaling_proto::message::{Media, ServerMessage};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, interval, timeout};

use self::clock::Clock;
use crate::config::{AudioSource, Config, VideoSource};
use crate::connection::{Setup, usable_ice_servers};
use crate::media::source;
use crate::peer::{self, Common, Handle, Input, PINGS, Status};
use crate::receive::{PATTERN_TRACK, TONE_TRACK};
use crate::report::{self, Report};
use crate::signaling::{self, Incoming, Joined, Outgoing};

/// How often the run asks itself whether it is over.
const TICK: Duration = Duration::from_millis(100);
/// How long saying goodbye may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bounds of the time between two numbered messages; all are sent in the first 60 % of the call.
const PING_INTERVALS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// Joins the room, takes part in the call and says what it was worth.
///
/// # Errors
/// When the call can't begin: a media file that can't be played, a server that is unreachable or refuses.
pub async fn run(config: Config) -> Result<Report> {
    run_until(config, std::future::pending()).await
}

/// Like [`run`], but hangs up early when `stop` is ready.
///
/// # Errors
/// As [`run`].
pub async fn run_until(config: Config, stop: impl Future<Output = ()>) -> Result<Report> {
    let audio = source::start_audio(&config.audio)?;
    let video = source::start_video(&config.video)?;
    let hello = Hello {
        room: config.room.clone(),
        name: Some(config.name.clone()),
        namespace: None,
        role: WantedRole::Participant,
        token: None,
        media: Media {
            audio: audio.is_some(),
            video: video.is_some(),
            screen: false,
        },
        resume: None,
    };
    let Joined {
        welcome,
        outgoing,
        mut incoming,
    } = signaling::join(&config.url, hello).await?;
    tracing::info!(
        "joined {} as {}, {} others are here",
        welcome.room.name,
        welcome.peer,
        welcome.room.peers.len()
    );
    ensure!(
        !config.relay_only || offers_relay(&welcome.ice_servers),
        "--relay-only needs a TURN server over UDP, and {} offers none",
        config.url
    );
    let ping_interval =
        (config.duration.mul_f64(0.6) / PINGS).clamp(PING_INTERVALS.0, PING_INTERVALS.1);
    let mut room = Room {
        common: Common {
            setup: Setup {
                ice_servers: welcome.ice_servers.clone(),
                relay_only: config.relay_only,
                audio_track: audio_track(&config.audio),
                video_track: video_track(&config.video),
            },
            role: config.role,
            audio,
            video,
            ping_interval,
            outgoing,
        },
        peers: Vec::new(),
        index: HashMap::new(),
        service_lost: None,
    };
    for entry in welcome.room.peers {
        room.join(entry);
    }
    room.call(&config, &mut incoming, stop).await;
    let report = room.report(&config, welcome.peer);
    room.leave().await;
    Ok(report)
}

fn offers_relay(servers: &[IceServer]) -> bool {
    usable_ice_servers(servers)
        .iter()
        .flat_map(|server| &server.urls)
        .any(|url| url.starts_with("turn:"))
}

fn audio_track(source: &AudioSource) -> Option<&'static str> {
    match source {
        AudioSource::Tone => Some(TONE_TRACK),
        AudioSource::File(_) => Some("audio-file"),
        AudioSource::None => None,
    }
}

fn video_track(source: &VideoSource) -> Option<&'static str> {
    match source {
        VideoSource::Pattern => Some(PATTERN_TRACK),
        VideoSource::File(_) => Some("video-file"),
        VideoSource::None => None,
    }
}

struct Room {
    common: Common,
    /// In order of appearance; who has left stays for the report.
    peers: Vec<Handle>,
    index: HashMap<PeerId, usize>,
    /// Why the signaling service is out of reach, while it is.
    service_lost: Option<String>,
}

impl Room {
    fn join(&mut self, entry: RosterEntry) {
        if self.index.contains_key(&entry.peer) {
            return;
        }
        self.index.insert(entry.peer.clone(), self.peers.len());
        self.peers.push(peer::start(self.common.clone(), entry));
    }

    /// Takes part until the call is over.
    async fn call(
        &mut self,
        config: &Config,
        incoming: &mut mpsc::Receiver<Incoming>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let mut clock = Clock::new(config, Instant::now());
        let mut ticker = interval(TICK);
        let mut signaling = true;
        loop {
            tokio::select! {
                message = incoming.recv(), if signaling => match message {
                    Some(Incoming::Message(message)) => self.on_message(message).await,
                    Some(Incoming::Away(reason)) => {
                        self.service_lost = Some(reason);
                        self.tell_all(|| Input::SignalingAway).await;
                    }
                    Some(Incoming::Back(welcome)) => {
                        self.service_lost = None;
                        self.come_back(*welcome).await;
                    }
                    Some(Incoming::Closed(reason)) => {
                        // What is connected goes on without signaling.
                        tracing::warn!("signaling is gone: {reason}");
                        self.service_lost = Some(reason);
                        signaling = false;
                    }
                    None => signaling = false,
                },
                _ = ticker.tick() => {
                    let statuses = self.statuses();
                    let standings: Vec<_> = statuses.iter().map(|status| status.standing.clone()).collect();
                    let needed = statuses.iter().any(|status| status.needs_us);
                    if clock.is_over(Instant::now(), &standings, needed) {
                        return;
                    }
                }
                () = &mut stop => {
                    tracing::info!("stopped early");
                    return;
                }
            }
        }
    }

    /// Fresh credentials, for connections that are still to be made and for those that there are.
    async fn renew(&mut self, ice_servers: Vec<IceServer>) {
        self.tell_all(|| Input::IceServers(ice_servers.clone()))
            .await;
        self.common.setup.ice_servers = ice_servers;
    }

    /// A relay is lost: connections that may have needed it look for another way.
    async fn find_ways(&mut self) {
        tracing::warn!("a relay is lost");
        self.tell_all(|| Input::RelayLost).await;
    }

    /// The connection was lost and another one is there. Within one session nobody has noticed; but the server
    /// may be another one, and may have taken its relay along.
    async fn come_back(&mut self, welcome: Welcome) {
        tracing::info!("signaling is back (resumed: {})", welcome.resumed);
        self.renew(welcome.ice_servers).await;
        if welcome.resumed {
            self.tell_all(|| Input::SignalingBack).await;
        } else {
            // To the others we are somebody new, and what connects us ends when they see the old one
            // leave.
            self.tell_all(|| Input::Left(LeftReason::Timeout)).await;
            self.index.clear();
        }
        for entry in welcome.room.peers {
            self.join(entry);
        }
    }

    async fn on_message(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::PeerJoined(joined) => {
                tracing::info!("{} joined", joined.peer.peer);
                self.join(joined.peer);
            }
            ServerMessage::PeerUpdated(updated) => {
                let media = Input::Media(updated.peer.media);
                self.tell(&updated.peer.peer, media).await;
            }
            ServerMessage::PeerLeft(left) => {
                tracing::info!("{} left ({:?})", left.peer, left.reason);
                self.tell(&left.peer, Input::Left(left.reason)).await;
                // Whoever comes back by the same name is met anew.
                self.index.remove(&left.peer);
            }
            ServerMessage::Signal(signal) => {
                let input = Input::Signal(signal.epoch, signal.payload);
                self.tell(&signal.from, input).await;
            }
            ServerMessage::IceServers(renewed) => {
                self.renew(renewed.ice_servers).await;
                if renewed.reason == Some(IceServersReason::RelayLost) {
                    self.find_ways().await;
                }
            }
            ServerMessage::Chat(chat) => {
                tracing::info!("{} says: {}", chat.from, chat.text.escape_debug());
            }
            ServerMessage::Error(error) => {
                tracing::warn!("the server refused: {:?}: {}", error.code, error.message);
            }
            ServerMessage::Goaway(goaway) => tracing::warn!("the server is going away: {goaway:?}"),
            ServerMessage::Welcome(_)
            | ServerMessage::Event(_)
            | ServerMessage::Delivered(_)
            | ServerMessage::Ticket(_)
            | ServerMessage::RoomUpdated(_) => {}
        }
    }

    async fn tell_all(&self, input: impl Fn() -> Input) {
        for handle in &self.peers {
            // A task that has ended has no use for it.
            handle.input.send(input()).await.ok();
        }
    }

    async fn tell(&self, peer: &PeerId, input: Input) {
        let handle = self
            .index
            .get(peer)
            .and_then(|&index| self.peers.get(index));
        if let Some(handle) = handle {
            // A task that has ended has said why in its status.
            handle.input.send(input).await.ok();
        }
    }

    fn statuses(&self) -> Vec<Status> {
        self.peers
            .iter()
            .map(|handle| handle.status.borrow().clone())
            .collect()
    }

    fn report(&self, config: &Config, own_id: PeerId) -> Report {
        let statuses = self.statuses();
        let standings: Vec<_> = statuses
            .iter()
            .map(|status| status.standing.clone())
            .collect();
        let lost = self.service_lost.as_deref();
        let problems = report::problems(&standings, config.expect_peers, lost);
        Report {
            version: report::VERSION,
            ok: problems.is_empty(),
            room: config.room.clone(),
            peer: Some(own_id.to_string()),
            peers: statuses.into_iter().map(|status| status.report).collect(),
            service_lost: self.service_lost.clone(),
            problems,
        }
    }

    /// Says goodbye and gives back what the relay holds for us.
    async fn leave(self) {
        let Self { common, peers, .. } = self;
        common.outgoing.send(Outgoing::Bye).await.ok();
        let farewell = async {
            for mut peer in peers {
                peer.input.send(Input::Close).await.ok();
                // The status channel closes when the task has ended.
                while peer.status.changed().await.is_ok() {}
            }
            common.outgoing.closed().await;
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("did not wait longer for connections to close");
        }
    }
}
