//! What a worker does with its connections: accepts them, gives each its turn, hands some over, closes
//! what is late.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::Interest;
use mio::net::TcpStream;
use socket2::SockRef;
use stun_turn_proto::{ConnectionId, FiveTuple, Now, Transport};

use super::super::effects::Resolved;
use super::super::stream::{End, Expected, Stream};
use super::super::{ACCEPT_PAUSE, Bound, Source, Turn, Worker};
use super::tune::tune;
use super::{Adopted, Entry};
use crate::control::Command;
use crate::sockets::is_out_of_descriptors;
use crate::streams::count;

/// Bytes taken from a connection in one read; a whole ChannelData message fits.
pub(in crate::worker) const READ_BYTES: usize = 66 * 1024;
/// Reads that one connection may take before the others have their turn.
const READS_A_TURN: usize = 4;
/// Connections accepted before the others have their turn.
pub(in crate::worker) const ACCEPTS_A_TURN: usize = 64;
/// TLS handshakes that may take a step in one turn of the loop: a signature costs as much as relaying
/// hundreds of packets, and these must not wait for all of them.
pub(super) const STEPS_A_ROUND: usize = 2;

/// What one connection's turn and all connections' turns in a round may cost: then the datagrams of
/// others have theirs, however many connections there are and whatever they send.
pub(super) const TURN_COST: usize = 16 * REQUEST_COST;
pub(super) const ROUND_COST: usize = 8 * TURN_COST;
/// A request makes us hash and answer; ChannelData is looked up and sent.
const REQUEST_COST: usize = 4;
const CHANNEL_DATA_COST: usize = 1;
/// Bytes whose reading (and perhaps deciphering) costs as much as ChannelData.
const BYTES_A_COST: usize = 4096;

/// How long a client may leave us without an acknowledgement, or without any sign of life.
pub(in crate::worker) const SILENCE: Duration = Duration::from_secs(30);

/// What comes after a message.
enum Next {
    Frame,
    /// Bytes for this peer's connection.
    Splice(ConnectionId),
    /// The same message again, at another worker.
    HandOver(usize),
}

