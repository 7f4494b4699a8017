//! Datagrams from any of our ports through one socket: their headers are written here
//! (`IP_HDRINCL`). And what the network answers to them, which no socket of theirs could be told.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};
use stun_turn_proto::relay::Icmp;

/// Longest header in bytes: IPv6 and UDP.
pub(crate) const MAX_HEADER: usize = 48;
/// Larger IPv6 packets may need cutting, which nobody does for whole ones; IPv4 ones only where even
/// the first link is narrower than Ethernet.
const MAX_IPV6_PAYLOAD: usize = 1232;
const MAX_IPV4_PAYLOAD: usize = 1472;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const HOPS: u8 = 64;
/// One socket sends for all allocations of a worker.
const BUFFER_BYTES: libc::c_int = 4 << 20;
/// "Don't fragment" in an IPv4 header.
const DF: u8 = 0x40;
/// From linux/icmp.h and linux/icmpv6.h; both are 1.
const ICMP_FILTER: libc::c_int = 1;
/// "Destination unreachable" and "time exceeded".
const ICMPV4_ERRORS: u32 = 1 << 3 | 1 << 11;
/// "Destination unreachable", "packet too big" and "time exceeded".
const ICMPV6_ERRORS: u32 = 1 << 1 | 1 << 2 | 1 << 3;
/// ICMPv4 "fragmentation needed" and ICMPv6 "packet too big" tell the next hop's MTU.
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
const PACKET_TOO_BIG: u8 = 2;

/// A socket that sends whole packets from one of our addresses, by the routes that hold for it.
///
/// # Errors
/// What the system says: mostly that the process lacks the right (`CAP_NET_RAW`).
pub(crate) fn sender(ip: IpAddr) -> io::Result<Socket> {
    let address = SocketAddr::new(ip, 0);
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    socket.set_nonblocking(true)?;
    super::address::widen_buffers(socket.as_fd(), BUFFER_BYTES);
    if ip.is_ipv6() {
        let (level, option) = (libc::IPPROTO_IPV6, libc::IPV6_HDRINCL);
        super::address::set_option(socket.as_fd(), level, option, 1)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whether a payload to this peer can leave as a whole packet.
pub(crate) const fn fits(payload: usize, to: SocketAddr) -> bool {
    payload
        <= match to {
            SocketAddr::V4(_) => MAX_IPV4_PAYLOAD,
            SocketAddr::V6(_) => MAX_IPV6_PAYLOAD,
        }
}

/// A socket that hears all ICMP errors of the host that UDP can cause, and nothing else: pings and
/// neighbours would wake all workers.
///
/// # Errors
/// As for [`sender`].
pub(crate) fn icmp_listener(is_ipv6: bool) -> io::Result<Socket> {
    let (domain, protocol) = match is_ipv6 {
        true => (Domain::IPV6, Protocol::ICMPV6),
        false => (Domain::IPV4, Protocol::ICMPV4),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    // Each bit is a type that is not delivered.
    if is_ipv6 {
        let mut filter = [u32::MAX; 8];
        filter[0] = !ICMPV6_ERRORS;
        let (level, option) = (libc::IPPROTO_ICMPV6, ICMP_FILTER);
        super::address::set_option(socket.as_fd(), level, option, filter)?;
    } else {
        let (level, option) = (libc::SOL_RAW, ICMP_FILTER);
        super::address::set_option(socket.as_fd(), level, option, !ICMPV4_ERRORS)?;
    }
    Ok(socket)
}

/// IP and UDP headers of a datagram, and how long they are. The kernel adds an IPv4 header's checksum
/// and identification.
pub(crate) fn header(
    from: SocketAddr,
    to: SocketAddr,
    payload: &[u8],
    dont_fragment: bool,
) -> ([u8; MAX_HEADER], usize) {
    let mut header = [0; MAX_HEADER];
    let udp_length = u16::try_from(UDP_HEADER + payload.len()).unwrap_or(u16::MAX);
    let (ip_length, pseudo) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = udp_length.saturating_add(IPV4_HEADER as u16);
            header[0] = 0x45;
            header[2..4].copy_from_slice(&total.to_be_bytes());
            header[6] = if dont_fragment { DF } else { 0 };
            header[8] = HOPS;
            header[9] = UDP;
            header[12..16].copy_from_slice(&from.octets());
            header[16..20].copy_from_slice(&to.octets());
            (IPV4_HEADER, sum(&header[12..20]))
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            header[0] = 0x60;
            header[4..6].copy_from_slice(&udp_length.to_be_bytes());
            header[6] = UDP;
            header[7] = HOPS;
            header[8..24].copy_from_slice(&octets(from));
            header[24..40].copy_from_slice(&octets(to));
            (IPV6_HEADER, sum(&header[8..40]))
        }
    };
    let udp = &mut header[ip_length..ip_length + UDP_HEADER];
    udp[0..2].copy_from_slice(&from.port().to_be_bytes());
    udp[2..4].copy_from_slice(&to.port().to_be_bytes());
    udp[4..6].copy_from_slice(&udp_length.to_be_bytes());
    let all = pseudo + u64::from(UDP) + u64::from(udp_length) + sum(udp) + sum(payload);
    let checksum = match !fold(all) {
        // 0 would say that there is none.
        0 => u16::MAX,
        checksum => checksum,
    };
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());
    (header, ip_length + UDP_HEADER)
}

