//! What the server says.

mod error;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::error::{Error, ErrorCode};
use super::{Media, Payload, PayloadError, Verbatim, or_null, present};
use crate::id::{Epoch, MessageId, PeerId, Seq};

/// Answer to `hello`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Welcome {
    /// Who this client is.
    pub peer: PeerId,
    /// What this client is.
    pub role: Role,
    /// Opaque; lets this client go on with the session over a new connection.
    pub ticket: String,
    /// Whether an earlier session goes on.
    pub resumed: bool,
    /// Highest `id` of this client that the server has taken.
    pub received: MessageId,
    /// How long a lost connection may be replaced, in seconds; 0 where sessions can't be resumed.
    pub resume_window_s: u64,
    /// How often the server asks whether the client is alive, in seconds.
    pub ping_interval_s: u64,
    /// What the server accepts.
    pub limits: Limits,
    /// STUN and TURN servers for `RTCPeerConnection`.
    pub ice_servers: Vec<IceServer>,
    /// The room as it is now, without this client.
    pub room: RoomState,
}

impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A ticket is as good as the session.
        f.debug_struct("Welcome")
            .field("peer", &self.peer)
            .field("role", &self.role)
            .field("resumed", &self.resumed)
            .field("received", &self.received)
            .field("ice_servers", &self.ice_servers)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

/// What the server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limits {
    /// Largest frame in bytes.
    pub frame_bytes: usize,
    /// Longest peer name in characters; longer ones are cut.
    pub name_chars: usize,
    /// What may wait for this client's `ack`, in bytes.
    pub replay_bytes: usize,
}

/// One entry of `RTCConfiguration.iceServers`, with the end of its life.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// When the credential stops opening new allocations, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The credential stays out of logs.
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A room as one of its peers sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoomState {
    /// Its name.
    pub name: String,
    /// Whether newcomers are refused.
    pub locked: bool,
    /// How many peers fit.
    pub capacity: usize,
    /// Everybody else, those who have been there longest first.
    pub peers: Vec<Peer>,
}

/// A peer as another one sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Peer {
    /// Who it is.
    pub peer: PeerId,
    /// How it calls itself; empty when it did not say.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Whether it is reachable now.
    pub state: Presence,
    /// What it sends.
    pub media: Media,
    /// The reader's own role in perfect negotiation towards this peer: of each pair exactly one is
    /// polite. Means nothing (`false`) where a client is told about itself.
    pub polite: bool,
}

/// What a peer is in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A participant who may moderate.
    Host,
    /// Sends and receives.
    Participant,
    /// Receives and chats.
    Viewer,
}

/// Whether a peer is reachable now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Connected.
    Here,
    /// Not connected, and may come back.
    Away,
}

/// Offer, answer or candidate of another peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "SignalFields")]
#[cfg_attr(feature = "schema", schemars(!try_from))]
#[cfg_attr(feature = "schema", schemars(rename = "ServerSignal"))]
pub struct Signal {
    /// Who sent it, by the server's word.
    pub from: PeerId,
    /// The sender's `id` of it.
    pub id: MessageId,
    /// Which negotiation it belongs to.
    pub epoch: Epoch,
    /// What it carries.
    #[serde(flatten)]
    pub payload: Payload,
    /// Position in what the server sends to this client.
    pub seq: Seq,
}

#[derive(Deserialize)]
struct SignalFields {
    from: PeerId,
    id: MessageId,
    epoch: Epoch,
    #[serde(default, deserialize_with = "present")]
    description: Option<Verbatim>,
    #[serde(default, deserialize_with = "present")]
    candidate: Option<Verbatim>,
    seq: Seq,
}

impl TryFrom<SignalFields> for Signal {
    type Error = PayloadError;

    fn try_from(fields: SignalFields) -> Result<Self, PayloadError> {
        Ok(Self {
            from: fields.from,
            id: fields.id,
            epoch: fields.epoch,
            payload: Payload::new(fields.description, fields.candidate)?,
            seq: fields.seq,
        })
    }
}

/// Text of another peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ServerChat"))]
pub struct Chat {
    /// Who sent it, by the server's word.
    pub from: PeerId,
    /// The sender's `id` of it.
    pub id: MessageId,
    /// What was said.
    pub text: String,
    /// Position in what the server sends to this client.
    pub seq: Seq,
}

/// Application event of another peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ServerEvent"))]
pub struct Event {
    /// Who sent it, by the server's word.
    pub from: PeerId,
    /// The sender's `id` of it.
    pub id: MessageId,
    /// The application's name for it.
    pub name: String,
    /// The application's own JSON.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub data: Option<Verbatim>,
    /// Position in what the server sends to this client.
    pub seq: Seq,
}

/// Somebody entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerJoined {
    /// Who, with this client's role towards it.
    pub peer: Peer,
    /// Position in what the server sends to this client.
    pub seq: Seq,
}

/// Somebody's entry in the roster changed; a client also learns of its own new role this way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerUpdated {
    /// The whole entry as it is now.
    pub peer: Peer,
    /// Position in what the server sends to this client.
    pub seq: Seq,
}

/// Somebody is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerLeft {
    /// Who.
    pub peer: PeerId,
    /// Why.
    pub reason: LeftReason,
    /// Position in what the server sends to this client.
    pub seq: Seq,
}

/// Why a peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LeftReason {
    /// It said so.
    Bye,
    /// Its connection ended and was not replaced.
    Timeout,
    /// A host put it out.
    Kicked,
    /// The same person entered again.
    Replaced,
}

/// Each of these messages of this client was acknowledged by every recipient, or that recipient left
/// before it could.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Delivered {
    /// Which ones.
    pub ids: Vec<MessageId>,
    /// Of these, who left before acknowledging.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub failed: BTreeMap<MessageId, Vec<PeerId>>,
}

/// Fresh credentials, pushed before the old ones expire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IceServersRenewed {
    /// Replaces what the client has.
    pub ice_servers: Vec<IceServer>,
    /// Why they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<IceServersReason>,
    /// Position in what the server sends to this client.
    pub seq: Seq,
}

/// Why fresh ICE servers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IceServersReason {
    /// The old credentials are about to expire.
    Renewal,
    /// The relay is gone: restart ICE.
    RelayLost,
}

/// A ticket that is good for longer than the one before, which it replaces.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewTicket {
    /// As in `welcome`.
    pub ticket: String,
}

impl std::fmt::Debug for NewTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A ticket is as good as the session.
        f.debug_struct("NewTicket").finish_non_exhaustive()
    }
}

/// The room itself changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoomUpdated {
    /// Whether newcomers are refused.
    pub locked: bool,
    /// Position in what the server sends to this client.
    pub seq: Seq,
}

/// The server is about to close this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Goaway {
    /// Why.
    pub reason: GoawayReason,
    /// When to connect again, in milliseconds from now; spread over clients already.
    pub resume_in_ms: u64,
}

/// Why the server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum GoawayReason {
    /// The process stops.
    Shutdown,
    /// A reason that this version does not know.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Other,
}
