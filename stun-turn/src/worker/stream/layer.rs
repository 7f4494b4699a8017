//! What lies between a socket's bytes and messages: nothing, or TLS.

use std::io::{self, Read as _, Write};

use rustls::server::ServerConnection;

/// How bytes travel. What was handed to it must all be sent, in order.
pub(super) enum Layer {
    /// As they are, and what the socket did not take yet.
    Plain(Vec<u8>),
    /// Encrypted.
    Tls(Box<ServerConnection>),
}

/// What a client's bytes meant to the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// There may be more.
    Data,
    /// The client has said that it sends no more.
    End,
}

impl Layer {
    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.is_handshaking(),
        }
    }

    /// Nothing waits for the socket.
    pub(super) fn is_clear(&self) -> bool {
        match self {
            Self::Plain(rest) => rest.is_empty(),
            Self::Tls(tls) => !tls.wants_write(),
        }
    }

    /// Takes what came from the socket and appends what it carried.
    ///
    /// # Errors
    /// When it breaks TLS; an alert for the client waits then.
    pub(super) fn receive(
        &mut self,
        mut bytes: &[u8],
        into: &mut Vec<u8>,
    ) -> Result<Received, rustls::Error> {
        let tls = match self {
            Self::Plain(_) => {
                into.extend_from_slice(bytes);
                return Ok(Received::Data);
            }
            Self::Tls(tls) => tls,
        };
        while !bytes.is_empty() {
            // Fails only when a handshake message outgrows what rustls is willing to buffer.
            let taken = tls.read_tls(&mut bytes);
            let taken = taken.map_err(|error| rustls::Error::General(error.to_string()))?;
            if decipher(tls, into)? == Received::End || taken == 0 {
                return Ok(Received::End);
            }
        }
        Ok(Received::Data)
    }

    /// Appends what has come from the socket before and was not taken.
    ///
    /// # Errors
    /// When it breaks TLS; an alert for the client waits then.
    pub(super) fn receive_rest(&mut self, into: &mut Vec<u8>) -> Result<Received, rustls::Error> {
        match self {
            Self::Plain(_) => Ok(Received::Data),
            Self::Tls(tls) => decipher(tls, into),
        }
    }

    /// Sends bytes; only while it is clear, so that what waits stays bounded.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) fn send(&mut self, bytes: &[u8], socket: &mut impl Write) -> io::Result<()> {
        debug_assert!(self.is_clear(), "otherwise messages wait in their queues");
        match self {
            Self::Plain(rest) => {
                let sent = write(bytes, socket)?;
                rest.extend_from_slice(&bytes[sent..]);
                Ok(())
            }
            Self::Tls(tls) => {
                tls.writer().write_all(bytes)?;
                self.flush(socket)
            }
        }
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Plain(rest) => {
                let sent = write(rest, socket)?;
                if sent == rest.len() {
                    *rest = Vec::new();
                } else {
                    rest.drain(..sent);
                }
            }
            Self::Tls(tls) => {
                while tls.wants_write() {
                    match tls.write_tls(socket) {
                        Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(())
    }

    /// Prepares to tell the client that nothing more comes.
    pub(super) fn finish(&mut self) {
        if let Self::Tls(tls) = self {
            tls.send_close_notify();
        }
    }

    /// Tells the client that nothing more comes, as far as the socket takes it.
    pub(super) fn say_goodbye(&mut self, socket: &mut impl Write) {
        self.finish();
        // The connection ends anyway.
        let _ = self.flush(socket);
    }
}

/// Appends what a session has deciphered.
fn decipher(tls: &mut ServerConnection, into: &mut Vec<u8>) -> Result<Received, rustls::Error> {
    let state = tls.process_new_packets()?;
    let start = into.len();
    into.resize(start + state.plaintext_bytes_to_read(), 0);
    let read = tls.reader().read_exact(&mut into[start..]);
    read.map_err(|error| rustls::Error::General(error.to_string()))?;
    match state.peer_has_closed() {
        true => Ok(Received::End),
        false => Ok(Received::Data),
    }
}

fn write(bytes: &[u8], socket: &mut impl Write) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
