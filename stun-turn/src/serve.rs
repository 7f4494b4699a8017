//! The running program: what signals do to it.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::FromArgMatches as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
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
    let drain_deadline = Duration::from_secs(cli.drain_deadline);
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
    serve(server.handle(), &signals, drain_deadline);
    server.shutdown();
    Ok(())
}

fn signals() -> anyhow::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
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
    if config.users.is_empty() && config.auth_secrets.is_empty() {
        tracing::warn!(
            "neither --user nor --auth-secret is set: STUN works, but nobody can allocate"
        );
    }
}

/// Waits for signals: SIGHUP reloads, SIGTERM drains, SIGINT or a second SIGTERM ends.
fn serve(relay: &Handle, signals: &Receiver<i32>, drain_deadline: Duration) {
    loop {
        match signals.recv_timeout(NONCE_KEY_LIFETIME) {
            Ok(SIGHUP) => reload(relay),
            Ok(SIGTERM) => return drain(relay, signals, drain_deadline),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
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
    let end = Instant::now() + deadline;
    while relay.allocations() > 0 && Instant::now() < end {
        match signals.recv_timeout(DRAIN_INTERVAL) {
            Ok(SIGHUP) => tracing::info!("draining, nothing is reloaded"),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    tracing::info!(allocations = relay.allocations(), "drained");
}

/// Reads all options again; whatever is wrong with them leaves the old ones in force.
fn reload(relay: &Handle) {
    let loaded = load()
        .map_err(|error| error.to_string())
        .and_then(|settings| {
            Cli::from_arg_matches(&settings.matches).map_err(|error| error.to_string())
        });
    match loaded {
        Err(error) => {
            let error = error.trim_end();
            tracing::error!(%error, "not reloaded, the old options stay in force");
        }
        Ok(cli) => {
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
