//! A TCP connection that says goodbye properly.
//!
//! Closing a socket that still has unread data resets the connection, and the reset may overtake what
//! was written last: a client that sent too much would never read why it was cut off. So the socket
//! is shut down for writing first, and what still comes is read and forgotten for a moment.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Connections that may linger at a time. One more is closed at once: its client may lose what it was
/// told last, and nobody else loses anything.
const MAX_LINGERING: usize = 1024;
/// How long, and
const DURATION: Duration = Duration::from_secs(1);
/// how much in bytes a client may still send.
const MAX_BYTES: u64 = 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lingering {
    /// Taken when dropped.
    stream: Option<TcpStream>,
    /// Whether the other end has closed: then nothing unread can be left.
    at_end: bool,
    places: Places,
}

/// Places for connections that linger: each is an open file that no other limit counts.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_LINGERING)))
    }
}

impl Lingering {
    pub(crate) const fn new(stream: TcpStream, places: Places) -> Self {
        Self {
            stream: Some(stream),
            at_end: false,
            places,
        }
    }

    /// The connection itself, which does not linger any more.
    pub(crate) fn into_inner(mut self) -> TcpStream {
        self.stream.take().expect("taken only when dropped")
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("taken only when dropped"))
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take().filter(|_| !self.at_end) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let Ok(place) = Arc::clone(&self.places.0).try_acquire_owned() else {
            return tracing::debug!("too many closed connections linger; one is cut");
        };
        runtime.spawn(async move {
            let goodbye = async {
                stream.shutdown().await?;
                tokio::io::copy(&mut stream.take(MAX_BYTES), &mut tokio::io::sink()).await
            };
            // Whatever the client does, it is over then.
            let _ = tokio::time::timeout(DURATION, goodbye).await;
            drop(place);
        });
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let polled = self.stream().poll_read(context, buffer);
        if let Poll::Ready(result) = &polled {
            self.at_end = result.is_err() || (room > 0 && buffer.filled().len() == before);
        }
        polled
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        (client.unwrap(), server.unwrap().0)
    }

    /// Closed connections lingered outside of every count: as many open files as were closed in a
    /// second.
    #[tokio::test]
    async fn lingering_connections_are_counted_and_one_more_is_closed_at_once() {
        let places = Places(Arc::new(Semaphore::new(1)));
        let ((mut first, first_end), (mut second, second_end)) = (pair().await, pair().await);
        drop(Lingering::new(first_end, places.clone()));
        assert_eq!(places.0.available_permits(), 0);
        drop(Lingering::new(second_end, places.clone()));
        assert_eq!(places.0.available_permits(), 0);
        // Both learn that it is over; the first one's goodbye still takes what it sends.
        let mut rest = Vec::new();
        second.read_to_end(&mut rest).await.unwrap();
        first.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        drop(first);
        let again = places.0.acquire().await.unwrap();
        drop(again);
    }
}
