//! What the network answers to datagrams that we sent: ICMP errors, and the DF bit that provokes
//! some of them.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use stun_turn_proto::relay::Icmp;

use super::address::read_address;
use super::address::{CONTROL, Control};

/// ICMPv4 "destination unreachable, fragmentation needed": its data is the next hop's MTU.
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
/// ICMPv6 "packet too big", likewise.
const PACKET_TOO_BIG: u8 = 2;

/// Asks the system to queue the ICMP errors of a socket for [`receive_error`].
pub(crate) fn report_errors(socket: BorrowedFd<'_>, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = if is_ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVERR)
    };
    super::address::set_option(socket, level, option, 1)
}

/// Whether datagrams leave with the DF bit, and none that is too large is cut; otherwise routers
/// may cut them (RFC 8656 section 14).
pub(crate) fn forbid_fragments(socket: BorrowedFd<'_>, is_ipv6: bool, on: bool) -> io::Result<()> {
    let (level, option, value) = match (is_ipv6, on) {
        (false, true) => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_DO,
        ),
        (false, false) => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_DONT,
        ),
        (true, true) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_DO,
        ),
        (true, false) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_DONT,
        ),
    };
    super::address::set_option(socket, level, option, value)
}

/// The next queued error and where the datagram that caused it was sent; `None` for one that is no
/// ICMP error.
///
/// # Errors
/// `WouldBlock` when the queue is empty.
pub(crate) fn receive_error(socket: BorrowedFd<'_>) -> io::Result<Option<(SocketAddr, Icmp)>> {
    // SAFETY: all-zero bytes are valid for both (null pointers, zero lengths, AF_UNSPEC).
    let (mut header, mut address): (libc::msghdr, libc::sockaddr_storage) =
        unsafe { (mem::zeroed(), mem::zeroed()) };
    let mut control: [Control; 2] = [[0; CONTROL]; 2];
    header.msg_name = std::ptr::from_mut(&mut address).cast();
    header.msg_namelen = mem::size_of_val(&address) as libc::socklen_t;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(&control) as _;
    // SAFETY: the header points to memory that outlives the call, with its true lengths; there is
    // no buffer for the payload, which nobody wants.
    let result = unsafe {
        libc::recvmsg(
            socket.as_raw_fd(),
            &raw mut header,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(read_address(&address).zip(icmp(&header)))
}

/// Finds the extended error and keeps it if it came by ICMP.
fn icmp(header: &libc::msghdr) -> Option<Icmp> {
    // SAFETY: the header is as the kernel filled it in; CMSG_* walk only within msg_controllen, and
    // the data of both types starts with a sock_extended_err.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(current) = message.as_ref() {
            let kind = (current.cmsg_level, current.cmsg_type);
            let is_error = kind == (libc::IPPROTO_IP, libc::IP_RECVERR)
                || kind == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
            if is_error {
                let error: libc::sock_extended_err = libc::CMSG_DATA(message)
                    .cast::<libc::sock_extended_err>()
                    .read_unaligned();
                return of_extended(&error);
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}

const fn of_extended(error: &libc::sock_extended_err) -> Option<Icmp> {
    let (kind, code) = (error.ee_type, error.ee_code);
    let tells_mtu = match error.ee_origin {
        libc::SO_EE_ORIGIN_ICMP => kind == FRAGMENTATION_NEEDED.0 && code == FRAGMENTATION_NEEDED.1,
        libc::SO_EE_ORIGIN_ICMP6 => kind == PACKET_TOO_BIG,
        _ => return None,
    };
    Some(Icmp {
        kind,
        code,
        data: if tells_mtu { error.ee_info } else { 0 },
    })
}
