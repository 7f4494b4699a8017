//! One run: who is in the room, when the call is over, and what it was worth.

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

use crate::config::{AudioSource, Config, VideoSource};
use crate::connection::{Setup, usable_ice_servers};
use crate::media::source;
use crate::peer::{self, Common, Handle, Input, PINGS, Status};
use crate::receive::{PATTERN_TRACK, TONE_TRACK};
use crate::report::{self, Report, Standing};
use crate::signaling::{self, Incoming, Joined, Outgoing};

/// How often the run asks itself whether it is over.
const TICK: Duration = Duration::from_millis(100);
/// How long a call may last beyond its duration while something is not verified: here, or at another headless
/// peer, which needs us for it.
const GRACE: Duration = Duration::from_secs(10);
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
                    Some(Incoming::Away) => self.tell_all(|| Input::SignalingAway).await,
                    Some(Incoming::Back(welcome)) => self.come_back(*welcome).await,
                    Some(Incoming::Closed(reason)) => {
                        // What is connected goes on without signaling.
                        tracing::warn!("signaling is gone: {reason}");
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
        let problems = report::problems(&standings, config.expect_peers);
        Report {
            ok: problems.is_empty(),
            room: config.room.clone(),
            peer: Some(own_id.to_string()),
            peers: statuses.into_iter().map(|status| status.report).collect(),
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

/// Decides when the call is over: pure, but for the moments it is given.
struct Clock {
    expected: usize,
    duration: Duration,
    /// Until when the expected peers must be connected.
    patience_ends: Instant,
    /// When they were.
    began: Option<Instant>,
}

impl Clock {
    fn new(config: &Config, now: Instant) -> Self {
        Self {
            expected: config.expect_peers,
            duration: config.duration,
            patience_ends: now + config.wait,
            began: None,
        }
    }

    fn is_over(&mut self, now: Instant, peers: &[Standing], needed: bool) -> bool {
        let Some(began) = self.began else {
            let connected = peers.iter().filter(|peer| peer.connected).count();
            if connected >= self.expected {
                self.began = Some(now);
                return false;
            }
            return now >= self.patience_ends;
        };
        let Some(beyond) = now.checked_duration_since(began + self.duration) else {
            return false;
        };
        if report::problems(peers, self.expected).is_empty() {
            return !needed || beyond >= GRACE;
        }
        // Only who is still here can become verified.
        beyond >= GRACE || peers.iter().all(|peer| peer.left || peer.verified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn clock(now: Instant) -> Clock {
        let config = Config::parse_from([
            "peer-demo",
            "--url",
            "ws://h/signal",
            "--room",
            "a",
            "--duration",
            "5",
            "--wait",
            "20",
        ]);
        Clock::new(&config, now)
    }

    fn peer(connected: bool, verified: bool) -> Standing {
        Standing {
            label: "ann".into(),
            connected,
            verified,
            left: false,
            age: seconds(60),
            problems: vec!["audio: silence".into()],
        }
    }

    #[tokio::test]
    async fn nobody_is_waited_for_forever() {
        let now = Instant::now();
        let mut clock = clock(now);
        assert!(!clock.is_over(now + seconds(19), &[peer(false, false)], false));
        assert!(clock.is_over(now + seconds(20), &[peer(false, false)], false));
    }

    #[tokio::test]
    async fn the_duration_counts_from_the_connection() {
        let now = Instant::now();
        let mut clock = clock(now);
        assert!(!clock.is_over(now + seconds(15), &[peer(true, false)], false));
        assert!(!clock.is_over(now + seconds(19), &[peer(true, true)], false));
        assert!(clock.is_over(now + seconds(20), &[peer(true, true)], false));
        assert!(
            !clock.is_over(now + seconds(20), &[peer(true, true)], true),
            "courtesy"
        );
        assert!(clock.is_over(now + seconds(30), &[peer(true, true)], true));
    }

    #[tokio::test]
    async fn what_is_not_verified_gets_some_grace_while_its_peer_is_here() {
        let now = Instant::now();
        let mut clock = clock(now);
        assert!(!clock.is_over(now, &[peer(true, false)], false));
        assert!(!clock.is_over(now + seconds(14), &[peer(true, false)], false));
        assert!(clock.is_over(now + seconds(15), &[peer(true, false)], false));
        let gone = Standing {
            left: true,
            ..peer(true, false)
        };
        assert!(clock.is_over(now + seconds(5), &[gone], false));
    }
}
