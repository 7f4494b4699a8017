//! The driver from outside: real sockets on ports that the system chose.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod program;
mod stream;
mod udp;
