//! What clients say.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::{Media, Payload, PayloadError, Verbatim, or_null, present};
use crate::id::{Epoch, MessageId, PeerId, Seq};

/// The namespace of those who name none.
pub const DEFAULT_NAMESPACE: &str = "main";

/// First frame of every connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hello {
    /// Which room to enter.
    pub room: String,
    /// How the others see this peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which application's rooms; `main` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What this peer wants to be.
    #[serde(default, deserialize_with = "or_null")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<WantedRole>"))]
    pub role: WantedRole,
    /// Room token, where the server asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What this peer sends from the start; what is absent is off.
    #[serde(default, deserialize_with = "or_null")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<MediaChange>"))]
    pub media: Media,
    /// Goes on with an earlier session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

impl Hello {
    /// Which application's rooms.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }
}

/// What a client may ask to be; who is host is decided by the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WantedRole {
    /// Sends and receives.
    #[default]
    Participant,
    /// Receives and chats.
    Viewer,
}

/// How to go on with an earlier session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resume {
    /// The last `welcome`'s ticket.
    pub ticket: String,
    /// Highest `seq` that the client has processed.
    pub received: Seq,
    /// Whom this client knows to be in the room, itself left out. A server that does not know the
    /// session keeps messages for these until they are back too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<PeerId>>,
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A ticket is as good as the session.
        f.debug_struct("Resume")
            .field("received", &self.received)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

/// Offer, answer or candidate for one peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "SignalFields")]
#[cfg_attr(feature = "schema", schemars(!try_from))]
#[cfg_attr(feature = "schema", schemars(rename = "ClientSignal"))]
pub struct Signal {
    /// Position in what this client sends.
    pub id: MessageId,
    /// Who gets it.
    pub to: PeerId,
    /// Which negotiation it belongs to.
    pub epoch: Epoch,
    /// What it carries.
    #[serde(flatten)]
    pub payload: Payload,
}

#[derive(Deserialize)]
struct SignalFields {
    /// Known already; here so that a second one is noticed.
    #[serde(rename = "type", default)]
    _kind: IgnoredAny,
    id: MessageId,
    to: PeerId,
    epoch: Epoch,
    #[serde(default, deserialize_with = "present")]
    description: Option<Verbatim>,
    #[serde(default, deserialize_with = "present")]
    candidate: Option<Verbatim>,
}

impl TryFrom<SignalFields> for Signal {
    type Error = PayloadError;

    fn try_from(fields: SignalFields) -> Result<Self, PayloadError> {
        Ok(Self {
            id: fields.id,
            to: fields.to,
            epoch: fields.epoch,
            payload: Payload::new(fields.description, fields.candidate)?,
        })
    }
}

/// Text for one peer or the room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ClientChat"))]
pub struct Chat {
    /// Position in what this client sends.
    pub id: MessageId,
    /// What to say.
    pub text: String,
    /// Who gets it; everybody else in the room when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PeerId>,
}

/// Application event for some peers or the room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ClientEvent"))]
pub struct Event {
    /// Position in what this client sends.
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
    /// Who gets it; everybody else in the room when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Recipients>,
}

/// A peer or a list of peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Recipients {
    /// This one.
    One(PeerId),
    /// Each of these.
    Many(Vec<PeerId>),
}

impl Recipients {
    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<PeerId> {
        match self {
            Self::One(peer) => vec![peer],
            Self::Many(peers) => peers,
        }
    }
}

/// Changes what the others see of this peer; what is absent stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Update {
    /// Position in what this client sends.
    pub id: MessageId,
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is now on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaChange>,
}

/// What is now on or off; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MediaChange {
    /// Microphone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// Camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<bool>,
    /// Screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<bool>,
}

impl MediaChange {
    /// What `media` becomes.
    #[must_use]
    pub fn apply(self, media: Media) -> Media {
        Media {
            audio: self.audio.unwrap_or(media.audio),
            video: self.video.unwrap_or(media.video),
            screen: self.screen.unwrap_or(media.screen),
        }
    }
}

impl From<Media> for MediaChange {
    fn from(media: Media) -> Self {
        Self {
            audio: Some(media.audio),
            video: Some(media.video),
            screen: Some(media.screen),
        }
    }
}

/// What hosts may do to a room and its peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "ModerateFields")]
#[cfg_attr(feature = "schema", schemars(!try_from, extend(
    "if" = {"properties": {"action": {"enum": ["kick", "mute"]}}},
    "then" = {"required": ["peer"]}
)))]
pub struct Moderate {
    /// Position in what this client sends.
    pub id: MessageId,
    /// What to do.
    pub action: Action,
    /// To whom: `kick` and `mute` need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
}

/// What a host may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", schemars(rename = "ModerateAction"))]
pub enum Action {
    /// Puts a peer out.
    Kick,
    /// Lets nobody else in.
    Lock,
    /// Lets people in again.
    Unlock,
    /// Asks a peer to be silent.
    Mute,
}

#[derive(Deserialize)]
struct ModerateFields {
    id: MessageId,
    action: Action,
    peer: Option<PeerId>,
}

impl TryFrom<ModerateFields> for Moderate {
    type Error = &'static str;

    fn try_from(fields: ModerateFields) -> Result<Self, Self::Error> {
        let ModerateFields { id, action, peer } = fields;
        match (action, &peer) {
            (Action::Kick | Action::Mute, None) => Err("`kick` and `mute` need a `peer`"),
            _ => Ok(Self { id, action, peer }),
        }
    }
}

/// Everything up to `seq` has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ack {
    /// Highest `seq` that has been processed.
    pub seq: Seq,
}
