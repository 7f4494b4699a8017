//! The whole server behind the protocol: who is where, and who gets what.
//!
//! Feed it with `handle_*`, then drain `poll_output`; call [`Hub::handle_timeout`] when
//! [`Hub::poll_deadline`] is due. Nothing a client sends can do more than end its own connection.
//!
//! Invariants, checked by the tests against a model:
//! - A session is in exactly one room, and each room in the table has a member, or waits for one.
//! - What a client sends reaches each recipient exactly once and in order, or its sender is told.
//! - Each `id` that was taken ends in exactly one `delivered` or `error`, which is told again to a
//!   client that may not have heard it.
//! - A session has at most one connection. Without one it waits for the resume window.

mod enter;
mod leave;
pub mod limits;
mod moderate;
mod name;
mod refusal;
mod relay;
mod renew;
mod replay;
mod resume;
mod reunion;
mod room;
mod session;
mod sources;
mod totals;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::refusal::Refusal;
use self::room::{Room, RoomKey};
use self::session::Session;
pub use self::sources::SourceLimits;
use self::sources::Sources;
pub use self::totals::{RoomSummary, Snapshot, Totals};
use crate::frame::Frame;
use crate::id::{MessageId, PeerId};
use crate::message::client::Hello;
use crate::message::server::{Error, ErrorCode, Goaway, GoawayReason, IceServer, LeftReason, Role};
use crate::message::{ClientMessage, ParseError, ServerMessage};
use crate::source::Source;
use crate::ticket::TicketKey;

/// What an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Peers in one room.
    pub max_room: usize,
    /// Rooms.
    pub max_rooms: usize,
    /// Sessions in all rooms, those that are away included.
    pub max_sessions: usize,
    /// Connections that have not said `hello`.
    pub max_greeting: usize,
    /// What one source may have of these.
    pub source: SourceLimits,
    /// How long a session waits for its client to come back; zero for not at all.
    pub resume_window: Duration,
    /// After which part of their life credentials for ICE servers are renewed.
    pub renew_ice_servers_after: Duration,
}

/// What the hub needs from outside besides time.
pub trait Environment {
    /// Fills `bytes` with unpredictable ones.
    fn random(&mut self, bytes: &mut [u8]);

    /// The time since 1970, as tickets tell it; it may jump.
    fn unix_time(&mut self) -> Duration;

    /// Whether a `hello` that begins a session may enter its room, and as what.
    ///
    /// # Errors
    /// When it may not. Why is nobody's business: all answers look alike.
    fn authorize(&mut self, hello: &Hello) -> Result<Grant, Unauthorized>;

    /// STUN and TURN servers for one peer; `reached_as` is what [`Hub::handle_open`] was given.
    fn ice_servers(&mut self, peer: &PeerId, reached_as: &str) -> Vec<IceServer>;
}

/// What a newcomer may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// `None` where rooms are open: then the first participant to enter is host.
    pub role: Option<Role>,
    /// What it is called, whatever its `hello` says.
    pub name: Option<String>,
}

/// A `hello` that may not enter its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unauthorized;

/// A connection, as the driver numbers it; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A session, as the hub numbers it; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SessionKey(u64);

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this, after everything before it.
    Send {
        /// Over which connection.
        connection: ConnectionId,
        /// What to send.
        frame: Frame,
    },
    /// Close, after everything before it. The hub has forgotten the connection.
    Close {
        /// Which connection.
        connection: ConnectionId,
        /// WebSocket close code.
        code: u16,
        /// WebSocket close reason.
        reason: &'static str,
    },
    /// A peer was put out: what it holds on the relay ends, and its credentials are worth nothing.
    Revoke {
        /// Whose.
        peer: PeerId,
    },
}

/// What a driver notices about a connection that ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A frame above [`crate::message::MAX_FRAME_BYTES`].
    TooLarge,
    /// More is waiting for this client than may wait.
    SlowReader,
    /// It sends too much, see [`crate::pace`].
    Flood,
}

#[derive(Debug)]
enum Connection {
    /// Has not said `hello`.
    Greeting {
        reached_as: Box<str>,
        source: Option<Source>,
    },
    /// Carries a session.
    Carries(SessionKey),
}

