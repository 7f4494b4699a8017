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

/// Sets an option whose value is a number.
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is an int of the stated size and lives until the call returns.
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

/// Finds the packet-info message that [`report_destination`] asked for.
pub(super) fn destination(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the header is as the kernel filled it in; CMSG_* walk only within msg_controllen, and
    // the data of each type is as long as its struct.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(current) = message.as_ref() {
            match (current.cmsg_level, current.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = libc::CMSG_DATA(message)
                        .cast::<libc::in_pktinfo>()
                        .read_unaligned();
                    return Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(
                        info.ipi_spec_dst.s_addr,
                    ))));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = libc::CMSG_DATA(message)
                        .cast::<libc::in6_pktinfo>()
                        .read_unaligned();
                    return Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    None
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

pub(super) fn read_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which struct the kernel wrote into the larger storage.
            let address = unsafe { *std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { *std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            let port = u16::from_be(address.sin6_port);
            Some(SocketAddrV6::new(ip, port, 0, address.sin6_scope_id).into())
        }
        _ => None,
    }
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
