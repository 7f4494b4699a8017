//! Every message of `signal.v1` as a type.
//!
//! What browsers made (descriptions, candidates, application data) stays [`Verbatim`]: it is checked
//! for shape and passed on byte for byte. A tagged derive can't do this (serde buffers the fields to
//! find the tag), so [`ClientMessage::parse`] and [`ServerMessage::parse`] look at `type` first and
//! then read the frame as that one message. Signals, which cost most, are tried at once.

mod candidate;
pub mod client;
mod halves;
mod payload;
pub mod server;
mod usual;
mod verbatim;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::payload::{Payload, PayloadError, SdpKind};
pub use self::verbatim::Verbatim;
use crate::id::MessageId;

/// Largest frame in bytes, both ways.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;
/// Deepest nesting of arrays and objects in a frame: a reader that recurses must not run out of stack.
pub const MAX_DEPTH: usize = 32;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// First frame of every connection.
    Hello(client::Hello),
    /// Offer, answer or candidate for one peer.
    Signal(client::Signal),
    /// Text for one peer or the room.
    Chat(client::Chat),
    /// Application event for some peers or the room.
    Event(client::Event),
    /// Changes what the others see of this peer.
    Update(client::Update),
    /// What hosts may do to a room and its peers.
    Moderate(client::Moderate),
    /// Everything up to `seq` has arrived.
    Ack(client::Ack),
    /// Leaves at once.
    Bye,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// Answer to `hello`.
    Welcome(Box<server::Welcome>),
    /// Offer, answer or candidate of another peer.
    Signal(server::Signal),
    /// Text of another peer.
    Chat(server::Chat),
    /// Application event of another peer.
    Event(server::Event),
    /// Somebody entered.
    PeerJoined(server::PeerJoined),
    /// Somebody's entry in the roster changed.
    PeerUpdated(server::PeerUpdated),
    /// Somebody is gone.
    PeerLeft(server::PeerLeft),
    /// These messages of this client have arrived.
    Delivered(server::Delivered),
    /// Fresh credentials.
    IceServers(server::IceServersRenewed),
    /// A ticket that is good for longer.
    Ticket(server::NewTicket),
    /// The room itself changed.
    RoomUpdated(server::RoomUpdated),
    /// The server is about to close this connection; come back later.
    Goaway(server::Goaway),
    /// Something was refused.
    Error(server::Error),
}

/// Why a frame is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Broken JSON, a missing or wrong field, or a combination that means nothing.
    #[error("{0}")]
    BadMessage(String),
    /// A message that carries content and means nothing: sound JSON with a sound `id`, so that it can be
    /// refused alone.
    #[error("{why}")]
    Unreadable {
        /// Its `id`, which counts like any other.
        id: MessageId,
        /// What is wrong with it.
        why: String,
    },
    /// Sound JSON with a `type` that this version does not know.
    #[error("this server does not know the type `{kind}`")]
    UnknownType {
        /// The `type` as written.
        kind: String,
        /// Its `id`, which counts like any other.
        id: Option<MessageId>,
    },
}

impl ParseError {
    fn bad(error: impl ToString) -> Self {
        Self::BadMessage(error.to_string())
    }
}

/// What every frame has in common.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: Option<MessageId>,
}

impl<'a> Head<'a> {
    fn parse(text: &'a str) -> Result<Self, ParseError> {
        serde_json::from_str(text).map_err(ParseError::bad)
    }

    fn unknown(self) -> ParseError {
        ParseError::UnknownType {
            kind: self.kind.chars().take(64).collect(),
            id: self.id,
        }
    }
}

/// What must hold before a frame is read at all.
fn check_shape(text: &str) -> Result<(), ParseError> {
    if may_nest_deeper(text) && depth(text) > MAX_DEPTH {
        return Err(ParseError::BadMessage(format!(
            "nested deeper than {MAX_DEPTH} levels"
        )));
    }
    // Keys of a skipped object would be read as fields of a tuple: serde takes arrays for structs.
    if !text.trim_start().starts_with('{') {
        return Err(ParseError::BadMessage("expected a JSON object".into()));
    }
    Ok(())
}

fn body<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ParseError> {
    serde_json::from_str(text).map_err(ParseError::bad)
}

/// As [`body`], of a message that is refused alone.
fn content<'a, T: Deserialize<'a>>(text: &'a str, id: Option<MessageId>) -> Result<T, ParseError> {
    body(text).map_err(|error| match (error, id) {
        (ParseError::BadMessage(why), Some(id)) => ParseError::Unreadable { id, why },
        (error, _) => error,
    })
}

/// Reads a frame, and if that fails the same frame without halves of characters.
fn whole<T>(text: &str, parse: impl Fn(&str) -> Result<T, ParseError>) -> Result<T, ParseError> {
    parse(text).or_else(|error| match halves::without(text) {
        Some(mended) => parse(&mended),
        None => Err(error),
    })
}

