//! Many datagrams in one system call, over IPv4, with the source address chosen per datagram and
//! with segmentation by the kernel. The only `unsafe` of the benchmarks: no maintained wrapper takes
//! control messages per datagram, and the generator must outrun what it measures.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

/// Datagrams of one system call.
pub(crate) const BATCH: usize = 64;
/// Room in front of what is received, for a header.
pub(crate) const HEADROOM: usize = 4;
/// Room for what the kernel may have put together of one flow.
pub(crate) const LARGE: usize = 65_536;
/// Room for one packet of any link.
pub(crate) const SMALL: usize = 2_048;
/// The processor's cache lines, on nearly all machines.
const LINE: usize = 64;
/// Room for IP_PKTINFO and UDP_SEGMENT or UDP_GRO, aligned for `cmsghdr`.
type Control = [u64; 8];

/// Memory for one batch.
pub(crate) struct Slots {
    bytes: Box<[u8]>,
    /// From one slot to the next: an odd number of pages, as it were, for else all slots would want
    /// the same places in the processor's caches.
    stride: usize,
}

impl Slots {
    /// Slots with room for so many bytes each, and headroom.
    pub(crate) fn new(room: usize) -> Self {
        let stride = (HEADROOM + room).next_multiple_of(LINE) + LINE;
        Self {
            bytes: vec![0; stride * BATCH].into(),
            stride,
        }
    }

    /// One slot, headroom included.
    pub(crate) fn slot(&mut self, index: usize) -> &mut [u8] {
        let start = index * self.stride;
        &mut self.bytes[start..start + self.stride]
    }
}

const EMPTY_VECTOR: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};
const NO_ADDRESS: libc::sockaddr_in = libc::sockaddr_in {
    sin_family: libc::AF_INET as libc::sa_family_t,
    sin_port: 0,
    sin_addr: libc::in_addr { s_addr: 0 },
    sin_zero: [0; 8],
};

/// What the system calls read and write; each header points into the other arrays.
struct Headers {
    headers: Box<[libc::mmsghdr; BATCH]>,
    vectors: Box<[libc::iovec; BATCH]>,
    addresses: Box<[libc::sockaddr_in; BATCH]>,
    controls: Box<[Control; BATCH]>,
}

// SAFETY: the pointers lead only to memory that moves along with the value, in boxes of its own, or
// are written anew from a borrow before each use.
unsafe impl Send for Headers {}

impl Headers {
    fn new() -> Self {
        let mut made = Self {
            // SAFETY: all-zero bytes are a valid mmsghdr (null pointers, zero lengths).
            headers: Box::new(unsafe { mem::zeroed() }),
            vectors: Box::new([EMPTY_VECTOR; BATCH]),
            addresses: Box::new([NO_ADDRESS; BATCH]),
            controls: Box::new([[0; 8]; BATCH]),
        };
        for index in 0..BATCH {
            let header = &mut made.headers[index].msg_hdr;
            header.msg_iov = &raw mut made.vectors[index];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut made.addresses[index]).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_control = (&raw mut made.controls[index]).cast();
        }
        made
    }
}

/// A datagram, or several of one flow that the kernel put together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) from: SocketAddrV4,
    pub(crate) length: usize,
    /// Length of each datagram but the last.
    pub(crate) segment: usize,
}

/// Receives batches.
pub(crate) struct Incoming(Headers);

impl Incoming {
    pub(crate) fn new() -> Self {
        Self(Headers::new())
    }

    /// Fills the slots, behind their headroom, with what is there; 0 when there is nothing.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: &mut Slots,
    ) -> io::Result<usize> {
        let Headers {
            headers, vectors, ..
        } = &mut self.0;
        let places = headers.iter_mut().zip(vectors.iter_mut());
        for ((header, vector), slot) in places.zip(slots.bytes.chunks_exact_mut(slots.stride)) {
            let room = &mut slot[HEADROOM..];
            vector.iov_base = room.as_mut_ptr().cast();
            vector.iov_len = room.len();
            header.msg_hdr.msg_controllen = mem::size_of::<Control>() as _;
            header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        // SAFETY: every header points to memory of its own with its true length: the arrays of
        // `Headers`, which live as long as it, and the slots, which are borrowed for the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                error => Err(error),
            },
        }
    }

    /// What the last call put into a slot.
    pub(crate) fn get(&self, index: usize) -> Received {
        let header = &self.0.headers[index];
        let address = &self.0.addresses[index];
        let length = header.msg_len as usize;
        Received {
            from: SocketAddrV4::new(
                Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr)),
                u16::from_be(address.sin_port),
            ),
            length,
            segment: segment_length(&header.msg_hdr).unwrap_or(length).max(1),
        }
    }
}

