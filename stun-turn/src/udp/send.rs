//! Many datagrams with one call, neighbours of one size to one address as one message that the
//! system cuts (`UDP_SEGMENT`).

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd};

use socket2::{Domain, Socket, Type};

use super::address::{CONTROL, Control, set_option, write_address, write_segment, write_source};
use super::receive::RecvBatch;
use super::{BATCH, EMPTY_VECTOR};
use crate::tally::SocketErrors;

/// The system cuts no message into more, nor does any version of Linux take fewer.
const MAX_SEGMENTS: usize = 64;
/// Larger datagrams go alone: some way may be too narrow for them, and then a whole message would be
/// refused.
const MAX_SEGMENT: usize = 1452;
/// A message may not be longer, before it is cut.
const MAX_MESSAGE: usize = 65_000;
/// Each datagram has a head, a part of what was received, and a tail.
const VECTORS: usize = 3 * BATCH * 4;
/// So many refusals in a row, and messages are not cut by the system any more.
const PATIENCE: u32 = 8;

/// Why a message was refused that the system should have cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// This system, or this route, can't: each datagram has to go alone.
    Gathering,
    /// This route is too narrow for its datagrams: the same.
    Size,
    /// For another reason, which holds for all of its datagrams alike: a route that is not there, a
    /// firewall, a full queue.
    All,
}

impl Refused {
    fn because(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EIO | libc::ENOPROTOOPT | libc::EOPNOTSUPP) => Self::Gathering,
            Some(libc::EINVAL | libc::EMSGSIZE) => Self::Size,
            _ => Self::All,
        }
    }
}

/// A datagram to send.
#[derive(Debug, Clone)]
pub(crate) struct Transmit {
    /// Bytes in front, in the heads.
    pub(crate) head: Range<usize>,
    /// Index into the [`RecvBatch`].
    pub(crate) slot: usize,
    /// Which bytes of the slot.
    pub(crate) part: Range<usize>,
    /// Bytes behind, in the heads.
    pub(crate) tail: Range<usize>,
    /// Where to.
    pub(crate) to: SocketAddr,
    /// From which local address, on a socket that is bound to all of them.
    pub(crate) from: Option<IpAddr>,
}

impl Transmit {
    fn length(&self) -> usize {
        self.head.len() + self.part.len() + self.tail.len()
    }

    fn is_same_way(&self, other: &Self) -> bool {
        self.to == other.to && self.from == other.from
    }
}

/// What became of the datagrams given to [`Sender::send`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The system took them.
    pub(crate) sent: usize,
    /// It refused them: a full buffer, a route that is not there, a firewall.
    pub(crate) dropped: usize,
}

/// What the call needs, kept between calls.
pub(crate) struct Sender {
    headers: Box<[libc::mmsghdr; BATCH]>,
    addresses: Box<[libc::sockaddr_storage; BATCH]>,
    controls: Box<[Control; BATCH]>,
    vectors: Box<[libc::iovec; VECTORS]>,
    /// Datagrams of each message.
    counts: [usize; BATCH],
    /// Messages that the system could not cut since it last cut one.
    refusals: u32,
}

// SAFETY: the pointers are set anew for each call and used in it only.
unsafe impl Send for Sender {}

