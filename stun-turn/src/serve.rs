//! The running program: what signals do to it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::FromArgMatches as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use stun_turn::config::Config;
use stun_turn::settings;
use stun_turn::{Handle, NONCE_KEY_LIFETIME, Server, StartError, admin, file_limit};

use crate::{Cli, load};

/// How often a draining server looks whether it is empty.
const DRAIN_INTERVAL: Duration = Duration::from_millis(100);

/// Serves until it is told to stop.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    // Before anything listens, so that no signal meets the default handler.
    let (sender, events) = mpsc::channel();
    forward_signals(sender.clone())?;
    let guard = cli.admin.guard().map_err(StartError::Usage)?;
    let fixed = Fixed::of(&cli);
    let mut config = Config::from(cli.options);
    warn_about(&config);
    file_limit::raise();
    let admin = cli.admin.admin;
    let admin = TcpListener::bind(admin).with_context(|| format!("--admin {admin}"))?;
    config.protected.push(admin.local_addr()?);
    let server = Server::start(config)?;
    admin::start(admin.try_clone()?, guard, server.handle().clone())?;
    announce(&server, &admin);
    drop(admin);
    let mut program = Program {
        relay: server.handle(),
        fixed,
        events,
        sender,
        reading: Reading::No,
    };
    program.serve();
    server.shutdown();
    Ok(())
}

/// What the thread that directs the relay wakes up for.
enum Event {
    Signal(i32),
    /// A reload has read its options.
    Read(Box<Result<Cli, settings::Error>>),
}

fn forward_signals(sender: Sender<Event>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if sender.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}

fn announce(server: &Server, admin: &TcpListener) {
    let mut stdout = std::io::stdout();
    for (protocol, address) in server.listeners() {
        // Nobody may be reading: that is no reason to stop.
        let _ = writeln!(stdout, "listening on {protocol}:{address}");
    }
    if let Ok(address) = admin.local_addr() {
        let _ = writeln!(stdout, "admin on http://{address}");
    }
}

fn warn_about(config: &Config) {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
}

/// The program's own options, which a reload does not change.
struct Fixed {
    admin: SocketAddr,
    admin_token: Option<String>,
    drain_deadline: Duration,
    log: String,
}

impl Fixed {
    fn of(cli: &Cli) -> Self {
        Self {
            admin: cli.admin.admin,
            admin_token: cli.admin.admin_token.clone(),
            drain_deadline: Duration::from_secs(cli.drain_deadline),
            log: format!("{:?}", cli.log),
        }
    }

    /// Names of what another start would have otherwise.
    fn differing(&self, new: &Self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("admin", self.admin != new.admin),
            ("admin-token", self.admin_token != new.admin_token),
            ("drain-deadline", self.drain_deadline != new.drain_deadline),
            ("log-format, log-level", self.log != new.log),
        ];
        let differing = all.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name)
    }
}

/// Whether options are being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    No,
    Yes,
    /// And once more after that: SIGHUP has come meanwhile.
    Again,
}

struct Program<'r> {
    relay: &'r Handle,
    fixed: Fixed,
    events: Receiver<Event>,
    /// For the thread that reads options.
    sender: Sender<Event>,
    reading: Reading,
}

impl Program<'_> {
    /// Waits for signals: SIGHUP reloads, SIGUSR2 reloads certificates, SIGTERM and SIGUSR1 drain, SIGINT or
    /// a second SIGTERM ends.
    fn serve(&mut self) {
        loop {
            match self.events.recv_timeout(NONCE_KEY_LIFETIME) {
                Ok(Event::Signal(SIGHUP)) => self.begin_reload(),
                Ok(Event::Signal(SIGUSR2)) => self.reload_certificates(),
                Ok(Event::Signal(SIGTERM | SIGUSR1)) => return self.drain(),
                Ok(Event::Read(loaded)) => self.finish_reload(*loaded),
                Ok(Event::Signal(_)) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.relay.warn_of_certificates();
                    if let Err(error) = self.relay.rotate_nonce_key() {
                        tracing::warn!(%error, "no new key for nonces; the old one stays");
                    }
                }
            }
        }
    }

    /// Lets the allocations that live go on until they end or the deadline comes.
    fn drain(&self) {
        let (relay, deadline) = (self.relay, self.fixed.drain_deadline);
        relay.drain();
        let allocations = relay.allocations();
        tracing::info!(allocations, deadline_s = deadline.as_secs(), "draining");
        let end = Instant::now().checked_add(deadline);
        while relay.allocations() > 0 && end.is_none_or(|end| Instant::now() < end) {
            match self.events.recv_timeout(DRAIN_INTERVAL) {
                Ok(Event::Signal(SIGHUP) | Event::Read(_)) => {
                    tracing::info!("draining, nothing is reloaded");
                }
                Ok(Event::Signal(SIGUSR1)) => tracing::info!("draining already"),
                Ok(Event::Signal(SIGUSR2)) => self.reload_certificates(),
                Ok(Event::Signal(_)) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        tracing::info!(allocations = relay.allocations(), "drained");
    }

    /// Reads the certificates' files again.
    fn reload_certificates(&self) {
        match self.relay.reload_certificates() {
            Ok(()) => tracing::info!("reloaded certificates"),
            Err(error) => {
                tracing::error!(%error, "not reloaded, the old certificates stay in force");
            }
        }
    }

    /// Reads all options again, away from this thread: host names among them may take seconds.
    fn begin_reload(&mut self) {
        if self.reading != Reading::No {
            self.reading = Reading::Again;
            return;
        }
        let sender = self.sender.clone();
        let read = move || {
            // The program may be ending.
            let _ = sender.send(Event::Read(Box::new(read_options())));
        };
        let thread = std::thread::Builder::new().name("reload".to_owned());
        match thread.spawn(read) {
            Ok(_) => self.reading = Reading::Yes,
            Err(error) => tracing::error!(%error, "not reloaded, the old options stay in force"),
        }
    }

    /// Puts what was read in force; whatever is wrong with it leaves the old options in force.
    fn finish_reload(&mut self, loaded: Result<Cli, settings::Error>) {
        let is_asked_again = self.reading == Reading::Again;
        self.reading = Reading::No;
        match loaded {
            Err(error) => {
                let error = error.without_secrets();
                let error = error.trim_end();
                tracing::error!(%error, "not reloaded, the old options stay in force");
            }
            Ok(cli) => self.put_in_force(cli),
        }
        if is_asked_again {
            self.begin_reload();
        }
    }

    fn put_in_force(&self, cli: Cli) {
        for option in self.fixed.differing(&Fixed::of(&cli)) {
            tracing::warn!(option, "differs, but is changed by a restart only");
        }
        let config = Config::from(cli.options);
        warn_about(&config);
        match self.relay.reload(config) {
            Err(error) => {
                tracing::error!(%error, "not reloaded, the old options stay in force");
            }
            Ok(unchanged) => {
                for option in unchanged {
                    tracing::warn!(option, "differs, but is changed by a restart only");
                }
                tracing::info!(
                    "reloaded users, secrets, peer policy, quotas, limits and certificates"
                );
            }
        }
    }
}

/// The options as they are to be after a reload.
fn read_options() -> Result<Cli, settings::Error> {
    let settings = load()?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Cli::from_arg_matches(&settings.matches)?)
}
