//! What an operator may set: the options as typed, and what follows from them.

mod values;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use clap::builder::NonEmptyStringValueParser;
use ipnet::IpNet;

pub use values::{External, Listen, PortRange, Protocol, Realm, User};

/// The options of the relay; `signaling` offers the same under the prefix `--turn-`.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Address to listen on, udp:ADDR:PORT or tcp:ADDR:PORT, IPv6 in brackets; repeatable
    /// [default: udp and tcp on port 3478 of all addresses]
    #[arg(long, value_name = "PROTO:ADDR:PORT")]
    pub listen: Vec<Listen>,
    /// Realm of the long-term credentials [default: callbox]
    #[arg(long, value_name = "NAME")]
    pub realm: Option<Realm>,
    /// Static user; repeatable
    #[arg(long, value_name = "NAME:PASSWORD")]
    pub user: Vec<User>,
    /// Secret for time-limited credentials by the TURN REST convention; repeatable, all verify
    #[arg(long, value_name = "SECRET", value_parser = NonEmptyStringValueParser::new())]
    pub auth_secret: Vec<String>,
    /// Local address for relayed sockets, one per family; repeatable [default: the listening ones]
    #[arg(long, value_name = "IP")]
    pub relay_address: Vec<IpAddr>,
    /// Address that clients are told behind a 1:1 NAT, one per family; repeatable
    #[arg(long, value_name = "PUBLIC[=LOCAL]")]
    pub external_address: Vec<External>,
    /// Ports for relayed sockets [default: 49152-65535]
    #[arg(long, value_name = "MIN-MAX")]
    pub relay_ports: Option<PortRange>,
    /// Peers to relay to besides public unicast ones; the longest prefix decides; repeatable
    #[arg(long, value_name = "CIDR", value_parser = values::parse_cidr)]
    pub allow_peer: Vec<IpNet>,
    /// Peers never to relay to; the longest prefix decides; repeatable
    #[arg(long, value_name = "CIDR", value_parser = values::parse_cidr)]
    pub deny_peer: Vec<IpNet>,
    /// Threads that carry data [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
}

/// Names of options whose values are secret.
pub const SECRETS: [&str; 2] = ["user", "auth-secret"];

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
    /// Transport addresses of this host that must never be relayed to, besides the listeners.
    pub protected: Vec<SocketAddr>,
    /// Data-plane threads.
    pub workers: usize,
}

impl From<Options> for Config {
    fn from(options: Options) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            listen: if options.listen.is_empty() {
                default_listeners()
            } else {
                options.listen
            },
            realm: options
                .realm
                .map_or_else(|| "callbox".to_owned(), |realm| realm.0),
            users: options.user,
            auth_secrets: options.auth_secret,
            relay_addresses: options.relay_address,
            external_addresses: options.external_address,
            relay_ports: options.relay_ports.map_or(49_152..=65_535, |range| range.0),
            allow_peer: options.allow_peer,
            deny_peer: options.deny_peer,
            protected: Vec::new(),
            workers: options.workers.map_or(cores, usize::from),
        }
    }
}

/// All addresses, IPv6 where the host has it.
fn default_listeners() -> Vec<Listen> {
    let mut addresses = vec!["0.0.0.0:3478"];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        addresses.push("[::]:3478");
    }
    let both = |address: &str| {
        let address = address.parse().expect("a literal");
        [Protocol::Udp, Protocol::Tcp].map(|protocol| Listen { protocol, address })
    };
    addresses.into_iter().flat_map(both).collect()
}