/// The sum of 16-bit words in network order, not yet folded; an odd byte is the upper half of a word.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let words = words
        .iter()
        .map(|word| u64::from(u32::from_be_bytes(*word)));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    // 32-bit words add up to the same once the halves are added.
    words.sum::<u64>() + u64::from(u32::from_be_bytes(last))
}

fn fold(mut sum: u64) -> u16 {
    while let high @ 1.. = sum >> 16 {
        sum = (sum & 0xFFFF) + high;
    }
    sum as u16
}

/// An ICMP error about one of our datagrams: from where it was sent, where to, and the error.
pub(crate) type Reported = (SocketAddr, SocketAddr, Icmp);

/// The next ICMP error; `None` for one that is about something else.
///
/// # Errors
/// `WouldBlock` when nothing is there.
pub(crate) fn receive_icmp(socket: BorrowedFd<'_>, is_ipv6: bool) -> io::Result<Option<Reported>> {
    let mut buffer = [0; 576];
    let (length, _) = rustix::net::recv(socket, &mut buffer[..], rustix::net::RecvFlags::DONTWAIT)?;
    let packet = &buffer[..length];
    Ok(if is_ipv6 {
        read_icmpv6(packet)
    } else {
        read_icmpv4(packet)
    })
}

/// With its IP header in front, as raw sockets of this family receive.
fn read_icmpv4(packet: &[u8]) -> Option<Reported> {
    let icmp = packet.get(usize::from(packet.first()? & 0xF) * 4..)?;
    let (head, inner) = icmp.split_first_chunk::<8>()?;
    let [kind, code, _, _, data @ ..] = *head;
    if !matches!(kind, 3 | 11) || *inner.get(9)? != UDP {
        return None;
    }
    let udp = inner.get(usize::from(inner.first()? & 0xF) * 4..)?;
    let ip = |at: usize| Some(IpAddr::from(*inner.get(at..)?.first_chunk::<4>()?));
    let tells_mtu = (kind, code) == FRAGMENTATION_NEEDED;
    reported((ip(12)?, ip(16)?), udp, (kind, code, data, tells_mtu))
}

/// Without its IP header.
fn read_icmpv6(packet: &[u8]) -> Option<Reported> {
    let (head, inner) = packet.split_first_chunk::<8>()?;
    let [kind, code, _, _, data @ ..] = *head;
    if !matches!(kind, 1..=3) || *inner.get(6)? != UDP {
        return None;
    }
    let udp = inner.get(IPV6_HEADER..)?;
    let ip = |at: usize| Some(IpAddr::from(*inner.get(at..)?.first_chunk::<16>()?));
    reported(
        (ip(8)?, ip(24)?),
        udp,
        (kind, code, data, kind == PACKET_TOO_BIG),
    )
}

