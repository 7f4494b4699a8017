//! One core's loop: it owns its relay, its sockets and its timers, and shares nothing on the packet
//! path.
//!
//! A turn of the loop: wait for readiness or the next deadline, read the clock once, give every
//! ready socket a bounded amount of work, expire what is due, close what has no use any more.

mod coalesce;
mod connections;
mod crowd;
mod effects;
mod fair_share;
mod peers;
mod ready;
mod relayed;
mod splice;
mod stream;
mod token;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Waker};
use stun_turn_proto::demux;
use stun_turn_proto::limits::{HEADROOM, TAILROOM};
use stun_turn_proto::relay::{DropReason, FromPeer, PeerDatagram, ReplyBuffer};
use stun_turn_proto::{FiveTuple, Now, Relay, RelayId, Settings, Transport, limits};

use crate::control::{Colleague, Command, Mailbox, SessionInfo};
use crate::sockets::Listener;
use crate::streams::Streams;
use crate::tally::Tally;
use crate::udp::{self, BATCH, RecvBatch, Sender};
pub(crate) use connections::Adopted;
pub(crate) use effects::Parked;
pub(crate) use relayed::{Shared, share};

use coalesce::Coalescer;
use connections::Connections;
use effects::Outbox;
use fair_share::FairShare;
use peers::Peers;
use ready::Ready;
use relayed::Relayed;
use token::Source;

/// Batches that one socket may take before the others have their turn.
const BATCHES_A_TURN: usize = 4;
/// The same for a listener that is behind, which drops most of what it takes ([`FairShare`]).
const BATCHES_TO_CATCH_UP: usize = 16;
/// Datagrams after which a turn ends, where many come in one batch.
const DATAGRAMS_A_TURN: usize = 1024;
/// How long a listener rests when the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;

/// A listening socket with the address it stands for.
struct Bound<S> {
    socket: S,
    address: SocketAddr,
    fair: FairShare,
}

impl<S> Bound<S> {
    fn new(socket: S, address: SocketAddr) -> Self {
        let fair = FairShare::default();
        Self {
            socket,
            address,
            fair,
        }
    }
}

/// Where peers' datagrams come in.
#[derive(Debug, Clone, Copy)]
enum Inlet {
    /// The socket of one allocation.
    Own(usize),
    /// The socket of all of a family.
    Shared(usize),
}

/// What a socket's turn has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The kernel tells when there is more.
    Done,
    /// There may be more.
    More,
    /// There was no room for it in this round.
    Postponed,
}

impl Turn {
    const fn of(has_more: bool) -> Self {
        if has_more { Self::More } else { Self::Done }
    }
}

/// One worker, run by one thread.
pub(crate) struct Worker {
    poll: Poll,
    /// Which one of all.
    index: usize,
    mailbox: Arc<Mailbox>,
    commands: Receiver<Command>,
    tally: Arc<Tally>,
    start: Instant,
    settings: Arc<Settings>,
    parked: Arc<Parked>,
    relay: Relay,
    udp: Vec<Bound<UdpSocket>>,
    tcp: Vec<Bound<TcpListener>>,
    relayed: Relayed,
    connections: Connections,
    peers: Peers,
    coalescer: Coalescer,
    /// Datagrams of this round.
    datagrams: usize,
    batch: RecvBatch,
    sender: Sender,
    outbox: Outbox,
    reply: Box<ReplyBuffer>,
    /// Sockets that had more to give than their turn allowed; mio reports them only once.
    ready: Ready,
    /// Those whose turns come first in the next round.
    postponed: Vec<Source>,
    /// Listeners that rest because the system has no descriptors left, and until when.
    paused_accepts: Vec<Source>,
    accepts_resume_at: Option<Duration>,
    /// For reading streams.
    scratch: Vec<u8>,
}

