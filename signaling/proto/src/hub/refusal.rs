//! Why something was not done, as its sender is told.

use std::borrow::Cow;
use std::time::Duration;

use super::limits;
use crate::message::server::ErrorCode;

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: Cow<'static, str>,
    pub(super) retry_after_ms: Option<u64>,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    pub(super) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::BadMessage, message)
    }

    pub(super) fn room_full(places: usize) -> Self {
        let message = format!("This room holds {places} and is full.");
        Self::new(ErrorCode::RoomFull, message)
    }

    pub(super) fn at_capacity(message: &'static str) -> Self {
        Self::too_fast(message, limits::RETRY_AFTER)
    }

    pub(super) fn slow_recipient(message: &'static str, retry_after: Duration) -> Self {
        Self {
            code: ErrorCode::SlowRecipient,
            ..Self::too_fast(message, retry_after)
        }
    }

    pub(super) fn too_fast(message: &'static str, retry_after: Duration) -> Self {
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        Self {
            retry_after_ms: Some(retry_after_ms.max(1)),
            ..Self::new(ErrorCode::RateLimited, message)
        }
    }
}
