//! `stun-turn check`: does what a client does with any STUN or TURN server, and says what each step
//! means. It shares the codec with the relay and nothing else.
//!
//! ```text
//! url ─► ways (transport × address) ─► steps ─┬─ client (requests, answers, credentials)
//!                                             │     └─ transport (UDP, TCP, TLS)
//!                                             ├─ looping (messages through two allocations)
//!                                             └─ explain (what an error means and what to do)
//! report: a line a step, or JSON
//! ```

mod client;
mod explain;
mod looping;
mod report;
mod steps;
mod transport;
mod url;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use stun_turn_proto::auth::credential;

use crate::{config, settings};
use client::Account;
use report::Report;
use transport::Trust;

pub use url::{Scheme, ServerUrl, Via};

/// How long the credential lasts that is made of a secret.
const CREDENTIAL_LIFETIME_S: u64 = 600;

/// Options of `stun-turn check`.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Server as browsers name it: turn:HOST:PORT?transport=tcp, turns:HOST or stun:HOST. Without
    /// transport, turn: is checked over UDP and TCP
    #[arg(value_name = "URL")]
    pub url: ServerUrl,
    /// User name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,
    /// The user's password
    #[arg(long, value_name = "PASSWORD", requires = "user")]
    pub password: Option<String>,
    /// File with the user's password; a newline at its end does not count
    #[arg(
        long,
        value_name = "FILE",
        requires = "user",
        conflicts_with = "password"
    )]
    pub password_file: Option<PathBuf>,
    /// Instead of a user: the secret that the server shares with applications (TURN REST) [default: the first
    /// secret, or else user, of a relay's own options]
    #[arg(long, value_name = "SECRET", conflicts_with_all = ["user", "password"],
          value_parser = NonEmptyStringValueParser::new())]
    pub auth_secret: Option<String>,
    /// File with that secret; a newline at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "auth_secret"])]
    pub auth_secret_file: Option<PathBuf>,
    /// TOML file of a relay, for its first secret or user where none is given here
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Realm that the server must have [default: any]
    #[arg(long, value_name = "NAME")]
    pub realm: Option<String>,
    /// Trust only the authorities or the self-signed certificate in this PEM file [default: those of
    /// this system]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Take any certificate, as no browser does
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
    /// How long an answer may take
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub timeout: u64,
    /// Print one JSON object at the end instead of a line for each step
    #[arg(long)]
    pub json: bool,
    /// Whose account it is, where the relay's own options gave it.
    #[arg(skip)]
    pub account_of: Option<String>,
    /// The lifetime of credentials that the relay's own options allow at most, in seconds.
    #[arg(skip)]
    pub max_credential_ttl_s: Option<u64>,
}

impl Options {
    /// With the contents of files, and with the relay's first secret or user where no account is named.
    ///
    /// # Errors
    /// When a file can't be read, or a user has no password.
    pub fn or_of_relay(mut self, relay: &config::Options) -> Result<Self, settings::Error> {
        if let Some(path) = self.password_file.take() {
            self.password = Some(settings::read_secret("--password-file", &path)?);
        }
        if let Some(path) = self.auth_secret_file.take() {
            self.auth_secret = Some(settings::read_secret("--auth-secret-file", &path)?);
        }
        if self.user.is_some() && self.password.is_none() {
            let message = "--user needs --password or --password-file\n";
            let error = clap::Error::raw(ErrorKind::MissingRequiredArgument, message);
            return Err(error.into());
        }
        if self.user.is_none() && self.auth_secret.is_none() {
            self.auth_secret = relay.auth_secret.first().cloned();
            let found = self.auth_secret.as_ref();
            self.account_of = found.map(|_| "a credential of the first auth-secret".to_owned());
            if let (None, Some(user)) = (&self.auth_secret, relay.user.first()) {
                self.account_of = Some(format!("the user {}", user.name));
                self.user = Some(user.name.clone());
                self.password = Some(user.password.clone());
            }
        }
        self.max_credential_ttl_s = relay.max_credential_ttl;
        Ok(self)
    }
}

/// Why nothing could be checked; names the option.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A `turn:` URL without credentials.
    #[error("{0} needs --user and --password, or --auth-secret: TURN servers serve nobody else")]
    NoCredentials(ServerUrl),
    /// The file of `--ca`, or the system's own certificates.
    #[error("{0}")]
    Trust(String),
    /// The host of the URL has no address.
    #[error(
        "{url}: the name {host} can't be resolved ({source}): is it spelled right, is there a DNS record?"
    )]
    Resolve {
        /// As given.
        url: ServerUrl,
        /// Its host.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output.
    #[error("writing the verdict: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// Whether an option is missing, not the state of the system at fault.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::NoCredentials(_))
    }
}

/// What every way is checked with.
struct Plan {
    url: ServerUrl,
    account: Option<Account>,
    realm: Option<String>,
    trust: Trust,
    patience: Duration,
}

/// Checks every way to the server and writes the verdict as it emerges; true when all is well.
///
/// # Errors
/// See [`Error`]: only when nothing could be checked. What is wrong with the server is a verdict.
pub fn run(options: Options, out: &mut dyn Write) -> Result<bool, Error> {
    let account = account(&options);
    if account.is_none() && options.url.scheme.is_turn() {
        return Err(Error::NoCredentials(options.url));
    }
    let trust = if options.url.scheme.is_secure() {
        Trust::new(options.ca.as_deref(), options.insecure).map_err(Error::Trust)?
    } else {
        Trust::Nobody
    };
    let plan = Plan {
        account,
        realm: options.realm,
        trust,
        patience: Duration::from_secs(options.timeout),
        url: options.url,
    };
    let addresses = resolve(&plan.url)?;
    let mut report = Report::new(&plan.url, options.json, out);
    for address in addresses {
        for via in plan.url.vias() {
            report.start_way(*via, address)?;
            steps::check(&plan, *via, address, &mut report)?;
        }
    }
    Ok(report.finish()?)
}

fn account(options: &Options) -> Option<Account> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let most_s = options.max_credential_ttl_s.unwrap_or(u64::MAX);
    let lifetime_s = CREDENTIAL_LIFETIME_S.min(most_s);
    let expires_at = now.unwrap_or_default().as_secs() + lifetime_s;
    let minted = options.auth_secret.as_ref().map(|secret| {
        let minted = credential::mint(secret.as_bytes(), "check", expires_at);
        Account {
            name: minted.username,
            password: minted.password,
            is_minted: true,
        }
    });
    minted.or_else(|| {
        Some(Account {
            name: options.user.clone()?,
            password: options.password.clone()?,
            is_minted: false,
        })
    })
}

/// All addresses of the host, each once, in the order of the system's preference.
fn resolve(url: &ServerUrl) -> Result<Vec<SocketAddr>, Error> {
    let refuse = |source| Error::Resolve {
        url: url.clone(),
        host: url.host.clone(),
        source,
    };
    let mut addresses = Vec::new();
    for address in (url.host.as_str(), url.port)
        .to_socket_addrs()
        .map_err(refuse)?
    {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(refuse(io::ErrorKind::NotFound.into()));
    }
    Ok(addresses)
}