impl Worker {
    /// Registers the listeners. All workers count time from the same `start`.
    ///
    /// # Errors
    /// What the system says when it has no more descriptors or memory.
    pub(crate) fn new(
        settings: Arc<Settings>,
        parked: Arc<Parked>,
        streams: Arc<Streams>,
        listeners: Vec<(SocketAddr, Listener)>,
        (index, workers): (usize, usize),
        (start, seed): (Instant, [u8; 32]),
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Source::Mailbox.token())?;
        let (sender, commands) = mpsc::channel();
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for (address, listener) in listeners {
            match listener {
                Listener::Udp(socket) => {
                    let mut socket = UdpSocket::from_std(socket);
                    let token = Source::Udp(udp.len()).token();
                    poll.registry()
                        .register(&mut socket, token, Interest::READABLE)?;
                    udp.push(Bound::new(socket, address));
                }
                Listener::Tcp(socket) => {
                    let mut socket = TcpListener::from_std(socket);
                    let token = Source::Tcp(tcp.len()).token();
                    poll.registry()
                        .register(&mut socket, token, Interest::READABLE)?;
                    tcp.push(Bound::new(socket, address));
                }
            }
        }
        Ok(Self {
            poll,
            index,
            mailbox: Arc::new(Mailbox {
                commands: sender,
                waker,
            }),
            commands,
            tally: Arc::default(),
            start,
            relay: Relay::new(Arc::clone(&settings), seed).of_worker(index),
            settings,
            parked,
            udp,
            tcp,
            relayed: Relayed::default(),
            connections: Connections::new(streams, workers),
            peers: Peers::default(),
            coalescer: Coalescer::new(Duration::ZERO),
            datagrams: 0,
            batch: RecvBatch::new(),
            sender: Sender::new(),
            outbox: Outbox::default(),
            reply: Box::new([0; limits::MAX_REPLY_BYTES]),
            ready: Ready::default(),
            postponed: Vec::new(),
            paused_accepts: Vec::new(),
            accepts_resume_at: None,
            scratch: Vec::new(),
        })
    }

    /// The same, waiting for more datagrams where they come fast but few at a time.
    pub(crate) fn coalescing(self, limit: Duration) -> Self {
        let coalescer = Coalescer::new(limit);
        Self { coalescer, ..self }
    }

    /// The same with one socket for all relayed ports.
    ///
    /// # Errors
    /// What the system says when the sockets can't be watched.
    pub(crate) fn sharing(mut self, shared: Shared) -> io::Result<Self> {
        self.relayed.share(self.poll.registry(), shared)?;
        Ok(self)
    }

    /// What other threads know of this worker.
    pub(crate) fn colleague(&self) -> Colleague {
        Colleague {
            mailbox: Arc::clone(&self.mailbox),
            totals: self.relay.totals(),
            tally: Arc::clone(&self.tally),
        }
    }

    /// Runs until it is stopped.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        // Else the kernel adds 50 microseconds to every short sleep.
        let _ = rustix::thread::set_current_timer_slack(NonZero::new(1));
        loop {
            let timeout = self.coalesce().unwrap_or_else(|| self.timeout());
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    // Never for a reason that will pass: a bad descriptor or argument is our bug.
                    panic!("waiting for sockets failed: {error}");
                }
                Ok(()) | Err(_) => {}
            }
            // First: what came in later must already meet what was commanded before.
            if !self.obey() {
                break;
            }
            let now = self.now();
            for event in &events {
                let source = Source::of(event.token());
                if let (Source::Relayed(index), true) = (source, event.is_error()) {
                    self.read_icmp(now, index);
                }
                self.ready.push(source);
            }
            self.resume_accepts(now);
            self.resume_splices(now);
            self.connections.start_round();
            for _ in 0..self.ready.len() {
                let Some(source) = self.ready.pop() else {
                    break;
                };
                match self.work(now, source) {
                    Turn::Done => {}
                    Turn::More => self.ready.push(source),
                    Turn::Postponed => self.postponed.push(source),
                }
            }
            self.ready.put_first(&mut self.postponed);
            self.relay.handle_timeout(now);
            self.tell_clients();
            self.close_relayed();
            self.flush();
            self.close_late_streams(now);
            self.coalescer
                .observe(now.monotonic, std::mem::take(&mut self.datagrams));
        }
        self.relay.shut_down(self.now());
        self.close_relayed();
    }

    /// Does what other threads ask for; false when it is to end.
    fn obey(&mut self) -> bool {
        let now = self.now();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Reconfigure(settings) => {
                    self.settings = Arc::clone(&settings);
                    self.relay.reconfigure(settings);
                    self.tell_clients();
                    self.close_relayed();
                }
                Command::Drain => self.relay.drain(),
                Command::Sessions(answer) => {
                    let sessions = self.relay.sessions(now);
                    let sessions = sessions.map(|it| SessionInfo::new(self.index, &it));
                    // Whoever asked may have given up.
                    let _ = answer.send(sessions.collect());
                }
                Command::End(id, answer) => {
                    let _ = answer.send(self.relay.end_session(now, id));
                    self.close_relayed();
                }
                Command::Adopt(stream) => self.adopt(now, stream),
                Command::Stop => return false,
            }
        }
        true
    }

    fn resume_accepts(&mut self, now: Now) {
        if self.accepts_resume_at.is_some_and(|at| at <= now.monotonic) {
            self.accepts_resume_at = None;
            for source in std::mem::take(&mut self.paused_accepts) {
                self.ready.push(source);
            }
        }
    }

    /// Sleeps for a moment where that gathers datagrams; there is no other wait then.
    fn coalesce(&self) -> Option<Option<Duration>> {
        if !self.ready.is_empty() {
            return None;
        }
        let wait = self.coalescer.wait(self.start.elapsed())?;
        std::thread::sleep(wait);
        Some(Some(Duration::ZERO))
    }

    /// How long to wait: not at all while sockets have more, else until the next deadline.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.relay.poll_timeout(),
            self.accepts_resume_at,
            self.connections.next_deadline(),
            self.peers.next_resume(),
        ];
        let first = deadlines.into_iter().flatten().min()?;
        // One millisecond more, because the kernel rounds down and would spin until then.
        Some(first.saturating_sub(self.start.elapsed()) + Duration::from_millis(1))
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            monotonic: self.start.elapsed(),
            unix_s: unix.as_secs(),
        }
    }

    /// Gives one socket its turn.
    fn work(&mut self, now: Now, source: Source) -> Turn {
        Turn::of(match source {
            Source::Stream(key) => return self.read_stream(now, key),
            // Commands are looked at in every turn.
            Source::Mailbox => false,
            Source::Udp(index) => self.read_clients(now, index),
            Source::Relayed(index) => self.read_peers(now, Inlet::Own(index)),
            Source::Shared(family) => self.read_peers(now, Inlet::Shared(family)),
            Source::Icmp(family) => self.read_shared_icmp(now, family),
            Source::Tcp(index) => self.accept(now, index),
            Source::PeerListener(index) => self.accept_peers(now, index),
            Source::Peer(key) | Source::Data(key) => self.carry(now, key),
        })
    }

    /// Clients' datagrams to one listener.
    fn read_clients(&mut self, now: Now, index: usize) -> bool {
        let turn = match self.udp[index].fair.is_behind() {
            true => BATCHES_TO_CATCH_UP,
            false => BATCHES_A_TURN,
        };
        let is_full = self.read_client_batches(now, index, turn);
        self.udp[index].fair.end_turn(is_full);
        is_full
    }

    /// Whether there may be more after so many batches.
    fn read_client_batches(&mut self, now: Now, index: usize, batches: usize) -> bool {
        let (mut is_full, before) = (false, self.datagrams);
        for _ in 0..batches {
            self.make_room();
            let room = self.batch.room();
            let Bound {
                socket, address, ..
            } = &self.udp[index];
            let (address, received) = (*address, self.batch.receive(socket.as_fd()));
            let Some(slots) = self.received(received) else {
                return false;
            };
            let count = slots.len();
            is_full = count == room;
            for slot in slots {
                self.client_slot(now, index, address, slot);
            }
            self.close_relayed();
            if (1..room).contains(&count) {
                return false;
            }
            if self.datagrams - before > DATAGRAMS_A_TURN {
                return true;
            }
        }
        // A socket that ends its turn with an error waits for its next event: no error may spin.
        is_full
    }

    fn client_slot(&mut self, now: Now, listener: usize, address: SocketAddr, slot: usize) {
        let (received, _) = self.batch.get(slot);
        let server = SocketAddr::new(received.to.unwrap_or(address.ip()), address.port());
        // Nobody can be answered at port 0, and answering ourselves would never end.
        if received.from.port() == 0 || received.from == server {
            return;
        }
        let client = FiveTuple {
            transport: Transport::Udp,
            client: received.from,
            server,
        };
        self.datagrams += received.count();
        for index in 0..received.count() {
            let payload = received.payload(index);
            let (_, buffer) = self.batch.get(slot);
            let datagram = &buffer[payload.clone()];
            let fair = &mut self.udp[listener].fair;
            if !fair.admit(received.from) && !demux::is_request(datagram) {
                self.relay.totals().count_drop(DropReason::OverShare);
                continue;
            }
            let reply = &mut self.reply;
            let outcome = self.relay.handle_client(now, &client, datagram, reply);
            self.apply_to_datagram(now, outcome, listener, &client, (slot, payload.start));
        }
    }

    /// Peers' datagrams to one relayed socket, or to all of a family.
    fn read_peers(&mut self, now: Now, inlet: Inlet) -> bool {
        let (mut is_full, before) = (false, self.datagrams);
        for _ in 0..BATCHES_A_TURN {
            self.make_room();
            let room = self.batch.room();
            let socket = match inlet {
                Inlet::Own(index) => self.relayed.socket(index).map(AsFd::as_fd),
                Inlet::Shared(family) => self.relayed.receiver(family).map(AsFd::as_fd),
            };
            let Some(socket) = socket else {
                return false;
            };
            let received = self.batch.receive(socket);
            let Some(slots) = self.received(received) else {
                return false;
            };
            let count = slots.len();
            is_full = count == room;
            for slot in slots {
                let received = self.batch.get(slot).0;
                let relay = match inlet {
                    Inlet::Own(index) => Some(RelayId::of_index(index)),
                    Inlet::Shared(_) => received.original.and_then(|it| self.relayed.find(it)),
                };
                // The allocation may have ended while the datagram waited.
                let Some(relay) = relay else { continue };
                let segments = received.count();
                self.datagrams += segments;
                for segment in 0..segments {
                    self.peer_datagram(now, relay, (slot, segment, segments));
                }
            }
            if (1..room).contains(&count) {
                return false;
            }
            if self.datagrams - before > DATAGRAMS_A_TURN {
                return true;
            }
        }
        // A socket that ends its turn with an error waits for its next event: no error may spin.
        is_full
    }

    /// One of the datagrams in a slot. Where there are several, the header of each lies on the end of
    /// the one before; so it is taken away from there, and sent from elsewhere.
    fn peer_datagram(
        &mut self,
        now: Now,
        relay: RelayId,
        (slot, segment, segments): (usize, usize, usize),
    ) {
        let (received, buffer) = self.batch.get(slot);
        let payload = received.payload(segment);
        let around = payload.start - HEADROOM..payload.end + TAILROOM;
        let neighbours = (segments > 1).then(|| Neighbours::of(&buffer[around.clone()]));
        let datagram = PeerDatagram {
            payload: payload.clone(),
            buffer: &mut *buffer,
        };
        match self.relay.handle_peer(now, relay, received.from, datagram) {
            FromPeer::Drop(reason) => {
                tracing::trace!(?reason, from = %received.from, "peer's datagram dropped");
            }
            FromPeer::ToClient { client, message } if client.transport.is_stream() => {
                self.connections.send_media(&client, &buffer[message]);
            }
            FromPeer::ToClient { client, message } => {
                let listener = listener_of(&self.udp, client.server);
                let Some(listener) = listener else { return };
                let (to, from) = (client.client, self.udp[listener].source(client.server));
                if neighbours.is_none() {
                    self.outbox.push_client(listener, slot, message, to, from);
                } else {
                    let head = &buffer[message.start..payload.start];
                    let tail = &buffer[payload.end..message.end];
                    let parts = (head, slot, payload, tail);
                    self.outbox.push_client_between(listener, parts, to, from);
                }
            }
        }
        if let Some(neighbours) = neighbours {
            let (_, buffer) = self.batch.get(slot);
            neighbours.restore(&mut buffer[around]);
        }
    }

    /// What routers and hosts said about datagrams that a relayed socket sent.
    fn read_icmp(&mut self, now: Now, index: usize) {
        for _ in 0..BATCH {
            let Some(socket) = self.relayed.socket(index) else {
                return;
            };
            let (peer, icmp) = match udp::receive_error(socket.as_fd()) {
                Ok(Some(error)) => error,
                Ok(None) => continue,
                Err(_) => return,
            };
            let relay = RelayId::of_index(index);
            let told = self
                .relay
                .handle_icmp(now, relay, peer, icmp, &mut self.reply);
            if let Some((client, length)) = told {
                self.tell_client(&client, length);
            }
        }
    }

    /// The same about what left through a socket that is shared; true when there may be more.
    fn read_shared_icmp(&mut self, now: Now, family: usize) -> bool {
        for _ in 0..BATCH {
            let (from, peer, icmp) = match self.relayed.receive_icmp(family) {
                Ok(Some(error)) => error,
                Ok(None) => continue,
                Err(_) => return false,
            };
            let Some(relay) = self.relayed.find(from) else {
                continue;
            };
            let reply = &mut self.reply;
            if let Some((client, length)) = self.relay.handle_icmp(now, relay, peer, icmp, reply) {
                self.tell_client(&client, length);
            }
        }
        true
    }

    /// Answers Connects and tells of peers that have connected.
    fn tell_clients(&mut self) {
        while let Some((client, length)) = self.relay.poll_reply(&mut self.reply) {
            if client.transport.is_stream() {
                self.connections.send_reply(&client, &self.reply[..length]);
            } else {
                // It began over a connection and has moved since (RFC 8016).
                self.tell_client(&client, length);
            }
        }
    }

    /// Sends what lies in the reply buffer to a client who has not just sent anything.
    fn tell_client(&mut self, client: &FiveTuple, length: usize) {
        let reply = &self.reply[..length];
        if client.transport.is_stream() {
            self.connections.send_media(client, reply);
        } else if let Some(listener) = listener_of(&self.udp, client.server) {
            let from = self.udp[listener].source(client.server);
            self.outbox.push_reply(listener, reply, client.client, from);
        }
    }

    /// Which of our UDP listeners a client reached.
    fn listener_of(&self, server: SocketAddr) -> Option<usize> {
        listener_of(&self.udp, server)
    }

    /// The source address to state, on a listener that has none of its own.
    fn source(&self, listener: usize, server: SocketAddr) -> Option<IpAddr> {
        self.udp[listener].source(server)
    }

    /// Sends what is decided, after which its slots are free, once there are hardly any left.
    fn make_room(&mut self) {
        if self.batch.room() < BATCH / 4 {
            self.flush();
        }
    }

    /// Sends what is decided and frees all slots.
    fn flush(&mut self) {
        self.send_out();
        self.batch.clear();
    }

    /// Sends what is decided; datagrams that are not yet looked at stay in their slots.
    fn send_out(&mut self) {
        let (udp, relayed, errors) = (&self.udp, &self.relayed, &self.tally.socket_errors);
        let (batch, sender) = (&self.batch, &mut self.sender);
        self.outbox.flush(|out, heads, transmits| {
            let socket = match out {
                effects::Out::Client(listener) => Some(udp[listener].socket.as_fd()),
                effects::Out::Peer(index) => relayed.socket(index).map(AsFd::as_fd),
                effects::Out::Raw(family) => relayed.raw(family).map(AsFd::as_fd),
            };
            let from = (batch, heads);
            match (socket, out) {
                (None, _) => udp::Sent::default(),
                (Some(socket), effects::Out::Raw(_)) => {
                    sender.send_singly(socket, from, transmits, errors)
                }
                (Some(socket), _) => sender.send(socket, from, transmits, errors),
            }
        });
    }

    /// The slots that were filled; `None` when the socket has nothing (more).
    fn received(&self, received: io::Result<Range<usize>>) -> Option<Range<usize>> {
        match received {
            Ok(slots) => Some(slots),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // An error of an earlier datagram, reported late: the caller asks again within its
            // turn's bounds.
            Err(error) => {
                self.tally.socket_errors.count(&error);
                Some(0..0)
            }
        }
    }
}

