//! Opens sockets with the options that the relay needs.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Domain, Socket, Type};

use crate::config::{Listen, Protocol};
use crate::udp;

/// Kernel buffer of a listening socket, in bytes: a burst of media while the worker is busy. The
/// system may grant less.
const LISTENER_BUFFER_BYTES: i32 = 4 << 20;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// One listening socket of one worker.
#[derive(Debug)]
pub(crate) enum Listener {
    Udp(UdpSocket),
    Tcp(TcpListener),
    /// For TLS; whether plain clients are refused is looked at when they come.
    Tls(TcpListener),
}

/// Binds one socket for each worker; the kernel spreads clients over them by their addresses, so
/// that a client always meets the same worker. Returns the address with its real port.
pub(crate) fn listen(listen: Listen, workers: usize) -> io::Result<(SocketAddr, Vec<Listener>)> {
    // A socket that does not share its port finds out whether another program has it.
    let probe = open(listen, listen.address, false)?;
    let address = local_address(&probe)?;
    drop(probe);
    let sockets = (0..workers)
        .map(|_| open(listen, address, true))
        .collect::<io::Result<_>>()?;
    Ok((address, sockets))
}

fn open(listen: Listen, address: SocketAddr, is_shared: bool) -> io::Result<Listener> {
    let domain = Domain::for_address(address);
    match listen.protocol {
        Protocol::Udp => {
            let socket = Socket::new(domain, Type::DGRAM, None)?;
            wait_for_address(&socket, address)?;
            prepare(&socket, address, is_shared)?;
            udp::widen_buffers(socket.as_fd(), LISTENER_BUFFER_BYTES);
            udp::report_destination(socket.as_fd(), address.is_ipv6())?;
            udp::coalesce_received(socket.as_fd());
            Ok(Listener::Udp(socket.into()))
        }
        protocol @ (Protocol::Tcp | Protocol::Tls) => {
            let socket = Socket::new(domain, Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            wait_for_address(&socket, address)?;
            prepare(&socket, address, is_shared)?;
            socket.listen(BACKLOG)?;
            Ok(match protocol {
                Protocol::Tls => Listener::Tls(socket.into()),
                Protocol::Tcp | Protocol::Udp => Listener::Tcp(socket.into()),
            })
        }
    }
}

/// Permits an address that the host does not have (yet): it is served as soon as it comes.
fn wait_for_address(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true),
        SocketAddr::V6(_) => socket.set_freebind_v6(true),
    }
}

fn prepare(socket: &Socket, address: SocketAddr, is_shared: bool) -> io::Result<()> {
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())
}

fn local_address(listener: &Listener) -> io::Result<SocketAddr> {
    match listener {
        Listener::Udp(socket) => socket.local_addr(),
        Listener::Tcp(socket) | Listener::Tls(socket) => socket.local_addr(),
    }
}

/// Binds a relayed socket. IPv6 ones never speak IPv4, so that no mapped address slips past the
/// peer policy. What the network says about datagrams of theirs can be read from them.
pub(crate) fn bind_relayed(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    prepare(&socket, address, false)?;
    udp::report_errors(socket.as_fd(), address.is_ipv6())?;
    udp::forbid_fragments(socket.as_fd(), address.is_ipv6(), false)?;
    udp::coalesce_received(socket.as_fd());
    Ok(socket.into())
}

/// Binds a socket that only sends from a relayed address.
pub(crate) fn bind_to_send(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    prepare(&socket, address, false)?;
    udp::forbid_fragments(socket.as_fd(), address.is_ipv6(), false)?;
    Ok(socket.into())
}

/// Binds a socket that receives for many relayed addresses ([`udp::Steering`]).
pub(crate) fn bind_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    prepare(&socket, address, false)?;
    udp::widen_buffers(socket.as_fd(), LISTENER_BUFFER_BYTES);
    udp::report_original_destination(socket.as_fd(), address.is_ipv6())?;
    udp::coalesce_received(socket.as_fd());
    Ok(socket.into())
}

/// Connections from peers that wait to be accepted, for each relayed address.
const PEER_BACKLOG: i32 = 32;

/// Listens on a relayed address, which outgoing connections share ([`bind_to_connect`]).
pub(crate) fn listen_relayed(address: SocketAddr) -> io::Result<TcpListener> {
    // A socket that shares its port does not notice that another program listens there.
    stream_socket(address, false)?;
    let socket = stream_socket(address, true)?;
    socket.listen(PEER_BACKLOG)?;
    Ok(socket.into())
}

/// A socket to connect to a peer with, from a relayed address that is listened on.
pub(crate) fn bind_to_connect(address: SocketAddr) -> io::Result<Socket> {
    stream_socket(address, true)
}

/// Starts to connect; writable once it has succeeded or failed.
pub(crate) fn start_connecting(socket: Socket, peer: SocketAddr) -> io::Result<TcpStream> {
    match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}

fn stream_socket(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections that ended a moment ago still have the address.
    socket.set_reuse_address(true)?;
    prepare(&socket, address, is_shared)?;
    Ok(socket)
}

/// This host's addresses, those that others can reach first, loopback last. Link-local IPv6 ones
/// need a zone that no candidate carries, so they are left out.
///
/// # Errors
/// Without descriptors. A system that tells nothing for another reason has none.
pub(crate) fn host_addresses() -> io::Result<Vec<IpAddr>> {
    let interfaces = match if_addrs::get_if_addrs() {
        Err(error) if is_out_of_descriptors(&error) => return Err(error),
        found => found.unwrap_or_default(),
    };
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    addresses.retain(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    });
    let preferred = [
        outward("0.0.0.0:0", "192.0.2.1:9")?,
        outward("[::]:0", "[2001:db8::1]:9")?,
    ];
    addresses.sort_by_key(|ip| (ip.is_loopback(), !preferred.contains(&Some(*ip))));
    Ok(addresses)
}

/// The address that the default route leaves from, if there is one. Connecting a UDP socket sends
/// nothing.
///
/// # Errors
/// Without descriptors.
fn outward(from: &str, to: &str) -> io::Result<Option<IpAddr>> {
    let address = || {
        let socket = UdpSocket::bind(from)?;
        socket.connect(to)?;
        socket.local_addr()
    };
    match address() {
        Ok(address) => Ok(Some(address.ip())),
        Err(error) if is_out_of_descriptors(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Whether the process or the system has no descriptor or no memory for another socket.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv6 socket that spoke IPv4 too would reach addresses that the peer policy took for others; one
    /// that may broadcast would reach a whole network at an address that looks like one host's.
    #[test]
    fn relayed_sockets_speak_one_family_and_to_one_host() {
        for ip in ["127.0.0.1", "::1"] {
            let address = SocketAddr::new(ip.parse().unwrap(), 0);
            let bound = [bind_relayed, bind_to_send, bind_shared].map(|bind| bind(address));
            for socket in bound {
                let Ok(socket) = socket else {
                    eprintln!("not run for {ip}: it is not there");
                    continue;
                };
                let socket = socket2::SockRef::from(&socket);
                assert!(!socket.broadcast().unwrap());
                assert_eq!(socket.domain().unwrap(), Domain::for_address(address));
                if address.is_ipv6() {
                    assert!(socket.only_v6().unwrap());
                }
            }
        }
    }
}
