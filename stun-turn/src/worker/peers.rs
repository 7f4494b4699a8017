//! Connections with peers (RFC 6062): made, accepted, spliced with clients', closed.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use slab::Slab;
use socket2::{SockRef, TcpKeepalive};
use stun_turn_proto::relay::Direction;
use stun_turn_proto::{ConnectionId, Now, RelayId};

use super::connections::{ACCEPTS_A_TURN, READ_BYTES, SILENCE};
use super::splice::{Carried, Splice};
use super::stream::Stream;
use super::{Source, Worker};
use crate::sockets::{bind_to_connect, is_out_of_descriptors, start_connecting};
use crate::streams::count;

/// A worker's connections with peers and every index over them.
#[derive(Default)]
pub(super) struct Peers {
    /// By [`RelayId::index`].
    listeners: HashMap<usize, TcpListener>,
    table: Slab<Peer>,
    by_id: HashMap<ConnectionId, usize>,
    /// When to go on with those that were faster than the limit.
    resumes: BTreeSet<(Duration, usize)>,
}

struct Peer {
    id: ConnectionId,
    socket: TcpStream,
    state: State,
}

enum State {
    Connecting,
    /// What the peer sends stays in the kernel.
    Unbound,
    Spliced {
        splice: Box<Splice>,
        resumes_at: Option<Duration>,
    },
}

impl Peers {
    pub(super) fn next_resume(&self) -> Option<Duration> {
        self.resumes.first().map(|(at, _)| *at)
    }

    /// Accepts what comes to an allocation's relayed address.
    pub(super) fn listen(
        &mut self,
        registry: &Registry,
        index: usize,
        mut listener: TcpListener,
    ) -> io::Result<()> {
        let token = Source::PeerListener(index).token();
        registry.register(&mut listener, token, Interest::READABLE)?;
        self.listeners.insert(index, listener);
        Ok(())
    }

    pub(super) fn stop_listening(&mut self, index: usize) {
        self.listeners.remove(&index);
    }

    fn insert(
        &mut self,
        registry: &Registry,
        id: ConnectionId,
        mut socket: TcpStream,
        state: State,
    ) -> io::Result<()> {
        tune(&SockRef::from(&socket))?;
        let place = self.table.vacant_entry();
        let token = Source::Peer(place.key()).token();
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.by_id.insert(id, place.key());
        place.insert(Peer { id, socket, state });
        Ok(())
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Peer> {
        let key = self.by_id.remove(&id)?;
        let peer = self.table.try_remove(key)?;
        if let State::Spliced { resumes_at, .. } = &peer.state
            && let Some(at) = resumes_at
        {
            self.resumes.remove(&(*at, key));
        }
        Some(peer)
    }

    fn reschedule(&mut self, key: usize, next: Option<Duration>) {
        if let Some(peer) = self.table.get_mut(key)
            && let State::Spliced { resumes_at, .. } = &mut peer.state
        {
            if let Some(before) = std::mem::replace(resumes_at, next) {
                self.resumes.remove(&(before, key));
            }
            if let Some(at) = next {
                self.resumes.insert((at, key));
            }
        }
    }
}

impl Worker {
    /// Starts to connect to a peer. What becomes of it is seen later; when nothing does, the client
    /// is answered at its time all the same.
    ///
    /// # Errors
    /// When there is no socket for it.
    pub(super) fn connect(
        &mut self,
        id: ConnectionId,
        from: SocketAddr,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let socket = bind_to_connect(from)?;
        match start_connecting(socket, peer) {
            Ok(socket) => {
                let (socket, registry) = (TcpStream::from_std(socket), self.poll.registry());
                self.peers.insert(registry, id, socket, State::Connecting)
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "a peer can't be connected to");
                Ok(())
            }
        }
    }

    /// Takes connections that peers have made; true when there may be more.
    pub(super) fn accept_peers(&mut self, now: Now, index: usize) -> bool {
        let source = Source::PeerListener(index);
        if self.paused_accepts.contains(&source) {
            return false;
        }
        let mut has_more = true;
        for _ in 0..ACCEPTS_A_TURN {
            let Some(listener) = self.peers.listeners.get(&index) else {
                has_more = false;
                break;
            };
            match listener.accept() {
                Ok((socket, from)) => self.take_in(now, RelayId::of_index(index), socket, from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    has_more = false;
                    break;
                }
                Err(error) if is_out_of_descriptors(&error) => {
                    self.pause_accepts(now, source, &error);
                    has_more = false;
                    break;
                }
                // The peer has gone before it was accepted.
                Err(_) => {}
            }
        }
        self.tell_clients();
        self.close_relayed();
        has_more
    }