/// Bytes before and behind a datagram that belong to others.
struct Neighbours {
    before: [u8; HEADROOM],
    behind: [u8; TAILROOM],
}

impl Neighbours {
    fn of(bytes: &[u8]) -> Self {
        let before = bytes.first_chunk().expect("there is room in front");
        let behind = bytes.last_chunk().expect("there is room behind");
        Self {
            before: *before,
            behind: *behind,
        }
    }

    fn restore(&self, bytes: &mut [u8]) {
        bytes[..HEADROOM].copy_from_slice(&self.before);
        let end = bytes.len() - TAILROOM;
        bytes[end..].copy_from_slice(&self.behind);
    }
}

impl Bound<UdpSocket> {
    /// The source address to state, where the socket has none of its own.
    fn source(&self, server: SocketAddr) -> Option<IpAddr> {
        self.address.ip().is_unspecified().then_some(server.ip())
    }
}

fn listener_of(listeners: &[Bound<UdpSocket>], server: SocketAddr) -> Option<usize> {
    listeners.iter().position(|bound| {
        // Not by the scope of an address of one link, which packets do not tell.
        let (own, ip) = (bound.address.ip(), server.ip());
        let is_on_all = own.is_unspecified() && own.is_ipv4() == ip.is_ipv4();
        bound.address.port() == server.port() && (own == ip || is_on_all)
    })
}
