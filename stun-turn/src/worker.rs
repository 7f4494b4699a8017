//! One core's loop: it owns its relay, its sockets and its timers, and shares nothing on the packet
//! path.
//!
//! A turn of the loop: wait for readiness or the next deadline, read the clock once, give every
//! ready socket a bounded amount of work, expire what is due, close what has no use any more.

mod bound;
mod coalesce;
mod commands;
mod connections;
mod crowd;
mod datagrams;
mod effects;
mod fair_share;
mod outbox;
mod peers;
mod ready;
mod relayed;
mod splice;
mod stream;
mod token;
mod window;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, UdpSocket};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Waker};
use stun_turn_proto::relay::ReplyBuffer;
use stun_turn_proto::{FiveTuple, Now, Relay, Settings, limits};

use crate::control::{Colleague, Command, Mailbox};
use crate::host::Host;
use crate::sockets::Listener;
use crate::streams::Streams;
use crate::tally::Tally;
use crate::udp::{self, BATCH, RecvBatch, Sender};
pub(crate) use connections::Adopted;
pub(crate) use effects::Parked;
pub(crate) use relayed::{Shared, share};

use bound::{Bound, listener_of};
use coalesce::Coalescer;
use connections::Connections;
use datagrams::Inlet;
use outbox::{Out, Outbox};
use peers::Peers;
use ready::Ready;
use relayed::Relayed;
use token::Source;

/// How long a listener rests when the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;

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
    host: Arc<Host>,
    /// Which of the host's news the relay knows.
    host_seen: Option<u64>,
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
        (host, parked): (Arc<Host>, Arc<Parked>),
        streams: Arc<Streams>,
        listeners: Vec<(SocketAddr, Listener)>,
        (index, workers): (usize, usize),
        (start, seed): (Instant, [u8; 32]),
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Source::Mailbox.token())?;
        if let Some(socket) = host.socket() {
            let (mut socket, token) = (SourceFd(&socket), Source::Host.token());
            poll.registry()
                .register(&mut socket, token, Interest::READABLE)?;
        }
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
                Listener::Tcp(socket) => tcp.push((socket, address, false)),
                Listener::Tls(socket) => tcp.push((socket, address, true)),
            }
        }
        let tcp = tcp
            .into_iter()
            .enumerate()
            .map(|(index, (socket, address, is_for_tls))| {
                let mut socket = TcpListener::from_std(socket);
                let token = Source::Tcp(index).token();
                poll.registry()
                    .register(&mut socket, token, Interest::READABLE)?;
                Ok(Bound {
                    is_for_tls,
                    ..Bound::new(socket, address)
                })
            });
        let tcp = tcp.collect::<io::Result<_>>()?;
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
            host,
            host_seen: None,
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
            hangs: AtomicBool::new(false),
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
                match source {
                    Source::Host => self.host.read(),
                    _ => self.ready.push(source),
                }
            }
            // Before any packet: what the kernel delivers to this host may have changed.
            self.learn_host();
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

    /// Tells the relay what the kernel delivers to this host, if that may have changed.
    fn learn_host(&mut self) {
        if let Some(local) = self.host.news(&mut self.host_seen) {
            self.relay.set_local(local);
            self.tell_clients();
            self.close_relayed();
        }
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
        if !source.is_of_datagrams() && !self.outbox.is_empty() {
            // What is decided must not wait for handshakes and streams.
            self.flush();
        }
        Turn::of(match source {
            Source::Stream(key) => return self.read_stream(now, key),
            // Commands are looked at in every turn.
            Source::Mailbox | Source::Host => false,
            Source::Udp(index) => self.read_clients(now, index),
            Source::Relayed(index) => self.read_peers(now, Inlet::Own(index)),
            Source::Shared(family) => self.read_peers(now, Inlet::Shared(family)),
            Source::Icmp(family) => self.read_shared_icmp(now, family),
            Source::Tcp(index) => self.accept(now, index),
            Source::PeerListener(index) => self.accept_peers(now, index),
            Source::Peer(key) | Source::Data(key) => self.carry(now, key),
        })
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
                Out::Client(listener) => Some(udp[listener].socket.as_fd()),
                Out::Peer(index) => relayed.socket(index).map(AsFd::as_fd),
                Out::Raw(family) => relayed.raw(family).map(AsFd::as_fd),
            };
            let from = (batch, heads);
            match (socket, out) {
                (None, _) => udp::Sent::default(),
                (Some(socket), Out::Raw(_)) => sender.send_singly(socket, from, transmits, errors),
                (Some(socket), _) => sender.send(socket, from, transmits, errors),
            }
        });
    }
}
