//! How other threads talk to the workers of a running relay: commands into their mailboxes, and
//! totals read from where the workers count.

mod connection;
mod reload;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::Waker;
use stun_turn_proto::auth::nonce::NonceKeys;
use stun_turn_proto::relay::{RelayAddress, Session, SessionId, Traffic};
use stun_turn_proto::totals::Totals;
use stun_turn_proto::{FiveTuple, Settings};

use crate::config::Config;
use crate::server::{self, StartError};
use crate::streams::{StreamTotals, Streams};
use crate::tally::Tally;
use crate::worker::Adopted;

pub use connection::ClientConnection;
pub(crate) use reload::authenticator;

/// How long one key for nonces should be used; see [`Handle::rotate_nonce_key`].
pub const NONCE_KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long a worker may take to answer; they answer between two turns of their loop.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a worker is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Work with these settings from now on.
    Reconfigure(Arc<Settings>),
    /// Take no new allocations.
    Drain,
    /// List the living allocations.
    Sessions(Sender<Vec<SessionInfo>>),
    /// End one, and say whether it was there.
    End(SessionId, Sender<bool>),
    /// End all of an account.
    EndAccount(Arc<str>),
    /// Show that it turns.
    ShowLife,
    /// Serve a client's connection that another worker has accepted.
    Adopt(Adopted),
    /// Serve a client's connection that another part of the process has accepted.
    Serve(ClientConnection),
    /// End everything and return.
    Stop,
}

/// One worker's mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) commands: Sender<Command>,
    pub(crate) waker: Waker,
}

impl Mailbox {
    pub(crate) fn send(&self, command: Command) {
        // A worker that is gone needs no commands. If waking fails, the command is seen at the next
        // packet or deadline.
        let _ = self.commands.send(command);
        let _ = self.waker.wake();
    }
}

/// One worker, seen from outside.
#[derive(Debug)]
pub(crate) struct Colleague {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) tally: Arc<Tally>,
    /// As the last look at it has found; see [`crate::pulse`].
    pub(crate) hangs: AtomicBool,
}

/// A living allocation.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// Names it for [`Handle::end_session`].
    pub id: String,
    /// The user who made it.
    pub user: String,
    /// Client and server address and the transport between them.
    pub client: FiveTuple,
    /// The relayed transport address that peers know.
    pub relayed: SocketAddr,
    /// How long it has lived.
    pub age: Duration,
    /// How long it will live without a Refresh.
    pub expires_in: Duration,
    /// Permissions and channels held.
    pub permissions_and_channels: (usize, usize),
    /// What it has relayed.
    pub traffic: Traffic,
}

impl SessionInfo {
    pub(crate) fn new(worker: usize, session: &Session<'_>) -> Self {
        Self {
            id: session_name(worker, session.id),
            user: String::from_utf8_lossy(session.username).into_owned(),
            client: session.client,
            relayed: session.relayed,
            age: session.age,
            expires_in: session.expires_in,
            permissions_and_channels: (session.permissions, session.channels),
            traffic: session.traffic,
        }
    }
}

/// What a session is called in the log and on the admin address. Each worker counts for itself.
pub(crate) fn session_name(worker: usize, id: SessionId) -> String {
    format!("{worker}-{}", id.0)
}

/// Directs a running relay; clones direct the same one.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    workers: Vec<Colleague>,
    streams: Arc<Streams>,
    in_force: Mutex<InForce>,
    is_draining: AtomicBool,
    listening: Vec<SocketAddr>,
    addresses: Addresses,
    /// Held while the host's addresses are looked at: the last look counts.
    following: Mutex<()>,
    /// Held while options are replaced: of two reloads the later one counts.
    reloading: Mutex<()>,
    /// Wakes the thread that follows the host's addresses, where one does.
    watch: OnceLock<Arc<Waker>>,
}

/// How many addresses of the host serve the relay.
#[derive(Debug, Default)]
struct Addresses {
    /// Relayed from, by family.
    relayed: [AtomicU64; 2],
    /// Listened on, but not there.
    missing: AtomicU64,
    /// Different ones that are listened on.
    listened: u64,
}

impl Addresses {
    fn store(&self, relay_addresses: &[RelayAddress], missing: usize) {
        let [ipv4, ipv6] = &self.relayed;
        let of_ipv4 = relay_addresses.iter().filter(|it| it.local.is_ipv4());
        let of_ipv4 = of_ipv4.count();
        ipv4.store(of_ipv4 as u64, Ordering::Relaxed);
        let of_ipv6 = relay_addresses.len() - of_ipv4;
        ipv6.store(of_ipv6 as u64, Ordering::Relaxed);
        self.missing.store(missing as u64, Ordering::Relaxed);
    }
}

