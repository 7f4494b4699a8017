//! Forwarders that know nothing: the least that a relay in user space can cost. One thread, a static
//! table instead of allocations, a ChannelData header put in front and taken off.

mod uring;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::batch::{BATCH, Departure, HEADROOM, Incoming, Outgoing, SMALL, Slots};
use super::enrol::CHANNEL;

/// Token of the clients' socket; those of relayed sockets are their flows.
const CLIENTS: u64 = u64::MAX;
/// Receive buffers like those of the other servers.
const BUFFER: usize = 4 << 20;

/// How datagrams come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// One a system call
    Single,
    /// Many a system call
    Batched,
    /// By io_uring: receiving never ends, and a system call sends and waits
    Uring,
}

impl Way {
    /// Why it can't be taken here.
    pub(crate) fn missing(self) -> Option<String> {
        let refused = (self == Self::Uring).then(uring::refused)?;
        refused.map(|error| format!("the system refuses io_uring: {error}"))
    }
}

/// A forwarder in a process of its own, as the benchmark starts it
#[derive(Debug, clap::Args)]
pub(crate) struct Forward {
    #[arg(long, value_enum)]
    way: Way,
    #[arg(long)]
    listen: SocketAddrV4,
    /// Relayed address of the first flow; those of the others have the next ports
    #[arg(long)]
    relay: SocketAddrV4,
    /// Address of the first client; the others have the next addresses
    #[arg(long)]
    clients: SocketAddrV4,
    /// Address of the first peer; the others have the next addresses
    #[arg(long)]
    peers: SocketAddrV4,
    #[arg(long)]
    flows: u16,
}

impl Forward {
    /// Forwards until it is killed.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let open = |address: SocketAddrV4| -> anyhow::Result<UdpSocket> {
            let socket = UdpSocket::bind(address)?;
            // Less is allowed to processes without rights.
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER);
            Ok(socket)
        };
        let relay = |flow| SocketAddrV4::new(*self.relay.ip(), self.relay.port() + flow);
        let relayed: anyhow::Result<Vec<_>> =
            (0..self.flows).map(|flow| open(relay(flow))).collect();
        let sockets = Sockets {
            clients: open(self.listen)?,
            relayed: relayed?,
            first_client: self.clients,
            first_peer: self.peers,
        };
        match self.way {
            Way::Single => one_by_one(&sockets, &sockets.poll()?),
            Way::Batched => {
                let poll = sockets.poll()?;
                Batched::new(sockets).run(&poll)
            }
            Way::Uring => uring::Ring::new(sockets)?.run(),
        }
    }
}

struct Sockets {
    clients: UdpSocket,
    relayed: Vec<UdpSocket>,
    first_client: SocketAddrV4,
    first_peer: SocketAddrV4,
}

impl Sockets {
    /// Made ready for epoll.
    fn poll(&self) -> anyhow::Result<OwnedFd> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let relayed = (0..).zip(&self.relayed);
        for (token, socket) in relayed.chain([(CLIENTS, &self.clients)]) {
            socket.set_nonblocking(true)?;
            epoll::add(&poll, socket, EventData::new_u64(token), EventFlags::IN)?;
        }
        Ok(poll)
    }

    fn flow(&self, client: Ipv4Addr) -> Option<usize> {
        let flow = client
            .to_bits()
            .wrapping_sub(self.first_client.ip().to_bits()) as usize;
        (flow < self.relayed.len()).then_some(flow)
    }

    fn client(&self, flow: usize) -> SocketAddrV4 {
        nth(self.first_client, flow)
    }

    fn peer(&self, flow: usize) -> SocketAddrV4 {
        nth(self.first_peer, flow)
    }
}

fn nth(first: SocketAddrV4, number: usize) -> SocketAddrV4 {
    let ip = Ipv4Addr::from_bits(first.ip().to_bits() + number as u32);
    SocketAddrV4::new(ip, first.port())
}

fn header(length: usize) -> [u8; 4] {
    let ([c0, c1], [l0, l1]) = (CHANNEL.to_be_bytes(), (length as u16).to_be_bytes());
    [c0, c1, l0, l1]
}

