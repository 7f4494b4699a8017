//! The `signal.v1` protocol as a pure core: messages, rooms and sessions; no sockets, no clock.
//!
//! [`message`] is the language, [`hub::Hub`] the whole server behind it, [`client::Client`] the other end. A driver gives the hub what
//! happened (`handle_*`, each with the time) and carries out what it answers (`poll_output`,
//! `poll_deadline`). Randomness, the calendar and TURN credentials come through [`hub::Environment`].
//!
//! ```text
//!   connection ── frame ──► ClientMessage::parse ──► Hub::handle_message ──► poll_output ──► Frame ──► connections
//!        └─ Liveness: when to ping, when to give up
//! ```

#![forbid(unsafe_code)]
// Tests may; `clippy.toml` has the list.
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod client;
pub mod frame;
pub mod hub;
pub mod id;
pub mod liveness;
pub mod message;
pub mod name;
pub mod pace;
pub mod source;
pub mod ticket;
