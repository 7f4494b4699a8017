//! The end of a server: everybody is told to go, and where to come back is somebody else's.

use std::time::Instant;

use super::sources::Sources;
use super::{Environment, Hub, Refusal};
use crate::frame::Frame;
use crate::message::ServerMessage;
use crate::message::server::{ErrorCode, Goaway, GoawayReason};

impl<E: Environment> Hub<E> {
    /// Tells every client to go and closes every connection; newcomers are refused from now on.
    pub fn handle_drain(&mut self, now: Instant) {
        self.draining = true;
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for key in sessions {
            self.send_delivered(key);
        }
        let mut connections: Vec<_> = self.connections.drain().map(|(id, _)| id).collect();
        self.sources = Sources::new(self.config.source);
        self.greeting = 0;
        connections.sort_unstable();
        self.totals.left_drained += self.sessions.len() as u64;
        self.namespaces.clear();
        self.sessions.clear();
        self.peers.clear();
        self.rooms.clear();
        self.delivered_due.clear();
        self.away_due.clear();
        self.renewal_due.clear();
        self.reunions_due.clear();
        self.stalls_due.clear();
        self.refresh_due.clear();
        self.newly_crowded.clear();
        self.unblocked.clear();
        (self.crowded, self.kept_bytes) = (0, 0);
        for connection in connections {
            let mut spread = [0; 2];
            self.environment.random(&mut spread);
            let goaway = ServerMessage::Goaway(Goaway {
                reason: GoawayReason::Shutdown,
                // Between 0.5 and 2.5 s, so that they do not all come back at once.
                resume_in_ms: 500 + u64::from(u16::from_le_bytes(spread)) % 2000,
            });
            self.send(connection, Frame::plain(&goaway));
            let refusal = Refusal::new(ErrorCode::Draining, "The server is stopping.");
            self.refuse(now, connection, refusal);
        }
    }
}
