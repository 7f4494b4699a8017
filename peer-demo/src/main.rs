//! Entry point of `peer-demo`: options, log, verdict.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use peer_demo::{Config, Report};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What is logged unless RUST_LOG says otherwise: the crates below tell of everyday events as errors.
const DEFAULT_LOG: &str = "off,peer_demo=info";

/// How long what is under way on other threads may take after the end: a name server that does not answer is not waited for.
const LAST_WORK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let config = Config::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(config));
    runtime.shutdown_timeout(LAST_WORK);
    code
}

async fn run(config: Config) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| DEFAULT_LOG.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let (json, room) = (config.json, config.room.clone());
    let report = peer_demo::run_until(config, stop_signal())
        .await
        .unwrap_or_else(|error| Report::of_failure(room, format!("{error:#}")));
    tell(&report);
    if json && let Err(error) = print(&report) {
        tracing::error!("can't write the report: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::from(!report.ok))
}

/// Ctrl-C or SIGTERM.
async fn stop_signal() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!("can't listen for SIGTERM: {error}");
            std::future::pending().await
        }
    }
}

/// The verdict for people.
fn tell(report: &Report) {
    let verified = report.peers.iter().filter(|peer| peer.verified).count();
    if report.ok {
        tracing::info!(
            "success: {verified} of {} peers verified",
            report.peers.len()
        );
    }
    for problem in &report.problems {
        tracing::error!("{problem}");
    }
}

/// The report for programs: one JSON object on stdout.
fn print(report: &Report) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, report)?;
    writeln!(stdout)
}
