//! Client of the signaling service: one session of `signal.v1` over WebSockets that come and go.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use signaling_proto::client::{Client, Content, Event, Output, WELCOME_DEADLINE};
use signaling_proto::id::{Epoch, PeerId};
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::{Error, Welcome};
use signaling_proto::message::{Payload, ServerMessage};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tokio_tungstenite::tungstenite::http::header::LOCATION;
use tokio_tungstenite::tungstenite::http::{Response, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Subprotocol of the WebSocket.
const SUBPROTOCOL: &str = "signal.v1";
/// How long the server may stay silent: it pings every 6 s.
const SILENCE: Duration = Duration::from_secs(20);
/// How long the server may take to read one frame, or to close.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages that may wait in either direction before their producer has to.
const QUEUE: usize = 256;
/// Bytes read at a time: the default of 128 KiB is for bulk data.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Largest frame of the server's: what others say grows by their names on its way, and `welcome` names everybody in the room.
const MAX_SERVER_FRAME_BYTES: usize = 1 << 20;
/// Bytes that may wait for a slow server.
const MAX_WRITE_BUFFER_BYTES: usize = 1024 * 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What goes to the server.
#[derive(Debug)]
pub enum Outgoing {
    /// A description or candidate for one peer.
    Signal {
        /// Who gets it.
        to: PeerId,
        /// Which negotiation it belongs to.
        epoch: Epoch,
        /// What it carries.
        payload: Payload,
    },
    /// Leaves the room.
    Bye,
}

/// What comes from the server.
#[derive(Debug)]
pub enum Incoming {
    /// A message after `welcome`.
    Message(ServerMessage),
    /// The connection is lost, or another attempt at a new one has failed, and why.
    Away(String),
    /// In the room again after the connection was lost.
    Back(Box<Welcome>),
    /// The session is over for good, and why. Nothing follows.
    Closed(String),
}

/// A room that has been entered.
#[derive(Debug)]
pub struct Joined {
    /// The server's greeting: who we are and who is there.
    pub welcome: Welcome,
    /// Towards the server.
    pub outgoing: mpsc::Sender<Outgoing>,
    /// From the server, in order.
    pub incoming: mpsc::Receiver<Incoming>,
}

/// Connects and enters a room. From then on lost connections are replaced.
///
/// # Errors
/// One sentence for people: unreachable, not a signaling service, refused.
pub async fn join(url: &Uri, hello: Hello) -> Result<Joined> {
    let socket = timeout(WELCOME_DEADLINE, connect(url))
        .await
        .with_context(|| format!("{url} did not answer within {WELCOME_DEADLINE:?}"))??;
    let mut session = Session::new(url.clone(), hello);
    session.client.handle_start(Instant::now());
    session.attach(socket);
    let welcome = session.enter().await?;
    let (outgoing, from_us) = mpsc::channel(QUEUE);
    let (to_us, incoming) = mpsc::channel(QUEUE);
    tokio::spawn(session.run(from_us, to_us));
    Ok(Joined {
        welcome,
        outgoing,
        incoming,
    })
}

async fn connect(url: &Uri) -> Result<Socket> {
    // Only wss:// needs it. When the process has chosen its cryptography already, that stays.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let request = ClientRequestBuilder::new(url.clone()).with_sub_protocol(SUBPROTOCOL);
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_SERVER_FRAME_BYTES))
        .max_frame_size(Some(MAX_SERVER_FRAME_BYTES));
    let unreachable = || format!("can't reach the signaling service at {url}");
    match connect_async_with_config(request, Some(limits), true).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => bail!(
            "{url} answered HTTP {}{}: is that the address of the signaling service (its path is /signal)?",
            response.status(),
            target(&response)
        ),
        Err(tungstenite::Error::Io(error)) if is_not_tls(&error) => {
            bail!("{url} does not speak TLS: is its address ws:// instead of wss://?")
        }
        // Without its wrapper, which says the same again.
        Err(tungstenite::Error::Io(error)) => Err(error).with_context(unreachable),
        Err(error) => Err(error).with_context(unreachable),
    }
}

