//! Which local addresses and which ICE servers are used.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use signaling_proto::message::server::IceServer;
use webrtc::peer_connection::RTCIceServer;

/// Local addresses that are used at most: each costs a socket, a candidate and an allocation at the relay.
const MAX_ADDRESSES: usize = 8;

/// The servers that the `webrtc` crate can use: STUN, and TURN over UDP at IPv4 addresses or names.
#[must_use]
pub fn usable_ice_servers(servers: &[IceServer]) -> Vec<RTCIceServer> {
    let usable = |url: &&String| {
        let usable = is_usable(url);
        if !usable {
            tracing::debug!("{url} is left out: only STUN and TURN over UDP are supported");
        }
        usable
    };
    servers
        .iter()
        .map(|server| RTCIceServer {
            urls: server.urls.iter().filter(usable).cloned().collect(),
            username: server.username.clone().unwrap_or_default(),
            credential: server.credential.clone().unwrap_or_default(),
        })
        .filter(|server| !server.urls.is_empty())
        .collect()
}

fn is_usable(url: &str) -> bool {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    let transport = rest.split_once('?').map(|(_, query)| query);
    let udp = matches!(transport, None | Some("transport=udp"));
    // The crate loses the brackets of IPv6 addresses when it looks them up.
    matches!(scheme, "stun" | "turn") && udp && !rest.starts_with('[')
}

/// Host and port of a STUN or TURN URL (RFC 7064, RFC 7065).
fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (_, rest) = url.split_once(':')?;
    let authority = rest.split('?').next()?;
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((authority, 3478)),
    }
}

/// Where sockets are bound: the address that leads to each relay when nothing but relays is used,
/// otherwise every address of this machine that a peer may reach.
pub(super) fn local_addresses(relays: Option<&[RTCIceServer]>) -> Vec<SocketAddr> {
    let mut addresses = match relays {
        Some(servers) => servers
            .iter()
            .flat_map(|server| &server.urls)
            .filter_map(|url| address_towards(host_and_port(url)?))
            .collect(),
        None => interface_addresses(),
    };
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, 0))
        .collect()
}

/// The local address from which packets to `server` are sent; nothing is sent to find it.
fn address_towards(server: (&str, u16)) -> Option<IpAddr> {
    let server = server.to_socket_addrs().ok()?.find(SocketAddr::is_ipv4)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(server).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!("can't list the network interfaces: {error}");
        Vec::new()
    });
    interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|address| match address {
            // Loopback as well: peers and relays of tests live there.
            IpAddr::V4(address) => !address.is_link_local(),
            // A link-local address needs a zone, which candidates can't carry.
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_that_the_crate_can_use_are_kept() {
        for (url, expected) in [
            ("stun:stun.example.org", true),
            ("stun:192.0.2.1:3478", true),
            ("turn:192.0.2.1:3478", true),
            ("turn:turn.example.org:3478?transport=udp", true),
            ("turn:192.0.2.1:3478?transport=tcp", false),
            ("turns:192.0.2.1:5349?transport=tcp", false),
            ("turns:192.0.2.1:5349", false),
            ("stuns:192.0.2.1:5349", false),
            ("turn:[2001:db8::1]:3478", false),
            ("http://192.0.2.1", false),
            ("", false),
        ] {
            assert_eq!(is_usable(url), expected, "{url}");
        }
    }

    #[test]
    fn relays_are_reached_from_the_address_that_leads_to_them() {
        assert_eq!(
            host_and_port("turn:127.0.0.1:5000?transport=udp"),
            Some(("127.0.0.1", 5000))
        );
        assert_eq!(
            host_and_port("turn:relay.example.org"),
            Some(("relay.example.org", 3478))
        );
        assert_eq!(host_and_port("turn:h:port"), None);
        let relay = RTCIceServer {
            urls: vec!["turn:127.0.0.1:5000".into(), "turn:127.0.0.1:5001".into()],
            ..Default::default()
        };
        assert_eq!(
            local_addresses(Some(&[relay])),
            [SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]
        );
    }

    #[test]
    fn without_relays_every_usable_address_is_bound_once() {
        let addresses = local_addresses(None);
        assert!(!addresses.is_empty() && addresses.len() <= MAX_ADDRESSES);
        let unique: std::collections::BTreeSet<_> = addresses.iter().collect();
        assert_eq!(unique.len(), addresses.len());
        assert!(addresses.iter().all(|address| address.port() == 0));
    }
}
