//! What an operator may set: the options as typed, and what follows from them.

mod host;
mod opaque;
mod values;
mod warnings;
mod written;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use ipnet::{IpNet, Ipv6Net};
use stun_turn_proto::quotas::QuotaLimits;
use stun_turn_proto::relay::TcpRelay;

use crate::streams::StreamLimits;
pub use host::{AddressError, begin_reading};
pub(crate) use values::parse_socket_address;
pub use values::{External, Listen, PortRange, Protocol, Realm, User};
pub use written::example;

/// The options of the relay; `signaling` offers the same under the prefix `--turn-`.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Where to listen.
    #[arg(
        long,
        value_name = "PROTO:ADDR:PORT",
        help_heading = "Listening",
        help = "Where to listen: udp:, tcp: or tls: and ADDR:PORT; [::] is all addresses of both families, unless the \
                  protocol has an IPv4 listener; repeatable [default: udp and tcp on port 3478 of all addresses, with \
                  --tls-cert also tls on 5349]"
    )]
    pub listen: Vec<Listen>,
    /// Realm of the long-term credentials [default: callbox]
    #[arg(long, value_name = "NAME", help_heading = "Users")]
    pub realm: Option<Realm>,
    /// User with a fixed password; repeatable
    #[arg(long, value_name = "NAME:PASSWORD", help_heading = "Users")]
    pub user: Vec<User>,
    /// Secret for time-limited credentials by the TURN REST convention; repeatable, all verify
    #[arg(long, value_name = "SECRET", value_parser = NonEmptyStringValueParser::new(), help_heading = "Users")]
    pub auth_secret: Vec<String>,
    /// How far ahead the expiry of a time-limited credential may lie, and 300 seconds more for clocks that
    /// differ; a name with milliseconds lies beyond
    /// [default: 3153600000, a hundred years]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Users")]
    pub max_credential_ttl: Option<u64>,
    /// Local address for relayed sockets, one per family; repeatable [default: the listening ones]
    #[arg(long, value_name = "IP", value_parser = values::parse_ip, help_heading = "Relaying")]
    pub relay_address: Vec<IpAddr>,
    /// Address that clients are told behind a 1:1 NAT, one per family; a name is resolved at the start and at a
    /// reload; repeatable
    #[arg(long, value_name = "PUBLIC[=LOCAL]", help_heading = "Relaying")]
    pub external_address: Vec<External>,
    /// Ports for relayed sockets [default: 49152-65535]
    #[arg(long, value_name = "MIN-MAX", help_heading = "Relaying")]
    pub relay_ports: Option<PortRange>,
    /// Peers to relay to besides public unicast ones; the longest prefix decides; repeatable
    #[arg(long, value_name = "CIDR", value_parser = values::parse_cidr, help_heading = "Relaying")]
    pub allow_peer: Vec<IpNet>,
    /// Peers never to relay to; the longest prefix decides; repeatable
    #[arg(long, value_name = "CIDR", value_parser = values::parse_cidr, help_heading = "Relaying")]
    pub deny_peer: Vec<IpNet>,
    /// IPv6 prefixes that this network translates to IPv4, besides the well-known ones: peers there are judged by their
    /// IPv4 addresses too; repeatable
    #[arg(long, value_name = "PREFIX", value_parser = values::parse_nat64, help_heading = "Relaying")]
    pub nat64_prefix: Vec<Ipv6Net>,
    /// Allocations on the whole server [default: as many as there are ports]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub max_allocations: Option<u32>,
    /// Allocations of one user, 0 for any number; as many may be made a second, 10 at least [default: 128,
    /// what one person takes in a room of 16 where everything is relayed]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub user_quota: Option<u32>,
    /// Allocations from one IPv4 address or IPv6 /64, 0 for any number; as many may be made a second, 10 at
    /// least; 8 times as many from an IPv6 /56, 64 times from a /48 [default: 2048, what a room of 16 takes
    /// behind one address]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub source_quota: Option<u32>,
    /// Bytes per second that one allocation may carry in each direction [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Limits")]
    pub max_bps: Option<u64>,
    /// Server that all clients are sent to instead, by 300 Try Alternate; repeatable
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::parse_server, help_heading = "Listening")]
    pub alternate_server: Vec<SocketAddr>,
    /// Chain of certificates in PEM, leaf first; repeatable, chosen by the name that the client asks for
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_cert: Vec<PathBuf>,
    /// Private key in PEM; one for each certificate, in the same order
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_key: Vec<PathBuf>,
    /// Refuse clients on tls: listeners that do not begin with a TLS handshake
    #[arg(long, help_heading = "TLS")]
    pub tls_only: bool,
    /// Load balancers that write a PROXY header in front of each tcp or tls connection; repeatable
    #[arg(long, value_name = "CIDR", value_parser = values::parse_cidr, help_heading = "Listening")]
    pub trusted_proxy: Vec<IpNet>,
    /// Relay TCP to peers too (RFC 6062), for clients that come over tcp or tls
    #[arg(long, help_heading = "Relaying")]
    pub tcp_relay: bool,
    /// Let clients whose address changes take their allocations along (RFC 8016), on one worker
    #[arg(long, help_heading = "Relaying")]
    pub mobility: bool,
    /// Second address and port of this host for RFC 5780, NAT behaviour discovery [default: off]
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::parse_socket_address, help_heading = "Listening")]
    pub nat_discovery: Option<SocketAddr>,
    /// Threads that carry data [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Listening")]
    pub workers: Option<u16>,
    /// One socket for all relayed ports, where the system permits it (CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW)
    #[arg(long, help_heading = "Relaying")]
    pub one_socket: bool,
    /// Microseconds that a busy thread waits for more datagrams to handle together: up to a tenth less
    /// of the processor for a tenth of a millisecond of delay [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000), help_heading = "Listening")]
    pub coalesce_us: Option<u16>,
}

