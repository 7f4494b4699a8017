//! Messages of rtnetlink: addresses, and routes to this host.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use ipnet::IpNet;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, sendto,
    socket_with,
};
use stun_turn_proto::policy::LocalAddresses;

/// Groups of messages, from linux/rtnetlink.h: addresses and routes of both families.
const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;
/// Kinds of messages, from linux/netlink.h and linux/rtnetlink.h.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
/// Flags of a request that asks for everything.
const DUMP: u16 = 0x301;
/// The table changed while it was read.
const INTERRUPTED: u16 = 0x10;
/// Attributes of addresses and routes.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
/// The table of what is delivered to this host, and its kinds of routes.
const TABLE_LOCAL: u8 = 255;
const TYPE_LOCAL: u8 = 2;
const TYPE_ANYCAST: u8 = 4;
/// Bytes of headers.
const HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
/// The kernel puts at most so many bytes of messages together.
const BUFFER_BYTES: usize = 32 * 1024;
/// How often a table is read anew because it changed meanwhile.
const ATTEMPTS: usize = 10;

/// Addresses of interfaces, and networks that routes deliver to this host.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    addresses: BTreeSet<IpNet>,
    routes: BTreeSet<IpNet>,
}

impl Table {
    pub(super) fn add_address(&mut self, address: IpNet) {
        self.addresses.insert(address);
    }

    pub(super) fn local(&self) -> LocalAddresses {
        LocalAddresses::new(self.addresses.union(&self.routes).copied())
    }

    /// Puts a message in; false when something has ended, so that the table must be read anew.
    fn apply(&mut self, kind: u16, body: &[u8]) -> bool {
        match kind {
            NEW_ADDRESS => self.addresses.extend(address(body)),
            NEW_ROUTE => self.routes.extend(local_route(body)),
            // Another interface may have the same address, another route the same destination.
            DEL_ADDRESS => return false,
            DEL_ROUTE => return local_route(body).is_none(),
            _ => {}
        }
        true
    }
}

/// A socket on which the kernel tells of changes.
pub(crate) fn subscribe() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    Ok(socket)
}

/// Takes the messages that wait; false when the table must be read anew.
pub(super) fn take_messages(socket: &OwnedFd, table: &mut Table) -> bool {
    let mut is_whole = true;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match receive(socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok(bytes) => {
                for (kind, _, body) in messages(bytes) {
                    is_whole &= table.apply(kind, body);
                }
            }
            Err(Errno::AGAIN) => return is_whole,
            Err(Errno::INTR) => {}
            // The kernel had more to tell than the socket could hold.
            Err(Errno::NOBUFS) => is_whole = false,
            Err(_) => return false,
        }
    }
}

/// All addresses and local routes as they are.
pub(super) fn read_all() -> io::Result<Table> {
    let (unspecified, ipv4, ipv6) = (0, 2, 10);
    for _ in 0..ATTEMPTS {
        let mut table = Table::default();
        let dumps = [
            request(GET_ADDRESS, ADDRESS_HEADER, unspecified),
            request(GET_ROUTE, ROUTE_HEADER, ipv4),
            request(GET_ROUTE, ROUTE_HEADER, ipv6),
        ];
        let mut is_whole = true;
        for request in dumps {
            is_whole &= read_dump(&request, &mut table)?;
        }
        if is_whole {
            return Ok(table);
        }
    }
    Err(io::Error::other("they change all the time"))
}

/// False when the table changed while it was read.
fn read_dump(request: &[u8], table: &mut Table) -> io::Result<bool> {
    let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = socket_with(AddressFamily::NETLINK, kind, flags, None)?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, request, SendFlags::empty(), &kernel)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut is_whole = true;
    loop {
        let bytes = match receive(&socket, &mut buffer, RecvFlags::empty()) {
            Err(Errno::INTR) => continue,
            received => received?,
        };
        for (kind, flags, body) in messages(bytes) {
            is_whole &= flags & INTERRUPTED == 0;
            match kind {
                // An error: this kernel does not have the family.
                DONE | ERROR => return Ok(is_whole),
                _ => {
                    table.apply(kind, body);
                }
            }
        }
    }
}

/// What the kernel has sent; what other programs have sent is nothing.
fn receive<'b>(
    socket: &OwnedFd,
    buffer: &'b mut [u8],
    flags: RecvFlags,
) -> Result<&'b [u8], Errno> {
    let (length, _, from) = recvfrom(socket, &mut *buffer, flags)?;
    let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
    let is_kernel = from.is_some_and(|from| from.pid() == 0);
    let length = if is_kernel { length } else { 0 };
    Ok(buffer.get(..length).unwrap_or_default())
}

