//! One client's connection: what it has to begin with, its messages in, bounded buffering out.

mod layer;
mod outgoing;

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::server::ServerConnection;
use socket2::SockRef;
use stun_turn_proto::attribute::kind;
use stun_turn_proto::framing::{self, Frame};
use stun_turn_proto::message::{Class, Message, Method};
use stun_turn_proto::proxy_header::{self, Header};
use stun_turn_proto::{FiveTuple, Transport};

use crate::streams::{StreamLimits, Streams, count};
use layer::{Layer, Received};
use outgoing::Outgoing;

/// First byte of a TLS handshake's record; no message of STUN or TURN starts with it.
const TLS_HANDSHAKE: u8 = 22;

/// Refusals after which somebody who has never given valid credentials is hung up on. An honest client
/// needs one to learn the nonce, and one more for each typo.
const MAX_REFUSALS: u32 = 32;

/// What a reply tells of the one who is answered.
enum Credentials {
    /// It was not asked for them.
    None,
    Valid,
    Invalid,
}

impl Credentials {
    fn shown_by(reply: &[u8]) -> Self {
        let Ok(reply) = Message::parse(reply) else {
            return Self::None;
        };
        match (reply.class(), reply.first(kind::ERROR_CODE)) {
            (Class::Success, _) if reply.method() != Method::Binding => Self::Valid,
            // 401 and 438.
            (Class::Error, Some([_, _, 4, 1 | 38, ..])) => Self::Invalid,
            _ => Self::None,
        }
    }
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What a trusted proxy writes in front of everything.
    Header,
    /// The byte that tells TLS from plain messages.
    FirstByte,
    /// The rest of a TLS handshake, begun at this time.
    Handshake { since: Duration },
    /// Messages.
    Open,
}

/// What a connection must begin with, by its listener and its sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// A PROXY header.
    pub(super) header: bool,
    /// TLS, where `--tls-only` asks for it.
    pub(super) tls: bool,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client has hung up")]
    Finished,
    #[error("lost: {0}")]
    Lost(io::Error),
    #[error("another connection came from the same address")]
    Replaced,
    #[error("a trusted proxy did not start with a PROXY header")]
    ProxyMalformed,
    #[error("neither STUN nor ChannelData nor TLS")]
    Garbage,
    #[error("no TLS on a listener for TLS, and --tls-only is set")]
    NotTls,
    /// Broken, or the handshake found nothing in common.
    #[error("TLS failed: {0}")]
    Tls(rustls::Error),
    #[error("more TLS handshakes have begun than are kept waiting")]
    TlsEvicted,
    #[error("more connections without an allocation than are kept")]
    Crowded,
    #[error("request after request without valid credentials")]
    Unauthenticated,
    #[error("something did not come in time")]
    TimedOut,
    #[error("the client lets replies pile up")]
    Overflowed,
}

/// A client's connection.
pub(super) struct Stream {
    socket: TcpStream,
    client: FiveTuple,
    phase: Phase,
    /// Its listener is for TLS.
    is_for_tls: bool,
    layer: Layer,
    inbox: Vec<u8>,
    outgoing: Outgoing,
    /// Nothing was cut out of the stream yet.
    is_new: bool,
    /// Whole messages may wait in the inbox for the connection's next turn.
    has_waiting: bool,
    /// Requests refused for want of valid credentials; `None` once one was granted.
    refusals: Option<u32>,
    /// The client sends no more; what waits for it is still written.
    has_ended: bool,
    end: Option<End>,
    opened_at: Duration,
    last_message_at: Duration,
    /// When the message that is not whole yet began.
    partial_since: Option<Duration>,
}

impl Stream {
    pub(super) fn new(
        socket: TcpStream,
        client: FiveTuple,
        expected: Expected,
        now: Duration,
    ) -> Self {
        Self {
            socket,
            client,
            is_for_tls: expected.tls,
            phase: if expected.header {
                Phase::Header
            } else {
                Phase::FirstByte
            },
            layer: Layer::Plain(Vec::new()),
            inbox: Vec::new(),
            outgoing: Outgoing::default(),
            is_new: true,
            has_waiting: false,
            refusals: Some(0),
            has_ended: false,
            end: None,
            opened_at: now,
            last_message_at: now,
            partial_since: None,
        }
    }

    /// Goes on with a TLS session whose handshake is over.
    pub(super) fn begin_deciphered(&mut self, mut tls: Box<ServerConnection>) {
        // As for those that begin here: what it is given to send is bounded before.
        tls.set_buffer_limit(None);
        self.layer = Layer::Tls(tls);
        self.phase = Phase::Open;
        match self.layer.receive_rest(&mut self.inbox) {
            Ok(received) => self.has_ended |= received == Received::End,
            Err(error) => self.end = Some(End::Tls(error)),
        }
    }

