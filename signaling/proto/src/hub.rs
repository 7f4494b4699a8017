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
//! - No session ends for what others send: their messages are held back or refused.

mod adopt;
mod backpressure;
mod drain;
mod enter;
mod environment;
mod gathered;
mod held;
mod leave;
pub mod limits;
mod moderate;
mod namespaces;
mod news;
mod push;
mod recover;
mod refusal;
mod relay;
mod renew;
mod replay;
mod resume;
mod reunion;
mod room;
mod session;
mod sources;
mod tickets;
mod totals;

use std::collections::{BTreeMap, VecDeque};
use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

pub use self::environment::{Environment, Grant, Unauthorized};
pub use self::namespaces::NamespaceLimits;
use self::namespaces::Namespaces;
use self::refusal::Refusal;
use self::room::{Room, RoomKey};
use self::session::Session;
pub use self::sources::SourceLimits;
use self::sources::Sources;
pub use self::tickets::Ended;
use self::tickets::EndedSessions;
pub use self::totals::{RoomSummary, Snapshot, Totals};
use crate::frame::Frame;
use crate::id::{MessageId, PeerId};
use crate::message::server::{Error, ErrorCode, LeftReason};
use crate::message::{ClientMessage, ParseError, ServerMessage};
use crate::source::Source;
use crate::ticket::TicketKey;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Peers in one room.
    pub max_room: usize,
    /// Rooms.
    pub max_rooms: usize,
    /// Sessions in all rooms, those that are away included.
    pub max_sessions: usize,
    /// What some namespaces may have of these at most; the others have no limits of their own.
    pub namespaces: BTreeMap<Box<str>, NamespaceLimits>,
    /// Connections that have not said `hello`.
    pub max_greeting: usize,
    /// What one source may have of these.
    pub source: SourceLimits,
    /// How long a session waits for its client to come back; zero for not at all.
    pub resume_window: Duration,
    /// How long a connection is silent before it is pinged; clients are told.
    pub ping_interval: Duration,
    /// After which part of their life credentials for ICE servers are renewed.
    pub renew_ice_servers_after: Duration,
}

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
        /// Whose: all accounts that begin with it, see [`Environment::ice_servers`].
        peer: PeerId,
    },
    /// A session has ended. A driver that keeps it tells the next process ([`Hub::handle_ended`]).
    Ended(Ended),
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

/// What is known of a connection before it says who it is.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// The host name that its client knows the server by.
    pub reached_as: Box<str>,
    /// Whose limits count for it.
    pub source: Option<Source>,
    /// The origin of the page that has opened it, unless it is a page of this server or a program.
    pub page: Option<Box<str>>,
}

#[derive(Debug)]
enum Connection {
    /// Has not said `hello`.
    Greeting(Box<Arrival>),
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
    // Keys that are counted or drawn, not chosen by anybody, need no hash that withstands attacks.
    connections: FxHashMap<ConnectionId, Connection>,
    /// Boxed: the table has room to spare, which would be a session's each time.
    sessions: FxHashMap<SessionKey, Box<Session>>,
    peers: FxHashMap<PeerId, SessionKey>,
    rooms: FxHashMap<Arc<RoomKey>, Room>,
    room_hashes: RandomState,
    namespaces: Namespaces,
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
    ended: EndedSessions,
    /// Sessions that a mistake of ours has ended: they may be adopted.
    lost: EndedSessions,
    /// When connected clients are given new tickets, with the generation of the present ones.
    refresh_due: VecDeque<(Instant, SessionKey, u32)>,
    /// When crowded sessions must have acknowledged something; each waits equally long.
    stalls_due: VecDeque<(Instant, SessionKey)>,
    /// Crowded sessions.
    crowded: usize,
    /// What is unacknowledged or held back, in bytes.
    kept_bytes: usize,
    /// Sessions that may have become crowded, sessions whose held messages may pass, and sessions that
    /// end because of what they did not do. Each is looked at when the present input is done with, so
    /// that no table changes under a loop.
    newly_crowded: Vec<SessionKey>,
    unblocked: VecDeque<SessionKey>,
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
            namespaces: Namespaces::new(&config.namespaces),
            environment,
            ticket_key,
            instance: u64::from_le_bytes(instance),
            connections: FxHashMap::default(),
            sessions: FxHashMap::default(),
            peers: FxHashMap::default(),
            rooms: FxHashMap::default(),
            room_hashes: RandomState::new(),
            next_session: 0,
            sources: Sources::new(config.source),
            config,
            greeting: 0,
            hello_due: VecDeque::new(),
            delivered_due: VecDeque::new(),
            away_due: VecDeque::new(),
            renewal_due: VecDeque::new(),
            reunions_due: VecDeque::new(),
            ended: EndedSessions::default(),
            lost: EndedSessions::default(),
            refresh_due: VecDeque::new(),
            stalls_due: VecDeque::new(),
            crowded: 0,
            kept_bytes: 0,
            newly_crowded: Vec::new(),
            unblocked: VecDeque::new(),
            overflowing: Vec::new(),
            draining: false,
            outputs: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    /// A connection is there.
    pub fn handle_open(&mut self, now: Instant, connection: ConnectionId, arrival: Arrival) {
        let source = arrival.source;
        let greeting = Connection::Greeting(Box::new(arrival));
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
            Some(Connection::Greeting(_)) => self.handle_greeting(now, connection, message),
            Some(&Connection::Carries(key)) => self.handle_content(now, key, message),
        }
        self.finish(now);
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
        self.finish(now);
    }

    /// The connection is gone, whoever ended it. Its session waits for another one.
    pub fn handle_close(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(key) = self.session_of(connection) {
            self.go_away(now, key);
        }
        self.finish(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.hello_due.front().is_some_and(|(due, _)| *due <= now) {
            let (_, connection) = self.hello_due.pop_front().expect("looked at above");
            if let Some(Connection::Greeting(_)) = self.connections.get(&connection) {
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
        self.refresh_tickets(now);
        self.end_reunions(now);
        self.end_stalls(now);
        self.finish(now);
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        let hello = self.hello_due.front().map(|(due, _)| *due);
        let delivered = self.delivered_due.front().map(|(due, _)| *due);
        let away = self.away_due.front().map(|(due, ..)| *due);
        let renewal = self.renewal_due.front().map(|(due, ..)| *due);
        let reunion = self.reunions_due.front().map(|(due, _)| *due);
        let stall = self.stalls_due.front().map(|(due, _)| *due);
        let refresh = self.refresh_due.front().map(|(due, ..)| *due);
        [hello, delivered, away, renewal, reunion, stall, refresh]
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
}
