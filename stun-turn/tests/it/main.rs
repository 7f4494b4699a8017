//! The driver from outside: real sockets on ports that the system chose.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod client;
mod program;
mod stream;
mod tls;
mod udp;
