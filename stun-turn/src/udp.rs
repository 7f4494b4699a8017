//! Batched UDP input and output: one system call for many datagrams, and the local address that a
//! datagram was sent to. The only `unsafe` of the relay.

mod address;
mod errors;

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use stun_turn_proto::limits::{HEADROOM, TAILROOM};

use crate::tally::SocketErrors;
pub(crate) use address::report_destination;
use address::{destination, read_address, write_address, write_source};
pub(crate) use errors::{forbid_fragments, receive_error, report_errors};

/// Datagrams that one system call may receive or send.
pub(crate) const BATCH: usize = 32;
/// Room for the largest UDP payload between head and tail.
const SLOT: usize = HEADROOM + 65_535 + TAILROOM;
/// Control data: one packet-info message of either family, aligned for `cmsghdr`.
type Control = [u64; 8];

/// Buffers that receive up to [`BATCH`] datagrams, each with room in front and behind.
pub(crate) struct RecvBatch {
    slots: Box<[u8]>,
    addresses: Box<[libc::sockaddr_storage; BATCH]>,
    controls: Box<[Control; BATCH]>,
    received: [Received; BATCH],
}

/// A datagram in its slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// The sender.
    pub(crate) from: SocketAddr,
    /// The local address it was sent to, where the socket reports it.
    pub(crate) to: Option<IpAddr>,
    length: usize,
}

const NOTHING: Received = Received {
    from: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    to: None,
    length: 0,
};

impl Received {
    /// Where the datagram lies in its slot.
    pub(crate) const fn payload(&self) -> Range<usize> {
        HEADROOM..HEADROOM + self.length
    }
}

impl RecvBatch {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero bytes are a valid sockaddr_storage (family AF_UNSPEC).
        let addresses = Box::new(unsafe { mem::zeroed() });
        Self {
            slots: vec![0; SLOT * BATCH].into(),
            addresses,
            controls: Box::new([[0; 8]; BATCH]),
            received: [NOTHING; BATCH],
        }
    }

    /// Receives what is there, at most [`BATCH`] datagrams.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; anything else the system says.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut vectors = [EMPTY_VECTOR; BATCH];
        // SAFETY: all-zero bytes are a valid mmsghdr (null pointers, zero lengths).
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let slots = self.slots.chunks_exact_mut(SLOT);
        let places = headers.iter_mut().zip(&mut vectors).zip(slots);
        let sides = self.addresses.iter_mut().zip(self.controls.iter_mut());
        for (((header, vector), slot), (address, control)) in places.zip(sides) {
            let payload = &mut slot[HEADROOM..SLOT - TAILROOM];
            *vector = libc::iovec {
                iov_base: payload.as_mut_ptr().cast(),
                iov_len: payload.len(),
            };
            let header = &mut header.msg_hdr;
            header.msg_name = std::ptr::from_mut(address).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = mem::size_of::<Control>() as _;
        }
        // SAFETY: every header points to memory of its own that outlives the call, with its true
        // length; the kernel writes within those lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let filled = headers.iter().zip(self.addresses.iter()).take(count);
        for (received, (header, address)) in self.received.iter_mut().zip(filled) {
            *received = Received {
                from: read_address(address).unwrap_or(NOTHING.from),
                to: destination(&header.msg_hdr),
                length: header.msg_len as usize,
            };
        }
        Ok(count)
    }

    /// One of the datagrams that the last call received, and its whole slot.
    pub(crate) fn get(&mut self, index: usize) -> (Received, &mut [u8]) {
        let slot = &mut self.slots[index * SLOT..(index + 1) * SLOT];
        (self.received[index], slot)
    }

    fn bytes(&self, index: usize, part: &Range<usize>) -> &[u8] {
        &self.slots[index * SLOT + part.start..index * SLOT + part.end]
    }
}

const EMPTY_VECTOR: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

/// A datagram to send: a part of a received one.
#[derive(Debug, Clone)]
pub(crate) struct Transmit {
    /// Index into the [`RecvBatch`].
    pub(crate) slot: usize,
    /// Which bytes of the slot.
    pub(crate) part: Range<usize>,
    /// Where to.
    pub(crate) to: SocketAddr,
    /// From which local address, on a socket that is bound to all of them.
    pub(crate) from: Option<IpAddr>,
}

/// What became of the datagrams given to [`send`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The system took them.
    pub(crate) sent: usize,
    /// It refused them: a full buffer, a route that is not there, a firewall.
    pub(crate) dropped: usize,
}

