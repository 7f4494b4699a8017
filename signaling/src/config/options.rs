//! The options as they are typed, and as the help tells of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Command;
use ipnet::IpNet;
use stun_turn::settings;

use super::OriginPattern;
use super::values::{self, HttpUrl, IceUrl};

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
    /// Further origin whose pages may connect, also with *. in front of its host; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<OriginPattern>,
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
    /// Peers from one IPv4 address or IPv6 /64, 8 times as many from a /56, 64 times from a /48; this host itself
    /// is not limited
    #[arg(long, value_name = "N", default_value = "1000", help_heading = "Limits",
          value_parser = values::parse_count)]
    pub source_sessions: usize,
    /// Peers a second that enter from one IPv4 address or IPv6 /64, 8 times as many from a /56, 64 times from a
    /// /48; ten times as many at once
    #[arg(long, value_name = "N", default_value = "50", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub source_joins: u32,
    /// Messages a second from one peer; ten times as many at once
    #[arg(long, value_name = "N", default_value = "300", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub message_rate: u32,
    /// Messages a second from one IPv4 address or IPv6 /64, 8 times as many from a /56, 64 times from a /48; ten
    /// times as many at once
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
    /// Silence before a connection is pinged; shorter than the idle limit of a proxy
    // A ticket lives for the resume window and two minutes, and is renewed every minute: a client that
    // was silent to the end, here 55 s, must have its whole window.
    #[arg(long, value_name = "SECONDS", default_value = "6", help_heading = "Sessions",
          value_parser = clap::value_parser!(u64).range(1..=25))]
    pub ping_interval: u64,
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
            "Where to listen: udp:, tcp: or tls: and ADDR:PORT; [::] is all addresses of both families, unless the \
             protocol has an IPv4 listener; repeatable [default: udp and tcp on port 3478 of \
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