/// What the next reload starts from.
#[derive(Debug)]
struct InForce {
    settings: Arc<Settings>,
    nonce_keys: NonceKeys,
    config: Config,
}

impl Handle {
    pub(crate) fn new(
        workers: Vec<Colleague>,
        streams: Arc<Streams>,
        listening: Vec<SocketAddr>,
        (settings, nonce_keys, config): (Arc<Settings>, NonceKeys, Config),
    ) -> Self {
        let mut listened: Vec<IpAddr> = listening.iter().map(SocketAddr::ip).collect();
        listened.sort_unstable();
        listened.dedup();
        let addresses = Addresses {
            listened: listened.len() as u64,
            ..Addresses::default()
        };
        addresses.store(
            &settings.relay_addresses,
            server::not_there(&listening).len(),
        );
        let in_force = InForce {
            settings,
            nonce_keys,
            config,
        };
        Self(Arc::new(Inner {
            workers,
            streams,
            in_force: Mutex::new(in_force),
            is_draining: AtomicBool::new(false),
            listening,
            addresses,
            following: Mutex::default(),
            reloading: Mutex::default(),
            watch: OnceLock::new(),
        }))
    }

    pub(crate) fn workers(&self) -> &[Colleague] {
        &self.0.workers
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        // Each change is one assignment after everything that can fail.
        self.0
            .in_force
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        for worker in &self.0.workers {
            worker.mailbox.send(command());
        }
    }

