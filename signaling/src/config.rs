//! What an operator may set: the options as typed, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches as _};
use ipnet::IpNet;
use signaling_proto::hub::{NamespaceLimits, SourceLimits};
use signaling_proto::pace::Rate;
use stun_turn::settings;

pub use self::namespace::{Namespace, named, with_namespace_options};
pub use self::values::{HttpUrl, IceUrl};
pub use self::written::example;

mod namespace;
mod turn;
mod values;
mod written;

/// The options of the service itself; those of the bundled relay are added by [`with_relay_options`].
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Address of the page and the WebSocket [default: 127.0.0.1:8080, with --lan 0.0.0.0:8443]
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::parse_address)]
    pub listen: Option<SocketAddr>,
    /// Serve the local network: all interfaces, HTTPS with a self-signed certificate, QR code
    #[arg(long)]
    pub lan: bool,
    /// Certificate chain for HTTPS, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// URL that people open, if a proxy stands in between [default: from the request]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<HttpUrl>,
    /// Further origin whose pages may use the WebSocket; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<HttpUrl>,
    /// Proxy whose X-Forwarded-For says who a client is; repeatable
    #[arg(long, value_name = "CIDR", value_parser = values::parse_network)]
    pub trusted_proxy: Vec<IpNet>,
    /// Connections of --trusted-proxy begin with a PROXY header
    #[arg(long, requires = "trusted_proxy")]
    pub proxy_protocol: bool,

    /// Where the TURN relay runs
    #[arg(
        long,
        value_name = "MODE",
        default_value = "bundled",
        help_heading = "TURN"
    )]
    pub turn_mode: TurnMode,
    /// TURN URL for clients in external mode, such as turn:HOST:3478?transport=udp; repeatable
    #[arg(long, value_name = "URL", help_heading = "TURN")]
    pub turn_url: Vec<IceUrl>,
    /// Secret that TURN credentials are made with [default: random in bundled mode]
    #[arg(long, value_name = "SECRET", help_heading = "TURN")]
    pub auth_secret: Option<String>,
    /// How long TURN credentials open new allocations
    #[arg(long, value_name = "SECONDS", default_value = "600", help_heading = "TURN",
          value_parser = clap::value_parser!(u64).range(30..=86_400))]
    pub credential_ttl: u64,

    /// Peers in one room
    #[arg(long, value_name = "N", default_value = "16", help_heading = "Limits",
          value_parser = values::parse_count)]
    pub max_room: usize,
    /// Rooms
    #[arg(long, value_name = "N", default_value = "10000", help_heading = "Limits",
          value_parser = values::parse_count)]
    pub max_rooms: usize,
    /// Peers in all rooms
    #[arg(long, value_name = "N", default_value = "20000", help_heading = "Limits",
          value_parser = values::parse_count)]
    pub max_sessions: usize,
    /// Connections that have not entered a room
    #[arg(long, value_name = "N", default_value = "10000", help_heading = "Limits",
          value_parser = values::parse_count)]
    pub max_pending: usize,
    /// Peers from one IPv4 address or IPv6 /64; this host itself is not limited
    #[arg(long, value_name = "N", default_value = "1000", help_heading = "Limits",
          value_parser = values::parse_count)]
    pub source_sessions: usize,
    /// Peers a second that enter from one IPv4 address or IPv6 /64; ten times as many at once
    #[arg(long, value_name = "N", default_value = "50", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub source_joins: u32,
    /// Messages a second from one peer; ten times as many at once
    #[arg(long, value_name = "N", default_value = "300", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub message_rate: u32,
    /// Messages a second from one IPv4 address or IPv6 /64; ten times as many at once
    #[arg(long, value_name = "N", default_value = "3000", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub source_message_rate: u32,

    /// Secret of room tokens (JWT, HS256); without it rooms are open
    #[arg(long, value_name = "SECRET", help_heading = "Sessions")]
    pub token_secret: Option<String>,
    /// How long a peer whose connection is lost may come back; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value = "60", help_heading = "Sessions",
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub resume_window: u64,
    /// Secret that signs session tickets; the same for all processes [default: random]
    #[arg(long, value_name = "SECRET", help_heading = "Sessions")]
    pub session_secret: Option<String>,
    /// Folder where a random session secret is kept, so that sessions outlive a restart
    #[arg(long, value_name = "DIR", help_heading = "Sessions")]
    pub state_dir: Option<PathBuf>,

    /// Address for operators: /metrics, /healthz, /readyz, /rooms
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:9640",
        help_heading = "Admin",
        value_parser = values::parse_address
    )]
    pub admin: SocketAddr,
    /// Bearer token for the admin address; needed if that is not a loopback address
    #[arg(long, value_name = "TOKEN", help_heading = "Admin")]
    pub admin_token: Option<String>,
}

