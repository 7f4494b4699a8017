//! Where relayed datagrams come and go: a socket for each allocation, or one for all of a worker.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::sync::Arc;

use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use socket2::{SockAddr, Socket};
use stun_turn_proto::RelayId;

use super::fair_share::FairShare;
use super::token::Source;
use crate::sockets::{bind_relayed, bind_shared, bind_to_send};
use crate::tally::SocketErrors;
use crate::udp::{self, Steering, raw};

/// A worker's relayed sockets.
#[derive(Debug, Default)]
pub(super) struct Relayed {
    /// By [`RelayId::index`].
    places: Vec<Option<Place>>,
    shared: Option<Shared>,
}

#[derive(Debug)]
enum Place {
    Own(UdpSocket),
    /// Everything comes over the worker's socket of the family.
    Shared {
        relayed: SocketAddr,
        /// For what has to be cut on its way, which the kernel does only for a socket that is bound.
        /// Media is never as large, so that few allocations ever need one.
        large: Option<UdpSocket>,
    },
}

/// One worker's sockets for all of its relayed ports.
#[derive(Debug)]
pub(crate) struct Shared {
    steering: Arc<Steering>,
    families: Vec<Family>,
    /// For each relayed address, so that the system routes by it.
    senders: Vec<(IpAddr, Socket)>,
    by_address: HashMap<SocketAddr, RelayId>,
}

/// What one address family needs.
#[derive(Debug)]
struct Family {
    is_ipv6: bool,
    /// Its number in the kernel's table.
    number: u32,
    receiver: StdUdpSocket,
    icmp: Socket,
    fair: FairShare<RelayId>,
}

/// How a datagram leaves.
pub(super) enum Way<'a> {
    /// Over this socket, as it is.
    Socket(&'a UdpSocket),
    /// With headers in front, over a socket that sends whole packets ([`Relayed::raw`]).
    Raw { sender: usize, from: SocketAddr },
}

/// The sockets of all workers, and the program that chooses among them.
///
/// # Errors
/// What the system says where it does not permit that.
pub(crate) fn share(addresses: Vec<IpAddr>, workers: usize) -> io::Result<Vec<Shared>> {
    let is_wanted = |is_ipv6| addresses.iter().any(|ip| ip.is_ipv6() == is_ipv6);
    let mut of_workers = Vec::new();
    let mut number = 0;
    for _ in 0..workers {
        let mut families = Vec::new();
        for is_ipv6 in [false, true].into_iter().filter(|it| is_wanted(*it)) {
            let ip = match is_ipv6 {
                true => Ipv6Addr::LOCALHOST.into(),
                false => Ipv4Addr::LOCALHOST.into(),
            };
            families.push(Family {
                is_ipv6,
                number,
                receiver: bind_shared(SocketAddr::new(ip, 0))?,
                icmp: raw::icmp_listener(is_ipv6)?,
                fair: FairShare::default(),
            });
            number += 1;
        }
        let senders = addresses.iter().map(|ip| Ok((*ip, raw::sender(*ip)?)));
        of_workers.push((families, senders.collect::<io::Result<Vec<_>>>()?));
    }
    let receivers: Vec<BorrowedFd<'_>> = of_workers
        .iter()
        .flat_map(|(families, _)| families)
        .map(|family| family.receiver.as_fd())
        .collect();
    let steering = Arc::new(Steering::new(addresses, &receivers)?);
    let share = |(families, senders)| Shared {
        steering: Arc::clone(&steering),
        families,
        senders,
        by_address: HashMap::new(),
    };
    Ok(of_workers.into_iter().map(share).collect())
}

impl Relayed {
    /// Uses one socket for all ports from now on.
    pub(super) fn share(&mut self, registry: &Registry, shared: Shared) -> io::Result<()> {
        for (index, family) in shared.families.iter().enumerate() {
            for (fd, source) in [
                (family.receiver.as_raw_fd(), Source::Shared(index)),
                (family.icmp.as_raw_fd(), Source::Icmp(index)),
            ] {
                registry.register(&mut SourceFd(&fd), source.token(), Interest::READABLE)?;
            }
        }
        self.shared = Some(shared);
        Ok(())
    }

    /// Binds a socket, or makes sure that nobody else has the port.
    pub(super) fn bind(&self, address: SocketAddr) -> io::Result<Option<UdpSocket>> {
        let socket = bind_relayed(address)?;
        Ok(self.own(UdpSocket::from_std(socket), address))
    }

    /// A socket that is needed; none where the worker's takes its place.
    pub(super) fn own(&self, socket: UdpSocket, address: SocketAddr) -> Option<UdpSocket> {
        let covers = |shared: &Shared| shared.steering.covers(address.ip());
        (!self.shared.as_ref().is_some_and(covers)).then_some(socket)
    }

