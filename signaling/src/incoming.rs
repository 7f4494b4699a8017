//! What comes in for a WebSocket.
//!
//! It is read in large parts into room that all connections of a thread share: an idle one keeps none
//! of its own. And the fragments of its messages (RFC 6455, 5.4) are counted: a message of 65,536
//! fragments with a byte each would be small enough, and costs its receiver much.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many fragments a message may have.
pub(crate) const MAX_FRAGMENTS: u32 = 64;

/// A message has more than [`MAX_FRAGMENTS`].
#[derive(Debug, thiserror::Error)]
#[error("a message of too many fragments")]
pub(crate) struct TooManyFragments;

/// Read at once, in bytes: an offer or an answer and some candidates.
const PART_BYTES: usize = 8 * 1024;

thread_local! {
    static PART: RefCell<Box<[u8]>> = RefCell::new(vec![0; PART_BYTES].into());
}

/// A byte stream from a WebSocket client that fails at the header of one fragment too many.
#[derive(Debug)]
pub(crate) struct Incoming<S> {
    inner: S,
    counter: Counter,
    /// What was read and did not fit into the reader's room.
    rest: Bytes,
}

impl<S> Incoming<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            counter: Counter::default(),
            rest: Bytes::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> Incoming<S> {
    /// Fills `buffer`; what else has come is kept.
    fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        PART.with_borrow_mut(|part| {
            let mut part = ReadBuf::new(part);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut part))?;
            let (now, later) = part
                .filled()
                .split_at(part.filled().len().min(buffer.remaining()));
            buffer.put_slice(now);
            if !later.is_empty() {
                self.rest = Bytes::copy_from_slice(later);
            }
            Poll::Ready(Ok(()))
        })
    }
}

/// Follows the frames in a stream; whatever else is wrong with them is for the WebSocket to tell.
#[derive(Debug, Default)]
struct Counter {
    /// What has come of a frame's header: at most two bytes, an extended length and a mask.
    header: [u8; 14],
    filled: u8,
    payload_left: u64,
    /// Of the message that is on its way.
    fragments: u32,
}

impl Counter {
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), TooManyFragments> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let skipped = bytes
                    .len()
                    .min(usize::try_from(self.payload_left).unwrap_or(usize::MAX));
                self.payload_left -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header[usize::from(self.filled)] = *first;
            self.filled += 1;
            bytes = rest;
            if let Some(length) = self.payload_length() {
                self.filled = 0;
                self.payload_left = length;
                self.count(self.header[0])?;
            }
        }
        Ok(())
    }

    /// RFC 6455, 5.2; `None` until the header is whole.
    fn payload_length(&self) -> Option<u64> {
        let header = self.header.get(..usize::from(self.filled))?;
        let second = *header.get(1)?;
        let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        let (length_bytes, length) = match second & 0x7F {
            126 => (2, header.get(2..4)?),
            127 => (8, header.get(2..10)?),
            _ => (0, &header[..0]),
        };
        if header.len() < 2 + length_bytes + mask_bytes {
            return None;
        }
        Some(match length_bytes {
            0 => u64::from(second & 0x7F),
            _ => length
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
        })
    }

    fn count(&mut self, first: u8) -> Result<(), TooManyFragments> {
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0F);
        let is_control = opcode >= 8;
        if is_control {
            return Ok(());
        }
        self.fragments = if is_final { 0 } else { self.fragments + 1 };
        // The last one is not counted above.
        if self.fragments < MAX_FRAGMENTS {
            return Ok(());
        }
        Err(TooManyFragments)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Incoming<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.rest.is_empty() {
            ready!(self.poll_part(context, buffer))?;
        } else {
            let fits = self.rest.len().min(buffer.remaining());
            buffer.put_slice(&self.rest.split_to(fits));
        }
        if self.rest.is_empty() {
            // It may be the end of a large part.
            self.rest = Bytes::new();
        }
        let result = self.counter.read(&buffer.filled()[before..]);
        Poll::Ready(result.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Incoming<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// A masked frame of `length` zeros.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(0x80 | length as u8),
            126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.resize(frame.len() + 4 + length, 0);
        frame
    }

    fn message(fragments: usize, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0..fragments {
            let opcode = if number == 0 { 1 } else { 0 };
            let fin = if number + 1 == fragments { 0x80 } else { 0 };
            bytes.extend(frame(fin | opcode, length));
            // Control frames may stand between fragments.
            bytes.extend(frame(0x89, 3));
        }
        bytes
    }

    #[test]
    fn fragments_are_counted_however_the_stream_is_cut() {
        for step in [1, 7, 100_000] {
            for length in [0, 1, 125, 126, 70_000] {
                let mut counter = Counter::default();
                let mut stream = message(64, length);
                stream.extend(message(1, length));
                stream.extend(message(64, length));
                for part in stream.chunks(step) {
                    counter.read(part).expect("64 fragments are fine");
                }
                let too_many = message(65, length);
                let refused = too_many
                    .chunks(step)
                    .any(|part| counter.read(part).is_err());
                assert!(refused, "{step} {length}");
            }
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_for_the_next_read() {
        let bytes = message(3, 20_000);
        for room in [1, 14, 1000, 100_000] {
            let mut incoming = Incoming::new(bytes.as_slice());
            let mut read = Vec::new();
            let mut buffer = vec![0; room];
            loop {
                let count = incoming.read(&mut buffer).await.unwrap();
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&buffer[..count]);
            }
            assert!(read == bytes, "in parts of {room}");
        }
    }
}
