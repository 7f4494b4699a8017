//! Client of the signaling service: one WebSocket, `signal.v1`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use signaling_proto::id::{Epoch, MessageId, PeerId, Seq};
use signaling_proto::message::client::{Ack, Hello, Signal};
use signaling_proto::message::server::Welcome;
use signaling_proto::message::{ClientMessage, MAX_FRAME_BYTES, Payload, ServerMessage};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Subprotocol of the WebSocket.
const SUBPROTOCOL: &str = "signal.v1";
/// How long connecting, and then the answer to `hello`, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages that may wait in either direction before their producer has to.
const QUEUE: usize = 256;
/// Bytes read at a time: the default of 128 KiB is for bulk data.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that may wait for a slow server.
const MAX_WRITE_BUFFER_BYTES: usize = 1024 * 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What goes to the server; `id`s are given when it is sent.
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
    /// Everything up to here has arrived.
    Ack(Seq),
    /// Leaves the room.
    Bye,
}

/// What comes from the server.
#[derive(Debug)]
pub enum Incoming {
    /// A message after `welcome`.
    Message(ServerMessage),
    /// The connection is gone, and why. Nothing follows.
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

/// Connects and enters a room.
///
/// # Errors
/// One sentence for people: unreachable, not a signaling service, refused.
pub async fn join(url: &Uri, hello: Hello) -> Result<Joined> {
    let mut socket = timeout(PATIENCE, connect(url))
        .await
        .with_context(|| format!("{url} did not answer within {PATIENCE:?}"))??;
    let hello = ClientMessage::Hello(hello).to_text();
    socket
        .send(Message::text(hello))
        .await
        .with_context(|| format!("{url} closed the connection"))?;
    let welcome = timeout(PATIENCE, greeting(&mut socket))
        .await
        .with_context(|| format!("{url} did not answer `hello` within {PATIENCE:?}"))??;
    // Two tasks, so that a full queue in one direction can't hold up the other.
    let (sink, stream) = socket.split();
    let (outgoing, from_us) = mpsc::channel(QUEUE);
    let (to_us, incoming) = mpsc::channel(QUEUE);
    tokio::spawn(write(sink, from_us));
    tokio::spawn(read(stream, to_us, outgoing.clone()));
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
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let unreachable = || format!("can't reach the signaling service at {url}");
    match connect_async_with_config(request, Some(limits), true).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => bail!(
            "{url} answered HTTP {}: is that the address of the signaling service (its path is /signal)?",
            response.status()
        ),
        // Without its wrapper, which says the same again.
        Err(tungstenite::Error::Io(error)) => Err(error).with_context(unreachable),
        Err(error) => Err(error).with_context(unreachable),
    }
}

async fn greeting(socket: &mut Socket) -> Result<Welcome> {
    loop {
        let message = socket
            .next()
            .await
            .context("the server closed the connection before it answered `hello`")?
            .context("the connection broke before the server answered `hello`")?;
        match message {
            Message::Text(text) => match ServerMessage::parse(&text) {
                Ok(ServerMessage::Welcome(welcome)) => return Ok(*welcome),
                Ok(ServerMessage::Error(error)) => {
                    bail!("the server refused: {:?}: {}", error.code, error.message)
                }
                Ok(other) => bail!("expected `welcome`, the server sent {other:?}"),
                Err(error) => bail!("the server does not speak {SUBPROTOCOL}: {error}"),
            },
            Message::Close(frame) => bail!("the server refused: {}", close_reason(frame)),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Frame(_) => {
                bail!("the server does not speak {SUBPROTOCOL}: it sent binary data")
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

async fn read(
    mut stream: SplitStream<Socket>,
    to_us: mpsc::Sender<Incoming>,
    outgoing: mpsc::Sender<Outgoing>,
) {
    let reason = loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => match ServerMessage::parse(&text) {
                Ok(message) => {
                    let seq = message.seq();
                    if to_us.send(Incoming::Message(message)).await.is_err() {
                        return;
                    }
                    if let Some(seq) = seq {
                        // When the writer is gone, so is the server.
                        outgoing.send(Outgoing::Ack(seq)).await.ok();
                    }
                }
                // A newer server may say more than we know.
                Err(error) => tracing::debug!("skipped a message of the server: {error}"),
            },
            Some(Ok(Message::Close(frame))) => break close_reason(frame),
            // tungstenite answers pings itself.
            Some(Ok(_)) => {}
            Some(Err(error)) => break error.to_string(),
            None => break "the connection ended".into(),
        }
    };
    to_us.send(Incoming::Closed(reason)).await.ok();
}

async fn write(mut sink: SplitSink<Socket, Message>, mut from_us: mpsc::Receiver<Outgoing>) {
    let mut id = MessageId(0);
    while let Some(outgoing) = from_us.recv().await {
        let last = matches!(outgoing, Outgoing::Bye);
        let message = match outgoing {
            Outgoing::Signal { to, epoch, payload } => {
                id = id.next();
                ClientMessage::Signal(Signal {
                    id,
                    to,
                    epoch,
                    payload,
                })
            }
            Outgoing::Ack(seq) => ClientMessage::Ack(Ack { seq }),
            Outgoing::Bye => ClientMessage::Bye,
        };
        // The reader tells when the connection is gone.
        if sink.send(Message::text(message.to_text())).await.is_err() || last {
            break;
        }
    }
    sink.close().await.ok();
}
