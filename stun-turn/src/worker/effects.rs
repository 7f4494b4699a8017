//! Carries out what the core decided: sends, binds, closes.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use mio::net::{TcpListener, UdpSocket};
use stun_turn_proto::attribute::kind;
use stun_turn_proto::auth::credential;
use stun_turn_proto::message::Message;
use stun_turn_proto::relay::{Cause, Closed, DropReason, Ended, Reason, Refusal};
use stun_turn_proto::{
    ConnectionId, FiveTuple, Now, Open, OpenError, Outcome, PeerProtocol, RelayId,
};

use super::Worker;
use super::relayed::Way;
use crate::control::session_name;
use crate::sockets::{bind_relayed, is_out_of_descriptors, listen_relayed};
use crate::udp::raw;

/// Sockets on reserved ports, until the worker that got the token takes them.
#[derive(Debug, Default)]
pub(crate) struct Parked(Mutex<HashMap<SocketAddr, UdpSocket>>);

impl Parked {
    fn put(&self, address: SocketAddr, socket: UdpSocket) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(address, socket);
    }

    fn take(&self, address: SocketAddr) -> Option<UdpSocket> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&address)
    }
}

impl Worker {
    /// Carries out the outcome of a client's datagram, which begins at `start` of `slot`.
    pub(super) fn apply_to_datagram(
        &mut self,
        now: Now,
        outcome: Outcome,
        listener: usize,
        client: &FiveTuple,
        (slot, start): (usize, usize),
    ) {
        match self.resolve(now, outcome, client) {
            // Only connections can be spliced.
            Resolved::Nothing | Resolved::Bound { .. } | Resolved::Elsewhere { .. } => {}
            Resolved::Reply(length) => {
                let from = self.source(listener, client.server);
                let reply = &self.reply[..length];
                self.outbox.push_reply(listener, reply, client.client, from);
            }
            Resolved::ReplyFrom { reply, from, to } => {
                if let Some(listener) = self.listener_of(from) {
                    let source = self.source(listener, from);
                    let reply = &self.reply[..reply];
                    self.outbox.push_reply(listener, reply, to, source);
                }
            }
            Resolved::ToPeer {
                relay,
                peer,
                payload,
                dont_fragment,
            } => {
                let part = payload.start + start..payload.end + start;
                self.send_to_peer(relay, peer, (slot, part), dont_fragment);
            }
        }
    }

    /// Decides how a part of a slot leaves for a peer.
    fn send_to_peer(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        (slot, part): (usize, Range<usize>),
        dont_fragment: bool,
    ) {
        let (_, buffer) = self.batch.get(slot);
        let payload = &buffer[part.clone()];
        match self.relayed.way(relay) {
            None => {}
            Some(Way::Socket(_)) if !dont_fragment => {
                self.outbox.push_peer(relay, slot, part, peer);
            }
            Some(Way::Raw { sender, from }) if raw::fits(payload.len(), peer) => {
                let (header, length) = raw::header(from, peer, payload, dont_fragment);
                let place = (slot, part);
                self.outbox.push_raw(sender, &header[..length], place, peer);
            }
            Some(Way::Socket(_) | Way::Raw { .. }) => {
                // It goes alone, after all that was decided before it.
                self.send_out();
                let (_, buffer) = self.batch.get(slot);
                let errors = &self.tally.socket_errors;
                self.relayed
                    .send_one(relay, &buffer[part], peer, dont_fragment, errors);
            }
        }
    }

    /// One line for many requests.
    fn tell_of_flood(&self, now: Now, client: &FiveTuple) {
        if let Some(requests) = self.settings.shared.unanswered.count(now.monotonic) {
            tracing::warn!(
                requests,
                last_from = %client.client.ip(),
                "requests without valid credentials get no answer beyond 10 a second and source: a flood, or a client \
                 with wrong credentials; said at most once a minute, all are counted as over_budget in /metrics"
            );
        }
    }

