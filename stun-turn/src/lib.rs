//! A STUN and TURN server: the driver around the pure core `stun-turn-proto`.
//!
//! [`Server::start`] binds every listener, starts one worker thread a core and returns; the relay
//! then runs until [`Server::shutdown`].
//!
//! ```text
//! config ─► server ─► worker (one a core) ─┬─ udp      batches of datagrams
//!                        │                 └─ connections, stream   TCP and TLS clients
//!                        └─ Relay (stun-turn-proto)
//! admin ─► control ─► worker's mailbox
//! ```
#![deny(unsafe_code)]

pub mod admin;
pub mod check;
pub mod config;
pub mod file_limit;
pub mod logging;
pub mod pulse;
pub mod refusals;
pub mod settings;
pub mod streams;
pub mod tls;

mod control;
mod host;
mod metrics;
mod server;
mod sockets;
mod tally;
mod text;
#[expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and packet info have no safe interface"
)]
mod udp;
mod worker;

pub use control::{ClientConnection, Handle, NONCE_KEY_LIFETIME, SessionInfo};
pub use server::{Server, StartError, check as check_config};
pub use stun_turn_proto as proto;
