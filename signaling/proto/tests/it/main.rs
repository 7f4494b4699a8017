//! Tests of the protocol core from outside.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers included"
)]

mod client;
mod conversations;
mod documentation;
mod golden;
mod hub;
mod messages;
mod model;
mod names;
mod schema;
mod simulation;
mod world;
