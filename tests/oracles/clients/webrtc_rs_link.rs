//! A socket that remembers what passed through it, for `turn`'s client, which takes any.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use webrtc_util::conn::Conn;

use patience::patience;

/// Datagrams, the oldest first.
type Datagrams = Arc<Mutex<Vec<Vec<u8>>>>;

/// A UDP socket and its records.
pub(crate) struct Recorder {
    socket: UdpSocket,
    pub(crate) sent: Datagrams,
    pub(crate) received: Datagrams,
}

impl Recorder {
    pub(crate) async fn new() -> Arc<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        Arc::new(Self {
            socket,
            sent: Datagrams::default(),
            received: Datagrams::default(),
        })
    }
}

/// How many of the datagrams `is_one_of_them` picks.
pub(crate) fn count(datagrams: &Datagrams, is_one_of_them: impl Fn(&[u8]) -> bool) -> usize {
    let datagrams = datagrams.lock().unwrap_or_else(PoisonError::into_inner);
    datagrams
        .iter()
        .filter(|datagram| is_one_of_them(datagram))
        .count()
}

fn note(datagrams: &Datagrams, datagram: &[u8]) {
    let mut datagrams = datagrams.lock().unwrap_or_else(PoisonError::into_inner);
    datagrams.push(datagram.to_vec());
}

#[async_trait]
impl Conn for Recorder {
    async fn connect(&self, to: SocketAddr) -> webrtc_util::Result<()> {
        Ok(self.socket.connect(to).await?)
    }

    async fn recv(&self, buffer: &mut [u8]) -> webrtc_util::Result<usize> {
        Ok(self.recv_from(buffer).await?.0)
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> webrtc_util::Result<(usize, SocketAddr)> {
        let (length, from) = self.socket.recv_from(buffer).await?;
        note(&self.received, &buffer[..length]);
        Ok((length, from))
    }

    async fn send(&self, bytes: &[u8]) -> webrtc_util::Result<usize> {
        note(&self.sent, bytes);
        Ok(self.socket.send(bytes).await?)
    }

    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> webrtc_util::Result<usize> {
        note(&self.sent, bytes);
        Ok(self.socket.send_to(bytes, to).await?)
    }

    fn local_addr(&self) -> webrtc_util::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> webrtc_util::Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}

/// A peer for tests whose client works in the same thread.
pub(crate) struct AsyncPeer(UdpSocket);

impl AsyncPeer {
    pub(crate) async fn new() -> Self {
        Self(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket")
    }

    /// The next datagram and where it comes from.
    pub(crate) async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 2048];
        let received = tokio::time::timeout(patience(), self.0.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("a datagram in time").expect("receiving");
        buffer.truncate(length);
        (buffer, from)
    }

    pub(crate) async fn send(&self, data: &[u8], to: SocketAddr) {
        let sent = self.0.send_to(data, to).await;
        assert_eq!(sent.expect("sending"), data.len());
    }
}
