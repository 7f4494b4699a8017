//! Starts the workers and ends them.

mod addresses;
mod listeners;
mod one_socket;
mod watch;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use stun_turn_proto::Settings;
use stun_turn_proto::auth::nonce::NonceKeys;
use stun_turn_proto::nat_discovery::NatDiscovery;
use stun_turn_proto::policy::PeerPolicy;
use stun_turn_proto::ports::Ports;

use crate::config::{Config, External, Listen, Protocol};
use crate::control::{self, Colleague, Command, Handle};
use crate::host::Host;
use crate::sockets;
use crate::streams::{StreamTotals, Streams};
use crate::tls::{CertificateError, Certificates, Tls};
use crate::worker::{Parked, Worker};
pub(crate) use addresses::{Found, check_external, is_public, not_there, relay_addresses, served};
use listeners::{Bound, nat_discovery, refuse_twice};
use one_socket::share_sockets;
use watch::Watch;

/// A running relay.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(Protocol, SocketAddr)>,
    handle: Handle,
    watch: Option<Watch>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a relay could not start; names the option.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address is taken, or is not this host's.
    #[error("--listen {listen}: {}", reason(error))]
    Listen {
        /// What was asked for.
        listen: Listen,
        /// What the system said.
        error: io::Error,
    },
    /// No socket can be bound to this address.
    #[error("--relay-address {address}: {}", reason(error))]
    RelayAddress {
        /// What was asked for.
        address: IpAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system does not tell this host's addresses, or no socket can be bound to any.
    #[error("this host's addresses can't be looked at: {0}")]
    HostAddresses(io::Error),
    /// An external address for a local one that is not relayed from, or a second one for it.
    #[error("--external-address {0}: there is no relay address left that it could stand for")]
    External(External),
    /// A listener that another one covers.
    #[error("--listen {0}: given twice, or covered by another one on all addresses")]
    Twice(Listen),
    /// Certificates that can't be used.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// A listener for TLS without anything to offer.
    #[error("--listen {0}: TLS needs a certificate: expected --tls-cert FILE and --tls-key FILE")]
    NoCertificate(Listen),
    /// Options that do not go together.
    #[error("{0}")]
    Usage(String),
    /// Threads, event queues or randomness.
    #[error("starting the workers: {0}")]
    Worker(#[from] io::Error),
}

impl StartError {
    /// Whether an option's value is at fault, not the state of the system.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::External(_) | Self::Twice(_) | Self::NoCertificate(_) | Self::Usage(_) => true,
            Self::Certificates(error) => error.is_usage(),
            Self::Listen { .. }
            | Self::RelayAddress { .. }
            | Self::HostAddresses(_)
            | Self::Worker(_) => false,
        }
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use by another program".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this host does not have the address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted (ports below 1024 need rights)".to_owned()
        }
        _ => error.to_string(),
    }
}

impl Server {
    /// Binds every listener and starts the workers.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let certificates = check(&config)?;
        let streams = Arc::new(Streams {
            tls: Tls::new(certificates).map_err(io::Error::other)?,
            limits: config.stream_limits.clone(),
            tls_only: AtomicBool::new(config.tls_only),
            trusted_proxies: config.trusted_proxies.clone(),
            totals: StreamTotals::default(),
            mailboxes: OnceLock::new(),
        });
        let mut bound = Bound::new(config.workers);
        for listen in &config.listen {
            bound.listen(*listen)?;
        }
        let nat_discovery = bound.offer_nat_discovery(config.nat_discovery)?;
        let Bound {
            listeners,
            of_worker,
        } = bound;
        let nonce_keys = NonceKeys::new(&seed()?);
        let settings = settings(&config, &listeners, nat_discovery, nonce_keys.clone())?;
        let settings = Arc::new(settings);
        let host = Arc::new(watch_host());
        let parked = Arc::new(Parked::default());
        let start = Instant::now();
        let mut shared = share_sockets(&config, &settings).into_iter();
        let workers: Vec<Worker> = of_worker
            .into_iter()
            .enumerate()
            .map(|(index, sockets)| {
                let settings = Arc::clone(&settings);
                let shared_with_all = (Arc::clone(&host), Arc::clone(&parked));
                let (streams, place) = (Arc::clone(&streams), (index, config.workers));
                let worker = Worker::new(
                    settings,
                    shared_with_all,
                    streams,
                    sockets,
                    place,
                    (start, seed()?),
                )?;
                let worker = worker.coalescing(config.coalesce);
                match shared.next() {
                    Some(shared) => worker.sharing(shared),
                    None => Ok(worker),
                }
            })
            .collect::<io::Result<_>>()?;
        let colleagues: Vec<Colleague> = workers.iter().map(Worker::colleague).collect();
        let mailboxes = colleagues.iter().map(|it| Arc::clone(&it.mailbox));
        streams.mailboxes.get_or_init(|| mailboxes.collect());
        let listening = listeners.iter().map(|(_, address)| *address).collect();
        let handle = Handle::new(
            colleagues,
            streams,
            listening,
            (settings, nonce_keys, config),
        );
        let mut server = Self {
            listeners,
            watch: None,
            handle,
            threads: Vec::new(),
        };
        for (index, worker) in workers.into_iter().enumerate() {
            match spawn(index, worker) {
                Ok(thread) => server.threads.push(thread),
                Err(error) => {
                    server.shutdown();
                    return Err(error.into());
                }
            }
        }
        server.watch = Watch::start(server.handle.clone());
        server.handle.warn_of_certificates();
        Ok(server)
    }

    /// Directs the relay while it runs.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The listeners as they were bound, ports resolved.
    #[must_use]
    pub fn listeners(&self) -> &[(Protocol, SocketAddr)] {
        &self.listeners
    }

    /// Ends the workers and returns when all sockets are closed.
    pub fn shutdown(self) {
        if let Some(watch) = self.watch {
            watch.stop();
        }
        for worker in self.handle.workers() {
            worker.mailbox.send(Command::Stop);
        }
        for thread in self.threads {
            // A worker that panics has ended the process before.
            let _ = thread.join();
        }
    }
}

