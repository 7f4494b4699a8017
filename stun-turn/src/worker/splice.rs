//! Two connections made one: a client's and a peer's. What one sends goes to the other as it is, and
//! whoever does not read is not sent to.
//!
//! Readiness is reported once. Whoever calls [`Splice::carry`] whenever either socket is reported, and
//! again for as long as it says that there may be more, loses nothing: it stops only where a socket
//! has said that it would block, so that a report will follow, or until a time that it tells.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use stun_turn_proto::relay::Direction;

use super::stream::{End, Stream};
use crate::streams::Streams;

/// What is read at once, and so what may wait in one direction; all else waits in the kernel, and with
/// the sender.
const CHUNK_BYTES: usize = 32 * 1024;
/// Chunks in each direction before others have their turn.
const CHUNKS_A_TURN: usize = 4;

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Open,
    /// Its sender has finished, its receiver has not been told all of it yet.
    Finishing,
    Finished,
}

/// A client's connection spliced with a peer's, which the caller has.
pub(super) struct Splice {
    client: Stream,
    to_peer: Half,
    to_client: Half,
    /// Faster than the limit until then.
    paused_until: [Option<Duration>; 2],
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Until a socket is reported, or a pause is over.
    Waits,
    /// To the end of its turn.
    HasMore,
}

/// What is to be done after [`Splice::carry`].
pub(super) struct Carried {
    /// Call again without waiting for a report.
    pub(super) has_more: bool,
    /// Call again then.
    pub(super) resumes_at: Option<Duration>,
    /// One side has finished just now.
    pub(super) is_half_closed: bool,
    /// Both connections are over, for this reason.
    pub(super) end: Option<End>,
}

impl Splice {
    /// What the client has sent already goes to the peer.
    pub(super) const fn new(client: Stream) -> Self {
        Self {
            client,
            to_peer: Half::Open,
            to_client: Half::Open,
            paused_until: [None; 2],
        }
    }

    pub(super) const fn client(&mut self) -> &mut Stream {
        &mut self.client
    }

    /// Moves bytes in both directions. `count` is told of them, and tells when more may be read.
    pub(super) fn carry(
        &mut self,
        now: Duration,
        peer: &mut TcpStream,
        scratch: &mut [u8],
        shared: &Streams,
        mut count: impl FnMut(Direction, usize) -> Option<Duration>,
    ) -> Carried {
        let before = (self.to_peer, self.to_client);
        let scratch = &mut scratch[..CHUNK_BYTES];
        let to_peer = self.carry_to_peer(now, peer, scratch, shared, &mut count);
        let to_client = self.carry_to_client(now, peer, scratch, &mut count);
        let (to_peer, to_client, lost) = match (to_peer, to_client) {
            (Ok(to_peer), Ok(to_client)) => (to_peer, to_client, None),
            (Err(error), _) | (_, Err(error)) => {
                (Progress::Waits, Progress::Waits, Some(End::Lost(error)))
            }
        };
        let is_over = (self.to_peer, self.to_client) == (Half::Finished, Half::Finished);
        // A pause that is over matters no more, also where something else is waited for.
        let pauses = self.paused_until.iter().flatten().copied();
        let pauses = pauses.filter(|until| now < *until);
        Carried {
            has_more: [to_peer, to_client].contains(&Progress::HasMore),
            resumes_at: pauses.min(),
            is_half_closed: before != (self.to_peer, self.to_client),
            end: self
                .client
                .take_failure()
                .or(lost)
                .or_else(|| is_over.then_some(End::Finished)),
        }
    }

    fn carry_to_peer(
        &mut self,
        now: Duration,
        peer: &mut TcpStream,
        scratch: &mut [u8],
        shared: &Streams,
        count: &mut impl FnMut(Direction, usize) -> Option<Duration>,
    ) -> io::Result<Progress> {
        let [paused_until, _] = &mut self.paused_until;
        let client = &mut self.client;
        for _ in 0..CHUNKS_A_TURN {
            if !write(client.inbox(), peer)? || self.to_peer == Half::Finished {
                return Ok(Progress::Waits);
            }
            if client.has_ended() {
                // Fails when the connection is lost, which the next read tells.
                let _ = peer.shutdown(Shutdown::Write);
                self.to_peer = Half::Finished;
                return Ok(Progress::Waits);
            }
            if is_paused(paused_until, now) {
                return Ok(Progress::Waits);
            }
            let (bytes, has_more) = client.read(scratch);
            if bytes.is_empty() && !has_more && !client.has_ended() {
                return Ok(Progress::Waits);
            }
            client.take(now, bytes, shared);
            *paused_until = count(Direction::ToPeer, client.inbox().len());
        }
        Ok(Progress::HasMore)
    }

    fn carry_to_client(
        &mut self,
        now: Duration,
        peer: &mut TcpStream,
        scratch: &mut [u8],
        count: &mut impl FnMut(Direction, usize) -> Option<Duration>,
    ) -> io::Result<Progress> {
        let [_, paused_until] = &mut self.paused_until;
        let client = &mut self.client;
        for _ in 0..CHUNKS_A_TURN {
            client.flush();
            if !client.can_send() || self.to_client == Half::Finished {
                return Ok(Progress::Waits);
            }
            if self.to_client == Half::Finishing {
                client.shut_down();
                self.to_client = Half::Finished;
                return Ok(Progress::Waits);
            }
            if is_paused(paused_until, now) {
                return Ok(Progress::Waits);
            }
            match peer.read(scratch) {
                Ok(0) => {
                    client.finish();
                    self.to_client = Half::Finishing;
                }
                Ok(length) => {
                    *paused_until = count(Direction::ToClient, length);
                    client.send(&scratch[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Waits);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::HasMore)
    }
}

fn is_paused(until: &mut Option<Duration>, now: Duration) -> bool {
    *until = until.filter(|until| now < *until);
    until.is_some()
}

/// Writes what the socket takes; whether that was all.
fn write(bytes: &mut Vec<u8>, socket: &mut TcpStream) -> io::Result<bool> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.drain(..sent);
    Ok(bytes.is_empty())
}
