//! The client's side of a session: what to send, when to reconnect, and what the application hears.
//!
//! The driver owns a WebSocket, a clock and randomness. It tells what happened (`handle_*`), carries out
//! [`Client::poll_output`] and calls [`Client::handle_timeout`] when [`Client::poll_deadline`] is due.
//! The conversations in `tests/golden/conversations` say what must come of it; the page's client passes
//! the same ones.

mod backoff;
mod inbox;
mod outbox;
mod output;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::backoff::Backoff;
use self::inbox::Inbox;
pub use self::outbox::{Content, PENDING_BYTES};
use self::outbox::{Deferral, Outbox};
pub use self::output::{Event, Output};
use crate::id::MessageId;
use crate::message::client::{Ack, Hello, Resume};
use crate::message::server::{Error, ErrorCode, Welcome};
use crate::message::{ClientMessage, ServerMessage};

/// How long acknowledgements are gathered: one frame for a burst of candidates.
pub const ACK_DELAY: Duration = Duration::from_millis(25);
/// When to send again what a slow recipient has no room for, unless the server says when.
const RETRY: Duration = Duration::from_secs(1);
/// How long a connection may take until its `welcome`.
pub const WELCOME_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the way to a `welcome`, until this moment at the latest, and to an open WebSocket until the other one.
    Connecting {
        until: Instant,
        open_until: Option<Instant>,
    },
    Open,
    /// Connects again at this moment.
    Waiting(Instant),
    Closed,
}

/// See the module.
#[derive(Debug)]
pub struct Client {
    /// As it is now: kept up to date by `update`s.
    hello: Hello,
    state: State,
    /// The newest ticket of the session, while there is one.
    ticket: Option<String>,
    backoff: Backoff,
    outbox: Outbox,
    inbox: Inbox,
    ack_due: Option<Instant>,
    /// When to send again what slow recipients had no room for.
    retry_due: Option<Instant>,
    /// The last fatal error on this connection.
    refusal: Option<Error>,
    outputs: VecDeque<Output>,
}

