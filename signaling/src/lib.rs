//! WebSocket signaling, the call page and the bundled relay in one process.
//!
//! [`Server::start`] binds every port, starts the relay and the tasks, and returns. The logic of
//! rooms and messages lives in `signaling-proto`; here are sockets, time and files.
//!
//! ```text
//! listener ─► router ─┬─ page          embedded files, security headers
//!                     └─ connection    one task a client: reader, writer, liveness
//!                            │ ▲
//!              bounded queue ▼ │ outbox (bounded in bytes)
//!                         hub_task     the only owner of the Hub
//! ```

#![forbid(unsafe_code)]

pub mod config;
pub mod room_token;

mod admin;
mod connection;
mod ended;
mod health;
mod hub_task;
mod ice_servers;
mod incoming;
mod jwt;
mod lan;
mod linger;
mod listener;
mod origin;
mod outbox;
mod page;
mod places;
mod proxies;
mod rarely;
mod redirect;
mod relay;
mod reload;
mod router;
mod server;
mod session_secret;
mod shared_port;
mod source;
mod state_dir;
mod throttle;
mod tls;
mod upgrade;

pub use server::Server;
