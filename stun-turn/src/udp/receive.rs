//! Many datagrams with one call. What came lies in slots until it is sent on, so that datagrams of
//! several sockets leave together.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use stun_turn_proto::limits::{HEADROOM, TAILROOM};

use super::address::{Ancillary, CONTROL, Control, ancillary, read_address, set_option};
use super::{BATCH, EMPTY_VECTOR};

const ADDRESS_LENGTH: libc::socklen_t = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
const CONTROL_LENGTH: usize = mem::size_of::<Control>();
/// Room for the largest UDP payload between head and tail.
const SLOT: usize = HEADROOM + 65_535 + TAILROOM;

/// Asks the system to hand over datagrams of one sender that arrive together as one, where it can
/// (`UDP_GRO`). Best effort: an old kernel hands over one at a time.
pub(crate) fn coalesce_received(socket: BorrowedFd<'_>) {
    let _ = set_option(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
}

/// So many that datagrams of one flow, between those of many others, are found again and leave
/// together. Pages of memory that nothing has come to are not in use.
pub(crate) const SLOTS: usize = 4 * BATCH;

/// Slots that receive, each with room in front and behind.
pub(crate) struct RecvBatch {
    slots: Box<[u8]>,
    addresses: Box<[libc::sockaddr_storage; SLOTS]>,
    controls: Box<[Control; SLOTS]>,
    vectors: Box<[libc::iovec; SLOTS]>,
    headers: Box<[libc::mmsghdr; SLOTS]>,
    received: [Received; SLOTS],
    used: usize,
}

// SAFETY: the pointers are into boxes of its own, and nothing else has them.
unsafe impl Send for RecvBatch {}

/// What lies in a slot: a datagram, or several of one sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// The sender.
    pub(crate) from: SocketAddr,
    /// The local address it was sent to, where the socket reports it.
    pub(crate) to: Option<IpAddr>,
    /// Address and port that it was sent to, on a socket that gets those to many.
    pub(crate) original: Option<SocketAddr>,
    length: usize,
    /// Of each datagram but the last, which may be shorter.
    segment: usize,
}

const NOTHING: Received = Received {
    from: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    to: None,
    original: None,
    length: 0,
    segment: 1,
};

impl Received {
    /// How many datagrams lie in the slot.
    pub(crate) const fn count(&self) -> usize {
        if self.length <= self.segment {
            1
        } else {
            self.length.div_ceil(self.segment)
        }
    }

    /// Where one of them lies.
    pub(crate) const fn payload(&self, index: usize) -> Range<usize> {
        let start = index * self.segment;
        let rest = self.length - start;
        let length = if rest < self.segment || self.count() == 1 {
            rest
        } else {
            self.segment
        };
        HEADROOM + start..HEADROOM + start + length
    }
}

impl RecvBatch {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero bytes are valid for both (AF_UNSPEC, null pointers, zero lengths).
        let (addresses, headers) = unsafe { (Box::new(mem::zeroed()), Box::new(mem::zeroed())) };
        let mut batch = Self {
            slots: vec![0; SLOT * SLOTS].into(),
            addresses,
            controls: Box::new([[0; CONTROL]; SLOTS]),
            vectors: Box::new([EMPTY_VECTOR; SLOTS]),
            headers,
            received: [NOTHING; SLOTS],
            used: 0,
        };
        batch.prepare();
        batch
    }

    /// Points every header to its place; the places never move.
    fn prepare(&mut self) {
        let slots = self.slots.chunks_exact_mut(SLOT);
        let places = self.headers.iter_mut().zip(self.vectors.iter_mut());
        let sides = self.addresses.iter_mut().zip(self.controls.iter_mut());
        for (((header, vector), slot), (address, control)) in places.zip(slots).zip(sides) {
            let payload = &mut slot[HEADROOM..SLOT - TAILROOM];
            *vector = libc::iovec {
                iov_base: payload.as_mut_ptr().cast(),
                iov_len: payload.len(),
            };
            let header = &mut header.msg_hdr;
            header.msg_name = std::ptr::from_mut(address).cast();
            header.msg_namelen = ADDRESS_LENGTH;
            header.msg_controllen = CONTROL_LENGTH as _;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
        }
    }

    /// How many slots the next call may fill.
    pub(crate) const fn room(&self) -> usize {
        let free = SLOTS - self.used;
        if free < BATCH { free } else { BATCH }
    }

    /// How many slots are filled.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// Frees all slots.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// Receives what is there into free slots; which ones were filled. There must be room.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; anything else the system says.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<Range<usize>> {
        let first = self.used;
        let end = first + self.room();
        let headers = &mut self.headers[first..end];
        // SAFETY: every header points to memory of its own that `self` keeps in place, with its true
        // length; the kernel writes within those lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.used = first + count;
        let filled = headers.iter_mut().zip(&self.addresses[first..]);
        let filled = filled.take(count);
        for (received, (header, address)) in self.received[first..].iter_mut().zip(filled) {
            let Ancillary {
                to,
                original,
                segment,
            } = ancillary(&header.msg_hdr);
            *received = Received {
                from: read_address(address).unwrap_or(NOTHING.from),
                to,
                original,
                length: header.msg_len as usize,
                segment: segment.unwrap_or(usize::MAX),
            };
            // The kernel wrote what it used.
            header.msg_hdr.msg_namelen = ADDRESS_LENGTH;
            header.msg_hdr.msg_controllen = CONTROL_LENGTH as _;
        }
        Ok(first..first + count)
    }

    /// What lies in a slot, and the whole slot.
    pub(crate) fn get(&mut self, index: usize) -> (Received, &mut [u8]) {
        let slot = &mut self.slots[index * SLOT..(index + 1) * SLOT];
        (self.received[index], slot)
    }

    pub(super) fn bytes(&self, index: usize, part: &Range<usize>) -> &[u8] {
        &self.slots[index * SLOT + part.start..index * SLOT + part.end]
    }
}
