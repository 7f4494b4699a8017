//! A client that goes on: ours with its session, the others by connecting again as the same one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use rand::Rng as _;
use signaling_proto::client::{Client, Content, Event, Output};
use signaling_proto::message::{ClientMessage, ServerMessage};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::dialect::{self, Who, chat_text};
use super::servers::Kind;

/// First wait of the others; doubled each time, to
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// this at most: what our client does.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a client is told to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this number to the other one.
    Say(u32),
    /// Be somewhere else: the connection is not closed, nobody reads from it any more.
    ChangeAddress,
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum News {
    Ready,
    Lost,
    Heard(u32),
}

/// Told by all clients, with their numbers.
pub(super) type Tell = mpsc::UnboundedSender<(u32, News)>;

/// A client, in a task of its own that ends with this value.
pub(super) struct Session(mpsc::UnboundedSender<Order>);

impl Session {
    pub(super) fn start(kind: Kind, address: SocketAddr, who: Who, tell: Tell) -> Self {
        let (orders, taken) = mpsc::unbounded_channel();
        if kind == Kind::Ours {
            tokio::spawn(Ours::new(address, who, tell).run(taken));
        } else {
            tokio::spawn(run_other(kind, address, who, taken, tell));
        }
        Self(orders)
    }

    pub(super) fn order(&self, order: Order) {
        // A client that has ended loses what it is told to say, which is then counted as lost.
        let _ = self.0.send(order);
    }
}

/// The number in a message.
fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

struct Ours {
    address: SocketAddr,
    who: Who,
    tell: Tell,
    client: Client,
    socket: Option<WebSocketStream<TcpStream>>,
    /// Connections that are still open, but lead nowhere.
    abandoned: Vec<WebSocketStream<TcpStream>>,
}

impl Ours {
    fn new(address: SocketAddr, who: Who, tell: Tell) -> Self {
        let hello = format!(r#"{{"type":"hello","room":"{}"}}"#, who.room);
        let Ok(ClientMessage::Hello(hello)) = ClientMessage::parse(&hello) else {
            unreachable!("it is a `hello`")
        };
        Self {
            address,
            who,
            tell,
            client: Client::new(hello),
            socket: None,
            abandoned: Vec::new(),
        }
    }

    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        self.client.handle_start(Instant::now());
        loop {
            self.carry_out().await;
            let deadline = self.client.poll_deadline();
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Say(number)) => {
                        let text = number.to_string();
                        self.client.send(Content::Chat { text, to: None });
                    }
                    Some(Order::ChangeAddress) => {
                        self.abandoned.extend(self.socket.take());
                        self.who.source_shift += 1;
                        self.client.handle_close(Instant::now(), None, jitter());
                    }
                },
                message = next(&mut self.socket) => match message {
                    Some(Message::Text(text)) => self.client.handle_text(Instant::now(), &text),
                    Some(_) => {}
                    None => self.lose(),
                },
                () = due => self.client.handle_timeout(Instant::now(), jitter()),
            }
        }
    }

    fn lose(&mut self) {
        self.socket = None;
        self.client.handle_close(Instant::now(), None, jitter());
    }

    fn tell(&self, news: News) {
        // Nobody listens when the measurement is over.
        let _ = self.tell.send((self.who.number, news));
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Connect => match dialect::open(Kind::Ours, self.address, &self.who).await {
                    Ok(socket) => {
                        self.socket = Some(socket);
                        self.client.handle_open();
                    }
                    Err(_) => self.lose(),
                },
                Output::Send(text) => {
                    if let Some(socket) = &mut self.socket
                        && socket.send(Message::text(text)).await.is_err()
                    {
                        self.lose();
                    }
                }
                Output::Disconnect => self.socket = None,
                Output::Event(Event::Welcome(_)) => self.tell(News::Ready),
                Output::Event(Event::Waiting { .. } | Event::Closed { .. }) => {
                    self.tell(News::Lost)
                }
                Output::Event(Event::Message(ServerMessage::Chat(chat))) => {
                    if let Some(number) = number(&chat.text) {
                        self.tell(News::Heard(number));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }
}

/// The next message; `None` when the connection is gone, nothing while there is none.
async fn next(socket: &mut Option<WebSocketStream<TcpStream>>) -> Option<Message> {
    match socket {
        Some(socket) => socket.next().await?.ok(),
        None => std::future::pending().await,
    }
}

fn jitter() -> f64 {
    rand::rng().random_range(0.0..1.0)
}

async fn run_other(
    kind: Kind,
    address: SocketAddr,
    mut who: Who,
    mut orders: mpsc::UnboundedReceiver<Order>,
    tell: Tell,
) {
    let name = who.number;
    let other = format!("c{}", name ^ 1);
    let mut abandoned = Vec::new();
    let mut wait = FIRST_WAIT;
    loop {
        let Ok(mut client) = dialect::Client::connect(kind, address, &who).await else {
            tokio::time::sleep(wait.mul_f64(0.5 + jitter() / 2.0)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            continue;
        };
        wait = FIRST_WAIT;
        if tell.send((name, News::Ready)).is_err() {
            return;
        }
        let moved = loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Say(number)) => {
                        if client.chat(&other, &number.to_string()).await.is_err() {
                            break false;
                        }
                    }
                    Some(Order::ChangeAddress) => break true,
                },
                text = client.next() => match text {
                    Ok(text) => {
                        if let Some(number) = chat_text(&text).as_deref().and_then(number) {
                            let _ = tell.send((name, News::Heard(number)));
                        }
                    }
                    Err(_) => break false,
                },
            }
        };
        let _ = tell.send((name, News::Lost));
        if moved {
            abandoned.push(client);
            // The same one for the server, at another address.
            who.source_shift += 1;
        }
        tokio::time::sleep(FIRST_WAIT.mul_f64(0.5 + jitter() / 2.0)).await;
    }
}
