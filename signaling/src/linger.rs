//! A TCP connection that says goodbye properly.
//!
//! Closing a socket that still has unread data resets the connection, and the reset may overtake what
//! was written last: a client that sent too much would never read why it was cut off. So the socket
//! is shut down for writing first, and what still comes is read and forgotten for a moment.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

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
}

impl Lingering {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream: Some(stream),
            at_end: false,
        }
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
        runtime.spawn(tokio::time::timeout(DURATION, async move {
            stream.shutdown().await?;
            tokio::io::copy(&mut stream.take(MAX_BYTES), &mut tokio::io::sink()).await
        }));
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