fn reported(
    (from, to): (IpAddr, IpAddr),
    udp: &[u8],
    (kind, code, data, tells_mtu): (u8, u8, [u8; 4], bool),
) -> Option<Reported> {
    let (ports, _) = udp.split_first_chunk::<4>()?;
    let [f0, f1, t0, t1] = *ports;
    let from = SocketAddr::new(from, u16::from_be_bytes([f0, f1]));
    let to = SocketAddr::new(to, u16::from_be_bytes([t0, t1]));
    let data = if tells_mtu {
        u32::from_be_bytes(data)
    } else {
        0
    };
    Some((from, to, Icmp { kind, code, data }))
}

/// Where a raw socket is told to send: the port stands in the header.
pub(crate) fn destination(to: SocketAddr) -> SocketAddr {
    SocketAddr::new(to.ip(), 0)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    /// The checksum of RFC 768 as its text says it: add words, fold, complement.
    fn plain_sum(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    #[test]
    fn sums_are_those_of_words_of_16_bits() {
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|at| at.wrapping_mul(83) ^ 0xA5).collect();
            assert_eq!(fold(sum(&bytes)), plain_sum(&bytes), "{length} bytes");
        }
        assert_eq!(fold(sum(&[0xFF; 1200])), 0xFFFF);
    }

    #[test]
    fn a_whole_ipv4_datagram_sums_up_to_ones() {
        let (from, to) = (
            "192.0.2.1:50000".parse().unwrap(),
            "198.51.100.2:7".parse().unwrap(),
        );
        let payload = b"odd length!";
        let (header, length) = header(from, to, payload, true);
        assert_eq!(length, 28);
        assert_eq!(header[6], DF);
        let pseudo = [&header[12..20], &[0, UDP], &header[24..26]].concat();
        let all = [&pseudo[..], &header[20..28], payload].concat();
        assert_eq!(plain_sum(&all), 0xFFFF);
    }

    #[test]
    fn errors_tell_whose_datagram_they_are_about() {
        let (from, to) = (
            "192.0.2.1:50000".parse().unwrap(),
            "198.51.100.2:7".parse().unwrap(),
        );
        let (inner, length) = header(from, to, b"x", false);
        let mut packet = vec![0x45; 1];
        packet.resize(20, 0);
        packet.extend([3, 4, 0, 0, 0, 0, 5, 0x78]);
        packet.extend(&inner[..length]);
        let expected = Icmp {
            kind: 3,
            code: 4,
            data: 1400,
        };
        assert_eq!(read_icmpv4(&packet), Some((from, to, expected)));
        for cut in 0..packet.len() - 4 {
            assert_eq!(read_icmpv4(&packet[..cut]), None, "{cut} bytes");
        }
        let (from, to) = (
            "[2001:db8::1]:50000".parse().unwrap(),
            "[2001:db8::2]:7".parse().unwrap(),
        );
        let (inner, length) = header(from, to, b"x", false);
        let packet = [&[1, 4, 0, 0, 0, 0, 0, 0], &inner[..length]].concat();
        let expected = Icmp {
            kind: 1,
            code: 4,
            data: 0,
        };
        assert_eq!(read_icmpv6(&packet), Some((from, to, expected)));
    }

    /// Where the process may: what the kernel delivers it has checked.
    #[test]
    fn the_kernel_delivers_what_we_write() {
        for ip in ["127.0.0.1", "[::1]"] {
            let own = format!("{ip}:0").parse::<SocketAddr>().unwrap().ip();
            let Ok(raw) = sender(own) else {
                eprintln!("not run: raw sockets need CAP_NET_RAW");
                return;
            };
            let Ok(receiver) = UdpSocket::bind(format!("{ip}:0")) else {
                continue;
            };
            receiver
                .set_read_timeout(Some(std::time::Duration::from_secs(5)))
                .unwrap();
            let to = receiver.local_addr().unwrap();
            let from = SocketAddr::new(to.ip(), 4242);
            let (header, length) = header(from, to, b"hello", false);
            let packet = [&header[..length], b"hello"].concat();
            raw.send_to(&packet, &destination(to).into()).unwrap();
            let mut buffer = [0; 100];
            assert_eq!(receiver.recv_from(&mut buffer).unwrap(), (5, from));
            assert_eq!(&buffer[..5], b"hello");
        }
    }
}