/// See the module.
pub struct Hub<E> {
    config: Config,
    environment: E,
    ticket_key: TicketKey,
    /// Which process this is among those with the same key.
    instance: u64,
    connections: HashMap<ConnectionId, Connection>,
    sessions: HashMap<SessionKey, Session>,
    peers: HashMap<PeerId, SessionKey>,
    rooms: HashMap<Arc<RoomKey>, Room>,
    next_session: u64,
    sources: Sources,
    /// Connections that have not said `hello`.
    greeting: usize,
    /// When connections must have said `hello`: each waits equally long, so the queue is in order.
    hello_due: VecDeque<(Instant, ConnectionId)>,
    /// When gathered deliveries are sent; in order for the same reason.
    delivered_due: VecDeque<(Instant, SessionKey)>,
    /// When those who are away have left, with which absence it was.
    away_due: VecDeque<(Instant, SessionKey, u32)>,
    /// When credentials are renewed, with which issue of them it was.
    renewal_due: VecDeque<(Instant, SessionKey, u32)>,
    /// When rooms stop waiting for those who have not come back.
    reunions_due: VecDeque<(Instant, Arc<RoomKey>)>,
    /// Adopted sessions that are over,
    ended: HashSet<PeerId>,
    /// and until when that matters.
    ended_order: VecDeque<(Instant, PeerId)>,
    /// Sessions with too much unacknowledged. They end when the present input is done with, so that
    /// no table changes under a loop.
    overflowing: Vec<SessionKey>,
    draining: bool,
    outputs: VecDeque<Output>,
    totals: Totals,
}

impl<E> std::fmt::Debug for Hub<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("connections", &self.connections.len())
            .field("sessions", &self.sessions.len())
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}

