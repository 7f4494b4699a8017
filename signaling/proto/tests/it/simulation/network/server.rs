//! A server process: the hub and its surroundings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use signaling_proto::hub::{Config, Environment, Grant, Hub, Unauthorized};
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::IceServer;
use signaling_proto::ticket::TicketKey;

use crate::simulation::Random;
use crate::world::CONFIG;

/// A server's surroundings; all servers and their clocks share the calendar.
pub(super) struct Machine {
    random: Random,
    calendar: Arc<AtomicU64>,
}

impl Environment for Machine {
    fn random(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.random.next().to_le_bytes()[..chunk.len()]);
        }
    }

    fn unix_time(&mut self) -> Duration {
        Duration::from_millis(self.calendar.load(Ordering::Relaxed))
    }

    fn permits(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn authorize(&mut self, _: &Hello) -> Result<Grant, Unauthorized> {
        Ok(Grant::default())
    }

    fn ice_servers(&mut self, _: &str, _: &str, _: Option<u64>) -> Vec<IceServer> {
        Vec::new()
    }
}

/// What all server processes sign tickets with.
pub(super) fn key() -> TicketKey {
    TicketKey::new(b"north")
}

pub(super) struct Server {
    /// Never used twice.
    pub(super) process: u64,
    pub(super) hub: Hub<Machine>,
}

impl Server {
    pub(super) fn new(process: u64, calendar: &Arc<AtomicU64>) -> Self {
        let machine = Machine {
            random: Random(process),
            calendar: calendar.clone(),
        };
        let config = Config {
            max_room: 16,
            ..CONFIG
        };
        Self {
            process,
            hub: Hub::new(config, key(), machine),
        }
    }
}
