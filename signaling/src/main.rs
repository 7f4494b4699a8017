//! The `signaling` program: options in, a running service out.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use signaling::Server;
use signaling::config::{Config, Options, SECRETS, with_relay_options};
use stun_turn::logging;
use stun_turn::settings::{Settings, Sources};
use tokio::signal::unix::{SignalKind, signal};

/// Calls in the browser, self-hosted: serves the page, introduces peers to each other over WebSocket,
/// and relays for those who can't reach each other.
#[derive(Debug, Parser)]
#[command(name = "signaling", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    log: logging::Options,
    #[command(flatten)]
    sources: Sources,
}

fn main() -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let command = with_relay_options(Cli::command());
    let settings = Settings::load(command, "SIGNALING", std::env::args_os(), environment);
    let settings = settings.unwrap_or_else(|error| error.exit());
    let cli = Cli::from_arg_matches(&settings.matches).unwrap_or_else(|error| error.exit());
    let config = Config::from_matches(&settings.matches).unwrap_or_else(|error| error.exit());
    if settings.answer(&cli.sources, &SECRETS) {
        return ExitCode::SUCCESS;
    }
    logging::init(&cli.log);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    // Before anything listens, so that no signal meets the default handler.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    raise_file_limit(config.hub.max_sessions);
    let lan = config.lan;
    let mut server = Server::start(config).await?;
    announce(&server, lan);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = server.failed() => anyhow::bail!("the signaling core has failed; please report this"),
    }
    tracing::info!("stopping");
    tokio::select! {
        () = server.stop() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Each connection is an open file, and most systems start programs with a limit of 1024.
fn raise_file_limit(max_sessions: usize) {
    let allowed = stun_turn::file_limit::raise();
    if let Some(allowed) = allowed.filter(|allowed| *allowed < max_sessions as u64) {
        tracing::warn!(
            "the system allows {allowed} open files: --max-sessions {max_sessions} can't be reached"
        );
    }
}

/// Says where to go. Nobody may be listening on standard output: that is no reason to stop.
fn announce(server: &Server, lan: bool) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "Page: {}", server.url());
    if let Some(url) = server.turn_urls().first() {
        let _ = writeln!(out, "TURN: {url}");
    }
    if let Some(code) = server.qr_code().filter(|_| lan) {
        let _ = writeln!(
            out,
            "{code}\nThe certificate was made just now: browsers warn once."
        );
    }
    let _ = out.flush();
    tracing::info!(page = %server.page(), admin = %server.admin(), "serving");
}