impl Sender {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero bytes are valid for both (AF_UNSPEC, null pointers, zero lengths).
        let (addresses, headers) = unsafe { (Box::new(mem::zeroed()), Box::new(mem::zeroed())) };
        Self {
            headers,
            addresses,
            controls: Box::new([[0; CONTROL]; BATCH]),
            vectors: Box::new([EMPTY_VECTOR; VECTORS]),
            counts: [0; BATCH],
            refusals: if can_cut() { 0 } else { PATIENCE },
        }
    }

    /// Sends over one socket, in order. What the system refuses is dropped: media is worth nothing
    /// later, and requests are repeated by whoever misses the answer.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        (batch, heads): (&RecvBatch, &[u8]),
        transmits: &[Transmit],
        errors: &SocketErrors,
    ) -> Sent {
        self.send_messages(socket, (batch, heads), transmits, true, errors)
    }

    /// The same, none together with another: over a socket for whole packets.
    pub(crate) fn send_singly(
        &mut self,
        socket: BorrowedFd<'_>,
        (batch, heads): (&RecvBatch, &[u8]),
        transmits: &[Transmit],
        errors: &SocketErrors,
    ) -> Sent {
        self.send_messages(socket, (batch, heads), transmits, false, errors)
    }

    fn send_messages(
        &mut self,
        socket: BorrowedFd<'_>,
        (batch, heads): (&RecvBatch, &[u8]),
        transmits: &[Transmit],
        is_cuttable: bool,
        errors: &SocketErrors,
    ) -> Sent {
        let mut total = Sent::default();
        let mut rest = transmits;
        let may_cut = |refusals: u32| is_cuttable && refusals < PATIENCE;
        let (mut is_retry, mut may_gather) = (false, may_cut(self.refusals));
        while !rest.is_empty() {
            let messages = self.write(batch, heads, rest, may_gather);
            let first = self.counts[0];
            match self.call(socket, messages) {
                Ok(taken) => {
                    let count: usize = self.counts[..taken].iter().sum();
                    total.sent += count;
                    rest = &rest[count..];
                    if count > taken {
                        self.refusals = 0;
                    }
                    (is_retry, may_gather) = (false, may_cut(self.refusals));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    errors.count(&error);
                    total.dropped += rest.len();
                    rest = &[];
                }
                // A socket that reports ICMP errors tells those of earlier datagrams here, once.
                Err(_) if !is_retry => is_retry = true,
                Err(error) if first > 1 && Refused::because(&error) != Refused::All => {
                    self.note_refusal(&error);
                    (is_retry, may_gather) = (false, false);
                }
                Err(error) => {
                    errors.count(&error);
                    total.dropped += first;
                    rest = &rest[first..];
                    is_retry = false;
                }
            }
        }
        total
    }

    /// Only what no route can do counts: a peer may well be behind a narrow one, and must not slow
    /// down all others.
    fn note_refusal(&mut self, error: &io::Error) {
        if Refused::because(error) == Refused::Gathering {
            self.refusals += 1;
            if self.refusals == PATIENCE {
                tracing::info!(%error, "the system does not cut messages (UDP_SEGMENT)");
            }
        }
    }

    /// Writes messages until there is no room for more; how many they are.
    fn write(
        &mut self,
        batch: &RecvBatch,
        heads: &[u8],
        transmits: &[Transmit],
        may_gather: bool,
    ) -> usize {
        let mut rest = transmits;
        let mut used = 0;
        let mut messages = 0;
        while let Some(first) = rest.first()
            && messages < BATCH
            && used + 3 <= VECTORS
        {
            let fitting = ((VECTORS - used) / 3).min(MAX_SEGMENTS);
            let count = if may_gather {
                run(&rest[..rest.len().min(fitting)])
            } else {
                1
            };
            let start = used;
            for transmit in &rest[..count] {
                let parts = [
                    &heads[transmit.head.clone()],
                    batch.bytes(transmit.slot, &transmit.part),
                    &heads[transmit.tail.clone()],
                ];
                for bytes in parts.into_iter().filter(|bytes| !bytes.is_empty()) {
                    self.vectors[used] = libc::iovec {
                        iov_base: bytes.as_ptr().cast_mut().cast(),
                        iov_len: bytes.len(),
                    };
                    used += 1;
                }
            }
            let header = &mut self.headers[messages].msg_hdr;
            let address = &mut self.addresses[messages];
            header.msg_namelen = write_address(address, first.to);
            header.msg_name = std::ptr::from_mut(address).cast();
            header.msg_iov = self.vectors[start..].as_mut_ptr();
            header.msg_iovlen = (used - start) as _;
            header.msg_control = self.controls[messages].as_mut_ptr().cast();
            header.msg_controllen = mem::size_of::<Control>() as _;
            let mut control = 0;
            if let Some(from) = first.from {
                control += write_source(header, from);
            }
            if count > 1 {
                let size = u16::try_from(first.length()).expect("segments are small");
                control += write_segment(header, control, size);
            }
            header.msg_controllen = control as _;
            self.counts[messages] = count;
            messages += 1;
            rest = &rest[count..];
        }
        messages
    }

    /// How many messages went.
    fn call(&mut self, socket: BorrowedFd<'_>, messages: usize) -> io::Result<usize> {
        // SAFETY: the first `messages` headers were just written; they point to memory that outlives
        // the call, with its true lengths; the kernel only reads it.
        let count = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                messages as libc::c_uint,
                0,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}

/// Whether the system knows of cutting at all. An old one would not refuse, but send a message whole.
fn can_cut() -> bool {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None);
    let Ok(socket) = socket else { return true };
    set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

/// How many of these go as one message: of one size to one address; the last one may be shorter.
fn run(transmits: &[Transmit]) -> usize {
    let Some((first, others)) = transmits.split_first() else {
        return 0;
    };
    let size = first.length();
    if size == 0 || size > MAX_SEGMENT {
        return 1;
    }
    let mut count = 1;
    for other in others {
        let length = other.length();
        let fits = length <= size && length > 0 && (count + 1) * size <= MAX_MESSAGE;
        if !fits || !other.is_same_way(first) {
            break;
        }
        count += 1;
        if length < size {
            break;
        }
    }
    count
}
