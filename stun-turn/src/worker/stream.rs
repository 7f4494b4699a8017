//! Clients over TCP: framing in, bounded buffering out.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use mio::Interest;
use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};
use stun_turn_proto::framing::{self, Frame};
use stun_turn_proto::{FiveTuple, Now, Transport};

use super::effects::{Resolved, send_unfragmented};
use super::{ACCEPT_PAUSE, Bound, Source, Worker};

/// Bytes taken from a connection in one read; a whole ChannelData message fits.
const READ_BYTES: usize = 66 * 1024;
/// Reads that one connection may take before the others have their turn.
const READS_A_TURN: usize = 4;
/// Connections accepted before the others have their turn.
const ACCEPTS_A_TURN: usize = 64;
/// Media that waits for a slow client; beyond it whole messages are dropped.
const MAX_QUEUED_MEDIA_BYTES: usize = 64 * 1024;
/// Replies may wait behind media; a client that lets even these pile up is cut.
const MAX_QUEUED_BYTES: usize = MAX_QUEUED_MEDIA_BYTES + 8 * 1024;

/// What the kernel may hold back for a client before writing waits.
const MAX_UNSENT_BYTES: u32 = 32 * 1024;
/// How long a client may leave us without an acknowledgement, or without any sign of life.
const SILENCE: Duration = Duration::from_secs(30);

/// One client's connection.
pub(super) struct Stream {
    socket: TcpStream,
    client: FiveTuple,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Nothing was cut out of the stream yet.
    is_new: bool,
    /// The client sends no more; what waits for it is still written.
    has_ended: bool,
    is_broken: bool,
}

impl Stream {
    /// Sends a peer's data, or drops all of it when the client is too slow: late media is worth
    /// nothing, and half a message would break the framing.
    pub(super) fn send_media(&mut self, message: &[u8]) {
        if self.outbox.len() + message.len() <= MAX_QUEUED_MEDIA_BYTES {
            self.send(message);
        }
    }

    fn send_reply(&mut self, message: &[u8]) {
        if self.outbox.len() + message.len() <= MAX_QUEUED_BYTES {
            self.send(message);
        } else {
            self.is_broken = true;
        }
    }

    fn send(&mut self, message: &[u8]) {
        let sent = if self.outbox.is_empty() {
            self.write(message)
        } else {
            0
        };
        self.outbox.extend_from_slice(&message[sent..]);
    }

    /// Writes what the socket takes now.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() && !self.is_broken {
            match self.socket.write(&bytes[sent..]) {
                Ok(0) => self.is_broken = true,
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_broken = true,
            }
        }
        sent
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.outbox);
        let sent = self.write(&waiting);
        self.outbox.extend_from_slice(&waiting[sent..]);
    }

    const fn is_done(&self) -> bool {
        self.is_broken || (self.has_ended && self.outbox.is_empty())
    }

    /// Reads once; true when there may be more.
    fn fill(&mut self, scratch: &mut [u8]) -> bool {
        match self.socket.read(scratch) {
            Ok(0) => self.has_ended = true,
            Ok(count) => {
                self.inbox.extend_from_slice(&scratch[..count]);
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            Err(_) => self.is_broken = true,
        }
        false
    }
}