    /// Begins to receive for an allocation.
    pub(super) fn open(
        &mut self,
        registry: &Registry,
        relay: RelayId,
        address: SocketAddr,
        socket: Option<UdpSocket>,
    ) -> io::Result<()> {
        let index = relay.index();
        let place = match (socket, &mut self.shared) {
            (Some(mut socket), _) => {
                let token = Source::Relayed(index).token();
                registry.register(&mut socket, token, Interest::READABLE)?;
                Place::Own(socket)
            }
            (None, Some(shared)) => {
                let family = shared.family(address);
                let family = family.ok_or(io::ErrorKind::AddrNotAvailable)?;
                shared.steering.steer(address, Some(family.number))?;
                shared.by_address.insert(address, relay);
                Place::Shared {
                    relayed: address,
                    large: None,
                }
            }
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        self.places[index] = Some(place);
        Ok(())
    }

    /// Ends that; nothing is left where nothing was.
    pub(super) fn close(&mut self, relay: RelayId) {
        let place = self.places.get_mut(relay.index()).and_then(Option::take);
        if let (Some(Place::Shared { relayed, .. }), Some(shared)) = (place, &mut self.shared) {
            if let Err(error) = shared.steering.steer(relayed, None) {
                tracing::warn!(address = %relayed, %error, "a relayed port stays with the relay");
            }
            shared.by_address.remove(&relayed);
        }
    }

    /// The socket of an allocation that has its own.
    pub(super) fn socket(&self, index: usize) -> Option<&UdpSocket> {
        match self.places.get(index) {
            Some(Some(Place::Own(socket))) => Some(socket),
            Some(Some(Place::Shared { .. }) | None) | None => None,
        }
    }

    /// How an allocation's datagrams leave.
    pub(super) fn way(&self, relay: RelayId) -> Option<Way<'_>> {
        match self.places.get(relay.index())?.as_ref()? {
            Place::Own(socket) => Some(Way::Socket(socket)),
            Place::Shared { relayed, .. } => {
                let mut senders = self.shared.as_ref()?.senders.iter();
                let sender = senders.position(|(ip, _)| *ip == relayed.ip())?;
                Some(Way::Raw {
                    sender,
                    from: *relayed,
                })
            }
        }
    }

    /// The socket that receives for all allocations of a family.
    pub(super) fn receiver(&self, family: usize) -> Option<&StdUdpSocket> {
        let family = self.shared.as_ref()?.families.get(family)?;
        Some(&family.receiver)
    }

    /// The shares of that socket's allocations.
    pub(super) fn fair(&mut self, family: usize) -> Option<&mut FairShare<RelayId>> {
        let family = self.shared.as_mut()?.families.get_mut(family)?;
        Some(&mut family.fair)
    }

    /// A socket that sends whole packets for all allocations of one relayed address.
    pub(super) fn raw(&self, sender: usize) -> Option<&Socket> {
        let (_, socket) = self.shared.as_ref()?.senders.get(sender)?;
        Some(socket)
    }

    /// Whose a relayed address is, of those that share a socket.
    pub(super) fn find(&self, address: SocketAddr) -> Option<RelayId> {
        let address = SocketAddr::new(address.ip(), address.port());
        self.shared.as_ref()?.by_address.get(&address).copied()
    }

    /// The next ICMP error about datagrams of allocations that share a socket; `None` for one about
    /// something else.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub(super) fn receive_icmp(&self, family: usize) -> io::Result<Option<raw::Reported>> {
        let family = self.shared.as_ref().and_then(|it| it.families.get(family));
        let family = family.ok_or(io::ErrorKind::WouldBlock)?;
        raw::receive_icmp(family.icmp.as_fd(), family.is_ipv6)
    }

    /// A single datagram, with DF set or not.
    pub(super) fn send_one(
        &mut self,
        relay: RelayId,
        payload: &[u8],
        peer: SocketAddr,
        dont_fragment: bool,
        errors: &SocketErrors,
    ) {
        let sent = match self.way(relay) {
            None => return,
            Some(Way::Socket(socket)) if dont_fragment => send_unfragmented(socket, payload, peer),
            Some(Way::Socket(socket)) => send(socket, payload, peer),
            Some(Way::Raw { sender, from }) => {
                if raw::fits(payload.len(), peer) {
                    self.send_raw(sender, (from, peer), payload, dont_fragment)
                } else {
                    self.send_large(relay, payload, peer, dont_fragment)
                }
            }
        };
        if let Err(error) = sent {
            errors.count(&error);
        }
    }

    fn send_raw(
        &self,
        sender: usize,
        (from, peer): (SocketAddr, SocketAddr),
        payload: &[u8],
        dont_fragment: bool,
    ) -> io::Result<()> {
        let (header, length) = raw::header(from, peer, payload, dont_fragment);
        let packet = [&header[..length], payload].concat();
        let to = SockAddr::from(raw::destination(peer));
        let socket = self.raw(sender).ok_or(io::ErrorKind::NotFound)?;
        socket.send_to(&packet, &to).map(drop)
    }

    fn send_large(
        &mut self,
        relay: RelayId,
        payload: &[u8],
        peer: SocketAddr,
        dont_fragment: bool,
    ) -> io::Result<()> {
        let place = self.places.get_mut(relay.index()).and_then(Option::as_mut);
        let Some(Place::Shared { relayed, large }) = place else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let socket = match large {
            Some(socket) => socket,
            None => large.insert(UdpSocket::from_std(bind_to_send(*relayed)?)),
        };
        if dont_fragment {
            send_unfragmented(socket, payload, peer)
        } else {
            send(socket, payload, peer)
        }
    }
}

impl Shared {
    fn family(&self, address: SocketAddr) -> Option<&Family> {
        let mut families = self.families.iter();
        families.find(|family| family.is_ipv6 == address.is_ipv6())
    }
}

fn send(socket: &UdpSocket, payload: &[u8], peer: SocketAddr) -> io::Result<()> {
    // A socket that reports ICMP errors tells those of earlier datagrams here, once.
    let sent = socket.send_to(payload, peer);
    sent.or_else(|_| socket.send_to(payload, peer)).map(drop)
}

/// With DF set: rare, and the option is the socket's.
fn send_unfragmented(socket: &UdpSocket, payload: &[u8], peer: SocketAddr) -> io::Result<()> {
    let is_ipv6 = peer.is_ipv6();
    let sent = udp::forbid_fragments(socket.as_fd(), is_ipv6, true)
        .and_then(|()| send(socket, payload, peer));
    udp::forbid_fragments(socket.as_fd(), is_ipv6, false)?;
    sent
}