    /// Whom it is for; settled once it [`is_open`](Self::is_open).
    pub(super) const fn client(&self) -> FiveTuple {
        self.client
    }

    /// Watches its socket from now on.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.socket, token, interests)
    }

    /// Watches its socket no more.
    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket)
    }

    /// Makes it one that carries bytes for as long as its other end acknowledges, however slowly: a
    /// reader that pauses is waited for.
    pub(super) fn begin_splice(&mut self) -> io::Result<()> {
        SockRef::from(&self.socket).set_tcp_user_timeout(None)
    }

    /// Whether messages may come and go.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// When the connection began.
    pub(super) const fn opened_at(&self) -> Duration {
        self.opened_at
    }

    /// Whether a proxy has still to tell whom it is for.
    pub(super) const fn awaits_header(&self) -> bool {
        matches!(self.phase, Phase::Header)
    }

    /// Whether messages that have come must be handled before more is read.
    pub(super) const fn has_waiting(&self) -> bool {
        self.has_waiting
    }

    /// Since when a TLS handshake is under way, if one is.
    pub(super) const fn handshake_since(&self) -> Option<Duration> {
        match self.phase {
            Phase::Handshake { since } => Some(since),
            Phase::Header | Phase::FirstByte | Phase::Open => None,
        }
    }

    /// Sends a peer's data. When the client is too slow, older data are dropped, whole messages each.
    pub(super) fn send_media(&mut self, message: &[u8], shared: &Streams) {
        if self.can_send() {
            self.send(message);
        } else {
            for _ in 0..self.outgoing.push_media(message) {
                count(&shared.totals.media_dropped);
            }
        }
    }

    /// Sends an answer to one of the client's messages. Too many refusals in a row, and it must end.
    pub(super) fn answer(&mut self, reply: &[u8]) {
        self.send_reply(reply);
        let Some(refusals) = self.refusals else {
            return;
        };
        self.refusals = match Credentials::shown_by(reply) {
            Credentials::None => return,
            Credentials::Valid => None,
            Credentials::Invalid => Some(refusals + 1),
        };
        if self.refusals >= Some(MAX_REFUSALS) {
            self.end.get_or_insert(End::Unauthenticated);
        }
    }

    pub(super) fn send_reply(&mut self, message: &[u8]) {
        if self.can_send() {
            self.send(message);
        } else if !self.outgoing.push_reply(message) {
            self.end.get_or_insert(End::Overflowed);
        }
    }

    /// Whether nothing waits for the socket, so that more bytes may be sent.
    pub(super) fn can_send(&self) -> bool {
        self.outgoing.is_empty() && self.layer.is_clear()
    }

    /// Sends bytes; only while it [can](Self::can_send).
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if self.end.is_none()
            && let Err(error) = self.layer.send(bytes, &mut self.socket)
        {
            self.end = Some(End::Lost(error));
        }
    }

    /// Writes what the socket takes now.
    pub(super) fn flush(&mut self) {
        while self.end.is_none() {
            if let Err(error) = self.layer.flush(&mut self.socket) {
                self.end = Some(End::Lost(error));
            } else if !self.layer.is_clear() || self.outgoing.is_empty() {
                return;
            } else {
                let chunk = self.outgoing.next_chunk();
                self.send(&chunk);
            }
        }
    }

    /// Reads once; what was read, and whether there may be more.
    pub(super) fn read<'s>(&mut self, scratch: &'s mut [u8]) -> (&'s [u8], bool) {
        match self.socket.read(scratch) {
            Ok(0) => self.has_ended = true,
            Ok(length) => return (&scratch[..length], true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return (&[], true),
            Err(error) => self.end = Some(End::Lost(error)),
        }
        (&[], false)
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, now: Duration, bytes: &[u8], shared: &Streams) {
        if let Err(end) = self.advance(now, bytes, shared) {
            self.end.get_or_insert(end);
        }
    }

    fn advance(&mut self, now: Duration, bytes: &[u8], shared: &Streams) -> Result<(), End> {
        if self.phase == Phase::Header {
            self.inbox.extend_from_slice(bytes);
            let (source, consumed) = match proxy_header::parse(&self.inbox) {
                Header::Partial => return Ok(()),
                Header::Malformed => return Err(End::ProxyMalformed),
                Header::Whole { source, consumed } => (source, consumed),
            };
            self.client.client = source.unwrap_or(self.client.client);
            self.phase = Phase::FirstByte;
            let rest = std::mem::take(&mut self.inbox).split_off(consumed);
            return self.advance(now, &rest, shared);
        }
        if self.phase == Phase::FirstByte {
            match bytes.first() {
                None => return Ok(()),
                Some(&TLS_HANDSHAKE) if shared.tls.is_enabled() => {
                    let tls = shared.tls.connection().map_err(End::Tls)?;
                    self.layer = Layer::Tls(Box::new(tls));
                    self.client.transport = Transport::Tls;
                    self.phase = Phase::Handshake { since: now };
                }
                Some(_) if self.is_for_tls && shared.is_tls_only() => return Err(End::NotTls),
                Some(_) => self.phase = Phase::Open,
            }
        }
        let received = self.layer.receive(bytes, &mut self.inbox);
        self.has_ended |= received.map_err(End::Tls)? == Received::End;
        if self.handshake_since().is_some() && !self.layer.is_handshaking() {
            self.phase = Phase::Open;
            count(&shared.totals.tls_handshakes);
        }
        Ok(())
    }

    /// Whether the client sends no more.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// What has come and has not been taken.
    pub(super) const fn inbox(&mut self) -> &mut Vec<u8> {
        &mut self.inbox
    }

    /// Why it can't go on, if it can't; a client that has only finished sending does.
    pub(super) const fn take_failure(&mut self) -> Option<End> {
        self.end.take()
    }

    /// Tells the client that nothing more comes while it may still send. Everything before must have
    /// been [sent](Self::can_send), and this must be written too before [`Stream::shut_down`].
    pub(super) fn finish(&mut self) {
        self.layer.finish();
        self.flush();
    }

    /// Ends the sending half of the connection.
    pub(super) fn shut_down(&mut self) {
        // Fails when the connection is lost, which the next read tells.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Hands out what has come, to be cut with [`Stream::next_frame`] and given back.
    pub(super) fn lend_inbox(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.inbox)
    }

    /// Notes the message at the start of `rest`; `None` when there is no whole one.
    pub(super) fn next_frame(&mut self, now: Duration, rest: &[u8]) -> Option<(usize, usize)> {
        if self.end.is_some() {
            return None;
        }
        match framing::next(rest, self.is_new) {
            Frame::Partial => None,
            Frame::Garbage => {
                self.end.get_or_insert(End::Garbage);
                None
            }
            Frame::Whole { message, consumed } => {
                self.is_new = false;
                self.last_message_at = now;
                self.partial_since = None;
                Some((message, consumed))
            }
        }
    }

    /// Takes the inbox back, from `start` on; `has_waiting` if that may be whole messages.
    pub(super) fn return_inbox(
        &mut self,
        now: Duration,
        mut inbox: Vec<u8>,
        (start, has_waiting): (usize, bool),
    ) {
        self.has_waiting = has_waiting && start < inbox.len();
        self.inbox = if start == 0 {
            inbox
        } else if self.has_waiting {
            inbox.drain(..start);
            inbox
        } else {
            // What is left is small, and the room for what was read is given back.
            inbox[start..].to_vec()
        };
        if !self.inbox.is_empty() && !self.has_waiting {
            self.partial_since.get_or_insert(now);
        }
    }

    /// When it is to be closed unless something comes before.
    pub(super) fn deadline(&self, limits: &StreamLimits) -> Duration {
        let first_message = self.opened_at + limits.first_message;
        match (self.phase, self.partial_since) {
            (Phase::Header, _) => self.opened_at + limits.handshake,
            (Phase::Handshake { since }, _) => first_message.min(since + limits.handshake),
            (Phase::FirstByte, _) => first_message,
            (Phase::Open, _) if self.is_new => first_message,
            (Phase::Open, Some(since)) => since + limits.message,
            (Phase::Open, None) => self.last_message_at + limits.idle,
        }
    }

    /// A connection that serves an allocation may be silent: its idle time starts again.
    pub(super) fn excuse(&mut self, now: Duration) {
        if self.is_open() && !self.is_new && self.partial_since.is_none() {
            self.last_message_at = now;
        }
    }

    /// Why it must be closed now, if it must.
    pub(super) fn take_end(&mut self) -> Option<End> {
        let is_finished = self.has_ended
            && !self.has_waiting
            && (!self.is_open() || (self.outgoing.is_empty() && self.layer.is_clear()));
        self.end
            .take()
            .or_else(|| is_finished.then_some(End::Finished))
    }

    /// The last words, as far as the socket takes them.
    pub(super) fn say_goodbye(&mut self) {
        self.layer.say_goodbye(&mut self.socket);
    }
}