impl Worker {
    /// Takes new connections; true when there may be more.
    pub(in crate::worker) fn accept(&mut self, now: Now, index: usize) -> bool {
        if self.paused_accepts.contains(&Source::Tcp(index)) {
            return false;
        }
        for _ in 0..ACCEPTS_A_TURN {
            let Bound {
                socket, is_for_tls, ..
            } = &self.tcp[index];
            let is_for_tls = *is_for_tls;
            match socket.accept() {
                Ok((socket, client)) => {
                    self.note_descriptor();
                    if let Err(error) = self.welcome(now, socket, client, is_for_tls) {
                        tracing::debug!(%client, %error, "connection lost before it began");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if is_out_of_descriptors(&error) => {
                    self.pause_accepts(now, Source::Tcp(index), &error);
                    return false;
                }
                // The client has gone before it was accepted.
                Err(_) => {}
            }
        }
        true
    }

    /// A listener rests, because there is no descriptor for what it would accept.
    pub(in crate::worker) fn pause_accepts(
        &mut self,
        now: Now,
        listener: Source,
        error: &io::Error,
    ) {
        self.tally.socket_errors.count(error);
        if self.tally.begin_shortage(now.monotonic) {
            tracing::warn!(%error, "no descriptor for a new connection; trying until there is one");
        }
        self.paused_accepts.push(listener);
        self.accepts_resume_at
            .get_or_insert(now.monotonic + ACCEPT_PAUSE);
    }

    fn welcome(
        &mut self,
        now: Now,
        mut socket: TcpStream,
        client: SocketAddr,
        is_for_tls: bool,
    ) -> io::Result<()> {
        tune(&SockRef::from(&socket))?;
        let server = socket.local_addr()?;
        let five_tuple = FiveTuple {
            transport: Transport::Tcp,
            client,
            server,
        };
        let token = Source::Stream(self.connections.table.vacant_key()).token();
        self.poll.registry().register(
            &mut socket,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let is_proxied = self.connections.shared.is_trusted_proxy(client.ip());
        let expected = Expected {
            header: is_proxied,
            tls: is_for_tls,
        };
        let stream = Stream::new(socket, five_tuple, expected, now.monotonic);
        let key = self.connections.insert(stream);
        count(&self.connections.shared.totals.accepted);
        self.note_stranger(now, key, true);
        Ok(())
    }

    /// Counts a connection as one without an allocation, or no more; when there are too many, another
    /// one or this one is closed.
    pub(super) fn note_stranger(&mut self, now: Now, key: usize, is_stranger: bool) {
        if let Some(crowded) = self.connections.note_stranger(key, is_stranger) {
            self.close_stream(now, crowded, &End::Crowded);
        }
    }

    /// Reads, answers and writes one connection.
    pub(in crate::worker) fn read_stream(&mut self, now: Now, key: usize) -> Turn {
        if self.connections.round_left == 0 {
            return Turn::Postponed;
        }
        self.connections.turn_left = TURN_COST.min(self.connections.round_left);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(READ_BYTES, 0);
        let mut turn = Turn::More;
        for _ in 0..READS_A_TURN {
            turn = self.read_once(now, key, &mut scratch);
            if turn != Turn::More || self.connections.turn_left == 0 {
                break;
            }
        }
        self.scratch = scratch;
        self.close_relayed();
        self.connections.reschedule(key, false);
        turn
    }

    fn read_once(&mut self, now: Now, key: usize, scratch: &mut [u8]) -> Turn {
        let connections = &mut self.connections;
        let Some(Entry { stream, .. }) = connections.table.get_mut(key) else {
            return Turn::Done;
        };
        stream.flush();
        let was_open = stream.is_open();
        if !was_open && connections.steps_left == 0 {
            return Turn::Postponed;
        }
        let mut has_more = true;
        if stream.has_waiting() {
            // What has come is bounded, because nothing is read before it is handled.
            self.take_frames(now, key);
        } else {
            let bytes;
            (bytes, has_more) = stream.read(scratch);
            self.take_bytes(now, key, bytes);
        }
        let stream = self.connections.get(key);
        let has_waiting = stream.as_ref().is_some_and(|it| it.has_waiting());
        if let Some(end) = stream.and_then(Stream::take_end) {
            self.close_stream(now, key, &end);
            return Turn::Done;
        }
        if has_more || has_waiting {
            Turn::More
        } else {
            Turn::Done
        }
    }

    /// Takes what was read from a connection.
    fn take_bytes(&mut self, now: Now, key: usize, bytes: &[u8]) {
        let connections = &mut self.connections;
        connections.charge(1 + bytes.len() / BYTES_A_COST);
        let Some(Entry { stream, .. }) = connections.table.get_mut(key) else {
            return;
        };
        let was_open = stream.is_open();
        if !bytes.is_empty() {
            let handshake = stream.handshake_since();
            stream.take(now.monotonic, bytes, &connections.shared);
            stream.flush();
            let (is_open, handshake_now) = (stream.is_open(), stream.handshake_since());
            // The source that a proxy has told, not the proxy's.
            let is_settled = !stream.awaits_header();
            if !was_open && stream.client().transport == Transport::Tls {
                connections.steps_left -= 1;
            }
            if let Some(oldest) = connections.note_handshake(key, handshake, handshake_now) {
                self.close_stream(now, oldest, &End::TlsEvicted);
            }
            if !was_open && is_settled {
                self.note_stranger(now, key, true);
            }
            if is_open {
                if !was_open {
                    self.enroll(now, key);
                }
                self.take_frames(now, key);
            }
        }
    }

    /// From now on messages go to this connection.
    pub(super) fn enroll(&mut self, now: Now, key: usize) {
        let Some(client) = self.connections.get(key).map(|stream| stream.client()) else {
            return;
        };
        if let Some(old) = self.connections.by_client.get(&client).copied() {
            // The address was given away again, so the old connection has ended, even if its last
            // event still waits.
            self.close_stream(now, old, &End::Replaced);
        }
        self.connections.by_client.insert(client, key);
    }

    /// Handles the whole messages that a connection has sent, as many as its turn allows.
    pub(super) fn take_frames(&mut self, now: Now, key: usize) {
        let Some(stream) = self.connections.get(key) else {
            return;
        };
        let (client, inbox) = (stream.client(), stream.lend_inbox());
        let mut start = 0;
        let mut next = Next::Frame;
        while let Next::Frame = next
            && self.connections.turn_left > 0
            && let Some(stream) = self.connections.get(key)
            && let Some((message, consumed)) = stream.next_frame(now.monotonic, &inbox[start..])
        {
            // The two most significant bits tell them apart (RFC 8656, 12.4).
            self.connections.charge(match inbox[start] >> 6 {
                0b01 => CHANNEL_DATA_COST,
                _ => REQUEST_COST,
            });
            next = self.stream_message(now, key, &client, &inbox[start..start + message]);
            if !matches!(next, Next::HandOver(_)) {
                start += consumed;
            }
        }
        let has_waiting = self.connections.turn_left == 0;
        if let Some(stream) = self.connections.get(key) {
            stream.return_inbox(now.monotonic, inbox, (start, has_waiting));
        }
        match next {
            Next::Frame => {
                let is_stranger = !self.relay.has_allocation(&client);
                self.note_stranger(now, key, is_stranger);
            }
            Next::Splice(id) => {
                if let Some((stream, _)) = self.connections.remove(key) {
                    self.splice(now, id, stream);
                }
            }
            Next::HandOver(worker) => self.hand_over(key, worker),
        }
    }

    /// Gives a connection, with all that it has sent and that is not handled yet, to the worker that is
    /// to serve it.
    fn hand_over(&mut self, key: usize, worker: usize) {
        let Some((mut stream, _)) = self.connections.remove(key) else {
            return;
        };
        let shared = &self.connections.shared;
        let mailbox = shared.mailboxes.get().and_then(|all| all.get(worker));
        match (stream.deregister(self.poll.registry()), mailbox) {
            (Ok(()), Some(mailbox)) => mailbox.send(Command::Adopt(Adopted(Box::new(stream)))),
            (_, _) => count(&shared.totals.closed),
        }
    }

    /// Goes on with a connection that another worker has accepted.
    pub(in crate::worker) fn adopt(&mut self, now: Now, Adopted(mut stream): Adopted) {
        let token = Source::Stream(self.connections.table.vacant_key()).token();
        if let Err(error) = stream.register(self.poll.registry(), token) {
            tracing::debug!(%error, "connection lost on its way to another worker");
            count(&self.connections.shared.totals.closed);
            return;
        }
        let key = self.connections.insert(*stream);
        self.enroll(now, key);
        self.connections.turn_left = TURN_COST;
        self.take_frames(now, key);
        // What waits or came meanwhile, or how it ended.
        self.ready.push(Source::Stream(key));
    }

    fn stream_message(&mut self, now: Now, key: usize, client: &FiveTuple, message: &[u8]) -> Next {
        let outcome = self
            .relay
            .handle_client(now, client, message, &mut self.reply);
        match self.resolve(now, outcome, client) {
            // Only datagrams can be answered from elsewhere.
            Resolved::Nothing | Resolved::ReplyFrom { .. } => {}
            Resolved::Reply(length) => {
                if let Some(stream) = self.connections.get(key) {
                    stream.answer(&self.reply[..length]);
                }
            }
            Resolved::Bound { id, reply } => {
                if let Some(stream) = self.connections.get(key) {
                    stream.send_reply(&self.reply[..reply]);
                }
                return Next::Splice(id);
            }
            Resolved::Elsewhere { worker } => return Next::HandOver(worker),
            Resolved::ToPeer {
                relay,
                peer,
                payload,
                dont_fragment,
            } => {
                let (payload, errors) = (&message[payload], &self.tally.socket_errors);
                self.relayed
                    .send_one(relay, payload, peer, dont_fragment, errors);
            }
        }
        Next::Frame
    }

    /// Closes the connections on which something did not come in time.
    pub(in crate::worker) fn close_late_streams(&mut self, now: Now) {
        while let Some(&(at, key)) = self.connections.deadlines.first()
            && at <= now.monotonic
        {
            let Some(stream) = self.connections.table.get_mut(key) else {
                self.connections.deadlines.pop_first();
                continue;
            };
            let stream = &mut stream.stream;
            let is_served = self.relay.has_allocation(&stream.client());
            if is_served {
                stream.excuse(now.monotonic);
            }
            if stream.deadline(&self.connections.shared.limits) <= now.monotonic {
                self.close_stream(now, key, &End::TimedOut);
            } else {
                self.connections.reschedule(key, true);
                self.note_stranger(now, key, !is_served);
            }
        }
    }

    fn close_stream(&mut self, now: Now, key: usize, end: &End) {
        let Some((mut stream, client)) = self.connections.remove(key) else {
            return;
        };
        let totals = &self.connections.shared.totals;
        count(&totals.closed);
        match end {
            End::Finished | End::Lost(_) | End::Replaced => {}
            End::ProxyMalformed => count(&totals.proxy_malformed),
            End::Garbage => count(&totals.garbage),
            End::NotTls => count(&totals.plain_refused),
            End::Tls(_) => count(&totals.tls_failures),
            End::TlsEvicted => count(&totals.tls_evicted),
            End::Crowded => count(&totals.strangers_evicted),
            End::Unauthenticated => count(&totals.unauthenticated),
            End::TimedOut => count(&totals.timed_out),
            End::Overflowed => count(&totals.overflowed),
        }
        tracing::debug!(client = %stream.client().client, reason = %end, "connection closed");
        stream.say_goodbye();
        if let Some(client) = client {
            self.relay.handle_client_gone(now, &client);
            self.close_relayed();
        }
    }
}
