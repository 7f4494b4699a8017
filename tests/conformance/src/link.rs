//! One way to the server: a UDP socket or a connection, and what arrives on it, cut into messages.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::codec::Message;
use crate::tls;

/// A datagram or a message of a stream.
#[derive(Clone)]
pub(crate) enum Frame {
    Stun(Message),
    ChannelData {
        channel: u16,
        payload: Vec<u8>,
        padding: Vec<u8>,
    },
    /// What is neither, and why.
    Other(Vec<u8>, String),
    /// The connection has ended.
    Closed,
}

impl Frame {
    fn parse(bytes: &[u8]) -> Self {
        if let Some(&[a @ 0x40..=0x4F, b, c, d]) = bytes.get(..4) {
            let length = usize::from(u16::from_be_bytes([c, d]));
            if let Some((payload, padding)) = bytes[4..].split_at_checked(length) {
                let channel = u16::from_be_bytes([a, b]);
                let (payload, padding) = (payload.to_vec(), padding.to_vec());
                return Self::ChannelData {
                    channel,
                    payload,
                    padding,
                };
            }
        }
        match Message::parse(bytes) {
            Ok(message) => Self::Stun(message),
            Err(why) => Self::Other(bytes.to_vec(), why),
        }
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stun(message) => message.fmt(f),
            Self::ChannelData {
                channel, payload, ..
            } => write!(f, "ChannelData {channel:#06x} with {} bytes", payload.len()),
            Self::Other(bytes, why) => {
                write!(f, "{} bytes that are no message ({why})", bytes.len())
            }
            Self::Closed => write!(f, "the end of the connection"),
        }
    }
}

/// A connection, in clear or in TLS.
pub(crate) trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// A connection to the server.
pub(crate) struct Stream {
    io: Box<dyn Duplex>,
    /// For timeouts and addresses.
    tcp: TcpStream,
    buffer: Vec<u8>,
    is_closed: bool,
}

/// One way to the server.
pub(crate) enum Link {
    Udp(UdpSocket),
    Stream(Stream),
}

/// How long a connection or a handshake may take.
const CONNECT: Duration = Duration::from_secs(5);

impl Link {
    pub(crate) fn udp(source: SocketAddr, server: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(source).with_context(|| format!("binding {source}"))?;
        socket.connect(server)?;
        Ok(Self::Udp(socket))
    }

    pub(crate) fn tcp(source: SocketAddr, server: SocketAddr) -> anyhow::Result<Self> {
        let tcp = connect(source, server)?;
        Ok(Self::stream(Box::new(tcp.try_clone()?), tcp))
    }

    pub(crate) fn tls(
        source: SocketAddr,
        server: SocketAddr,
        offer: &tls::Offer<'_>,
    ) -> anyhow::Result<(Self, tls::Agreed)> {
        let tcp = connect(source, server)?;
        tcp.set_read_timeout(Some(CONNECT))?;
        let (io, agreed) = tls::handshake(tcp.try_clone()?, server, offer)?;
        Ok((Self::stream(Box::new(io), tcp), agreed))
    }

    fn stream(io: Box<dyn Duplex>, tcp: TcpStream) -> Self {
        Self::Stream(Stream {
            io,
            tcp,
            buffer: Vec::new(),
            is_closed: false,
        })
    }

    /// The client's own address.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(match self {
            Self::Udp(socket) => socket.local_addr()?,
            Self::Stream(stream) => stream.tcp.local_addr()?,
        })
    }

    /// Sends one datagram, or bytes of a stream as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Udp(socket) => {
                socket.send(bytes).context("sending a datagram")?;
            }
            Self::Stream(stream) => {
                stream.io.write_all(bytes).context("writing")?;
                stream.io.flush().context("writing")?;
            }
        }
        Ok(())
    }

    /// The next frame; `None` when there is none within `limit`.
    pub(crate) fn receive(&mut self, limit: Duration) -> anyhow::Result<Option<Frame>> {
        match self {
            Self::Udp(socket) => {
                let mut buffer = vec![0; 65_536];
                socket.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
                match socket.recv(&mut buffer) {
                    Ok(length) => Ok(Some(Frame::parse(&buffer[..length]))),
                    Err(error) if is_timeout(&error) => Ok(None),
                    Err(error) => Err(error).context("receiving"),
                }
            }
            Self::Stream(stream) => stream.receive(limit),
        }
    }

    /// The connection will end with a reset instead of an orderly end.
    pub(crate) fn reset_on_close(&self) -> anyhow::Result<()> {
        if let Self::Stream(stream) = self {
            SockRef::from(&stream.tcp).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }
}

fn connect(source: SocketAddr, server: SocketAddr) -> anyhow::Result<TcpStream> {
    let domain = Domain::for_address(server);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    let bound = socket.bind(&source.into());
    bound.with_context(|| format!("binding {source}"))?;
    let connecting = socket.connect_timeout(&server.into(), CONNECT);
    connecting.with_context(|| format!("connecting to {server}"))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl Stream {
    fn receive(&mut self, limit: Duration) -> anyhow::Result<Option<Frame>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(length) = self.whole() {
                let bytes: Vec<u8> = self.buffer.drain(..length).collect();
                return Ok(Some(Frame::parse(&bytes)));
            }
            if self.is_closed {
                return Ok(Some(Frame::Closed));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.tcp.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16_384];
            match self.io.read(&mut chunk) {
                Ok(0) => self.is_closed = true,
                Ok(length) => self.buffer.extend(&chunk[..length]),
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A reset or, in TLS, an end without a farewell.
                Err(_) => self.is_closed = true,
            }
        }
    }

    /// The length of the first message, as soon as all of it is there.
    fn whole(&self) -> Option<usize> {
        let &[first, _, c, d] = self.buffer.get(..4)? else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([c, d]));
        let length = match first {
            0x00..=0x03 => 20 + length,
            0x40..=0x4F => 4 + length.next_multiple_of(4),
            // No framing: take what there is.
            _ => self.buffer.len(),
        };
        (self.buffer.len() >= length).then_some(length)
    }
}
