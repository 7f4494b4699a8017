//! What an operator may set: the options as typed, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches as _};
use ipnet::IpNet;
use signaling_proto::hub::{NamespaceLimits, SourceLimits};
use signaling_proto::pace::Rate;
use stun_turn::settings;

use crate::relay::prefixed;

pub use self::certificates::Unusable;
pub use self::namespace::{Namespace, named, with_namespace_options};
pub use self::options::{Options, SECRETS, TurnMode, with_relay_options};
pub use self::page_origin::{OriginPattern, PageOrigin};
pub use self::values::{HttpUrl, IceUrl};
pub use self::written::example;

mod certificates;
mod namespace;
mod options;
mod page_origin;
mod turn;
mod values;
mod written;

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
    pub allow_origins: Vec<OriginPattern>,
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

    /// What an operator should know of options that are valid; one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Turn::Bundled { relay, secret } = &self.turn else {
            return Vec::new();
        };
        // Without a secret the relay is given a random one.
        let mut relay = stun_turn::config::Config::clone(relay);
        relay.auth_secrets.push(secret.clone().unwrap_or_default());
        let of_relay = relay.warnings().into_iter();
        of_relay.map(|warning| prefixed(&warning)).collect()
    }

    fn new(
        options: Options,
        namespaces: BTreeMap<String, (Namespace, NamespaceLimits)>,
        relay: stun_turn::config::Options,
        relay_option: Option<&str>,
    ) -> Result<Self, String> {
        check(&options, relay_option)?;
        let listen = options
            .listen
            .unwrap_or_else(|| default_listen(options.lan));
        let tls = match (&options.tls_cert, &options.tls_key) {
            (Some(cert), Some(key)) => Tls::Files {
                cert: cert.clone(),
                key: key.clone(),
            },
            _ if options.lan => Tls::SelfSigned,
            _ => Tls::Off,
        };
        let hub = hub(&options, &namespaces);
        let secret = options.auth_secret;
        let rooms = namespaces.values().map(|(_, limits)| limits.max_room);
        let largest_room = rooms.max().unwrap_or(0).max(options.max_room);
        let ttl = options.credential_ttl;
        if let Some(most) = relay.max_credential_ttl.filter(|most| *most < ttl) {
            return Err(format!(
                "--turn-max-credential-ttl {most}: the relay would refuse the credentials of --credential-ttl {ttl}"
            ));
        }
        let turn = match options.turn_mode {
            TurnMode::Bundled => turn::bundled(relay, secret, listen.ip(), largest_room),
            TurnMode::External => turn::external(options.turn_url, secret)?,
            TurnMode::None => Turn::None,
        };
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
            hub,
            token_secret: options.token_secret,
            namespaces: namespaces
                .into_iter()
                .map(|(name, (namespace, _))| (name, namespace))
                .collect(),
            session_secret: options.session_secret,
            state_dir: options.state_dir,
            admin: options.admin,
            admin_token: options.admin_token.filter(|token| !token.is_empty()),
        })
    }
}

fn default_listen(lan: bool) -> SocketAddr {
    match lan {
        true => (Ipv4Addr::UNSPECIFIED, 8443).into(),
        false => (Ipv4Addr::LOCALHOST, 8080).into(),
    }
}

/// What does not go together; `relay_option` is one of the bundled relay's that was typed.
fn check(options: &Options, relay_option: Option<&str>) -> Result<(), String> {
    if let (Some(option), TurnMode::External | TurnMode::None) = (relay_option, options.turn_mode) {
        return Err(format!(
            "--{option} is for the relay of --turn-mode bundled"
        ));
    }
    if options.turn_mode != TurnMode::External && !options.turn_url.is_empty() {
        return Err("--turn-url is for --turn-mode external".into());
    }
    for (option, secret) in [
        ("auth-secret", &options.auth_secret),
        ("session-secret", &options.session_secret),
        ("token-secret", &options.token_secret),
    ] {
        if secret.as_deref().is_some_and(str::is_empty) {
            return Err(format!("--{option} '': expected at least one character"));
        }
    }
    let has_admin_token = options
        .admin_token
        .as_deref()
        .is_some_and(|it| !it.is_empty());
    if !options.admin.ip().is_loopback() && !has_admin_token {
        return Err(format!(
            "--admin {}: an address that others reach needs --admin-token",
            options.admin
        ));
    }
    Ok(())
}

/// Caps on rooms and sessions, and how long these wait.
fn hub(
    options: &Options,
    namespaces: &BTreeMap<String, (Namespace, NamespaceLimits)>,
) -> signaling_proto::hub::Config {
    signaling_proto::hub::Config {
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
        ping_interval: Duration::from_secs(options.ping_interval),
        renew_ice_servers_after: Duration::from_secs(options.credential_ttl) / 2,
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
