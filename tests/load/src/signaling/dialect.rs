//! One client of any of the servers. It looks at no more of a frame than it must: the generator is not to
//! be what is measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::servers::Kind;

/// Clients that have source addresses of their own.
const SOURCES: u32 = 1 << 16;
const BUFFER_BYTES: usize = 4096;
/// More than an offer and its candidates: what is gathered is written when the client says so.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the start of this program.
pub(crate) fn now_ns() -> u64 {
    START.elapsed().as_nanos() as u64
}

/// What is sent in a call set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Offer,
    Answer,
    Candidate,
}

impl Part {
    /// About as large as browsers make them.
    fn body(self) -> String {
        let t = now_ns();
        match self {
            Self::Offer => sdp("offer", 3000, t),
            Self::Answer => sdp("answer", 2500, t),
            Self::Candidate => format!(
                r#"{{"candidate":"candidate:842163049 1 udp 1677729535 198.51.100.7 50000 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag EsAw network-cost 999","sdpMid":"0","sdpMLineIndex":0,"bench":"candidate","bench_t":{t}}}"#
            ),
        }
    }

    /// What a frame carries.
    pub(crate) fn of(text: &str) -> Option<Self> {
        [
            (r#""bench":"offer""#, Self::Offer),
            (r#""bench":"answer""#, Self::Answer),
            (r#""bench":"candidate""#, Self::Candidate),
        ]
        .into_iter()
        .find(|(mark, _)| text.contains(mark))
        .map(|(_, part)| part)
    }
}

fn sdp(kind: &str, bytes: usize, t: u64) -> String {
    let line = r"a=rtpmap:111 opus/48000/2\r\n";
    let sdp = line.repeat(bytes / line.len());
    format!(r#"{{"type":"{kind}","sdp":"v=0\r\n{sdp}","bench":"{kind}","bench_t":{t}}}"#)
}

/// When what a frame carries was sent, in [`now_ns`].
pub(crate) fn sent_at(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(r#""bench_t":"#)?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

/// Who connects.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) number: u32,
    pub(crate) room: String,
    /// How often its address has changed.
    pub(crate) source_shift: u32,
    /// Receive buffer of the socket; the system's own when `None`.
    pub(crate) receive_buffer: Option<u32>,
}

impl Who {
    pub(crate) fn new(number: u32, room: impl Into<String>) -> Self {
        Self {
            number,
            room: room.into(),
            source_shift: 0,
            receive_buffer: None,
        }
    }
}

/// A client that is ready.
pub(crate) struct Client {
    kind: Kind,
    socket: WebSocketStream<TcpStream>,
    /// How others name it.
    pub(crate) id: String,
    next_id: u64,
    seen: u64,
    acknowledged: u64,
}

/// A TCP connection to the server, from an address that no other client has: when thousands of ports of
/// one address are taken, by connections that were just closed, too, the system looks for a free one
/// for milliseconds.
pub(crate) async fn tcp(address: SocketAddr, who: &Who) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let source = u32::from(Ipv4Addr::new(127, 1, 0, 1)) + who.number + who.source_shift * SOURCES;
    socket.bind((Ipv4Addr::from(source), 0).into())?;
    if let Some(bytes) = who.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The WebSocket of a client.
pub(crate) async fn open(
    kind: Kind,
    address: SocketAddr,
    who: &Who,
) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let stream = tcp(address, who).await?;
    let number = who.number;
    let url = match kind {
        Kind::Ours => format!("ws://{address}/signal"),
        Kind::PeerServer => {
            format!("ws://{address}/peerjs?key=peerjs&id=c{number}&token=t{number}&version=1.5.5")
        }
        Kind::SocketIo => format!("ws://{address}/socket.io/?EIO=4&transport=websocket"),
        Kind::Bare => format!("ws://{address}/?c{number}"),
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    let (socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    Ok(socket)
}

impl Client {
    /// Connects and waits until the server says that it is ready.
    pub(crate) async fn connect(
        kind: Kind,
        address: SocketAddr,
        who: &Who,
    ) -> anyhow::Result<Self> {
        let mut client = Self {
            kind,
            socket: open(kind, address, who).await?,
            id: format!("c{}", who.number),
            next_id: 1,
            seen: 0,
            acknowledged: 0,
        };
        match kind {
            Kind::Ours => {
                let hello = format!(r#"{{"type":"hello","room":"{}"}}"#, who.room);
                client.send(hello).await?;
                let welcome = client.next().await?;
                client.id = field(&welcome, r#""peer":""#)
                    .with_context(|| format!("no welcome, but {welcome}"))?;
            }
            Kind::PeerServer => {
                let open = client.next().await?;
                if !open.contains("OPEN") {
                    bail!("{open}");
                }
            }
            Kind::SocketIo => {
                client.next().await?;
                client.send("40".into()).await?;
                client.next().await?;
                client
                    .send(format!(r#"420["join","{}"]"#, who.room))
                    .await?;
                let joined = client.next().await?;
                client.id = field(&joined, r#""id":""#).context("not joined")?;
            }
            Kind::Bare => {}
        }
        Ok(client)
    }

    pub(crate) async fn send(&mut self, text: String) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// The next frame that is about more than the connection.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            let message = self.socket.next().await.context("closed")??;
            let Message::Text(text) = message else {
                continue;
            };
            match self.kind {
                Kind::SocketIo if &*text == "2" => {
                    self.send("3".into()).await?;
                    continue;
                }
                Kind::Ours => {
                    if let Some(seq) = seq(&text) {
                        self.seen = seq;
                    }
                }
                _ => {}
            }
            return Ok(text);
        }
    }

    /// Tells the server what has come, where it wants to know.
    pub(crate) async fn acknowledge(&mut self) -> anyhow::Result<()> {
        if self.kind == Kind::Ours && self.seen > self.acknowledged {
            self.acknowledged = self.seen;
            self.send(format!(r#"{{"type":"ack","seq":{}}}"#, self.seen))
                .await?;
        }
        Ok(())
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Says something to one.
    pub(crate) async fn signal(&mut self, to: &str, part: Part) -> anyhow::Result<()> {
        self.gather(to, part).await?;
        self.flush().await
    }

    /// Says something to one with the next [`Self::flush`].
    pub(crate) async fn gather(&mut self, to: &str, part: Part) -> anyhow::Result<()> {
        let body = part.body();
        let text = match self.kind {
            Kind::Ours => {
                let id = self.take_id();
                let field = match part {
                    Part::Candidate => "candidate",
                    Part::Offer | Part::Answer => "description",
                };
                format!(r#"{{"type":"signal","id":{id},"to":"{to}","epoch":1,"{field}":{body}}}"#)
            }
            Kind::PeerServer => {
                let kind = match part {
                    Part::Offer => "OFFER",
                    Part::Answer => "ANSWER",
                    Part::Candidate => "CANDIDATE",
                };
                format!(r#"{{"type":"{kind}","dst":"{to}","payload":{body}}}"#)
            }
            Kind::SocketIo => format!(r#"42["signal","{to}",{body}]"#),
            Kind::Bare => format!("{to}\n{body}"),
        };
        Ok(self.socket.feed(Message::text(text)).await?)
    }

    /// Writes what was said.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.socket.flush().await?)
    }

    /// Text for everybody in the room, or for one where there are no rooms.
    pub(crate) async fn chat(&mut self, to: &str, text: &str) -> anyhow::Result<()> {
        let frame = match self.kind {
            Kind::Ours => {
                let id = self.take_id();
                format!(r#"{{"type":"chat","id":{id},"text":"{text}"}}"#)
            }
            Kind::PeerServer => {
                format!(r#"{{"type":"OFFER","dst":"{to}","payload":{{"text":"{text}"}}}}"#)
            }
            Kind::SocketIo => format!(r#"42["chat",{{"text":"{text}"}}]"#),
            Kind::Bare => format!("{to}\n{{\"text\":\"{text}\"}}"),
        };
        self.send(frame).await
    }

    pub(crate) async fn leave(mut self) {
        if self.kind == Kind::Ours {
            // It may be gone already.
            let _ = self.send(r#"{"type":"bye"}"#.into()).await;
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }
}

/// Text of a chat message.
pub(crate) fn chat_text(frame: &str) -> Option<String> {
    field(frame, r#""text":""#)
}

/// A string that begins behind `mark`.
fn field(text: &str, mark: &str) -> Option<String> {
    let (_, rest) = text.split_once(mark)?;
    rest.split('"').next().map(str::to_owned)
}

/// Our server's frames end with their number.
fn seq(text: &str) -> Option<u64> {
    let (_, number) = text.strip_suffix('}')?.rsplit_once(r#","seq":"#)?;
    number.parse().ok()
}
