//! The driver from outside: real sockets on ports that the system chose.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod both_families;
mod bounded;
mod broken_tls;
mod bursts;
mod canary;
mod certificates;
mod changing_host;
mod chaos;
mod check;
mod client;
mod crowds;
mod deadlines;
mod external;
mod hung;
mod limit;
mod names;
mod network;
mod one_socket;
mod operating;
mod own_host;
mod ports;
mod program;
mod proxy;
mod reload;
mod running;
mod stream;
mod tcp_relay;
mod tls;
mod udp;