    /// One line for a request that is refused. What every client begins with is none: a request
    /// without credentials, or with a nonce that has aged.
    fn tell_of_refusal(&mut self, client: &FiveTuple, length: usize) {
        let (refusal, reason) = (self.relay.take_refusal(), self.relay.take_reason());
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let client = client.client;
        if let Some(Refusal { peer, rule }) = refusal {
            tracing::debug!(%client, %peer, %rule, "peer refused");
            return;
        }
        let Ok(reply) = Message::parse(&self.reply[..length]) else {
            return;
        };
        let Some(code) = error_code(&reply) else {
            return;
        };
        let method = reply.method().name();
        match (reason, code) {
            (Some(Reason { user, cause }), _) => {
                tracing::debug!(%client, method, code, %user, reason = %cause, "request refused");
            }
            (None, 401 | 438) => tracing::trace!(%client, method, code, "request refused"),
            (None, _) => tracing::debug!(%client, method, code, "request refused"),
        }
    }

    /// Binds sockets until the outcome is something to send.
    pub(super) fn resolve(
        &mut self,
        now: Now,
        mut outcome: Outcome,
        client: &FiveTuple,
    ) -> Resolved {
        let mut bound = None;
        loop {
            outcome = match outcome {
                Outcome::Drop(reason) => {
                    tracing::trace!(?reason, client = %client.client, "client's message dropped");
                    if reason == DropReason::OverBudget {
                        self.tell_of_flood(now, client);
                    }
                    return Resolved::Nothing;
                }
                Outcome::Reply(length) => {
                    self.tell_of_refusal(client, length);
                    return Resolved::Reply(length);
                }
                Outcome::ReplyFrom { reply, from, to } => {
                    return Resolved::ReplyFrom { reply, from, to };
                }
                Outcome::Bound { id, reply } => return Resolved::Bound { id, reply },
                Outcome::Elsewhere { worker } => return Resolved::Elsewhere { worker },
                Outcome::Connect { id, from, peer } => match self.connect(id, from, peer) {
                    Ok(()) => return Resolved::Nothing,
                    Err(error) => {
                        self.tally.socket_errors.count(&error);
                        self.relay.handle_no_socket(id, &mut self.reply)
                    }
                },
                Outcome::ToPeer {
                    relay,
                    peer,
                    payload,
                    dont_fragment,
                } => {
                    return Resolved::ToPeer {
                        relay,
                        peer,
                        payload,
                        dont_fragment,
                    };
                }
                Outcome::Open(open) => {
                    let result = self.bind(&open);
                    let told = result
                        .as_ref()
                        .map(|_| ())
                        .map_err(|error| self.open_error(error));
                    bound = result.ok();
                    self.relay.handle_opened(now, open, told, &mut self.reply)
                }
                Outcome::Opened { relay, next } => {
                    let socket = bound.take().expect("opened only after a socket was bound");
                    if let Err(error) = self.register(relay, socket) {
                        tracing::warn!(%error, "a relayed socket can't be watched");
                        self.relay.abandon(now, relay);
                        if let Outcome::Open(open) = *next {
                            self.give_up(now, open);
                        }
                        return Resolved::Nothing;
                    }
                    tracing::debug!(client = %client.client, transport = ?client.transport, "allocated");
                    *next
                }
            };
        }
    }

    /// Gives back what was claimed for a socket that is not to be bound any more.
    fn give_up(&mut self, now: Now, mut open: Box<Open>) {
        let failed = Err(OpenError::Failed);
        while let Outcome::Open(other) =
            self.relay.handle_opened(now, open, failed, &mut self.reply)
        {
            open = other;
        }
    }

    /// Binds an allocation's socket, and the next port's, which waits where all workers find it.
    fn bind(&self, open: &Open) -> Result<Opened, NotBound> {
        if open.protocol == PeerProtocol::Tcp {
            let listener = listen_relayed(open.address)?;
            return Ok(Opened::Tcp(TcpListener::from_std(listener)));
        }
        let address = open.address;
        if open.is_reserved {
            let socket = self.parked.take(address);
            let socket = socket.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            return Ok(Opened::Udp(address, self.relayed.own(socket, address)));
        }
        let first = self.relayed.bind(address)?;
        if let Some(next) = open.next_address() {
            let socket = bind_relayed(next).map_err(|error| NotBound {
                error,
                is_next: true,
            })?;
            self.parked.put(next, UdpSocket::from_std(socket));
        }
        Ok(Opened::Udp(address, first))
    }