/// Makes a request look like its answer: enough to be seen alive, and to measure the least that a
/// Binding can cost.
fn answer(request: &mut [u8]) {
    request[..2].copy_from_slice(&[1, 1]);
}

/// One system call to receive and one to send each datagram.
fn one_by_one(sockets: &Sockets, poll: &OwnedFd) -> anyhow::Result<()> {
    let mut buffer = [0; 65_536];
    let mut events = Vec::with_capacity(BATCH);
    loop {
        events.clear();
        epoll::wait(poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for &Event { data, .. } in &events {
            match data.u64() {
                CLIENTS => clients_one_by_one(sockets, &mut buffer),
                flow => peers_one_by_one(sockets, flow as usize, &mut buffer),
            }
        }
    }
}

fn clients_one_by_one(sockets: &Sockets, buffer: &mut [u8]) {
    for _ in 0..BATCH {
        let Ok((length, SocketAddr::V4(from))) = sockets.clients.recv_from(buffer) else {
            return;
        };
        if length < 4 || buffer[0] < 0x40 {
            answer(buffer);
            let _ = sockets.clients.send_to(&buffer[..length], from);
        } else if let Some(flow) = sockets.flow(*from.ip()) {
            // What can't be sent is lost, as on any network.
            let _ = sockets.relayed[flow].send_to(&buffer[4..length], sockets.peer(flow));
        }
    }
}

fn peers_one_by_one(sockets: &Sockets, flow: usize, buffer: &mut [u8]) {
    for _ in 0..BATCH {
        let Ok((length, _)) = sockets.relayed[flow].recv_from(&mut buffer[4..]) else {
            return;
        };
        buffer[..4].copy_from_slice(&header(length));
        let _ = sockets
            .clients
            .send_to(&buffer[..4 + length], sockets.client(flow));
    }
}

/// As many datagrams a system call as there are.
struct Batched {
    sockets: Sockets,
    slots: Slots,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Batched {
    fn new(sockets: Sockets) -> Self {
        Self {
            sockets,
            slots: Slots::new(SMALL),
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
        }
    }

    fn run(&mut self, poll: &OwnedFd) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            events.clear();
            epoll::wait(poll, rustix::buffer::spare_capacity(&mut events), None)?;
            for &Event { data, .. } in &events {
                match data.u64() {
                    CLIENTS => self.clients()?,
                    flow => self.peers(flow as usize)?,
                }
            }
        }
    }

    fn clients(&mut self) -> anyhow::Result<()> {
        let count = self
            .incoming
            .receive(self.sockets.clients.as_fd(), &mut self.slots)?;
        let mut current = usize::MAX;
        for index in 0..count {
            let received = self.incoming.get(index);
            let slot = self.slots.slot(index);
            if received.length < 4 || slot[HEADROOM] < 0x40 {
                answer(&mut slot[HEADROOM..]);
                let _ = self
                    .sockets
                    .clients
                    .send_to(&slot[HEADROOM..HEADROOM + received.length], received.from);
                continue;
            }
            let Some(flow) = self.sockets.flow(*received.from.ip()) else {
                continue;
            };
            if flow != current && current != usize::MAX {
                self.outgoing
                    .flush(self.sockets.relayed[current].as_fd(), &self.slots)?;
            }
            current = flow;
            self.outgoing.push(Departure {
                slot: index,
                part: HEADROOM + 4..HEADROOM + received.length,
                from: None,
                to: Some(self.sockets.peer(flow)),
                segment: None,
            });
        }
        if current != usize::MAX {
            self.outgoing
                .flush(self.sockets.relayed[current].as_fd(), &self.slots)?;
        }
        Ok(())
    }

    fn peers(&mut self, flow: usize) -> anyhow::Result<()> {
        let socket = self.sockets.relayed[flow].as_fd();
        let count = self.incoming.receive(socket, &mut self.slots)?;
        for index in 0..count {
            let length = self.incoming.get(index).length;
            self.slots.slot(index)[..HEADROOM].copy_from_slice(&header(length));
            self.outgoing.push(Departure {
                slot: index,
                part: 0..HEADROOM + length,
                from: None,
                to: Some(self.sockets.client(flow)),
                segment: None,
            });
        }
        self.outgoing
            .flush(self.sockets.clients.as_fd(), &self.slots)?;
        Ok(())
    }
}
