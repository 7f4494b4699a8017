//! STUN (RFC 8489) and TURN (RFC 8656) as a pure core: bytes and time in, outcomes out.
//!
//! ```text
//!                 handle_client ─► demux ─► ChannelData, Send ──────► client_to_peer ─► Outcome::ToPeer
//!  client ══UDP/TCP══►  Relay         └───► request/* ─► auth ─► table ─► Outcome::Reply | Outcome::Open
//!  client ◄══════════  (one a worker) ◄──── peer_to_client ◄── handle_peer ◄══UDP══ peer
//! ```
//!
//! The driver's loop:
//! 1. receive a datagram (or cut one message out of a stream with [`framing`]), hand it to
//!    [`Relay::handle_client`] or [`Relay::handle_peer`] together with the time;
//! 2. do what the returned [`Outcome`] says: send a reply, forward a part of the very same buffer,
//!    or bind a relayed transport address and report to [`Relay::handle_opened`];
//! 3. at [`Relay::poll_timeout`] call [`Relay::handle_timeout`];
//! 4. close what [`Relay::poll_closed`] names;
//! 5. when a client's connection ends, call [`Relay::handle_client_gone`].
//!
//! What it does not do: open sockets, read a clock, sleep, log, or allocate on the packet path.
//! Time is [`Now`], randomness is the seed given to [`Relay::new`].
#![forbid(unsafe_code)]
// Tests may; `clippy.toml` has the list.
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod addr;
pub mod attribute;
pub mod auth;
mod buckets;
pub mod budget;
pub mod channel_data;
pub mod connection_ids;
pub mod demux;
pub mod framing;
pub mod header;
pub mod integrity;
pub mod limits;
pub mod log_window;
pub mod message;
pub mod nat_discovery;
pub mod policy;
pub mod ports;
pub mod proxy_header;
pub mod quotas;
pub mod records;
mod refusal;
pub mod relay;
pub mod reservations;
pub mod revoked;
mod shaper;
pub mod source;
pub mod totals;

pub use addr::{ChannelNumber, FiveTuple, PeerProtocol, Transport};
pub use connection_ids::ConnectionId;
pub use relay::{Open, OpenError, Outcome, Relay, RelayId, Settings, Shared};

use std::time::Duration;

/// The time of a call: a monotonic clock for timers, the wall clock for credentials and nonces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since an arbitrary start; never goes back.
    pub monotonic: Duration,
    /// Seconds since the Unix epoch; may jump.
    pub unix_s: u64,
}