    fn register(&mut self, relay: RelayId, opened: Opened) -> io::Result<()> {
        let registry = self.poll.registry();
        match opened {
            Opened::Udp(address, socket) => self.relayed.open(registry, relay, address, socket),
            Opened::Tcp(listener) => self.peers.listen(registry, relay.index(), listener),
        }
    }

    /// Closes the sockets that have no use any more; their ports are free from then on.
    pub(super) fn close_relayed(&mut self) {
        while let Some(closed) = self.relay.poll_closed() {
            // What was decided before still leaves through the socket.
            self.send_out();
            let relayed = match closed {
                Closed::Allocation {
                    relay,
                    relayed,
                    ended,
                } => {
                    // Closing a descriptor also ends its registration.
                    self.relayed.close(relay);
                    self.peers.stop_listening(relay.index());
                    self.record(&ended);
                    relayed
                }
                Closed::Reservation(relayed) => {
                    self.parked.take(relayed);
                    relayed
                }
                Closed::Connection(id) => {
                    self.close_peer(id);
                    continue;
                }
            };
            self.settings.ports.release(relayed);
        }
    }
}

/// Why a socket could not be bound.
struct NotBound {
    error: io::Error,
    /// It is the next port's, which EVEN-PORT reserves.
    is_next: bool,
}

impl From<io::Error> for NotBound {
    fn from(error: io::Error) -> Self {
        Self {
            error,
            is_next: false,
        }
    }
}

/// Where an allocation's traffic comes and goes.
enum Opened {
    /// The socket is none where the worker's takes its place.
    Udp(SocketAddr, Option<UdpSocket>),
    Tcp(TcpListener),
}

/// An outcome that needs nothing more but sending.
pub(super) enum Resolved {
    Nothing,
    Bound {
        id: ConnectionId,
        reply: usize,
    },
    Elsewhere {
        worker: usize,
    },
    Reply(usize),
    ReplyFrom {
        reply: usize,
        from: SocketAddr,
        to: SocketAddr,
    },
    ToPeer {
        relay: RelayId,
        peer: SocketAddr,
        payload: Range<usize>,
        dont_fragment: bool,
    },
}

/// The code of an error response.
fn error_code(reply: &Message<'_>) -> Option<u16> {
    match reply.first(kind::ERROR_CODE)? {
        [_, _, class, number, ..] => Some(u16::from(*class) * 100 + u16::from(*number)),
        _ => None,
    }
}

impl Worker {
    /// One line for an allocation that has ended, as far as its user and source may cause more. The
    /// end of the server is one line for each.
    fn record(&self, ended: &Ended) {
        let shared = &self.settings.shared;
        let Ended {
            client, traffic, ..
        } = ended;
        let account = credential::account(&ended.username);
        let now = self.now().monotonic;
        let is_bounded = ended.cause != Cause::Shutdown && ended.is_churn();
        if is_bounded && !shared.records.admit(account, client.client.ip(), now) {
            return;
        }
        tracing::info!(
            session = session_name(self.index, ended.id),
            cause = ended.cause.name(),
            user = %shared.tag(&ended.username),
            client = %client.client,
            transport = ?client.transport,
            relayed = %ended.relayed,
            seconds = ended.lived.as_secs(),
            packets_to_peers = traffic.packets_to_peers,
            bytes_to_peers = traffic.bytes_to_peers,
            packets_to_client = traffic.packets_to_client,
            bytes_to_client = traffic.bytes_to_client,
            "allocation closed"
        );
    }

    /// What the core is told of a socket that could not be bound. The operator is warned once for
    /// as long as it lasts: any client can make this happen again and again.
    fn open_error(&self, NotBound { error, is_next }: &NotBound) -> OpenError {
        match (error.kind(), is_next) {
            (io::ErrorKind::AddrInUse, false) => return OpenError::AddressInUse,
            (io::ErrorKind::AddrInUse, true) => return OpenError::NextAddressInUse,
            _ => {}
        }
        self.tally.socket_errors.count(error);
        if is_out_of_descriptors(error) && self.tally.begin_shortage(self.now().monotonic) {
            tracing::warn!(%error, "no descriptor for a relayed socket; clients are told 508");
        } else {
            tracing::debug!(%error, "binding a relayed socket failed; the client is told 508");
        }
        OpenError::Failed
    }
}
