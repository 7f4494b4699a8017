//! Connections that another part of the process has accepted.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpStream;
use socket2::SockRef;
use stun_turn_proto::{FiveTuple, Now, Transport};

use super::super::stream::{Expected, Stream};
use super::super::{Source, Worker};
use super::tune::tune;
use super::turns::TURN_COST;
use crate::control::ClientConnection;
use crate::streams::count;

impl Worker {
    /// Serves it as one of the worker's own.
    pub(in crate::worker) fn serve(&mut self, now: Now, connection: ClientConnection) {
        let client = connection.client;
        if let Err(error) = self.begin(now, connection) {
            tracing::debug!(%client, %error, "connection lost before it began");
        }
    }

    fn begin(&mut self, now: Now, connection: ClientConnection) -> io::Result<()> {
        let ClientConnection {
            socket,
            client,
            tls,
        } = connection;
        socket.set_nonblocking(true)?;
        tune(&SockRef::from(&socket))?;
        let is_tls = tls.is_some();
        let client = FiveTuple {
            transport: if is_tls {
                Transport::Tls
            } else {
                Transport::Tcp
            },
            client: canonical(client),
            server: canonical(socket.local_addr()?),
        };
        let socket = TcpStream::from_std(socket);
        // What comes first has been read: which program it is for, and whether it is TLS.
        let expected = Expected {
            header: false,
            tls: false,
        };
        let mut stream = Stream::new(socket, client, expected, now.monotonic);
        if let Some(tls) = tls {
            stream.begin_deciphered(tls);
        }
        let token = Source::Stream(self.connections.table.vacant_key()).token();
        stream.register(self.poll.registry(), token)?;
        let key = self.connections.insert(stream);
        count(&self.connections.shared.totals.accepted);
        self.note_stranger(now, key, true);
        if is_tls {
            count(&self.connections.shared.totals.tls_handshakes);
            self.enroll(now, key);
            self.connections.turn_left = TURN_COST;
            self.take_frames(now, key);
            self.close_relayed();
        }
        // What waits or came meanwhile, or how it ended.
        self.ready.push(Source::Stream(key));
        Ok(())
    }
}

/// A listener on `[::]` may tell IPv4 addresses as mapped ones.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}
