//! The running service, over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers included"
)]

mod admin;
mod bad_input;
mod harness;
mod https;
#[path = "../../../stun-turn/tests/it/hung.rs"]
mod hung;
mod kick;
mod limits;
mod namespaces;
mod origins;
mod page;
mod process;
mod relay_loss;
mod reload;
mod rooms;
mod secrets;
mod sessions;
mod slow_reader;