/// Where a redirect leads.
fn target<T>(response: &Response<T>) -> String {
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    location.map_or_else(String::new, |location| {
        format!(" and leads to {}", location.escape_debug())
    })
}

/// Whether what came was no TLS record: the port is a plain one.
fn is_not_tls(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidMessage(_)))
}

/// The connection at one moment.
enum Link {
    None,
    Connecting(tokio::task::JoinHandle<Result<Box<Socket>>>),
    Open {
        socket: Box<Socket>,
        last_heard: Instant,
    },
}

/// What has happened to the connection.
enum Happening {
    Connected(Result<Box<Socket>>),
    Heard(Message),
    Gone { code: Option<u16>, why: String },
}

impl Link {
    /// Waits for what happens next; never, where there is no connection.
    async fn next(&mut self) -> Happening {
        match self {
            Self::None => std::future::pending().await,
            Self::Connecting(attempt) => {
                let attempt = attempt.await.context("connecting has failed");
                Happening::Connected(attempt.and_then(|socket| socket))
            }
            Self::Open { socket, last_heard } => {
                let deadline = *last_heard + SILENCE;
                let gone = |why: String| Happening::Gone { code: None, why };
                match timeout_at(deadline.into(), socket.next()).await {
                    Ok(Some(Ok(Message::Close(frame)))) => Happening::Gone {
                        code: frame.as_ref().map(|frame| frame.code.into()),
                        why: close_reason(frame),
                    },
                    Ok(Some(Ok(message))) => {
                        *last_heard = Instant::now();
                        Happening::Heard(message)
                    }
                    Ok(Some(Err(error))) => gone(error.to_string()),
                    Ok(None) => gone("the connection ended".into()),
                    Err(_) => gone(format!("the server was silent for {SILENCE:?}")),
                }
            }
        }
    }
}

fn close_reason(frame: Option<tungstenite::protocol::CloseFrame>) -> String {
    frame.map_or_else(
        || "closed without a reason".into(),
        |frame| format!("{} {}", u16::from(frame.code), frame.reason),
    )
}

/// Drives a [`Client`].
struct Session {
    url: Uri,
    client: Client,
    link: Link,
    /// Why the connection was lost.
    why: String,
    /// What the application has not taken yet.
    news: VecDeque<Event>,
}

impl Session {
    fn new(url: Uri, hello: Hello) -> Self {
        Self {
            url,
            client: Client::new(hello),
            link: Link::None,
            why: String::new(),
            news: VecDeque::new(),
        }
    }

    fn attach(&mut self, socket: Socket) {
        // The attempt that the client asked for has been made already.
        while self.client.poll_output().is_some() {}
        self.link = Link::Open {
            socket: Box::new(socket),
            last_heard: Instant::now(),
        };
        self.client.handle_open();
    }

    /// Until the first welcome; whatever goes wrong is told, not tried again.
    async fn enter(&mut self) -> Result<Welcome> {
        loop {
            self.carry_out().await;
            match self.news.pop_front() {
                Some(Event::Welcome(welcome)) => return Ok(*welcome),
                Some(Event::Waiting { refusal, .. } | Event::Closed { refusal }) => {
                    bail!("the server refused: {}", told(refusal, &self.why))
                }
                Some(_) => {}
                None => self.step().await,
            }
        }
    }

