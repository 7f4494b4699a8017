//! The signaling hub behind a WebSocket, as small as it gets: the peers are tested here, not the service.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use signaling_proto::hub::{
    Arrival, Config, ConnectionId, Environment, Grant, Hub, Output, SourceLimits, Unauthorized,
};
use signaling_proto::message::ClientMessage;
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::IceServer;
use signaling_proto::pace::Rate;
use signaling_proto::ticket::TicketKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

struct Host {
    ice_servers: Vec<IceServer>,
}

impl Environment for Host {
    fn random(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system has randomness");
    }

    fn unix_time(&mut self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.expect("clocks are right")
    }

    fn permits(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn authorize(&mut self, _: &Hello) -> Result<Grant, Unauthorized> {
        Ok(Grant::default())
    }

    fn ice_servers(&mut self, _: &str, _: &str, _: Option<u64>) -> Vec<IceServer> {
        self.ice_servers.clone()
    }
}

struct Shared {
    hub: Hub<Host>,
    config: Config,
    ice_servers: Vec<IceServer>,
    next: u64,
    connections: HashMap<ConnectionId, mpsc::UnboundedSender<Message>>,
}

impl Shared {
    /// Does what the hub asks for.
    fn drain(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            let (connection, message) = match output {
                Output::Send { connection, frame } => (connection, Message::text(frame.to_text())),
                Output::Close {
                    connection,
                    code,
                    reason,
                } => {
                    let frame = CloseFrame {
                        code: code.into(),
                        reason: reason.into(),
                    };
                    (connection, Message::Close(Some(frame)))
                }
                Output::Revoke { .. } | Output::Ended(_) => continue,
            };
            if let Some(sender) = self.connections.get(&connection) {
                // Its task may just have ended.
                sender.send(message).ok();
            }
        }
    }
}

fn hub(config: Config, ice_servers: Vec<IceServer>) -> Hub<Host> {
    let key = TicketKey::new(b"the same for all processes");
    Hub::new(config, key, Host { ice_servers })
}

/// A server that can die.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Server {
    /// As if its process were killed and another one started: all connections break, and nothing is
    /// remembered.
    pub(crate) fn crash(&self) {
        let mut shared = self.shared.lock().expect("no test panics here");
        shared.connections.clear();
        shared.hub = hub(shared.config.clone(), shared.ice_servers.clone());
    }

    /// Waits until the process has been told so much by its clients.
    pub(crate) async fn has_heard(&self, messages: u64) {
        let heard = || {
            let shared = self.shared.lock().expect("no test panics here");
            shared.hub.snapshot().totals.messages_received
        };
        while heard() < messages {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Starts a server with rooms of at most `max_room` peers, for as long as the test's runtime lives.
pub(crate) async fn start(max_room: usize, ice_servers: Vec<IceServer>) -> SocketAddr {
    start_mortal(max_room, ice_servers).await.address
}

/// As [`start`].
pub(crate) async fn start_mortal(max_room: usize, ice_servers: Vec<IceServer>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let config = Config {
        max_room,
        max_rooms: 10,
        max_sessions: 100,
        namespaces: BTreeMap::new(),
        max_greeting: 100,
        source: SourceLimits {
            sessions: 100,
            hellos: Rate::with_burst_of_ten_seconds(100),
        },
        resume_window: Duration::from_secs(60),
        ping_interval: signaling_proto::liveness::PING_INTERVAL,
        renew_ice_servers_after: Duration::from_secs(300),
    };
    let shared = Arc::new(Mutex::new(Shared {
        hub: hub(config.clone(), ice_servers.clone()),
        config,
        ice_servers,
        next: 0,
        connections: HashMap::new(),
    }));
    let server = Server {
        address,
        shared: shared.clone(),
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, shared.clone()));
        }
    });
    server
}

async fn serve(stream: TcpStream, shared: Arc<Mutex<Shared>>) {
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let subprotocol = |_: &Request, mut response: Response| {
        let name = "signal.v1".parse().expect("a header value");
        response
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", name);
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, subprotocol).await else {
        return;
    };
    let (sender, mut outbox) = mpsc::unbounded_channel();
    let id = {
        let mut shared = shared.lock().expect("no test panics here");
        shared.next += 1;
        let id = ConnectionId(shared.next);
        shared.connections.insert(id, sender);
        shared
            .hub
            .handle_open(Instant::now(), id, Arrival::default());
        id
    };
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let mut shared = shared.lock().expect("no test panics here");
                    shared.hub.handle_message(Instant::now(), id, ClientMessage::parse(&text));
                    shared.drain();
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            message = outbox.recv() => {
                // There is none when its process has died.
                let Some(message) = message else { break };
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    }
    let mut shared = shared.lock().expect("no test panics here");
    shared.connections.remove(&id);
    shared.hub.handle_close(Instant::now(), id);
    shared.drain();
}