/// Finds what UDP_GRO reports.
fn segment_length(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the header is as the kernel filled it in; CMSG_* walk only within msg_controllen, and
    // the data of UDP_GRO is an int.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(current) = message.as_ref() {
            if (current.cmsg_level, current.cmsg_type) == (libc::SOL_UDP, libc::UDP_GRO) {
                let length: libc::c_int = libc::CMSG_DATA(message)
                    .cast::<libc::c_int>()
                    .read_unaligned();
                return usize::try_from(length).ok();
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}

/// One call's worth of a datagram to send.
#[derive(Debug, Clone)]
pub(crate) struct Departure {
    pub(crate) slot: usize,
    /// Which bytes of the slot.
    pub(crate) part: Range<usize>,
    /// The source address, on a socket bound to all of them.
    pub(crate) from: Option<Ipv4Addr>,
    /// `None` on a socket that is bound to a link: frames have their own addresses.
    pub(crate) to: Option<SocketAddrV4>,
    /// Length of the datagrams that the kernel is to cut the bytes into.
    pub(crate) segment: Option<u16>,
}

/// Sends batches.
pub(crate) struct Outgoing {
    headers: Headers,
    departures: Vec<Departure>,
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self {
            headers: Headers::new(),
            departures: Vec::with_capacity(BATCH),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.departures.len()
    }

    /// At most [`BATCH`] between two flushes.
    pub(crate) fn push(&mut self, departure: Departure) {
        debug_assert!(self.departures.len() < BATCH, "the caller counts");
        self.departures.push(departure);
    }

    /// Sends everything, in order; what the system refuses for good is left out. Says how many
    /// pushed ones went.
    pub(crate) fn flush(&mut self, socket: BorrowedFd<'_>, slots: &Slots) -> io::Result<usize> {
        let count = self.departures.len();
        for (index, departure) in self.departures.drain(..).enumerate() {
            let start = departure.slot * slots.stride;
            let bytes = &slots.bytes[start + departure.part.start..start + departure.part.end];
            self.headers.vectors[index] = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            let address = &mut self.headers.addresses[index];
            let header = &mut self.headers.headers[index].msg_hdr;
            header.msg_name = std::ptr::null_mut();
            header.msg_namelen = 0;
            if let Some(to) = departure.to {
                address.sin_addr.s_addr = to.ip().to_bits().to_be();
                address.sin_port = to.port().to_be();
                header.msg_name = std::ptr::from_mut(address).cast();
                header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            header.msg_controllen = mem::size_of::<Control>() as _;
            header.msg_controllen = write_controls(header, &departure) as _;
        }
        let (mut done, mut sent) = (0, 0);
        while done < count {
            let headers = &mut self.headers.headers[done..count];
            // SAFETY: the headers point to the arrays of `Headers`, and to the slots, which are
            // borrowed until the end of this function; the kernel only reads there.
            let result = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    headers.len() as libc::c_uint,
                    0,
                )
            };
            match usize::try_from(result) {
                Ok(more) => {
                    done += more;
                    sent += more;
                }
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    // An error that an earlier datagram met, or a full queue: this one is lost.
                    error if is_passing(&error) => done += 1,
                    error => return Err(error),
                },
            }
        }
        Ok(sent)
    }
}

fn is_passing(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    error.kind() == io::ErrorKind::WouldBlock
        || error.kind() == io::ErrorKind::ConnectionRefused
        || code == Some(libc::ENOBUFS)
}

/// Writes IP_PKTINFO and UDP_SEGMENT as asked for; says how long they are.
fn write_controls(header: &libc::msghdr, departure: &Departure) -> usize {
    let mut length = 0;
    // SAFETY: the control buffer is aligned and has room for both messages, whose sizes sum up to
    // less than its own; msg_controllen is its whole length meanwhile.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        if let Some(from) = departure.from {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: from.to_bits().to_be(),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            let size = mem::size_of_val(&info) as libc::c_uint;
            (*message).cmsg_level = libc::IPPROTO_IP;
            (*message).cmsg_type = libc::IP_PKTINFO;
            (*message).cmsg_len = libc::CMSG_LEN(size) as _;
            libc::CMSG_DATA(message)
                .cast::<libc::in_pktinfo>()
                .write_unaligned(info);
            length += libc::CMSG_SPACE(size) as usize;
            message = message.byte_add(libc::CMSG_SPACE(size) as usize);
        }
        if let Some(segment) = departure.segment {
            let size = mem::size_of_val(&segment) as libc::c_uint;
            (*message).cmsg_level = libc::SOL_UDP;
            (*message).cmsg_type = libc::UDP_SEGMENT;
            (*message).cmsg_len = libc::CMSG_LEN(size) as _;
            libc::CMSG_DATA(message)
                .cast::<u16>()
                .write_unaligned(segment);
            length += libc::CMSG_SPACE(size) as usize;
        }
    }
    length
}

/// A socket that sends frames over a link and receives nothing.
pub(crate) fn link_socket(link: u32) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::PACKET,
        rustix::net::SocketType::RAW,
        None,
    )?;
    // SAFETY: all-zero bytes are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_ifindex = link as libc::c_int;
    // SAFETY: the address is a sockaddr_ll of the stated size and lives until the call returns.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of_val(&address) as libc::socklen_t,
        )
    };
    match result {
        0 => {
            set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS)?;
            Ok(socket)
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets a socket receive datagrams of one flow together.
pub(crate) fn receive_together(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_UDP, libc::UDP_GRO)
}

/// Switches an option on.
fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is an int of the stated size and lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