/// Names of options whose values are secret.
pub const SECRETS: [&str; 5] = [
    "auth-secret",
    "token-secret",
    "session-secret",
    "admin-token",
    "turn-user",
];

/// Where the TURN relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TurnMode {
    /// In this process.
    Bundled,
    /// Elsewhere, at --turn-url.
    External,
    /// Nowhere: calls work only where peers reach each other directly.
    None,
}

/// What the service runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Page and WebSocket.
    pub listen: SocketAddr,
    /// How that is encrypted.
    pub tls: Tls,
    /// Whether to print a QR code for phones.
    pub lan: bool,
    /// What people open, if it is not what they ask for.
    pub public_url: Option<HttpUrl>,
    /// Origins besides the own one.
    pub allow_origins: Vec<HttpUrl>,
    /// Who may say that a client is somebody else,
    pub trusted_proxies: Vec<IpNet>,
    /// and whether they begin connections with a PROXY header.
    pub proxy_protocol: bool,
    /// Messages of one connection.
    pub message_rate: Rate,
    /// Messages of all connections of one source.
    pub source_message_rate: Rate,
    /// Where media is relayed.
    pub turn: Turn,
    /// Life of a TURN credential.
    pub credential_ttl: Duration,
    /// Caps on rooms and sessions, and how long these wait.
    pub hub: signaling_proto::hub::Config,
    /// Checks room tokens; rooms are open when `None`.
    pub token_secret: Option<String>,
    /// Namespaces that differ from the others.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Signs session tickets; random when `None`,
    pub session_secret: Option<String>,
    /// and then kept here.
    pub state_dir: Option<PathBuf>,
    /// For operators.
    pub admin: SocketAddr,
    /// Bearer token for operators.
    pub admin_token: Option<String>,
}

/// How the page is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// With a certificate made at the start.
    SelfSigned,
    /// With the operator's.
    Files {
        /// Chain, PEM.
        cert: PathBuf,
        /// Private key, PEM.
        key: PathBuf,
    },
}

impl Tls {
    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Off => "http",
            Self::SelfSigned | Self::Files { .. } => "https",
        }
    }
}

/// Where media is relayed.
#[derive(Debug, Clone)]
pub enum Turn {
    /// In this process.
    Bundled {
        /// The relay's own options.
        relay: Box<stun_turn::config::Config>,
        /// Mints credentials; random when `None`.
        secret: Option<String>,
    },
    /// Elsewhere.
    External {
        /// What clients are told.
        urls: Vec<IceUrl>,
        /// Mints credentials; `None` when no URL needs one.
        secret: Option<String>,
    },
    /// Nowhere.
    None,
}

/// Adds the relay's options under the prefix `--turn-`.
#[must_use]
pub fn with_relay_options(command: Command) -> Command {
    let relay = settings::prefixed::<stun_turn::config::Options>(
        "turn",
        "Bundled relay (the options of stun-turn)",
    );
    let defaults = [
        (
            "turn-listen",
            "Where to listen: udp:, tcp: or tls: and ADDR:PORT; repeatable [default: udp and tcp on port 3478 of \
             the address that the page listens on]",
        ),
        (
            "turn-user-quota",
            "Allocations of one user, 0 for any number [default: what a room of --max-room needs]",
        ),
        (
            "turn-source-quota",
            "Allocations from one IPv4 address or IPv6 /64, 0 for any number [default: what a room of --max-room \
             behind one address needs]",
        ),
    ];
    let help = |arg: clap::Arg| {
        let own = defaults.iter().find(|(name, _)| arg.get_id() == name);
        own.map_or(arg.clone(), |(_, help)| arg.help(*help))
    };
    command.args(relay.into_iter().map(help))
}

