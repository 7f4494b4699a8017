//! Addresses as the system calls want them: socket addresses and packet info, which tells or chooses
//! the local address of a datagram.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Asks the system to report the local address of every datagram.
pub(crate) fn report_destination(socket: BorrowedFd<'_>, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = if is_ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    set_option(socket, level, option, 1)
}

/// Asks for kernel buffers of this size in both directions: beyond the system's limit where that is
/// permitted, else up to it.
pub(crate) fn widen_buffers(socket: BorrowedFd<'_>, bytes: libc::c_int) {
    for (forced, limited) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ] {
        let option = |option| set_option(socket, libc::SOL_SOCKET, option, bytes);
        // Best effort: smaller ones lose more in bursts.
        let _ = option(forced).or_else(|_| option(limited));
    }
}

/// Sets an option whose value is a number or several.
pub(super) fn set_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: T,
) -> io::Result<()> {
    // SAFETY: the value has the stated size and lives until the call returns; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            mem::size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Asks the system to report address and port that every datagram was sent to, on a socket that gets
/// those to many.
pub(crate) fn report_original_destination(socket: BorrowedFd<'_>, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = if is_ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVORIGDSTADDR)
    };
    set_option(socket, level, option, 1)
}

/// Control data: one message with addresses and the size of segments, aligned for `cmsghdr`.
pub(super) type Control = [u64; CONTROL];
pub(super) const CONTROL: usize = 10;

/// What the kernel said about a message that it handed over.
#[derive(Debug, Default)]
pub(super) struct Ancillary {
    /// The local address that it was sent to, see [`report_destination`].
    pub(super) to: Option<IpAddr>,
    /// The address and port that it was sent to, see [`report_original_destination`].
    pub(super) original: Option<SocketAddr>,
    /// The size of its datagrams where it has several, see [`super::coalesce_received`].
    pub(super) segment: Option<usize>,
}