    fn take_in(&mut self, now: Now, relay: RelayId, socket: TcpStream, from: SocketAddr) {
        let Some(id) = self.relay.handle_incoming(now, relay, from) else {
            tracing::trace!(%from, "peer's connection refused");
            return;
        };
        // An attempt of ours to connect to the same peer at the same time.
        self.peers.remove(id);
        let registry = self.poll.registry();
        if let Err(error) = self.peers.insert(registry, id, socket, State::Unbound) {
            tracing::debug!(%from, %error, "peer's connection lost before it began");
            self.relay.handle_connection_ended(id);
        }
    }

    /// Makes a client's connection and a peer's one.
    pub(super) fn splice(&mut self, now: Now, id: ConnectionId, mut client: Stream) {
        let registry = self.poll.registry();
        let found = self.peers.by_id.get(&id).copied();
        let Some((key, peer)) = found.and_then(|key| Some((key, self.peers.table.get_mut(key)?)))
        else {
            // Cannot be: what is not there was said to have ended.
            count(&self.connections.shared.totals.closed);
            self.relay.handle_connection_ended(id);
            return;
        };
        let watched = client
            .begin_splice()
            .and_then(|()| client.deregister(registry))
            .and_then(|()| client.register(registry, Source::Data(key).token()));
        let early = client.inbox().len();
        peer.state = State::Spliced {
            splice: Box::new(Splice::new(client)),
            resumes_at: None,
        };
        if let Err(error) = watched {
            tracing::debug!(%error, "a client's connection can't be spliced");
            self.relay.handle_connection_ended(id);
            return;
        }
        self.relay.handle_carried(now, id, Direction::ToPeer, early);
        // What came before it was watched here.
        self.ready.push(Source::Data(key));
    }

    /// Gives a connection with a peer its turn; true when there may be more.
    pub(super) fn carry(&mut self, now: Now, key: usize) -> bool {
        let Some(Peer { id, socket, state }) = self.peers.table.get_mut(key) else {
            return false;
        };
        let id = *id;
        let splice = match state {
            State::Connecting => {
                self.finish_connecting(now, key);
                return false;
            }
            State::Unbound => return false,
            State::Spliced { splice, .. } => splice,
        };
        self.scratch.resize(READ_BYTES, 0);
        let relay = &mut self.relay;
        let count = |direction, bytes| relay.handle_carried(now, id, direction, bytes);
        let shared = &self.connections.shared;
        let carried = splice.carry(now.monotonic, socket, &mut self.scratch, shared, count);
        let Carried {
            has_more,
            resumes_at,
            is_half_closed,
            end,
        } = carried;
        if let Some(end) = end {
            tracing::debug!(reason = %end, "connections with a client and its peer closed");
            self.relay.handle_connection_ended(id);
            self.close_relayed();
            return false;
        }
        if is_half_closed {
            self.relay.handle_half_closed(now, id);
        }
        self.peers.reschedule(key, resumes_at);
        has_more
    }

    /// Whether a connection is made or has failed.
    fn finish_connecting(&mut self, now: Now, key: usize) {
        let Some(peer) = self.peers.table.get_mut(key) else {
            return;
        };
        let id = peer.id;
        let failed = match (peer.socket.take_error(), peer.socket.peer_addr()) {
            (Ok(None), Ok(_)) => None,
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => return,
            (Ok(Some(error)) | Err(error), _) | (_, Err(error)) => Some(error),
        };
        if let Some(error) = failed {
            // The client is told when the time is over, as of every failure.
            tracing::debug!(%error, "a peer can't be connected to");
            self.peers.remove(id);
            return;
        }
        peer.state = State::Unbound;
        if !self.relay.handle_connected(now, id) {
            self.peers.remove(id);
        }
        self.tell_clients();
    }

    /// Goes on with what was faster than the limit.
    pub(super) fn resume_splices(&mut self, now: Now) {
        while let Some(&(at, key)) = self.peers.resumes.first()
            && at <= now.monotonic
        {
            self.peers.reschedule(key, None);
            self.ready.push(Source::Data(key));
        }
    }

    /// Closes a peer's connection and the client's that is spliced with it.
    pub(super) fn close_peer(&mut self, id: ConnectionId) {
        if let Some(peer) = self.peers.remove(id)
            && let State::Spliced { mut splice, .. } = peer.state
        {
            splice.client().say_goodbye();
            count(&self.connections.shared.totals.closed);
        }
    }
}

/// A peer that vanished without a word must be noticed; one that reads slowly is waited for.
fn tune(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(SILENCE / 3);
    socket.set_tcp_keepalive(&keepalive.with_retries(3))
}
