//! Connections that another part of the process has accepted for the relay.

use std::fmt;
use std::net::{SocketAddr, TcpStream};

use rustls::server::ServerConnection;

use super::{Command, Handle};

/// A client's connection that began on a port of somebody else, such as the page's.
pub struct ClientConnection {
    /// The socket. Nothing of what it carries may be read that is not in `tls`.
    pub socket: TcpStream,
    /// Where the client is, as a trusted proxy tells it.
    pub client: SocketAddr,
    /// The TLS session after its handshake, where the connection has one. What it has deciphered
    /// and nobody has read is served.
    pub tls: Option<Box<ServerConnection>>,
}

impl fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConnection")
            .field("client", &self.client)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Serves a client's connection as if a listener of the relay had accepted it: the same limits
    /// and deadlines hold, from this moment.
    pub fn serve(&self, connection: ClientConnection) {
        let workers = &self.0.workers;
        // By the port, as it differs between the connections of one client.
        let place = usize::from(connection.client.port()) % workers.len().max(1);
        if let Some(worker) = workers.get(place) {
            worker.mailbox.send(Command::Serve(connection));
        }
    }
}