    async fn run(mut self, mut from_us: mpsc::Receiver<Outgoing>, to_us: mpsc::Sender<Incoming>) {
        loop {
            self.carry_out().await;
            if let Some(Event::Closed { .. }) = self.news.back() {
                break;
            }
            tokio::select! {
                // A full queue in one direction does not hold up the other.
                permit = to_us.reserve(), if !self.news.is_empty() => {
                    let Ok(permit) = permit else { break };
                    let news = self.news.pop_front();
                    if let Some(news) = news.and_then(|news| incoming(news, &self.why)) {
                        permit.send(news);
                    }
                }
                outgoing = from_us.recv() => match outgoing {
                    Some(Outgoing::Signal { to, epoch, payload }) => {
                        let taken = self.client.send(Content::Signal { to, epoch, payload });
                        if taken.is_none() {
                            tracing::warn!("too much is waiting for the server: a signal was dropped");
                        }
                    }
                    Some(Outgoing::Bye) | None => self.client.leave(),
                },
                () = self.step(), if self.news.len() < QUEUE => {}
            }
        }
        for news in self.news.drain(..) {
            if let Some(news) = incoming(news, &self.why) {
                // Whoever has left does not listen any more.
                to_us.send(news).await.ok();
            }
        }
    }

    /// Waits for the connection or a deadline. Nothing is lost if it is dropped while it waits.
    async fn step(&mut self) {
        let deadline = self.client.poll_deadline();
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            happening = self.link.next() => self.handle(happening),
            () = due => self.client.handle_timeout(Instant::now(), jitter()),
        }
    }

    fn handle(&mut self, happening: Happening) {
        let now = Instant::now();
        match happening {
            Happening::Connected(Ok(socket)) => {
                self.link = Link::Open {
                    socket,
                    last_heard: now,
                };
                self.client.handle_open();
            }
            Happening::Connected(Err(error)) => self.lose(None, format!("{error:#}")),
            // tungstenite answers pings itself.
            Happening::Heard(Message::Text(text)) => self.client.handle_text(now, &text),
            Happening::Heard(_) => {}
            Happening::Gone { code, why } => self.lose(code, why),
        }
    }

    fn lose(&mut self, code: Option<u16>, why: String) {
        self.why = why;
        self.link = Link::None;
        self.client.handle_close(Instant::now(), code, jitter());
    }

    /// Does what the client asks for.
    async fn carry_out(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Connect => {
                    let url = self.url.clone();
                    let attempt = tokio::spawn(async move { connect(&url).await.map(Box::new) });
                    self.link = Link::Connecting(attempt);
                }
                Output::Send(text) => {
                    let Link::Open { socket, .. } = &mut self.link else {
                        continue;
                    };
                    let sent = timeout(PATIENCE, socket.send(Message::text(text))).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        self.lose(None, "the server does not read".into());
                    }
                }
                Output::Disconnect => {
                    if let Link::Open { mut socket, .. } =
                        std::mem::replace(&mut self.link, Link::None)
                    {
                        timeout(PATIENCE, socket.close()).await.ok();
                    }
                }
                Output::Event(event) => self.news.push_back(event),
            }
        }
    }
}

/// What the application hears of an event.
fn incoming(event: Event, why: &str) -> Option<Incoming> {
    match event {
        Event::Welcome(welcome) => Some(Incoming::Back(welcome)),
        Event::Message(message) => Some(Incoming::Message(message)),
        Event::Closed { refusal } => Some(Incoming::Closed(told(refusal, why))),
        Event::Waiting { wait, refusal } => {
            let why = told(refusal, why);
            tracing::warn!("signaling is away ({why}), the call goes on; next attempt in {wait:?}");
            Some(Incoming::Away(why))
        }
        Event::Refused { id, error } => {
            let (code, message) = (error.code, error.message);
            tracing::warn!("the server refused message {id}: {code:?}: {message}");
            None
        }
        Event::Lost { id } => {
            tracing::warn!("whether message {id} has arrived will never be known");
            None
        }
        Event::Delivered { .. } => None,
    }
}

fn told(refusal: Option<Error>, why: &str) -> String {
    refusal.map_or_else(
        || why.to_owned(),
        |error| format!("{:?}: {}", error.code, error.message),
    )
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_or(1.0, |()| {
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    })
}

#[cfg(test)]
mod tests;
