//! One connection: what is on its way, and who knows that it is over.

use std::collections::VecDeque;
use std::time::Instant;

use signaling_proto::hub::ConnectionId;

/// What travels to a client.
pub(super) enum Down {
    Frame(String),
    Close(u16),
}

/// What travels to a server.
pub(super) enum Up {
    Frame(String),
    Close,
}

/// A connection between a client and the server that lived when it was made.
pub(super) struct Link {
    pub(super) connection: ConnectionId,
    /// The place of its server.
    pub(super) server: usize,
    pub(super) up: VecDeque<Up>,
    pub(super) down: VecDeque<Down>,
    /// Whether things still get through.
    pub(super) broken: bool,
    /// Whether the ends have noticed that it is over.
    pub(super) closed_at_server: bool,
    pub(super) closed_at_client: bool,
    pub(super) opened: Instant,
}

impl Link {
    pub(super) fn new(connection: ConnectionId, server: usize, now: Instant) -> Self {
        Self {
            connection,
            server,
            up: VecDeque::new(),
            down: VecDeque::new(),
            broken: false,
            closed_at_server: false,
            closed_at_client: false,
            opened: now,
        }
    }

    /// Whether something is on its way that will arrive.
    pub(super) fn is_busy(&self) -> bool {
        let idle = self.up.is_empty() && self.down.is_empty();
        !self.broken && !idle
    }

    pub(super) fn breaks(&mut self) {
        self.broken = true;
        self.up.clear();
        self.down.clear();
    }
}
