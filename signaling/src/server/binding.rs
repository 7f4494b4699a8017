//! Ports to listen on, and what to say when that fails.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted: after a restart everybody comes at once. The system has a
/// bound of its own (`net.core.somaxconn`), which is mostly lower.
const BACKLOG: u32 = 65_535;

/// What the system keeps for a client that does not read, in bytes; it takes twice as much for its own
/// bookkeeping. Left to itself it keeps up to 4 MB.
const SEND_BUFFER: u32 = 128 * 1024;
/// After this time without an acknowledgement of what was sent, or without room for it, the system
/// gives a connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

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
    // [::] is for both families, whatever the system's default is (`net.ipv6.bindv6only`).
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket2::SockRef::from(&socket).set_only_v6(false)?;
    }
    // A port whose last connections are still being forgotten is free.
    socket.set_reuseaddr(true)?;
    // Connections have what their listener has.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// Thirty clients that read nothing once held 98 MB in the system.
    #[tokio::test]
    async fn connections_keep_little_for_those_who_do_not_read() {
        let listener = bind("--listen", "127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, _) = listener.accept().await.unwrap();
        let socket = socket2::SockRef::from(&stream);
        let buffer = usize::try_from(2 * SEND_BUFFER).unwrap();
        assert!(socket.send_buffer_size().unwrap() <= buffer);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    /// A server on `0.0.0.0:443` was not reached from networks with IPv6 alone.
    #[tokio::test]
    async fn a_wildcard_of_ipv6_serves_both_families() {
        if std::net::TcpListener::bind("[::1]:0").is_err() {
            eprintln!("not run: there is no IPv6 here");
            return;
        }
        let listener = bind("--listen", "[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        for on in ["127.0.0.1", "::1"] {
            let _client = TcpStream::connect((on, port)).await.unwrap();
            let (_, from) = listener.accept().await.unwrap();
            assert_eq!(from.ip().to_canonical().to_string(), on);
        }
    }
}