impl Client {
    /// A client that will enter with this `hello`.
    #[must_use]
    pub fn new(hello: Hello) -> Self {
        Self {
            hello,
            state: State::New,
            ticket: None,
            backoff: Backoff::default(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            ack_due: None,
            retry_due: None,
            refusal: None,
            outputs: VecDeque::new(),
        }
    }

    /// Connects now: for the first time, or instead of waiting longer.
    pub fn handle_start(&mut self, now: Instant) {
        if matches!(self.state, State::New | State::Waiting(_)) {
            self.connect(now);
        }
    }

    fn connect(&mut self, now: Instant) {
        self.state = State::Connecting {
            until: now + WELCOME_DEADLINE,
            open_until: Some(now + self.backoff.open_deadline()),
        };
        self.refusal = None;
        self.outputs.push_back(Output::Connect);
    }

    /// The WebSocket is open.
    pub fn handle_open(&mut self) {
        if let State::Connecting { open_until, .. } = &mut self.state {
            *open_until = None;
        }
        let mut hello = self.hello.clone();
        hello.resume = self.ticket.clone().map(|ticket| Resume {
            ticket,
            received: self.inbox.received(),
            peers: Some(self.inbox.peers()),
        });
        self.transmit(&ClientMessage::Hello(hello));
    }

    /// A text frame has come. What is not a message of this version is skipped.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        if !matches!(self.state, State::Connecting { .. } | State::Open) {
            return;
        }
        if let Ok(message) = ServerMessage::parse(text) {
            self.handle_message(now, message);
        }
    }

    fn handle_message(&mut self, now: Instant, message: ServerMessage) {
        if message.seq().is_some() && self.ack_due.is_none() {
            self.ack_due = Some(now + ACK_DELAY);
        }
        if !self.inbox.take(&message) {
            return;
        }
        match message {
            ServerMessage::Welcome(welcome) => self.handle_welcome(welcome),
            ServerMessage::Delivered(mut delivered) => {
                for id in delivered.ids {
                    if let Some(name) = self.outbox.settle(id) {
                        let failed = delivered.failed.remove(&id).unwrap_or_default();
                        self.tell(Event::Delivered { id: name, failed });
                    }
                }
            }
            ServerMessage::Error(error) => match error.id {
                Some(id) if error.code == ErrorCode::SlowRecipient => self.defer(now, id, error),
                Some(id) => {
                    if let Some(id) = self.outbox.settle(id) {
                        self.tell(Event::Refused { id, error });
                    }
                }
                None => {
                    self.backoff.ask(error.retry_after_ms);
                    self.refusal = Some(error);
                }
            },
            ServerMessage::Goaway(goaway) => {
                self.backoff.ask(Some(goaway.resume_in_ms));
                self.tell(Event::Message(ServerMessage::Goaway(goaway)));
            }
            ServerMessage::Ticket(new) => self.ticket = self.ticket.take().map(|_| new.ticket),
            other => self.tell(Event::Message(other)),
        }
    }

    fn handle_welcome(&mut self, welcome: Box<Welcome>) {
        if !welcome.resumed {
            self.forget_session();
        }
        self.ticket = Some(welcome.ticket.clone());
        self.state = State::Open;
        self.backoff.reset();
        self.inbox.enter(&welcome);
        let received = welcome.received;
        self.tell(Event::Welcome(welcome));
        // In order, and before anything newer: what the server has not taken.
        let frames = self.outbox.frames_after(received).map(Output::Send);
        self.outputs.extend(frames);
        self.retry();
    }

    /// A recipient has no room for this message.
    fn defer(&mut self, now: Instant, id: MessageId, error: Error) {
        match self.outbox.defer(id) {
            Deferral::Settled => {}
            Deferral::Kept => {
                let due = now + error.retry_after_ms.map_or(RETRY, Duration::from_millis);
                self.retry_due = self.retry_due.max(Some(due));
            }
            Deferral::Uncertain(id) => self.tell(Event::Refused { id, error }),
        }
    }

    /// Sends again what slow recipients had no room for.
    fn retry(&mut self) {
        self.retry_due = None;
        self.outputs
            .extend(self.outbox.retry().into_iter().map(Output::Send));
    }

    /// What was not delivered within a session that is over.
    fn forget_session(&mut self) {
        if self.ticket.take().is_some() {
            self.retry_due = None;
            for id in self.outbox.abandon() {
                self.tell(Event::Lost { id });
            }
            self.inbox.forget_session();
        }
    }

    /// The WebSocket is gone, with this close code, or there never was one. `jitter` is a random
    /// number from 0 to 1.
    pub fn handle_close(&mut self, now: Instant, code: Option<u16>, jitter: f64) {
        if !matches!(self.state, State::Connecting { .. } | State::Open) {
            return;
        }
        self.ack_due = None;
        let refusal = self.refusal.take().or_else(|| code.and_then(error_of));
        match refusal.as_ref().map(|refusal| refusal.code) {
            Some(code) if is_final(code) => return self.close(refusal),
            // The next `hello` begins a new session. The server is there: what was waited for before is over.
            Some(ErrorCode::ResumeFailed) => {
                self.backoff.reset();
                self.forget_session();
            }
            Some(ErrorCode::SlowConsumer) => self.forget_session(),
            _ => {}
        }
        let wait = self.backoff.next(jitter);
        self.wait(now, wait, refusal);
    }

    fn wait(&mut self, now: Instant, wait: Duration, refusal: Option<Error>) {
        self.state = State::Waiting(now + wait);
        self.tell(Event::Waiting { wait, refusal });
    }

    /// Does what is due; `jitter` is a random number from 0 to 1.
    pub fn handle_timeout(&mut self, now: Instant, jitter: f64) {
        if self.ack_due.is_some_and(|due| due <= now) {
            self.ack_due = None;
            let seq = self.inbox.received();
            self.transmit(&ClientMessage::Ack(Ack { seq }));
        }
        if self.retry_due.is_some_and(|due| due <= now) {
            // Without a connection its welcome comes first.
            self.retry_due = None;
            if self.state == State::Open {
                self.retry();
            }
        }
        match self.state {
            State::Waiting(until) if until <= now => self.connect(now),
            State::Connecting {
                open_until: Some(open_until),
                ..
            } if open_until <= now => {
                self.outputs.push_back(Output::Disconnect);
                let wait = self.backoff.after_swallowed(jitter);
                self.wait(now, wait, None);
            }
            State::Connecting { until, .. } if until <= now => {
                self.outputs.push_back(Output::Disconnect);
                self.handle_close(now, None, jitter);
            }
            _ => {}
        }
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        let state = match self.state {
            State::Waiting(until) => Some(until),
            State::Connecting { until, open_until } => Some(open_until.unwrap_or(until)),
            State::New | State::Open | State::Closed => None,
        };
        let dues = state.into_iter().chain(self.ack_due);
        dues.chain(self.retry_due).min()
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Sends a message, now or when there is a connection, and keeps it until it is delivered. `None`
    /// when [`PENDING_BYTES`] wait already, or after the end: then it is not taken. What a slow recipient
    /// has no room for is sent again, in order, until it has an outcome; on the wire it then has other
    /// `id`s than the one that is returned here.
    pub fn send(&mut self, content: Content) -> Option<MessageId> {
        if self.state == State::Closed {
            return None;
        }
        let change = match &content {
            Content::Update { name, media } => Some((name.clone(), *media)),
            _ => None,
        };
        let is_open = self.state == State::Open;
        let (id, frame) = self.outbox.push(content, is_open)?;
        if let Some((name, media)) = change {
            self.hello.name = name.or(self.hello.name.take());
            if let Some(media) = media {
                self.hello.media = media.apply(self.hello.media);
            }
        }
        if is_open && let Some(frame) = frame {
            self.outputs.push_back(Output::Send(frame));
        }
        Some(id)
    }

    /// Leaves the room at once and for good.
    pub fn leave(&mut self) {
        match self.state {
            State::Closed => return,
            State::Open => {
                self.transmit(&ClientMessage::Bye);
                self.outputs.push_back(Output::Disconnect);
            }
            State::Connecting { .. } => self.outputs.push_back(Output::Disconnect),
            State::New | State::Waiting(_) => {}
        }
        self.close(None);
    }

    fn close(&mut self, refusal: Option<Error>) {
        self.forget_session();
        self.state = State::Closed;
        self.ack_due = None;
        self.retry_due = None;
        self.tell(Event::Closed { refusal });
    }

    fn transmit(&mut self, message: &ClientMessage) {
        self.outputs.push_back(Output::Send(message.to_text()));
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// What a close code says without its error.
fn error_of(close_code: u16) -> Option<Error> {
    let of_close = |code: &ErrorCode| code.close_code() == Some(close_code);
    Some(Error {
        code: ErrorCode::ALL.into_iter().find(of_close)?,
        message: String::new(),
        id: None,
        retry_after_ms: None,
    })
}

/// Whether trying again would only repeat the refusal.
fn is_final(refusal: ErrorCode) -> bool {
    match refusal {
        ErrorCode::BadMessage
        | ErrorCode::Unauthorized
        | ErrorCode::Forbidden
        | ErrorCode::Replaced
        | ErrorCode::TooLarge
        | ErrorCode::RoomLocked
        | ErrorCode::RoomFull => true,
        ErrorCode::UnknownType
        | ErrorCode::NoSuchPeer
        | ErrorCode::ResumeFailed
        | ErrorCode::HelloTimeout
        | ErrorCode::RateLimited
        | ErrorCode::SlowConsumer
        | ErrorCode::SlowRecipient
        | ErrorCode::Draining
        | ErrorCode::Internal
        | ErrorCode::Other => false,
    }
}