/// The room that the default quotas let meet: the largest one of `signaling` by its defaults.
pub const DEFAULT_ROOM: u32 = 16;
/// Relayed addresses that a browser may ask for towards one other participant: over UDP, TCP, TLS and
/// TLS on the page's port, from two interfaces.
const ALLOCATIONS_A_CONNECTION: u32 = 8;

/// Allocations of one user and from one source that let a room of this size meet where everything is
/// relayed, even if all of it sits behind one address.
#[must_use]
pub const fn quotas_of_room(people: u32) -> (u32, u32) {
    let of_user = people.saturating_mul(ALLOCATIONS_A_CONNECTION);
    (of_user, of_user.saturating_mul(people))
}

/// Where the options say nothing.
const DEFAULT_QUOTAS: (u32, u32) = quotas_of_room(DEFAULT_ROOM);

/// How far ahead the expiry of a credential may lie, in seconds: further than anybody plans, and less than what
/// milliseconds would be.
const DEFAULT_MAX_CREDENTIAL_TTL_S: u64 = 100 * 365 * 24 * 3600;

/// Names of options whose values are secret.
pub const SECRETS: [&str; 3] = ["user", "auth-secret", "admin-token"];

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; never empty.
    pub listen: Vec<Listen>,
    /// Realm of the long-term credentials.
    pub realm: String,
    /// Static users.
    pub users: Vec<User>,
    /// Secrets of the TURN REST convention.
    pub auth_secrets: Vec<String>,
    /// How far ahead the expiry of a credential may lie.
    pub max_credential_ttl: Duration,
    /// Where relayed sockets are bound; empty for the listening addresses.
    pub relay_addresses: Vec<IpAddr>,
    /// What clients are told instead of local addresses.
    pub external_addresses: Vec<External>,
    /// Ports of relayed sockets.
    pub relay_ports: RangeInclusive<u16>,
    /// Operator's exceptions that open.
    pub allow_peer: Vec<IpNet>,
    /// Operator's exceptions that close.
    pub deny_peer: Vec<IpNet>,
    /// Prefixes that lead to IPv4 hosts.
    pub nat64_prefixes: Vec<Ipv6Net>,
    /// How many allocations there may be.
    pub quotas: QuotaLimits,
    /// Bytes per second of one allocation in each direction.
    pub max_bps: Option<u64>,
    /// Where all clients are sent instead.
    pub alternate_servers: Vec<SocketAddr>,
    /// Files with chains of certificates for TLS.
    pub tls_certs: Vec<PathBuf>,
    /// Files with their keys, in the same order.
    pub tls_keys: Vec<PathBuf>,
    /// Whether listeners for TLS refuse plain clients.
    pub tls_only: bool,
    /// Whose streams start with a PROXY header.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a client's connection may take for what.
    pub stream_limits: StreamLimits,
    /// Whether TCP is relayed too.
    pub tcp_relay: Option<TcpRelay>,
    /// Whether clients may take their allocations along.
    pub mobility: bool,
    /// The second address and port of RFC 5780.
    pub nat_discovery: Option<SocketAddr>,
    /// Transport addresses of this host that must never be relayed to, besides the listeners.
    pub protected: Vec<SocketAddr>,
    /// Data-plane threads.
    pub workers: usize,
    /// Whether all relayed ports of a worker share a socket, where the system permits it.
    pub one_socket: bool,
    /// How long a busy thread waits for more datagrams.
    pub coalesce: Duration,
}

