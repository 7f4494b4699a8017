//! One core's loop: it owns its relay, its sockets and its timers, and shares nothing on the packet
//! path.
//!
//! A turn of the loop: wait for readiness or the next deadline, read the clock once, give every
//! ready socket a bounded amount of work, expire what is due, close what has no use any more.

mod connections;
mod crowd;
mod effects;
mod peers;
mod ready;
mod splice;
mod stream;
mod token;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Waker};
use stun_turn_proto::relay::{FromPeer, PeerDatagram, ReplyBuffer};
use stun_turn_proto::{FiveTuple, Now, Relay, RelayId, Settings, Transport, limits};

use crate::control::{Colleague, Command, Mailbox, SessionInfo};
use crate::sockets::Listener;
use crate::streams::Streams;
use crate::tally::Tally;
use crate::udp::{self, BATCH, RecvBatch};
pub(crate) use connections::Adopted;
pub(crate) use effects::Parked;

use connections::Connections;
use effects::Outbox;
use peers::Peers;
use ready::Ready;
use token::Source;

/// Batches that one socket may take before the others have their turn.
const BATCHES_A_TURN: usize = 4;
/// How long a listener rests when the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;

/// A listening socket with the address it stands for.
struct Bound<S> {
    socket: S,
    address: SocketAddr,
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
    /// By [`RelayId::index`].
    relayed: Vec<Option<UdpSocket>>,
    connections: Connections,
    peers: Peers,
    batch: RecvBatch,
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
                    udp.push(Bound { socket, address });
                }
                Listener::Tcp(socket) => {
                    let mut socket = TcpListener::from_std(socket);
                    let token = Source::Tcp(tcp.len()).token();
                    poll.registry()
                        .register(&mut socket, token, Interest::READABLE)?;
                    tcp.push(Bound { socket, address });
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
            relayed: Vec::new(),
            connections: Connections::new(streams, workers),
            peers: Peers::default(),
            batch: RecvBatch::new(),
            outbox: Outbox::default(),
            reply: Box::new([0; limits::MAX_REPLY_BYTES]),
            ready: Ready::default(),
            postponed: Vec::new(),
            paused_accepts: Vec::new(),
            accepts_resume_at: None,
            scratch: Vec::new(),
        })
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
        loop {
            let timeout = self.timeout();
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
            self.close_late_streams(now);
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
            Source::Relayed(index) => self.read_peers(now, index),
            Source::Tcp(index) => self.accept(now, index),
            Source::PeerListener(index) => self.accept_peers(now, index),
            Source::Peer(key) | Source::Data(key) => self.carry(now, key),
        })
    }

    /// Clients' datagrams to one listener.
    fn read_clients(&mut self, now: Now, index: usize) -> bool {
        let mut count = BATCH;
        for _ in 0..BATCHES_A_TURN {
            let Bound { socket, address } = &self.udp[index];
            let (address, received) = (*address, self.batch.receive(socket.as_fd()));
            let Some(received) = self.receive_count(received) else {
                return false;
            };
            count = received;
            for slot in 0..count {
                self.client_datagram(now, index, address, slot);
            }
            self.flush();
            self.close_relayed();
            if (1..BATCH).contains(&count) {
                return false;
            }
        }
        // A socket that ends its turn with an error waits for its next event: no error may spin.
        count == BATCH
    }

    fn client_datagram(&mut self, now: Now, listener: usize, address: SocketAddr, slot: usize) {
        let (received, buffer) = self.batch.get(slot);
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
        let datagram = &buffer[received.payload()];
        let outcome = self
            .relay
            .handle_client(now, &client, datagram, &mut self.reply);
        self.apply_to_datagram(now, outcome, listener, &client, slot);
    }

    /// Peers' datagrams to one relayed socket.
    fn read_peers(&mut self, now: Now, index: usize) -> bool {
        let mut count = BATCH;
        for _ in 0..BATCHES_A_TURN {
            let Some(Some(socket)) = self.relayed.get(index) else {
                return false;
            };
            let received = self.batch.receive(socket.as_fd());
            let Some(received) = self.receive_count(received) else {
                return false;
            };
            count = received;
            for slot in 0..count {
                self.peer_datagram(now, index, slot);
            }
            self.flush();
            if (1..BATCH).contains(&count) {
                return false;
            }
        }
        // A socket that ends its turn with an error waits for its next event: no error may spin.
        count == BATCH
    }

    fn peer_datagram(&mut self, now: Now, index: usize, slot: usize) {
        let relay = RelayId::of_index(index);
        let (received, buffer) = self.batch.get(slot);
        let datagram = PeerDatagram {
            payload: received.payload(),
            buffer,
        };
        match self.relay.handle_peer(now, relay, received.from, datagram) {
            FromPeer::Drop(reason) => {
                tracing::trace!(?reason, from = %received.from, "peer's datagram dropped");
            }
            FromPeer::ToClient { client, message } if client.transport.is_stream() => {
                let (_, buffer) = self.batch.get(slot);
                self.connections.send_media(&client, &buffer[message]);
            }
            FromPeer::ToClient { client, message } => {
                if let Some(listener) = self.listener_of(client.server) {
                    let from = self.source(listener, client.server);
                    self.outbox
                        .push_client(listener, slot, message, client.client, from);
                }
            }
        }
    }

    /// What routers and hosts said about datagrams that a relayed socket sent.
    fn read_icmp(&mut self, now: Now, index: usize) {
        for _ in 0..BATCH {
            let Some(Some(socket)) = self.relayed.get(index) else {
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
        if client.transport.is_stream() {
            self.connections.send_media(client, &self.reply[..length]);
        } else if let Some(listener) = self.listener_of(client.server) {
            let (_, buffer) = self.batch.get(0);
            buffer[..length].copy_from_slice(&self.reply[..length]);
            let from = self.source(listener, client.server);
            self.outbox
                .push_client(listener, 0, 0..length, client.client, from);
            self.flush();
        }
    }

    /// Which of our UDP listeners a client reached.
    fn listener_of(&self, server: SocketAddr) -> Option<usize> {
        self.udp.iter().position(|bound| {
            // Not by the scope of an address of one link, which packets do not tell.
            let (own, ip) = (bound.address.ip(), server.ip());
            let is_on_all = own.is_unspecified() && own.is_ipv4() == ip.is_ipv4();
            bound.address.port() == server.port() && (own == ip || is_on_all)
        })
    }

    /// The source address to state, on a listener that has none of its own.
    fn source(&self, listener: usize, server: SocketAddr) -> Option<IpAddr> {
        self.udp[listener]
            .address
            .ip()
            .is_unspecified()
            .then_some(server.ip())
    }

    fn flush(&mut self) {
        let (udp, relayed, errors) = (&self.udp, &self.relayed, &self.tally.socket_errors);
        self.outbox.flush(|out, transmits| match out {
            effects::Out::Client(listener) => {
                udp::send(udp[listener].socket.as_fd(), &self.batch, transmits, errors)
            }
            effects::Out::Peer(index) => match relayed.get(index) {
                Some(Some(socket)) => udp::send(socket.as_fd(), &self.batch, transmits, errors),
                Some(None) | None => udp::Sent::default(),
            },
        });
    }

    /// How many datagrams came; `None` when the socket has nothing (more).
    fn receive_count(&self, received: io::Result<usize>) -> Option<usize> {
        match received {
            Ok(count) => Some(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // An error of an earlier datagram, reported late: the caller asks again within its
            // turn's bounds.
            Err(error) => {
                self.tally.socket_errors.count(&error);
                Some(0)
            }
        }
    }
}
