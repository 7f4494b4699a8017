//! The running program: what signals do to it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::FromArgMatches as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use stun_turn::config::Config;
use stun_turn::{Handle, NONCE_KEY_LIFETIME, Server, StartError, admin, file_limit};

use crate::{Cli, load};

/// How often a draining server looks whether it is empty.
const DRAIN_INTERVAL: Duration = Duration::from_millis(100);

/// Serves until it is told to stop.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    // Before anything listens, so that no signal meets the default handler.
    let signals = signals()?;
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
    serve(server.handle(), &signals, &fixed);
    server.shutdown();
    Ok(())
}

fn signals() -> anyhow::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?;
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        })?;
    Ok(receiver)
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

/// Waits for signals: SIGHUP reloads, SIGUSR2 reloads certificates, SIGTERM and SIGUSR1 drain, SIGINT or
/// a second SIGTERM ends.
fn serve(relay: &Handle, signals: &Receiver<i32>, fixed: &Fixed) {
    loop {
        match signals.recv_timeout(NONCE_KEY_LIFETIME) {
            Ok(SIGHUP) => reload(relay, fixed),
            Ok(SIGUSR2) => reload_certificates(relay),
            Ok(SIGTERM | SIGUSR1) => return drain(relay, signals, fixed.drain_deadline),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                relay.warn_of_certificates();
                if let Err(error) = relay.rotate_nonce_key() {
                    tracing::warn!(%error, "no new key for nonces; the old one stays");
                }
            }
        }
    }
}

/// Lets the allocations that live go on until they end or the deadline comes.
fn drain(relay: &Handle, signals: &Receiver<i32>, deadline: Duration) {
    relay.drain();
    let allocations = relay.allocations();
    tracing::info!(allocations, deadline_s = deadline.as_secs(), "draining");
    let end = Instant::now().checked_add(deadline);
    while relay.allocations() > 0 && end.is_none_or(|end| Instant::now() < end) {
        match signals.recv_timeout(DRAIN_INTERVAL) {
            Ok(SIGHUP) => tracing::info!("draining, nothing is reloaded"),
            Ok(SIGUSR1) => tracing::info!("draining already"),
            Ok(SIGUSR2) => reload_certificates(relay),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    tracing::info!(allocations = relay.allocations(), "drained");
}

/// Reads the certificates' files again.
fn reload_certificates(relay: &Handle) {
    match relay.reload_certificates() {
        Ok(()) => tracing::info!("reloaded certificates"),
        Err(error) => tracing::error!(%error, "not reloaded, the old certificates stay in force"),
    }
}

/// Reads all options again; whatever is wrong with them leaves the old ones in force.
fn reload(relay: &Handle, fixed: &Fixed) {
    let loaded = load().and_then(|settings| {
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Cli::from_arg_matches(&settings.matches)?)
    });
    match loaded {
        Err(error) => {
            let error = error.without_secrets();
            let error = error.trim_end();
            tracing::error!(%error, "not reloaded, the old options stay in force");
        }
        Ok(cli) => {
            for option in fixed.differing(&Fixed::of(&cli)) {
                tracing::warn!(option, "differs, but is changed by a restart only");
            }
            let config = Config::from(cli.options);
            warn_about(&config);
            match relay.reload(config) {
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
}