impl<E: Environment> Hub<E> {
    /// An empty hub. All processes that clients may come back to have the same `ticket_key`.
    #[must_use]
    pub fn new(config: Config, ticket_key: TicketKey, mut environment: E) -> Self {
        let mut instance = [0; 8];
        environment.random(&mut instance);
        Self {
            config,
            environment,
            ticket_key,
            instance: u64::from_le_bytes(instance),
            connections: HashMap::new(),
            sessions: HashMap::new(),
            peers: HashMap::new(),
            rooms: HashMap::new(),
            next_session: 0,
            sources: Sources::new(config.source),
            greeting: 0,
            hello_due: VecDeque::new(),
            delivered_due: VecDeque::new(),
            away_due: VecDeque::new(),
            renewal_due: VecDeque::new(),
            reunions_due: VecDeque::new(),
            ended: HashSet::new(),
            ended_order: VecDeque::new(),
            overflowing: Vec::new(),
            draining: false,
            outputs: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    /// A connection is there. `reached_as` is the host name that its client knows the server by,
    /// `source` whose limits count for it.
    pub fn handle_open(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        reached_as: &str,
        source: Option<Source>,
    ) {
        let greeting = Connection::Greeting {
            reached_as: reached_as.into(),
            source,
        };
        let known = self.connections.insert(connection, greeting);
        debug_assert!(known.is_none(), "connection numbers are never used twice");
        self.greeting += 1;
        let is_one_of_few = self.sources.open(now, source);
        if !is_one_of_few || self.greeting > self.config.max_greeting {
            let why = "Too many connections have not said `hello`. Try again later.";
            self.refuse(now, connection, Refusal::at_capacity(why));
            return;
        }
        self.hello_due
            .push_back((now + limits::HELLO_DEADLINE, connection));
    }

    /// A text frame has come, read by [`ClientMessage::parse`].
    pub fn handle_message(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        message: Result<ClientMessage, ParseError>,
    ) {
        match self.connections.get(&connection) {
            // It was closed while this frame was on its way.
            None => {}
            Some(Connection::Greeting { .. }) => self.handle_greeting(now, connection, message),
            Some(&Connection::Carries(key)) => self.handle_content(now, key, message),
        }
        self.end_overflowing(now);
    }

    /// The driver ends a connection.
    pub fn handle_fault(&mut self, now: Instant, connection: ConnectionId, fault: Fault) {
        let (code, message) = match fault {
            Fault::TooLarge => (
                ErrorCode::TooLarge,
                "A message may have 65536 bytes, in 64 fragments.",
            ),
            Fault::Flood => (ErrorCode::RateLimited, "You send too much."),
            Fault::SlowReader => (ErrorCode::SlowConsumer, "Too much is waiting for you."),
        };
        self.refuse(now, connection, Refusal::new(code, message));
        self.end_overflowing(now);
    }

    /// The connection is gone, whoever ended it. Its session waits for another one.
    pub fn handle_close(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(key) = self.session_of(connection) {
            self.go_away(now, key);
        }
        self.end_overflowing(now);
    }

    /// Tells every client to go and closes every connection; newcomers are refused from now on.
    pub fn handle_drain(&mut self, now: Instant) {
        self.draining = true;
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for key in sessions {
            self.send_delivered(key);
        }
        let mut connections: Vec<_> = self.connections.drain().map(|(id, _)| id).collect();
        self.sources = Sources::new(self.config.source);
        self.greeting = 0;
        connections.sort_unstable();
        self.totals.left_drained += self.sessions.len() as u64;
        self.sessions.clear();
        self.peers.clear();
        self.rooms.clear();
        self.delivered_due.clear();
        self.away_due.clear();
        self.renewal_due.clear();
        self.reunions_due.clear();
        for connection in connections {
            let mut spread = [0; 2];
            self.environment.random(&mut spread);
            let goaway = ServerMessage::Goaway(Goaway {
                reason: GoawayReason::Shutdown,
                // Between 0.5 and 2.5 s, so that they do not all come back at once.
                resume_in_ms: 500 + u64::from(u16::from_le_bytes(spread)) % 2000,
            });
            self.send(connection, Frame::plain(&goaway));
            let refusal = Refusal::new(ErrorCode::Draining, "The server is stopping.");
            self.refuse(now, connection, refusal);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.hello_due.front().is_some_and(|(due, _)| *due <= now) {
            let (_, connection) = self.hello_due.pop_front().expect("looked at above");
            if let Some(Connection::Greeting { .. }) = self.connections.get(&connection) {
                let refusal = Refusal::new(ErrorCode::HelloTimeout, "No `hello` within 5 s.");
                self.refuse(now, connection, refusal);
            }
        }
        while self
            .delivered_due
            .front()
            .is_some_and(|(due, _)| *due <= now)
        {
            let (_, key) = self.delivered_due.pop_front().expect("looked at above");
            self.send_delivered(key);
        }
        self.end_absences(now);
        self.renew_ice_servers(now);
        self.end_reunions(now);
        self.end_overflowing(now);
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        let hello = self.hello_due.front().map(|(due, _)| *due);
        let delivered = self.delivered_due.front().map(|(due, _)| *due);
        let away = self.away_due.front().map(|(due, ..)| *due);
        let renewal = self.renewal_due.front().map(|(due, ..)| *due);
        let reunion = self.reunions_due.front().map(|(due, _)| *due);
        [hello, delivered, away, renewal, reunion]
            .into_iter()
            .flatten()
            .min()
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn send(&mut self, connection: ConnectionId, frame: Frame) {
        self.totals.frames_sent += 1;
        self.outputs.push_back(Output::Send { connection, frame });
    }

    fn send_error(&mut self, connection: ConnectionId, refusal: Refusal, id: Option<MessageId>) {
        let frame = self.error_frame(refusal, id);
        self.send(connection, frame);
    }

    fn error_frame(&mut self, refusal: Refusal, id: Option<MessageId>) -> Frame {
        self.totals.count_error(refusal.code);
        Frame::plain(&ServerMessage::Error(Error {
            code: refusal.code,
            message: refusal.message.into_owned(),
            id,
            retry_after_ms: refusal.retry_after_ms,
        }))
    }

    /// Ends a connection with an error, and with it its session.
    fn refuse(&mut self, now: Instant, connection: ConnectionId, refusal: Refusal) {
        let code = refusal.code;
        self.send_error(connection, refusal, None);
        let (code, reason) = match code {
            // RFC 6455, 7.4.1: message too big. The header alone showed it.
            ErrorCode::TooLarge => (1009, "too_large"),
            code => (
                code.close_code().expect("only fatal errors are refusals"),
                totals::code_name(code),
            ),
        };
        self.outputs.push_back(Output::Close {
            connection,
            code,
            reason,
        });
        if let Some(key) = self.session_of(connection) {
            self.session_mut(key).connection = None;
            self.leave(now, key, LeftReason::Timeout);
        }
    }

    fn end_overflowing(&mut self, now: Instant) {
        while let Some(key) = self.overflowing.pop() {
            let Some(session) = self.sessions.get(&key) else {
                continue;
            };
            match session.connection {
                None => self.leave(now, key, LeftReason::Timeout),
                Some(connection) => {
                    let why = "You acknowledge too slowly.";
                    let refusal = Refusal::new(ErrorCode::SlowConsumer, why);
                    self.refuse(now, connection, refusal);
                }
            }
        }
    }
}
