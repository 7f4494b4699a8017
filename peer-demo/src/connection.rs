//! One `RTCPeerConnection` of the `webrtc` crate, set up the way this crate needs it.

mod addresses;
mod media_engine;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use rtc::data_channel::RTCDataChannelInit;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use signaling_proto::message::server::IceServer;
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfiguration,
    RTCConfigurationBuilder, RTCIceCandidateInit, RTCIceCandidateType, RTCIceGatheringState,
    RTCIceServer, RTCIceTransportPolicy, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
    RTCSessionDescription, Registry, SettingEngineBuilder, register_default_interceptors,
};
use webrtc::rtp_transceiver::RtpSender;

pub use self::addresses::usable_ice_servers;
use crate::report::{Endpoint, Path};

/// How often connectivity is checked while connecting: the crate's 200 ms make every call start late.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Checks per pair before it is given up: 10 s at that interval.
const MAX_CHECKS: u16 = 500;
/// How long relayed pairs wait for a direct one.
const RELAY_WAIT: Duration = Duration::from_millis(500);
/// Stream ids of the data channels that both ends open on their own.
const CHAT_ID: u16 = 0;
const ECHO_ID: u16 = 1;
/// Id of the media stream; it holds the sound and the picture.
const STREAM_ID: &str = "peer-demo";

/// What all connections of a run have in common.
#[derive(Debug, Clone)]
pub struct Setup {
    /// STUN and TURN servers as the signaling service gave them.
    pub ice_servers: Vec<IceServer>,
    /// Nothing but relayed candidates.
    pub relay_only: bool,
    /// Id of the outgoing sound's track; `None`: no sound.
    pub audio_track: Option<&'static str>,
    /// Id of the outgoing picture's track; `None`: no picture.
    pub video_track: Option<&'static str>,
}

/// What happens to a connection.
pub enum Event {
    /// A local candidate; `None` after the last.
    Candidate(Option<RTCIceCandidateInit>),
    /// The connection as a whole.
    State(RTCPeerConnectionState),
    /// The other side sends media.
    Track(Arc<dyn TrackRemote>),
    /// The channel `echo` can be used.
    EchoOpen,
    /// Text on the channel `echo`.
    Echo(Bytes),
    /// Text on the channel `chat`.
    Chat(Bytes),
}

/// A track of ours with what sending on it needs.
pub struct Outbound {
    /// Takes RTP packets.
    pub track: Arc<TrackLocalStaticRTP>,
    /// Knows the negotiated payload type.
    pub sender: Arc<dyn RtpSender>,
    /// SSRC of the track.
    pub ssrc: u32,
}

/// A connection with one peer.
pub struct Connection {
    pc: Arc<dyn PeerConnection>,
    echo: Arc<dyn DataChannel>,
    /// Our sound, when there is one.
    pub audio: Option<Outbound>,
    /// Our picture, when there is one.
    pub video: Option<Outbound>,
}

struct Handler(mpsc::UnboundedSender<Event>);