/// What can be told of a configuration without binding anything, for the start and for
/// `--check-config`. Returns the certificates.
///
/// # Errors
/// See [`StartError`].
pub fn check(config: &Config) -> Result<Certificates, StartError> {
    refuse_twice(&config.listen)?;
    if config.mobility && config.workers > 1 {
        let workers = config.workers;
        return Err(StartError::Usage(format!(
            "--workers {workers}: --mobility needs all clients on one worker, expected 1"
        )));
    }
    addresses::check_external(config)?;
    if let Some(alternate) = config.nat_discovery {
        let listens = config.listen.iter();
        let listeners: Vec<_> = listens.map(|it| (it.protocol, it.address)).collect();
        nat_discovery(&listeners, alternate)?;
    }
    certificates(config)
}

/// Loads the certificates that a configuration names, for the start and for
/// [`Handle::reload`].
///
/// # Errors
/// [`StartError::Certificates`], [`StartError::NoCertificate`].
pub(crate) fn certificates(config: &Config) -> Result<Certificates, StartError> {
    let certificates = Certificates::load(&config.tls_certs, &config.tls_keys)?;
    let needs_one = |listen: &&Listen| listen.protocol == Protocol::Tls;
    match config.listen.iter().find(needs_one) {
        Some(listen) if certificates.is_empty() => Err(StartError::NoCertificate(*listen)),
        _ => Ok(certificates),
    }
}

/// What the kernel delivers to this host. Without permission to follow it, what is found at the start.
fn watch_host() -> Host {
    Host::watch().unwrap_or_else(|error| {
        tracing::warn!(
            %error,
            "changes of this host's addresses are not noticed: peers could reach this host at an address that it \
             gets later. Permit netlink sockets (AF_NETLINK)"
        );
        Host::fixed(sockets::host_addresses().unwrap_or_default())
    })
}

/// Runs a worker on another thread.
fn spawn(index: usize, worker: Worker) -> io::Result<JoinHandle<()>> {
    let run = move || {
        let guard = EndProcess;
        worker.run();
        std::mem::forget(guard);
    };
    let name = format!("relay-{index}");
    std::thread::Builder::new().name(name).spawn(run)
}

/// A relay that has lost a worker would silently serve some clients and lose others. It is better
/// that the process ends and is started again: dropped when a worker panics.
struct EndProcess;

impl Drop for EndProcess {
    fn drop(&mut self) {
        tracing::error!("a worker has failed, this is a bug; the process ends");
        crate::logging::finish();
        std::process::exit(1);
    }
}

pub(crate) fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

/// What the workers share.
fn settings(
    config: &Config,
    listeners: &[(Protocol, SocketAddr)],
    nat_discovery: Option<NatDiscovery>,
    nonce_keys: NonceKeys,
) -> Result<Settings, StartError> {
    let listening: Vec<SocketAddr> = listeners.iter().map(|(_, address)| *address).collect();
    let Found {
        addresses: relay_addresses,
        missing,
        unused,
    } = relay_addresses(config, &listening)?;
    for address in not_there(&listening) {
        let hint = addresses::hint_at_nat(address);
        tracing::warn!(%address, "--listen: this host does not have the address; it is served when it comes{hint}");
    }
    if let Some(address) = addresses::private_alone(&relay_addresses) {
        tracing::info!(
            %address,
            "clients are told a private address: those in other networks need --external-address with the public one"
        );
    }
    if relay_addresses.is_empty() {
        tracing::warn!("there is no address to relay from: nobody can allocate until one comes");
    }
    for address in missing {
        tracing::warn!(%address, "--relay-address: this host does not have it; it is relayed from when it comes");
    }
    for external in unused {
        tracing::warn!(%external, "--external-address: there is no address yet that it stands for");
    }
    let served = served(config, &listening, &relay_addresses);
    let closed = listening
        .into_iter()
        .chain(config.protected.clone())
        .collect();
    let ports = Ports::new(
        relay_addresses.iter().map(|address| address.local),
        config.relay_ports.clone(),
    );
    Ok(Settings {
        authenticator: control::authenticator(config, nonce_keys),
        policy: PeerPolicy::new(
            config.allow_peer.clone(),
            config.deny_peer.clone(),
            served,
            closed,
        )
        .with_nat64(config.nat64_prefixes.clone()),
        quotas: config.quotas,
        max_credential_ttl_s: config.max_credential_ttl.as_secs(),
        max_bps: config.max_bps,
        tcp_relay: config.tcp_relay,
        alternate_servers: config.alternate_servers.clone(),
        mobility: config.mobility,
        nat_discovery,
        relay_addresses,
        ports: Arc::new(ports),
        shared: Arc::default(),
    })
}
