//! Ports to listen on, and what to say when that fails.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted: after a restart everybody comes at once. The system has a
/// bound of its own (`net.core.somaxconn`), which is mostly lower.
const BACKLOG: u32 = 65_535;

/// Listens on what `option` asks for.
pub(super) fn bind(option: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(address).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "the port is in use by another program; stop that or choose another port".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => "this host does not have the address".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "not permitted (ports below 1024 need rights)".to_owned()
            }
            _ => error.to_string(),
        };
        anyhow::anyhow!("{option} {address}: {reason}")
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A port whose last connections are still being forgotten is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