impl From<Options> for Config {
    fn from(options: Options) -> Self {
        let cores = match options.mobility {
            // A client that moves must meet the worker that has its allocation.
            true => 1,
            false => std::thread::available_parallelism().map_or(1, usize::from),
        };
        Self {
            listen: if options.listen.is_empty() {
                default_listeners(!options.tls_cert.is_empty())
            } else {
                with_ipv4(options.listen)
            },
            realm: options
                .realm
                .map_or_else(|| "callbox".to_owned(), |realm| realm.0),
            users: options.user,
            auth_secrets: options.auth_secret,
            max_credential_ttl: Duration::from_secs(
                options
                    .max_credential_ttl
                    .unwrap_or(DEFAULT_MAX_CREDENTIAL_TTL_S),
            ),
            relay_addresses: options.relay_address,
            external_addresses: options.external_address,
            relay_ports: options.relay_ports.map_or(49_152..=65_535, |range| range.0),
            allow_peer: options.allow_peer,
            deny_peer: options.deny_peer,
            nat64_prefixes: options.nat64_prefix,
            quotas: QuotaLimits {
                total: options.max_allocations,
                per_user: quota(options.user_quota, DEFAULT_QUOTAS.0),
                per_source: quota(options.source_quota, DEFAULT_QUOTAS.1),
            },
            max_bps: options.max_bps,
            alternate_servers: options.alternate_server,
            tcp_relay: options.tcp_relay.then(TcpRelay::default),
            mobility: options.mobility,
            nat_discovery: options.nat_discovery,
            tls_certs: options.tls_cert,
            tls_keys: options.tls_key,
            tls_only: options.tls_only,
            trusted_proxies: options.trusted_proxy,
            stream_limits: StreamLimits::default(),
            protected: Vec::new(),
            workers: options.workers.map_or(cores, usize::from),
            one_socket: options.one_socket,
            coalesce: Duration::from_micros(options.coalesce_us.unwrap_or_default().into()),
        }
    }
}

/// 0 stands for any number.
fn quota(asked: Option<u32>, default: u32) -> Option<u32> {
    Some(asked.unwrap_or(default)).filter(|limit| *limit > 0)
}

/// Adds `0.0.0.0` to each `[::]` that has no IPv4 listener of its protocol beside it. Sockets of the relay
/// serve one family, so that all addresses are in their canonical form. Port 0 stays alone: the system would
/// choose two different ports.
fn with_ipv4(mut listen: Vec<Listen>) -> Vec<Listen> {
    let has_ipv4 = |wildcard: &Listen| {
        let is_counterpart = |other: &&Listen| {
            let is_on_its_port = other.address.port() == wildcard.address.port()
                && other.protocol.is_stream() == wildcard.protocol.is_stream();
            other.address.is_ipv4() && (other.protocol == wildcard.protocol || is_on_its_port)
        };
        listen.iter().any(|other| is_counterpart(&other))
    };
    let is_wildcard = |listen: &&Listen| {
        let address = listen.address;
        address.is_ipv6() && address.ip().is_unspecified() && address.port() != 0
    };
    let wildcards = listen.iter().filter(is_wildcard);
    let alone = wildcards.filter(|wildcard| !has_ipv4(wildcard));
    let added: Vec<Listen> = alone
        .map(|Listen { protocol, address }| Listen {
            protocol: *protocol,
            address: (Ipv4Addr::UNSPECIFIED, address.port()).into(),
        })
        .collect();
    listen.extend(added);
    listen
}

/// All addresses, IPv6 where the host has it, on the registered ports.
fn default_listeners(with_tls: bool) -> Vec<Listen> {
    let mut ips = vec![IpAddr::from(Ipv4Addr::UNSPECIFIED)];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        ips.push(Ipv6Addr::UNSPECIFIED.into());
    }
    let mut kinds = vec![(Protocol::Udp, 3478), (Protocol::Tcp, 3478)];
    if with_tls {
        kinds.push((Protocol::Tls, 5349));
    }
    let of_kinds = |ip: IpAddr| {
        kinds.iter().map(move |(protocol, port)| Listen {
            protocol: *protocol,
            address: SocketAddr::new(ip, *port),
        })
    };
    ips.into_iter().flat_map(of_kinds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `udp:[::]:3478` served IPv6 alone.
    #[test]
    fn all_of_ipv6_is_all_addresses_unless_ipv4_stands_beside_it() {
        let of = |texts: &[&str]| -> Vec<String> {
            let options = Options {
                listen: texts.iter().map(|it| it.parse().unwrap()).collect(),
                ..Options::default()
            };
            let listen = Config::from(options).listen;
            listen.iter().map(Listen::to_string).collect()
        };
        assert_eq!(
            of(&["udp:[::]:443", "tls:[::]:443"]),
            [
                "udp:[::]:443",
                "tls:[::]:443",
                "udp:0.0.0.0:443",
                "tls:0.0.0.0:443"
            ]
        );
        for as_given in [
            &["udp:[::]:3478", "udp:127.0.0.1:9"][..],
            &["tls:[::]:443", "tcp:0.0.0.0:443"],
            &["udp:[::1]:3478"],
            &["udp:0.0.0.0:3478"],
            &["udp:[::]:0"],
        ] {
            assert_eq!(of(as_given), as_given);
        }
    }

    #[test]
    fn a_certificate_brings_a_listener_for_it() {
        let texts = |with_tls| -> Vec<String> {
            let listeners = default_listeners(with_tls);
            listeners.iter().map(Listen::to_string).collect()
        };
        assert_eq!(texts(false)[..2], ["udp:0.0.0.0:3478", "tcp:0.0.0.0:3478"]);
        assert!(!texts(false).contains(&"tls:0.0.0.0:5349".to_owned()));
        assert_eq!(texts(true)[2], "tls:0.0.0.0:5349");
    }
}