pub(super) fn ancillary(header: &libc::msghdr) -> Ancillary {
    let mut found = Ancillary::default();
    // SAFETY: the header is as the kernel filled it in; CMSG_* walk only within msg_controllen, and
    // each message is one of it.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(current) = message.as_ref() {
            match (current.cmsg_level, current.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data::<libc::in_pktinfo>(message);
                    let ip =
                        info.map(|it| Ipv4Addr::from_bits(u32::from_be(it.ipi_spec_dst.s_addr)));
                    found.to = ip.map(IpAddr::V4);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data::<libc::in6_pktinfo>(message);
                    let ip = info.map(|it| Ipv6Addr::from(it.ipi6_addr.s6_addr));
                    found.to = ip.map(IpAddr::V6);
                }
                (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) => {
                    let address = data::<libc::sockaddr_in>(message);
                    found.original = address.map(|it| of_ipv4(&it));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR) => {
                    let address = data::<libc::sockaddr_in6>(message);
                    found.original = address.map(|it| of_ipv6(&it));
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = data::<libc::c_int>(message);
                    let size = size.and_then(|size| usize::try_from(size).ok());
                    found.segment = size.filter(|size| *size > 0);
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    found
}

/// The data of a control message; `None` where the kernel had no room for all of it.
///
/// # Safety
/// The message lies in control data as the kernel filled it in, and may be read to its end; `T` may have any bits.
unsafe fn data<T>(message: *const libc::cmsghdr) -> Option<T> {
    // SAFETY: CMSG_LEN only computes; the data are read only if they are as long as `T`.
    unsafe {
        let needed = libc::CMSG_LEN(mem::size_of::<T>() as libc::c_uint) as usize;
        let length: usize = (*message).cmsg_len as _;
        let is_whole = length >= needed;
        is_whole.then(|| libc::CMSG_DATA(message).cast::<T>().read_unaligned())
    }
}

/// Writes a packet-info message that chooses the source address; returns its length.
pub(super) fn write_source(header: &mut libc::msghdr, from: IpAddr) -> usize {
    // SAFETY: msg_control points to a Control, large enough and aligned for either message;
    // CMSG_FIRSTHDR is non-null because msg_controllen says so.
    unsafe {
        let message = &mut *libc::CMSG_FIRSTHDR(header);
        let data = libc::CMSG_DATA(message);
        let length = match from {
            IpAddr::V4(ip) => {
                message.cmsg_level = libc::IPPROTO_IP;
                message.cmsg_type = libc::IP_PKTINFO;
                let mut info: libc::in_pktinfo = mem::zeroed();
                info.ipi_spec_dst.s_addr = ip.to_bits().to_be();
                data.cast::<libc::in_pktinfo>().write_unaligned(info);
                mem::size_of::<libc::in_pktinfo>()
            }
            IpAddr::V6(ip) => {
                message.cmsg_level = libc::IPPROTO_IPV6;
                message.cmsg_type = libc::IPV6_PKTINFO;
                let mut info: libc::in6_pktinfo = mem::zeroed();
                info.ipi6_addr.s6_addr = ip.octets();
                data.cast::<libc::in6_pktinfo>().write_unaligned(info);
                mem::size_of::<libc::in6_pktinfo>()
            }
        } as libc::c_uint;
        message.cmsg_len = libc::CMSG_LEN(length) as _;
        libc::CMSG_SPACE(length) as usize
    }
}

/// Writes, behind `offset` bytes of control data, that the message is to be cut into datagrams of
/// this size; returns its length.
pub(super) fn write_segment(header: &mut libc::msghdr, offset: usize, size: u16) -> usize {
    // SAFETY: msg_control points to a Control, which has room for this behind packet info of either
    // family, whose length is a multiple of the alignment.
    unsafe {
        let message = &mut *header.msg_control.byte_add(offset).cast::<libc::cmsghdr>();
        message.cmsg_level = libc::SOL_UDP;
        message.cmsg_type = libc::UDP_SEGMENT;
        message.cmsg_len = libc::CMSG_LEN(mem::size_of::<u16>() as libc::c_uint) as _;
        let data = libc::CMSG_DATA(message).cast::<u16>();
        data.write_unaligned(size);
        libc::CMSG_SPACE(mem::size_of::<u16>() as libc::c_uint) as usize
    }
}

pub(super) fn read_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which struct the kernel wrote into the larger storage.
            let address = unsafe { *std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            Some(of_ipv4(&address))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { *std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            Some(of_ipv6(&address))
        }
        _ => None,
    }
}

fn of_ipv4(address: &libc::sockaddr_in) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr));
    SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into()
}

fn of_ipv6(address: &libc::sockaddr_in6) -> SocketAddr {
    let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
    let port = u16::from_be(address.sin6_port);
    SocketAddrV6::new(ip, port, 0, address.sin6_scope_id).into()
}

/// Fills in a socket address and returns its length.
pub(super) fn write_address(
    storage: &mut libc::sockaddr_storage,
    address: SocketAddr,
) -> libc::socklen_t {
    let place = std::ptr::from_mut(storage);
    match address {
        SocketAddr::V4(address) => {
            let value = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: address.ip().to_bits().to_be(),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is larger than any socket address and aligned for all of them.
            unsafe { place.cast::<libc::sockaddr_in>().write(value) };
            mem::size_of_val(&value) as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            let value = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: address.ip().octets(),
                },
                sin6_scope_id: address.scope_id(),
            };
            // SAFETY: as above.
            unsafe { place.cast::<libc::sockaddr_in6>().write(value) };
            mem::size_of_val(&value) as libc::socklen_t
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that is cut for want of room was read past its end.
    #[test]
    fn control_data_that_the_kernel_has_cut_are_not_read() {
        for ip in ["192.0.2.1", "2001:db8::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let mut control: Control = [0; CONTROL];
            // SAFETY: all bits zero are a header without anything.
            let mut header: libc::msghdr = unsafe { mem::zeroed() };
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = mem::size_of::<Control>() as _;
            header.msg_controllen = write_source(&mut header, ip) as _;
            assert_eq!(ancillary(&header).to, Some(ip));
            // SAFETY: the control data lie there and have one message.
            unsafe { (*libc::CMSG_FIRSTHDR(&header)).cmsg_len -= 1 };
            assert_eq!(ancillary(&header).to, None);
        }
    }
}