/// A request for all that there is of a family.
fn request(kind: u16, header: usize, family: u8) -> Vec<u8> {
    let length = HEADER + header;
    let mut request = Vec::with_capacity(length);
    request.extend((length as u32).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(DUMP.to_ne_bytes());
    request.resize(HEADER, 0);
    request.push(family);
    request.resize(length, 0);
    request
}

/// Kind, flags and body of each message.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let [k0, k1, f0, f1] = *bytes.get(4..)?.first_chunk()?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let (kind, flags) = ([k0, k1], [f0, f1]);
        Some((u16::from_ne_bytes(kind), u16::from_ne_bytes(flags), body))
    })
}

/// Kind and value of each attribute.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The upper bits are flags.
        Some((u16::from_ne_bytes([k0, k1]) & 0x3FFF, value))
    })
}

/// The address of an interface. Where it has a partner, IFA_ADDRESS is the partner's.
fn address(body: &[u8]) -> Option<IpNet> {
    let behind = body.get(ADDRESS_HEADER..)?;
    let find = |wanted| attributes(behind).find(|(kind, _)| *kind == wanted);
    let (_, value) = find(IFA_LOCAL).or_else(|| find(IFA_ADDRESS))?;
    ip(value).map(IpNet::from)
}

/// The destination of a route that leads to this host.
fn local_route(body: &[u8]) -> Option<IpNet> {
    let [family, prefix, _, _, table, _, _, kind] = *body.first_chunk()?;
    if table != TABLE_LOCAL || !matches!(kind, TYPE_LOCAL | TYPE_ANYCAST) {
        return None;
    }
    let behind = body.get(ROUTE_HEADER..)?;
    let destination = attributes(behind).find(|(kind, _)| *kind == RTA_DST);
    let ip = match (destination, family) {
        (Some((_, value)), _) => ip(value)?,
        // All addresses of the family.
        (None, 2) => Ipv4Addr::UNSPECIFIED.into(),
        (None, _) => Ipv6Addr::UNSPECIFIED.into(),
    };
    IpNet::new(ip, prefix).ok()
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let ipv4 = || Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?));
    let ipv6 = || Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?));
    ipv4().or_else(ipv6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut attribute = length.to_ne_bytes().to_vec();
        attribute.extend(kind.to_ne_bytes());
        attribute.extend(value);
        attribute.resize(attribute.len().next_multiple_of(4), 0);
        attribute
    }

    fn route(prefix: u8, table: u8, kind: u8, destination: &[u8]) -> Vec<u8> {
        let mut body = vec![2, prefix, 0, 0, table, 0, 0, kind, 0, 0, 0, 0];
        if !destination.is_empty() {
            body.extend(attribute(RTA_DST, destination));
        }
        body
    }

    #[test]
    fn local_routes_alone_lead_to_this_host() {
        let net = |text: &str| Some(text.parse::<IpNet>().unwrap());
        let read = |prefix, table, kind| local_route(&route(prefix, table, kind, &[11, 9, 0, 0]));
        assert_eq!(read(24, 255, TYPE_LOCAL), net("11.9.0.0/24"));
        assert_eq!(read(32, 255, TYPE_ANYCAST), net("11.9.0.0/32"));
        assert_eq!(read(24, 254, 1), None, "a unicast route of the main table");
        assert_eq!(read(0, 100, TYPE_LOCAL), None, "for marked packets");
        assert_eq!(read(24, 255, 3), None, "broadcast");
        let all = local_route(&route(0, 255, TYPE_LOCAL, &[]));
        assert_eq!(all, net("0.0.0.0/0"));
    }

    #[test]
    fn an_address_is_the_local_one_and_not_its_partner_s() {
        let mut body = vec![2, 32, 0, 0, 1, 0, 0, 0];
        body.extend(attribute(IFA_ADDRESS, &[10, 0, 0, 2]));
        assert_eq!(address(&body), Some("10.0.0.2/32".parse().unwrap()));
        body.extend(attribute(IFA_LOCAL, &[10, 0, 0, 1]));
        assert_eq!(address(&body), Some("10.0.0.1/32".parse().unwrap()));
    }

    #[test]
    fn the_kernel_tells_of_loopback() {
        let table = read_all().unwrap();
        let local = table.local();
        for ip in sockets_of_loopback() {
            assert!(local.contains(ip), "{ip} in {table:?}");
        }
    }

    /// Loopback addresses that can be bound here.
    fn sockets_of_loopback() -> impl Iterator<Item = IpAddr> {
        let all = ["127.0.0.1", "127.1.2.3", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let can_be_bound = |ip: &IpAddr| std::net::UdpSocket::bind((*ip, 0)).is_ok();
        all.into_iter().filter(can_be_bound)
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut table = Table::default();
            for (kind, _, body) in messages(&bytes) {
                table.apply(kind, body);
            }
            for kind in [NEW_ADDRESS, NEW_ROUTE, DEL_ROUTE] {
                table.apply(kind, &bytes);
            }
        }
    }
}