impl Handler {
    // The receiver lives as long as its peer; later events interest nobody.
    fn send(&self, event: Event) {
        self.0.send(event).ok();
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        match event.candidate.to_json() {
            Ok(candidate) => self.send(Event::Candidate(Some(candidate))),
            Err(error) => tracing::debug!("left out a local candidate: {error}"),
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.send(Event::Candidate(None));
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.send(Event::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.send(Event::Track(track));
    }
}

impl Connection {
    /// Makes a connection that waits for its first description. `events` gets what happens to it.
    ///
    /// # Errors
    /// When no socket can be bound or the crate refuses its settings.
    pub async fn open(setup: &Setup, events: mpsc::UnboundedSender<Event>) -> Result<Self> {
        let ice_servers = usable_ice_servers(&setup.ice_servers);
        let local = addresses::local_addresses(setup.relay_only.then_some(&ice_servers[..]));
        let settings = SettingEngineBuilder::new()
            // Needs a multicast route, which containers rarely have; browsers are found by their checks.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_include_loopback_candidate(true)
            .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(MAX_CHECKS))
            .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_relay_acceptance_min_wait(Some(if setup.relay_only {
                Duration::ZERO
            } else {
                RELAY_WAIT
            }))
            .build();
        let mut media = media_engine::media_engine()?;
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
        let pc = PeerConnectionBuilder::new()
            .with_configuration(configuration(ice_servers, setup.relay_only))
            .with_media_engine(media)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler(events.clone())))
            .with_udp_addrs(local)
            .build()
            .await
            .context("can't create a peer connection")?;
        let pc: Arc<dyn PeerConnection> = Arc::new(pc);
        let codec = media_engine::opus();
        let audio = add_media(&*pc, RtpCodecKind::Audio, codec, setup.audio_track).await?;
        let codec = media_engine::vp8();
        let video = add_media(&*pc, RtpCodecKind::Video, codec, setup.video_track).await?;
        let chat = open_channel(&*pc, "chat", CHAT_ID).await?;
        let echo = open_channel(&*pc, "echo", ECHO_ID).await?;
        tokio::spawn(listen(chat, events.clone(), None, Event::Chat));
        tokio::spawn(listen(
            echo.clone(),
            events,
            Some(Event::EchoOpen),
            Event::Echo,
        ));
        Ok(Self {
            pc,
            echo,
            audio,
            video,
        })
    }

    /// Makes an offer; one that restarts ICE looks for a new way over the servers now in force.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn offer(&self, restart_ice: bool) -> Result<RTCSessionDescription> {
        let options = RTCOfferOptions {
            ice_restart: restart_ice,
        };
        let offer = self.pc.create_offer(Some(options)).await;
        let offer = offer.context("can't offer")?;
        self.pc
            .set_local_description(offer.clone())
            .await
            .context("can't apply the own offer")?;
        Ok(offer)
    }

    /// Answers the other's offer, after taking the own one back when they crossed.
    ///
    /// # Errors
    /// When the offer can't be applied.
    pub async fn answer(
        &self,
        offer: RTCSessionDescription,
        roll_back: bool,
    ) -> Result<RTCSessionDescription> {
        if roll_back {
            let nothing = RTCSessionDescription::rollback(None)?;
            self.pc
                .set_local_description(nothing)
                .await
                .context("can't take the own offer back")?;
        }
        self.pc
            .set_remote_description(offer)
            .await
            .context("can't apply the other's offer")?;
        let answer = self.pc.create_answer(None).await.context("can't answer")?;
        self.pc
            .set_local_description(answer.clone())
            .await
            .context("can't apply the own answer")?;
        Ok(answer)
    }

    /// Applies the other's answer.
    ///
    /// # Errors
    /// When it does not fit the offer.
    pub async fn apply_answer(&self, answer: RTCSessionDescription) -> Result<()> {
        self.pc
            .set_remote_description(answer)
            .await
            .context("can't apply the other's answer")
    }

    /// Adds a candidate of the other side.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn add_candidate(&self, candidate: RTCIceCandidateInit) -> Result<()> {
        self.pc
            .add_ice_candidate(candidate)
            .await
            .context("can't use a candidate")
    }

    /// Sends text on the channel `echo`.
    ///
    /// # Errors
    /// When the channel is closed.
    pub async fn send_echo(&self, text: &str) -> Result<()> {
        self.echo
            .send_text(text)
            .await
            .context("the data channel is closed")
    }

    /// How packets travel now; `None` before a pair of candidates is selected.
    pub async fn path(&self) -> Option<Path> {
        let transport = self.pc.sctp().await?.transport().ice_transport();
        let pair = transport.get_selected_candidate_pair().await.ok()??;
        let endpoint = |candidate: &webrtc::peer_connection::RTCIceCandidate| Endpoint {
            kind: candidate.typ.to_string(),
            address: if candidate.address.contains(':') {
                format!("[{}]:{}", candidate.address, candidate.port)
            } else {
                format!("{}:{}", candidate.address, candidate.port)
            },
        };
        let relayed = [pair.local(), pair.remote()]
            .iter()
            .any(|candidate| candidate.typ == RTCIceCandidateType::Relay);
        let kind = if relayed {
            RTCIceCandidateType::Relay
        } else {
            pair.local().typ
        };
        Some(Path {
            kind: kind.to_string(),
            protocol: pair.local().protocol.to_string(),
            local: endpoint(pair.local()),
            remote: endpoint(pair.remote()),
        })
    }

    /// Puts fresh STUN and TURN servers in force: for what is gathered from now on.
    pub async fn set_ice_servers(&self, servers: &[IceServer]) {
        self.configure(usable_ice_servers(servers)).await;
    }

    /// Gives relayed addresses up; what is gathered next is allocated anew. As long as all URLs stay what they
    /// were, the crate keeps its allocations, also where a relay was started again and knows of none.
    pub async fn give_up_relays(&self) {
        let mut servers = self.pc.get_configuration().await.ice_servers().to_vec();
        if let Some(server) = servers.last_mut() {
            // The same server, said twice or no longer so: it is asked once.
            match &server.urls[..] {
                [.., before, last] if before == last => drop(server.urls.pop()),
                [.., last] => server.urls.push(last.clone()),
                [] => {}
            }
        }
        self.configure(servers).await;
    }

    async fn configure(&self, servers: Vec<RTCIceServer>) {
        let policy = self.pc.get_configuration().await.ice_transport_policy();
        let configuration = configuration(servers, policy == RTCIceTransportPolicy::Relay);
        // What is connected goes on, and a closed connection needs none.
        if let Err(error) = self.pc.set_configuration(configuration).await {
            tracing::debug!("new ICE servers were not taken: {error}");
        }
    }

    /// Ends the connection and gives its relayed addresses back.
    pub async fn close(&self) {
        if let Err(error) = self.pc.close().await {
            tracing::debug!("closing a connection: {error}");
        }
    }
}

