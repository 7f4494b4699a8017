//! A server process, small enough that its limits are met.

use std::collections::BTreeMap;
use std::time::Duration;

use signaling_proto::hub::{Config, Environment, Grant, Hub, SourceLimits, Unauthorized};
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::IceServer;
use signaling_proto::pace::Rate;
use signaling_proto::ticket::TicketKey;

/// How long what may be resumed waits.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

pub(super) fn config() -> Config {
    Config {
        max_room: 4,
        max_rooms: 2,
        max_sessions: 7,
        namespaces: BTreeMap::new(),
        max_greeting: 4,
        source: SourceLimits {
            sessions: 5,
            hellos: Rate::with_burst_of_ten_seconds(1000),
        },
        resume_window: WINDOW,
        ping_interval: signaling_proto::liveness::PING_INTERVAL,
        renew_ice_servers_after: Duration::from_secs(300),
    }
}

/// Randomness that is different each time and in each process, and the same in each run.
pub(super) struct Machine {
    process: u8,
    count: u8,
}

impl Environment for Machine {
    fn random(&mut self, bytes: &mut [u8]) {
        self.count = self.count.wrapping_add(1);
        bytes.fill(self.count);
        bytes[0] = self.process;
    }

    fn unix_time(&mut self) -> Duration {
        Duration::from_secs(1_795_000_000)
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

pub(super) fn hub(process: u8) -> Hub<Machine> {
    let machine = Machine { process, count: 0 };
    Hub::new(config(), TicketKey::new(b"north"), machine)
}