impl ClientMessage {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`ParseError`] says whether the frame is broken, or means nothing, or is only of an unknown type.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        whole(text, Self::parse_whole)
    }

    fn parse_whole(text: &str) -> Result<Self, ParseError> {
        check_shape(text)?;
        // Nearly all that costs time is this, written like this: it is read once instead of three times,
        // or in another order twice. What fails fails below again, where errors are named.
        if let Some(signal) = client::Signal::parse_usual(text) {
            return Ok(Self::Signal(signal));
        }
        if text.starts_with(r#"{"type":"signal","#)
            && let Ok(signal) = serde_json::from_str(text)
        {
            return Ok(Self::Signal(signal));
        }
        let head = Head::parse(text)?;
        Ok(match &*head.kind {
            "hello" => Self::Hello(body(text)?),
            "signal" => Self::Signal(content(text, head.id)?),
            "chat" => Self::Chat(content(text, head.id)?),
            "event" => Self::Event(content(text, head.id)?),
            "update" => Self::Update(content(text, head.id)?),
            "moderate" => Self::Moderate(content(text, head.id)?),
            "ack" => Self::Ack(body(text)?),
            "bye" => Self::Bye,
            _ => return Err(head.unknown()),
        })
    }

    /// The `id` of a message that carries content.
    #[must_use]
    pub fn id(&self) -> Option<MessageId> {
        match self {
            Self::Signal(message) => Some(message.id),
            Self::Chat(message) => Some(message.id),
            Self::Event(message) => Some(message.id),
            Self::Update(message) => Some(message.id),
            Self::Moderate(message) => Some(message.id),
            Self::Hello(_) | Self::Ack(_) | Self::Bye => None,
        }
    }

    /// The text frame of this message.
    #[must_use]
    pub fn to_text(&self) -> String {
        to_text(self)
    }
}

impl ServerMessage {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`ParseError`]; a client skips an unknown type.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        whole(text, Self::parse_whole)
    }

    fn parse_whole(text: &str) -> Result<Self, ParseError> {
        check_shape(text)?;
        let head = Head::parse(text)?;
        Ok(match &*head.kind {
            "welcome" => Self::Welcome(body(text)?),
            "signal" => Self::Signal(body(text)?),
            "chat" => Self::Chat(body(text)?),
            "event" => Self::Event(body(text)?),
            "peer_joined" => Self::PeerJoined(body(text)?),
            "peer_updated" => Self::PeerUpdated(body(text)?),
            "peer_left" => Self::PeerLeft(body(text)?),
            "delivered" => Self::Delivered(body(text)?),
            "ice_servers" => Self::IceServers(body(text)?),
            "ticket" => Self::Ticket(body(text)?),
            "room_updated" => Self::RoomUpdated(body(text)?),
            "goaway" => Self::Goaway(body(text)?),
            "error" => Self::Error(body(text)?),
            _ => return Err(head.unknown()),
        })
    }

    /// The `seq` of a message that carries content: the client acknowledges it.
    #[must_use]
    pub fn seq(&self) -> Option<crate::id::Seq> {
        match self {
            Self::Signal(message) => Some(message.seq),
            Self::Chat(message) => Some(message.seq),
            Self::Event(message) => Some(message.seq),
            Self::PeerJoined(message) => Some(message.seq),
            Self::PeerUpdated(message) => Some(message.seq),
            Self::PeerLeft(message) => Some(message.seq),
            Self::IceServers(message) => Some(message.seq),
            Self::RoomUpdated(message) => Some(message.seq),
            Self::Welcome(_)
            | Self::Delivered(_)
            | Self::Ticket(_)
            | Self::Goaway(_)
            | Self::Error(_) => None,
        }
    }

    /// The text frame of this message.
    #[must_use]
    pub fn to_text(&self) -> String {
        to_text(self)
    }
}

fn to_text<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).expect("messages have string keys only, so they always encode")
}

macro_rules! deserialize_by_parse {
    ($($message:ty),*) => {$(
        impl<'de> Deserialize<'de> for $message {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
                Self::parse(raw.get()).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
deserialize_by_parse!(ClientMessage, ServerMessage);

/// Whether there are enough brackets at all: of a description's text, which has few, nothing more is
/// looked at.
fn may_nest_deeper(text: &str) -> bool {
    // In parts whose count fits into a byte: many bytes are looked at in one instruction.
    let parts = text.as_bytes().chunks(255);
    let counts = parts.map(|part| {
        let openings = part
            .iter()
            .map(|byte| u8::from(matches!(byte, b'[' | b'{')));
        usize::from(openings.sum::<u8>())
    });
    counts.sum::<usize>() > MAX_DEPTH
}

/// How deep arrays and objects nest in `text`, whether or not it is sound JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A field that is there, `null` included: with plain `Option`, `null` would look absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Verbatim>, D::Error> {
    Verbatim::deserialize(deserializer).map(Some)
}

/// A field that may be absent, and is when it is `null`.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// What a peer sends, as it tells the room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[cfg_attr(feature = "schema", schemars(!default))]
pub struct Media {
    /// Microphone on.
    #[serde(deserialize_with = "or_null")]
    pub audio: bool,
    /// Camera on.
    #[serde(deserialize_with = "or_null")]
    pub video: bool,
    /// Screen shared.
    #[serde(deserialize_with = "or_null")]
    pub screen: bool,
}