/// Sends parts of received datagrams over one socket, in order. What the system refuses is dropped:
/// media is worth nothing later, and requests are repeated by whoever misses the answer.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    batch: &RecvBatch,
    transmits: &[Transmit],
    errors: &SocketErrors,
) -> Sent {
    let mut total = Sent::default();
    for chunk in transmits.chunks(BATCH) {
        let mut rest = chunk;
        let mut is_retry = false;
        while !rest.is_empty() {
            let sent = match rest {
                [_] => send_chunk::<1>(socket, batch, rest),
                _ => send_chunk::<BATCH>(socket, batch, rest),
            };
            match sent {
                Ok(count) => {
                    total.sent += count;
                    rest = &rest[count..];
                    is_retry = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    errors.count(&error);
                    total.dropped += rest.len();
                    rest = &[];
                }
                // A socket that reports ICMP errors tells those of earlier datagrams here, once.
                Err(_) if !is_retry => is_retry = true,
                Err(error) => {
                    errors.count(&error);
                    total.dropped += 1;
                    rest = &rest[1..];
                    is_retry = false;
                }
            }
        }
    }
    total
}

/// At most `N` datagrams with one system call; says how many went. What the call needs is cleared
/// anew each time, so `N` is one where one is sent, which is mostly so towards peers.
fn send_chunk<const N: usize>(
    socket: BorrowedFd<'_>,
    batch: &RecvBatch,
    chunk: &[Transmit],
) -> io::Result<usize> {
    let mut vectors = [EMPTY_VECTOR; N];
    // SAFETY: all-zero bytes are valid for both (null pointers, zero lengths, AF_UNSPEC).
    let (mut headers, mut addresses): ([libc::mmsghdr; N], [libc::sockaddr_storage; N]) =
        unsafe { (mem::zeroed(), mem::zeroed()) };
    let mut controls: [Control; N] = [[0; 8]; N];
    let places = headers
        .iter_mut()
        .zip(&mut vectors)
        .zip(&mut addresses)
        .zip(&mut controls);
    for (transmit, (((header, vector), address), control)) in chunk.iter().zip(places) {
        let bytes = batch.bytes(transmit.slot, &transmit.part);
        *vector = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let header = &mut header.msg_hdr;
        header.msg_namelen = write_address(address, transmit.to);
        header.msg_name = std::ptr::from_mut(address).cast();
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        if let Some(from) = transmit.from {
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = mem::size_of::<Control>() as _;
            header.msg_controllen = write_source(header, from) as _;
        }
    }
    // SAFETY: the first `chunk.len()` headers point to memory that outlives the call, with its true
    // lengths; the kernel only reads it.
    let count = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            chunk.len() as libc::c_uint,
            0,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    /// Sends three datagrams to a socket on all addresses, then answers each from where it came.
    fn round_trip(wildcard: &str, loopback: &str) {
        let server = UdpSocket::bind(wildcard).unwrap();
        report_destination(server.as_fd(), loopback.contains('[')).unwrap();
        let client = UdpSocket::bind(loopback).unwrap();
        let to = SocketAddr::new(
            client.local_addr().unwrap().ip(),
            server.local_addr().unwrap().port(),
        );
        let payloads: [&[u8]; 3] = [b"one", b"", &[7; 9000]];
        for payload in payloads {
            client.send_to(payload, to).unwrap();
        }
        let mut batch = RecvBatch::new();
        let count = batch.receive(server.as_fd()).unwrap();
        assert_eq!(count, 3, "loopback delivers at once");
        let mut transmits = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            let (received, slot) = batch.get(index);
            assert_eq!(&slot[received.payload()], *payload);
            assert_eq!(received.from, client.local_addr().unwrap());
            assert_eq!(received.to, Some(to.ip()));
            transmits.push(Transmit {
                slot: index,
                part: received.payload(),
                to: received.from,
                from: received.to,
            });
        }
        assert_eq!(
            send(server.as_fd(), &batch, &transmits, &SocketErrors::default()),
            Sent {
                sent: 3,
                dropped: 0
            }
        );
        let mut buffer = [0; 10_000];
        for payload in payloads {
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (payload, to));
        }
        let error = batch.receive(server.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn ipv4_round_trip_keeps_addresses() {
        round_trip("0.0.0.0:0", "127.0.0.1:0");
    }

    #[test]
    fn ipv6_round_trip_keeps_addresses() {
        round_trip("[::]:0", "[::1]:0");
    }

    #[test]
    fn a_refused_datagram_does_not_stop_the_others() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        let mut batch = RecvBatch::new();
        assert_eq!(batch.receive(socket.as_fd()).unwrap(), 1);
        let part = batch.get(0).0.payload();
        let to = |to: SocketAddr| Transmit {
            slot: 0,
            part: part.clone(),
            to,
            from: None,
        };
        let good = other.local_addr().unwrap();
        let transmits = [to(good), to("127.0.0.1:0".parse().unwrap()), to(good)];
        assert_eq!(
            send(socket.as_fd(), &batch, &transmits, &SocketErrors::default()),
            Sent {
                sent: 2,
                dropped: 1
            }
        );
    }
}