fn configuration(ice_servers: Vec<RTCIceServer>, relay_only: bool) -> RTCConfiguration {
    let policy = if relay_only {
        RTCIceTransportPolicy::Relay
    } else {
        RTCIceTransportPolicy::All
    };
    RTCConfigurationBuilder::new()
        .with_ice_servers(ice_servers)
        .with_ice_transport_policy(policy)
        .build()
}

/// Adds an outgoing track, or asks for incoming media only.
async fn add_media(
    pc: &dyn PeerConnection,
    kind: RtpCodecKind,
    codec: RTCRtpCodec,
    track_id: Option<&str>,
) -> Result<Option<Outbound>> {
    let Some(track_id) = track_id else {
        let receive_only = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            ..Default::default()
        };
        pc.add_transceiver_from_kind(kind, Some(receive_only))
            .await
            .with_context(|| format!("can't ask for {kind}"))?;
        return Ok(None);
    };
    let ssrc = getrandom::u32()?;
    let track = Arc::new(media_engine::track(STREAM_ID, track_id, kind, codec, ssrc));
    let sender = pc
        .add_track(track.clone())
        .await
        .with_context(|| format!("can't add {kind}"))?;
    Ok(Some(Outbound {
        track,
        sender,
        ssrc,
    }))
}

async fn open_channel(
    pc: &dyn PeerConnection,
    label: &str,
    id: u16,
) -> Result<Arc<dyn DataChannel>> {
    let negotiated = RTCDataChannelInit {
        ordered: true,
        negotiated: Some(id),
        ..Default::default()
    };
    pc.create_data_channel(label, Some(negotiated))
        .await
        .with_context(|| format!("can't create the data channel `{label}`"))
}

/// Passes what a channel receives on until it is closed.
async fn listen(
    channel: Arc<dyn DataChannel>,
    events: mpsc::UnboundedSender<Event>,
    mut on_open: Option<Event>,
    on_text: fn(Bytes) -> Event,
) {
    while let Some(event) = channel.poll().await {
        let event = match event {
            DataChannelEvent::OnOpen => on_open.take(),
            DataChannelEvent::OnMessage(message) => Some(on_text(message.data.freeze())),
            _ => None,
        };
        if event.is_some_and(|event| events.send(event).is_err()) {
            return;
        }
    }
}