    /// Takes no new allocations from now on; those that live go on.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
        self.tell_all(|| Command::Drain);
    }

    /// Whether new clients are welcome: not while draining, nor while descriptors are short, a worker hangs, or the
    /// host has no address to listen on or to relay from.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let is_short = |worker: &Colleague| worker.tally.short_of_descriptors.get() != 0;
        !self.0.is_draining.load(Ordering::Relaxed)
            && !self.0.workers.iter().any(is_short)
            && self.hung_workers() == 0
            && self.relay_addresses().iter().sum::<u64>() > 0
            && self.missing_listeners() < self.0.addresses.listened
    }

    /// How many addresses are relayed from: of IPv4, and of IPv6.
    #[must_use]
    pub fn relay_addresses(&self) -> [u64; 2] {
        let relayed = self.0.addresses.relayed.each_ref();
        relayed.map(|count| count.load(Ordering::Relaxed))
    }

    /// How many addresses are listened on that the host does not have.
    #[must_use]
    pub fn missing_listeners(&self) -> u64 {
        self.0.addresses.missing.load(Ordering::Relaxed)
    }

    /// Names the thread that [follows the host](Self::follow_host).
    pub(crate) fn watched_by(&self, watch: Arc<Waker>) {
        let _ = self.0.watch.set(watch);
    }

    /// Looks at the host's addresses: those that have come are relayed from, those that have gone no
    /// more. Allocations stay.
    ///
    /// # Errors
    /// When they can't be looked at, as without descriptors; all stays as it is, and this must be called
    /// again.
    pub(crate) fn follow_host(&self) -> Result<(), StartError> {
        let following = &self.0.following;
        let _following = following.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.in_force().config.clone();
        // Sockets are opened for it, so not while others wait.
        let listening = &self.0.listening;
        let found = server::relay_addresses(&config, listening)?.addresses;
        let missing = server::not_there(listening).len();
        let mut in_force = self.in_force();
        let before = &in_force.settings.relay_addresses;
        if *before != found {
            tell_of_change(before, &found);
            let served = server::served(&config, listening, &found);
            let ports = found.iter().map(|it| it.local);
            let settings = Settings {
                policy: in_force.settings.policy.with_served(served),
                ports: Arc::new(in_force.settings.ports.with_addresses(ports)),
                relay_addresses: found,
                ..Settings::clone(&in_force.settings)
            };
            in_force.settings = Arc::new(settings);
            self.apply(&mut in_force);
        }
        let addresses = &self.0.addresses;
        match (self.missing_listeners(), missing) {
            (before, now) if before == now as u64 => {}
            (_, 0) => tracing::info!("this host has all addresses that are listened on"),
            (_, missing) => {
                tracing::warn!(
                    missing,
                    "this host does not have all addresses that are listened on"
                );
            }
        }
        addresses.store(&in_force.settings.relay_addresses, missing);
        Ok(())
    }

    /// How many workers hang, as far as somebody [looks](crate::pulse::Pulse).
    #[must_use]
    pub fn hung_workers(&self) -> usize {
        let hangs = |worker: &&Colleague| worker.hangs.load(Ordering::Relaxed);
        self.0.workers.iter().filter(hangs).count()
    }

    /// How many allocations live.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        let gauges = self
            .0
            .workers
            .iter()
            .flat_map(|worker| &worker.totals.allocations);
        gauges.map(stun_turn_proto::totals::Counter::get).sum()
    }

    /// All living allocations, the oldest of each worker first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let (answer, answers) = mpsc::channel();
        self.tell_all(|| Command::Sessions(answer.clone()));
        drop(answer);
        let mut all = Vec::new();
        while let Ok(sessions) = answers.recv_timeout(PATIENCE) {
            all.extend(sessions);
        }
        all.sort_by_key(|session| std::cmp::Reverse(session.age));
        all
    }

    /// Ends an allocation; false when there is none of this name.
    #[must_use]
    pub fn end_session(&self, id: &str) -> bool {
        let parse = || {
            let (worker, number) = id.split_once('-')?;
            let worker: usize = worker.parse().ok()?;
            Some((self.0.workers.get(worker)?, SessionId(number.parse().ok()?)))
        };
        let Some((worker, session)) = parse() else {
            return false;
        };
        let (answer, answers) = mpsc::channel();
        worker.mailbox.send(Command::End(session, answer));
        answers.recv_timeout(PATIENCE).unwrap_or(false)
    }

    /// One line of the log for each certificate that clients refuse or that ends soon.
    pub fn warn_of_certificates(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let certificates = self.0.streams.tls.certificates();
        for warning in certificates.warnings(now.unwrap_or_default().as_secs()) {
            tracing::warn!("{warning}");
        }
    }

    /// When the first certificate ends, in Unix seconds.
    #[must_use]
    pub fn first_certificate_end(&self) -> Option<u64> {
        self.0.streams.tls.certificates().first_end()
    }

    /// Ends what this account holds, and answers its credentials with 401 for so long: until the last one that was made
    /// has expired. An account is what stands behind the expiry in a time-limited user name, or a static user; if it has
    /// parts with colons between them, its first one stands for all that begin with it.
    pub fn revoke(&self, account: &str, for_this_long: Duration) {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_s = unix_s.unwrap_or_default().as_secs();
        let until_s = unix_s.saturating_add(for_this_long.as_secs().saturating_add(1));
        let shared = Arc::clone(&self.in_force().settings.shared);
        // First: what is asked for after the end must not succeed.
        shared.revoked.add(account.as_bytes(), until_s, unix_s);
        let account: Arc<str> = account.into();
        self.tell_all(|| Command::EndAccount(Arc::clone(&account)));
    }

    /// How many records of closed allocations were left out of the log.
    pub(crate) fn records_left_out(&self) -> u64 {
        self.in_force().settings.shared.records.left_out()
    }

    /// Sums of the workers' totals.
    pub(crate) fn sum(&self, of: impl Fn(&Totals) -> u64) -> u64 {
        self.0.workers.iter().map(|worker| of(&worker.totals)).sum()
    }

    /// What has happened to streams so far.
    #[must_use]
    pub fn stream_totals(&self) -> &StreamTotals {
        &self.0.streams.totals
    }

    /// The causes of errors that sockets reported, summed over workers.
    pub(crate) fn socket_errors(&self) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for (name, count) in self
            .0
            .workers
            .iter()
            .flat_map(|it| it.tally.socket_errors.read())
        {
            *sums.entry(name).or_insert(0) += count;
        }
        sums
    }
}

/// One line for each address that has come or gone.
fn tell_of_change(before: &[RelayAddress], after: &[RelayAddress]) {
    for RelayAddress { local, public } in after.iter().filter(|it| !before.contains(it)) {
        tracing::info!(address = %local, %public, "relaying from this address");
    }
    for RelayAddress { local, public } in before.iter().filter(|it| !after.contains(it)) {
        tracing::warn!(address = %local, %public, "not relaying from this address any more");
    }
    if after.is_empty() {
        tracing::error!("there is no address to relay from: nobody can allocate");
    }
}