impl Config {
    /// Reads the parsed options; the relay's are among `matches`.
    ///
    /// # Errors
    /// When options contradict each other; names them.
    pub fn from_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let options = Options::from_arg_matches(matches)?;
        let relay = settings::extract::<stun_turn::config::Options>("turn", matches)?;
        let relay_option = matches.ids().map(clap::Id::as_str).find(|id| {
            id.starts_with("turn-") && matches.value_source(id) == Some(ValueSource::CommandLine)
        });
        let namespaces = namespace::read(matches, &options);
        let config =
            namespaces.and_then(|namespaces| Self::new(options, namespaces, relay, relay_option));
        config.map_err(|message| {
            clap::Error::raw(ErrorKind::ArgumentConflict, format!("{message}\n"))
        })
    }

    fn new(
        options: Options,
        namespaces: BTreeMap<String, (Namespace, NamespaceLimits)>,
        relay: stun_turn::config::Options,
        relay_option: Option<&str>,
    ) -> Result<Self, String> {
        let (default_address, default_port) = match options.lan {
            true => (Ipv4Addr::UNSPECIFIED, 8443),
            false => (Ipv4Addr::LOCALHOST, 8080),
        };
        let default_listen = SocketAddr::new(default_address.into(), default_port);
        let listen = options.listen.unwrap_or(default_listen);
        let tls = match (options.tls_cert, options.tls_key) {
            (Some(cert), Some(key)) => Tls::Files { cert, key },
            _ if options.lan => Tls::SelfSigned,
            _ => Tls::Off,
        };
        if let (Some(option), TurnMode::External | TurnMode::None) =
            (relay_option, options.turn_mode)
        {
            return Err(format!(
                "--{option} is for the relay of --turn-mode bundled"
            ));
        }
        if options.turn_mode != TurnMode::External && !options.turn_url.is_empty() {
            return Err("--turn-url is for --turn-mode external".into());
        }
        let secret = options.auth_secret;
        if secret.as_deref().is_some_and(str::is_empty) {
            return Err("--auth-secret '': expected at least one character".into());
        }
        for (option, secret) in [
            ("session-secret", &options.session_secret),
            ("token-secret", &options.token_secret),
        ] {
            if secret.as_deref().is_some_and(str::is_empty) {
                return Err(format!("--{option} '': expected at least one character"));
            }
        }
        let rooms = namespaces.values().map(|(_, limits)| limits.max_room);
        let largest_room = rooms.max().unwrap_or(0).max(options.max_room);
        let turn = match options.turn_mode {
            TurnMode::Bundled => turn::bundled(relay, secret, listen.ip(), largest_room),
            TurnMode::External => turn::external(options.turn_url, secret)?,
            TurnMode::None => Turn::None,
        };
        let admin_token = options.admin_token.filter(|token| !token.is_empty());
        if !options.admin.ip().is_loopback() && admin_token.is_none() {
            return Err(format!(
                "--admin {}: an address that others reach needs --admin-token",
                options.admin
            ));
        }
        Ok(Self {
            listen,
            tls,
            lan: options.lan,
            public_url: options.public_url,
            allow_origins: options.allow_origin,
            trusted_proxies: options.trusted_proxy,
            proxy_protocol: options.proxy_protocol,
            message_rate: Rate::with_burst_of_ten_seconds(options.message_rate),
            source_message_rate: Rate::with_burst_of_ten_seconds(options.source_message_rate),
            turn,
            credential_ttl: Duration::from_secs(options.credential_ttl),
            hub: signaling_proto::hub::Config {
                max_room: options.max_room,
                max_rooms: options.max_rooms,
                max_sessions: options.max_sessions,
                namespaces: namespaces
                    .iter()
                    .map(|(name, (_, limits))| (name.as_str().into(), *limits))
                    .collect(),
                max_greeting: options.max_pending,
                source: SourceLimits {
                    sessions: options.source_sessions,
                    hellos: Rate::with_burst_of_ten_seconds(options.source_joins),
                },
                resume_window: Duration::from_secs(options.resume_window),
                renew_ice_servers_after: Duration::from_secs(options.credential_ttl) / 2,
            },
            token_secret: options.token_secret,
            namespaces: namespaces
                .into_iter()
                .map(|(name, (namespace, _))| (name, namespace))
                .collect(),
            session_secret: options.session_secret,
            state_dir: options.state_dir,
            admin: options.admin,
            admin_token,
        })
    }
}

impl Config {
    /// Options of single namespaces that are different in `other`.
    pub(crate) fn differing_namespaces(&self, other: &Self) -> Vec<String> {
        let of = |config: &Self, name: &str| {
            let limits = config.hub.namespaces.get(name).copied();
            (config.namespaces.get(name).cloned(), limits)
        };
        let names = self.namespaces.keys().chain(other.namespaces.keys());
        let differs = |name: &&String| of(self, name) != of(other, name);
        let names: BTreeSet<_> = names.filter(differs).collect();
        names
            .into_iter()
            .map(|name| format!("namespace-{name}"))
            .collect()
    }
}