impl Worker {
    /// Takes new connections; true when there may be more.
    pub(super) fn accept(&mut self, now: Now, index: usize) -> bool {
        if self.paused_accepts.contains(&index) {
            return false;
        }
        for _ in 0..ACCEPTS_A_TURN {
            let Bound { socket, .. } = &self.tcp[index];
            match socket.accept() {
                Ok((socket, client)) => {
                    self.is_short_of_descriptors = false;
                    if let Err(error) = self.welcome(now, socket, client) {
                        tracing::debug!(%client, %error, "connection lost before it began");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if is_out_of_descriptors(&error) => {
                    if !self.is_short_of_descriptors {
                        self.is_short_of_descriptors = true;
                        tracing::warn!(%error, "no descriptor for a new connection; trying until there is one");
                    }
                    self.paused_accepts.push(index);
                    self.accepts_resume_at
                        .get_or_insert(now.monotonic + ACCEPT_PAUSE);
                    return false;
                }
                // The client has gone before it was accepted.
                Err(_) => {}
            }
        }
        true
    }

    fn welcome(&mut self, now: Now, mut socket: TcpStream, client: SocketAddr) -> io::Result<()> {
        tune(&SockRef::from(&socket))?;
        let server = socket.local_addr()?;
        let client = FiveTuple {
            transport: Transport::Tcp,
            client,
            server,
        };
        if let Some(old) = self.stream_of.get(&client) {
            // The kernel gave the address away again, so the old connection has ended, even if its
            // last event still waits.
            self.close_stream(now, *old);
        }
        let entry = self.streams.vacant_entry();
        let token = Source::Stream(entry.key()).token();
        self.poll.registry().register(
            &mut socket,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        self.stream_of.insert(client, entry.key());
        entry.insert(Stream {
            socket,
            client,
            inbox: Vec::new(),
            outbox: Vec::new(),
            is_new: true,
            has_ended: false,
            is_broken: false,
        });
        Ok(())
    }

    /// Reads, answers and writes one connection; true when there may be more to read.
    pub(super) fn read_stream(&mut self, now: Now, key: usize) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(READ_BYTES, 0);
        let mut has_more = true;
        for _ in 0..READS_A_TURN {
            let Some(stream) = self.streams.get_mut(key) else {
                break;
            };
            stream.flush();
            has_more = stream.fill(&mut scratch);
            self.take_frames(now, key);
            if !has_more {
                break;
            }
        }
        self.scratch = scratch;
        self.close_relayed();
        match self.streams.get(key) {
            Some(stream) if stream.is_done() => {
                self.close_stream(now, key);
                false
            }
            Some(_) => has_more,
            None => false,
        }
    }

    /// Handles every whole message that a connection has sent.
    fn take_frames(&mut self, now: Now, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let inbox = std::mem::take(&mut stream.inbox);
        let (client, mut is_new) = (stream.client, stream.is_new);
        let mut start = 0;
        let is_broken = loop {
            match framing::next(&inbox[start..], is_new) {
                Frame::Partial => break false,
                Frame::Garbage => break true,
                Frame::Whole { message, consumed } => {
                    is_new = false;
                    self.stream_message(now, key, &client, &inbox[start..start + message]);
                    start += consumed;
                }
            }
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.is_new = is_new;
        stream.is_broken |= is_broken;
        stream.inbox = if start == 0 {
            inbox
        } else {
            inbox[start..].to_vec()
        };
    }

    fn stream_message(&mut self, now: Now, key: usize, client: &FiveTuple, message: &[u8]) {
        let outcome = self
            .relay
            .handle_client(now, client, message, &mut self.reply);
        match self.resolve(now, outcome, client) {
            Resolved::Nothing => {}
            Resolved::Reply(length) => {
                if let Some(stream) = self.streams.get_mut(key) {
                    stream.send_reply(&self.reply[..length]);
                }
            }
            Resolved::ToPeer {
                relay,
                peer,
                payload,
                dont_fragment,
            } => match self.relayed.get(relay.index()) {
                Some(Some(socket)) if dont_fragment => {
                    send_unfragmented(socket, &message[payload], peer);
                }
                Some(Some(socket)) => {
                    if let Err(error) = socket.send_to(&message[payload], peer) {
                        tracing::trace!(%error, %peer, "the system refused a datagram");
                    }
                }
                Some(None) | None => {}
            },
        }
    }

    fn close_stream(&mut self, now: Now, key: usize) {
        let Some(stream) = self.streams.try_remove(key) else {
            return;
        };
        self.stream_of.remove(&stream.client);
        self.relay.handle_client_gone(now, &stream.client);
        self.close_relayed();
    }
}

/// Media must not wait for more media, nor pile up in the kernel where nothing is ever dropped; and a
/// client that vanished without a word must be noticed.
fn tune(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(SILENCE / 3);
    socket.set_tcp_keepalive(&keepalive.with_retries(3))
}

/// EMFILE or ENFILE: of this process or of the whole system.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}
