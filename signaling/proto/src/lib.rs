//! The `signal.v1` protocol as a pure core: messages, rooms and sessions; no sockets, no clock.

#![forbid(unsafe_code)]

pub mod id;
pub mod message;
