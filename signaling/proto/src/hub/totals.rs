//! What has happened, in numbers.

use std::collections::BTreeMap;

use super::Hub;
use crate::message::server::{ErrorCode, LeftReason};

/// Running totals since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Clients that were welcomed.
    pub sessions_opened: u64,
    /// Times that a client came back to a session of this process.
    pub sessions_resumed: u64,
    /// Sessions that another process began and this one went on with.
    pub sessions_adopted: u64,
    /// Refused resumptions, by cause.
    pub resumes_refused: BTreeMap<&'static str, u64>,
    /// Sessions that ended with `bye`.
    pub left_bye: u64,
    /// Sessions that ended because their client did not come back, or was cut.
    pub left_timeout: u64,
    /// Sessions that a host has ended.
    pub left_kicked: u64,
    /// Sessions that ended because the server stopped.
    pub left_drained: u64,
    /// Inputs that a mistake of ours has ended.
    pub panics: u64,
    /// Frames of clients that had entered.
    pub messages_received: u64,
    /// Frames to clients.
    pub frames_sent: u64,
    /// Messages that senders were told about with `delivered`.
    pub messages_delivered: u64,
    /// `error` frames, by code.
    pub errors: BTreeMap<&'static str, u64>,
}

/// The hub at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections, those without `hello` included.
    pub connections: usize,
    /// Clients in rooms, those that are away included.
    pub sessions: usize,
    /// Sessions whose client is away.
    pub away: usize,
    /// Rooms.
    pub rooms: usize,
    /// Since the start.
    pub totals: Totals,
}

/// One room for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSummary {
    /// Its application.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it is called in the user names of its peers on relays.
    pub tag: String,
    /// How many are in it.
    pub peers: usize,
}

/// The code as it is on the wire.
pub(super) fn code_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadMessage => "bad_message",
        ErrorCode::UnknownType => "unknown_type",
        ErrorCode::NoSuchPeer => "no_such_peer",
        ErrorCode::Unauthorized => "unauthorized",
        ErrorCode::Forbidden => "forbidden",
        ErrorCode::ResumeFailed => "resume_failed",
        ErrorCode::HelloTimeout => "hello_timeout",
        ErrorCode::Replaced => "replaced",
        ErrorCode::TooLarge => "too_large",
        ErrorCode::RoomLocked => "room_locked",
        ErrorCode::RateLimited => "rate_limited",
        ErrorCode::SlowConsumer => "slow_consumer",
        ErrorCode::SlowRecipient => "slow_recipient",
        ErrorCode::RoomFull => "room_full",
        ErrorCode::Draining => "draining",
        ErrorCode::Internal => "internal",
        ErrorCode::Other => "other",
    }
}

impl Totals {
    pub(super) fn count_error(&mut self, code: ErrorCode) {
        *self.errors.entry(code_name(code)).or_default() += 1;
    }

    pub(super) fn count_left(&mut self, reason: LeftReason) {
        match reason {
            LeftReason::Bye => self.left_bye += 1,
            LeftReason::Kicked => self.left_kicked += 1,
            LeftReason::Timeout | LeftReason::Replaced => self.left_timeout += 1,
        }
    }
}

impl<E> Hub<E> {
    /// Numbers for metrics.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            away: self
                .sessions
                .values()
                .filter(|session| session.connection.is_none())
                .count(),
            rooms: self.rooms.len(),
            totals: self.totals.clone(),
        }
    }

    /// Every room, by namespace and name.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomSummary> {
        let mut rooms: Vec<_> = self
            .rooms
            .iter()
            .map(|(key, room)| RoomSummary {
                namespace: key.namespace.to_string(),
                name: key.name.to_string(),
                tag: room.tag.to_string(),
                peers: room.members.len(),
            })
            .collect();
        rooms.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        rooms
    }
}
