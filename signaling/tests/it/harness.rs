//! A service on free ports, and clients that talk to it.

use std::ffi::OsString;
use std::net::SocketAddr;

use clap::{Args as _, Command};
use futures_util::{SinkExt as _, StreamExt as _};
use signaling::Server;
use signaling::config::{Config, Options, named, with_namespace_options, with_relay_options};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Welcome};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) use patience::patience;

/// Starts a service with further options; without a relay unless they say otherwise.
pub(crate) async fn start(options: &[&str]) -> Server {
    Server::start(config(options)).await.unwrap()
}

/// What [`start`] starts with.
pub(crate) fn config(options: &[&str]) -> Config {
    let own: Vec<_> = options.iter().map(OsString::from).collect();
    let command = with_relay_options(Options::augment_args(Command::new("signaling")));
    let command = with_namespace_options(command, &named(&own, None));
    let mut argv = vec![
        "signaling",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    if !options.iter().any(|option| option.starts_with("--turn-")) {
        argv.extend(["--turn-mode", "none"]);
    }
    argv.extend(options);
    let matches = command.try_get_matches_from(argv).unwrap();
    Config::from_matches(&matches).unwrap()
}

/// The upgrade request that a client sends.
pub(crate) fn request(server: &Server) -> Request {
    request_to(server.page())
}

fn request_to(page: SocketAddr) -> Request {
    let url = format!("ws://{page}/signal");
    url.into_client_request().unwrap()
}

/// How the service answers an upgrade request.
pub(crate) async fn upgrade(request: Request) -> Result<Response, u16> {
    match tokio_tungstenite::connect_async(request).await {
        Ok((_, response)) => Ok(response),
        Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::connect_to(server.page()).await
    }

    /// Connects to a service that may be another process.
    pub(crate) async fn connect_to(page: SocketAddr) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(request_to(page))
            .await
            .unwrap();
        Self { socket }
    }

    /// Connects and says `hello`.
    pub(crate) async fn enter(server: &Server, room: &str) -> (Self, Welcome) {
        let mut client = Self::connect(server).await;
        let welcome = client.hello(room).await;
        (client, welcome)
    }

    /// Says `hello`.
    pub(crate) async fn hello(&mut self, room: &str) -> Welcome {
        let hello = format!(r#"{{"type":"hello","room":"{room}"}}"#);
        self.say(&hello).await;
        match self.hear().await {
            ServerMessage::Welcome(welcome) => *welcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> ServerMessage {
        loop {
            let message = timeout(patience(), self.socket.next()).await;
            match message
                .expect("a message in time")
                .expect("an open connection")
                .unwrap()
            {
                Message::Text(text) => return ServerMessage::parse(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything until the service closes, and its close code.
    pub(crate) async fn hear_out(&mut self) -> (Vec<ServerMessage>, u16) {
        let mut heard = Vec::new();
        loop {
            let message = timeout(patience(), self.socket.next()).await;
            match message
                .expect("a close in time")
                .expect("a close frame")
                .unwrap()
            {
                Message::Text(text) => heard.push(ServerMessage::parse(&text).unwrap()),
                Message::Close(frame) => return (heard, frame.unwrap().code.into()),
                _ => {}
            }
        }
    }

    /// The service refuses this client: an error frame, then the close.
    pub(crate) async fn assert_refused(&mut self, code: ErrorCode, close: u16) {
        let (heard, close_code) = self.hear_out().await;
        match heard.last() {
            Some(ServerMessage::Error(error)) => assert_eq!(error.code, code, "{error:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(close_code, close);
    }
}
