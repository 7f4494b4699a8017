//! The command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

/// Black-box conformance suite for TURN servers: RFC 8489, RFC 8656 and what attacks have taught.
///
/// Exit code 0 only when no case fails. The server must allow peers at --peer-ip.
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub(crate) struct Options {
    /// The server's UDP address, HOST:PORT
    #[arg(long, value_name = "HOST:PORT", value_parser = resolve, default_value = "127.0.0.1:3478")]
    pub(crate) server: SocketAddr,
    /// The server's TCP address
    #[arg(long, value_name = "HOST:PORT", value_parser = resolve)]
    pub(crate) tcp: Option<SocketAddr>,
    /// The server's TLS address; any certificate will do
    #[arg(long, value_name = "HOST:PORT", value_parser = resolve)]
    pub(crate) tls: Option<SocketAddr>,
    /// A user of the server
    #[arg(long, value_name = "NAME", requires = "password")]
    pub(crate) user: Option<String>,
    /// The user's password
    #[arg(long, requires = "user")]
    pub(crate) password: Option<String>,
    /// Another user, for what one must not do with the other's allocation
    #[arg(long, value_name = "NAME", requires = "other_password")]
    pub(crate) other_user: Option<String>,
    /// The other user's password
    #[arg(long, value_name = "PASSWORD", requires = "other_user")]
    pub(crate) other_password: Option<String>,
    /// The server's shared secret of the TURN REST convention: then each case has users of its own
    #[arg(long, value_name = "SECRET")]
    pub(crate) auth_secret: Option<String>,
    /// The realm that the server must name
    #[arg(long, value_name = "NAME")]
    pub(crate) realm: Option<String>,
    /// Address of the suite's own peers
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) peer_ip: IpAddr,
    /// Address of the suite's own IPv6 peers
    #[arg(long, value_name = "IP")]
    pub(crate) peer_ip6: Option<IpAddr>,
    /// Allocations that the server is configured to allow one user
    #[arg(long, value_name = "N")]
    pub(crate) user_quota: Option<usize>,
    /// Allocations that the server is configured to allow one source address
    #[arg(long, value_name = "N")]
    pub(crate) source_quota: Option<usize>,
    /// Let a server that offers no password algorithms accept channel numbers up to 0x7FFF, as RFC 5766 had them
    #[arg(long)]
    pub(crate) rfc5766_channel_numbers: bool,
    /// Also the cases that wait for timers to run out: ten minutes
    #[arg(long)]
    pub(crate) long: bool,
    /// Only cases whose id, group or requirement contains this; repeatable
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Vec<String>,
    /// Cases at the same time
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub(crate) jobs: usize,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// List the cases with their clauses, and exit
    #[arg(long)]
    pub(crate) list: bool,
    /// Compare results written with --json, as Markdown on standard output, and exit
    #[arg(long, value_name = "NAME=FILE", num_args = 1.., value_parser = named_file)]
    pub(crate) compare: Vec<(String, PathBuf)>,
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses.next().ok_or_else(|| "no address".into())
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("expected NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}
