//! The forwarder with io_uring: multishot receives into buffers that the kernel picks, and one system call that
//! sends all that has come and waits for more.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd, RecvMsgOut};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::{CLIENTS, Sockets, answer, header};

/// Buffers that wait for datagrams, and completions and sends that fit in at once.
const BUFFERS: u16 = 1024;
/// For a datagram and what the kernel writes in front of it.
const SIZE: usize = 2048;
/// The only group of buffers.
const GROUP: u16 = 0;
/// Token of what is sent; it completes only if it fails, and what can't be sent is lost, as on any network.
const SENT: u64 = u64::MAX - 1;
const PAGE: usize = 4096;

/// Where buffers are given back to the kernel, in memory that it reads.
struct BufferRing {
    entries: NonNull<BufRingEntry>,
    tail: u16,
    bytes: Box<[u8]>,
}

impl BufferRing {
    const LAYOUT: Layout = {
        let size = mem::size_of::<BufRingEntry>() * BUFFERS as usize;
        match Layout::from_size_align(size, PAGE) {
            Ok(layout) => layout,
            Err(_) => panic!("a page is a power of two"),
        }
    };

    fn new() -> Self {
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(Self::LAYOUT) };
        let Some(entries) = NonNull::new(memory.cast()) else {
            handle_alloc_error(Self::LAYOUT)
        };
        let mut ring = Self {
            entries,
            tail: 0,
            bytes: vec![0; SIZE * usize::from(BUFFERS)].into(),
        };
        (0..BUFFERS).for_each(|id| ring.give_back(id));
        ring.publish();
        ring
    }

    fn buffer(&mut self, id: u16) -> &mut [u8] {
        &mut self.bytes[usize::from(id) * SIZE..][..SIZE]
    }

    fn give_back(&mut self, id: u16) {
        let address = self.buffer(id).as_mut_ptr() as u64;
        let place = usize::from(self.tail % BUFFERS);
        // SAFETY: the place is one of the ring's entries, all of which were zeroed; only this thread writes them.
        let entry = unsafe { self.entries.add(place).as_mut() };
        entry.set_addr(address);
        entry.set_len(SIZE as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was given back.
    fn publish(&self) {
        // SAFETY: the pointer leads to the first of the entries, as asked for, and the tail there is an aligned u16
        // that the kernel only reads.
        let tail =
            unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and the io_uring that used it is gone (see the order in `Ring`).
        unsafe { dealloc(self.entries.as_ptr().cast(), Self::LAYOUT) }
    }
}

pub(super) struct Ring {
    /// Dropped before what the kernel uses through it.
    uring: IoUring,
    buffers: BufferRing,
    /// How long a sender's address is, for all receives.
    shape: Box<libc::msghdr>,
    clients: Box<[libc::sockaddr_in]>,
    peers: Box<[libc::sockaddr_in]>,
    sockets: Sockets,
    /// Buffers with what the next system call sends.
    leaving: Vec<u16>,
}

impl Ring {
    pub(super) fn new(sockets: Sockets) -> anyhow::Result<Self> {
        let uring = make()?;
        let buffers = BufferRing::new();
        let submitter = uring.submitter();
        // SAFETY: the entries live until the ring is dropped, which is before them.
        unsafe {
            submitter.register_buf_ring_with_flags(
                buffers.entries.as_ptr() as u64,
                BUFFERS,
                GROUP,
                0,
            )?;
        }
        // SAFETY: all-zero bytes are a valid msghdr (null pointers, zero lengths).
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { mem::zeroed() });
        shape.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
        let addresses = |of: &dyn Fn(usize) -> SocketAddrV4| {
            let all = (0..sockets.relayed.len()).map(|flow| native(of(flow)));
            all.collect()
        };
        Ok(Self {
            clients: addresses(&|flow| sockets.client(flow)),
            peers: addresses(&|flow| sockets.peer(flow)),
            uring,
            buffers,
            shape,
            sockets,
            leaving: Vec::with_capacity(BUFFERS.into()),
        })
    }

    pub(super) fn run(mut self) -> anyhow::Result<()> {
        for flow in 0..self.sockets.relayed.len() {
            self.receive(flow as u64)?;
        }
        self.receive(CLIENTS)?;
        let mut completed: Vec<cqueue::Entry> = Vec::with_capacity(4 * usize::from(BUFFERS));
        loop {
            self.uring.submit_and_wait(1)?;
            for id in self.leaving.drain(..) {
                self.buffers.give_back(id);
            }
            completed.extend(self.uring.completion());
            for entry in completed.drain(..) {
                if entry.user_data() != SENT {
                    self.received(&entry)?;
                }
            }
            self.buffers.publish();
        }
    }

    fn push(&mut self, entry: &squeue::Entry) -> anyhow::Result<()> {
        // SAFETY: what an entry points to lives as long as the ring: addresses and the shape are never changed, and a
        // buffer is given back only after the system call that sends it.
        while unsafe { self.uring.submission().push(entry) }.is_err() {
            self.uring.submit()?;
        }
        Ok(())
    }

    /// Begins to receive from a socket, until the kernel says that it has ended.
    fn receive(&mut self, token: u64) -> anyhow::Result<()> {
        let socket = match token {
            CLIENTS => &self.sockets.clients,
            flow => &self.sockets.relayed[flow as usize],
        };
        let entry =
            opcode::RecvMsgMulti::new(Fd(socket.as_raw_fd()), &raw const *self.shape, GROUP);
        self.push(&entry.build().user_data(token))
    }

    fn received(&mut self, entry: &cqueue::Entry) -> anyhow::Result<()> {
        let token = entry.user_data();
        if let Some(id) = cqueue::buffer_select(entry.flags()) {
            match self.departure(token, id, usize::try_from(entry.result())?) {
                Some(send) => {
                    self.leaving.push(id);
                    self.push(&send)?;
                }
                None => self.buffers.give_back(id),
            }
        }
        // It ends when there is no buffer left.
        if cqueue::more(entry.flags()) {
            Ok(())
        } else {
            self.receive(token)
        }
    }

    /// What is to be sent for a datagram, if anything is.
    fn departure(&mut self, token: u64, id: u16, length: usize) -> Option<squeue::Entry> {
        let (clients, peers, sockets) = (&self.clients, &self.peers, &self.sockets);
        let buffer = self.buffers.buffer(id);
        let message = RecvMsgOut::parse(&buffer[..length], &self.shape).ok()?;
        let payload = message.payload_data().len();
        let name = message.name_data();
        let from: [u8; 4] = name.get(4..8)?.try_into().ok()?;
        let start = length - payload;
        let (socket, part, to) = if token != CLIENTS {
            let flow = token as usize;
            buffer[start - 4..start].copy_from_slice(&header(payload));
            (&sockets.clients, start - 4..length, clients.get(flow)?)
        } else {
            let flow = sockets.flow(Ipv4Addr::from(from))?;
            if payload < 4 || buffer[start] < 0x40 {
                answer(&mut buffer[start..length]);
                (&sockets.clients, start..length, &clients[flow])
            } else {
                (&sockets.relayed[flow], start + 4..length, &peers[flow])
            }
        };
        let bytes = &buffer[part];
        let send = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32)
            .flags(libc::MSG_DONTWAIT)
            .dest_addr((&raw const *to).cast())
            .dest_addr_len(mem::size_of::<libc::sockaddr_in>() as libc::socklen_t);
        Some(
            send.build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(SENT),
        )
    }
}

fn make() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(4 * u32::from(BUFFERS))
        .build(u32::from(BUFFERS))
}

/// Why the system gives none, if so.
pub(super) fn refused() -> Option<io::Error> {
    make().err()
}

fn native(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*address.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}
