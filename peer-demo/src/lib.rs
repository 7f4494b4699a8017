//! A headless WebRTC peer: data channel and media end to end, with a verdict as JSON.
//!
//! [`run`] joins a room of the signaling service as `signal.v1` has it, connects with everybody there, sends a
//! tone and a test picture, decodes and judges what comes back, and returns a [`Report`].
#![forbid(unsafe_code)]

pub mod config;
pub mod connection;
pub mod media;
pub mod negotiation;
pub mod peer;
pub mod receive;
pub mod report;
pub mod room;
pub mod send;
pub mod signaling;
pub mod verify;

pub use config::Config;
pub use report::Report;
pub use room::{run, run_until};
