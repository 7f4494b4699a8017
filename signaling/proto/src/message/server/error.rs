//! What the server refuses, and with which code it ends a connection.

use serde::{Deserialize, Serialize};

use crate::id::MessageId;

/// Something was refused: the message `id` alone, or, before a close, the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ServerError"))]
pub struct Error {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Which message of this client was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// When it may succeed, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What was wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Broken JSON, a missing or wrong field, an `id` out of order.
    BadMessage,
    /// A `type` that the server does not know.
    UnknownType,
    /// No such peer in this room.
    NoSuchPeer,
    /// No valid token.
    Unauthorized,
    /// Not allowed to this peer.
    Forbidden,
    /// The session can't be resumed.
    ResumeFailed,
    /// No `hello` in time.
    HelloTimeout,
    /// A newer connection took over.
    Replaced,
    /// The frame is too large.
    TooLarge,
    /// The room lets nobody in.
    RoomLocked,
    /// Too much, too fast, or the server is at its caps.
    RateLimited,
    /// This client reads or acknowledges too slowly.
    SlowConsumer,
    /// A recipient has no room for this message: send it again later.
    SlowRecipient,
    /// The room is full.
    RoomFull,
    /// The server is stopping.
    Draining,
    /// A bug in the server has closed the room.
    Internal,
    /// A code that this version does not know.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Other,
}

impl ErrorCode {
    /// Every code of this version.
    pub const ALL: [Self; 16] = [
        Self::BadMessage,
        Self::UnknownType,
        Self::NoSuchPeer,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ResumeFailed,
        Self::HelloTimeout,
        Self::Replaced,
        Self::TooLarge,
        Self::RoomLocked,
        Self::RateLimited,
        Self::SlowConsumer,
        Self::SlowRecipient,
        Self::RoomFull,
        Self::Draining,
        Self::Internal,
    ];

    /// With which WebSocket close code this error ends a connection; `None` when it never does.
    #[must_use]
    pub const fn close_code(self) -> Option<u16> {
        Some(match self {
            Self::BadMessage => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::ResumeFailed => 4404,
            Self::HelloTimeout => 4408,
            Self::Replaced => 4409,
            Self::TooLarge => 4413,
            Self::RoomLocked => 4423,
            Self::RateLimited => 4429,
            Self::SlowConsumer => 4430,
            Self::RoomFull => 4431,
            Self::Draining => 4503,
            // RFC 6455, 7.4.1: an unexpected condition.
            Self::Internal => 1011,
            Self::UnknownType | Self::NoSuchPeer | Self::SlowRecipient | Self::Other => {
                return None;
            }
        })
    }
}
