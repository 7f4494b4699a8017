//! The `stun-turn` program: options in, a running relay out.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use stun_turn::config::{Config, Options, SECRETS};
use stun_turn::settings::{Settings, Sources};
use stun_turn::{Server, logging};

/// STUN and TURN server: tells clients their public address and relays for those who can't reach
/// each other. Relays to public addresses only, unless told otherwise.
#[derive(Debug, Parser)]
#[command(name = "stun-turn", version)]
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
    let settings = Settings::load(
        Cli::command(),
        "STUN_TURN",
        std::env::args_os(),
        environment,
    );
    let settings = settings.unwrap_or_else(|error| error.exit());
    let cli = Cli::from_arg_matches(&settings.matches).unwrap_or_else(|error| error.exit());
    if cli.sources.print_config {
        print!("{}", settings.to_toml(&SECRETS));
        return ExitCode::SUCCESS;
    }
    if cli.sources.check_config {
        println!("the options are fine");
        return ExitCode::SUCCESS;
    }
    logging::init(&cli.log);
    match run(cli.options.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the first signal.
fn run(config: Config) -> anyhow::Result<()> {
    // Before anything listens, so that no signal meets the default handler.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if config.users.is_empty() && config.auth_secrets.is_empty() {
        tracing::warn!(
            "neither --user nor --auth-secret is set: STUN works, but nobody can allocate"
        );
    }
    let server = Server::start(config)?;
    for (protocol, address) in server.listeners() {
        println!("listening on {protocol}:{address}");
    }
    signals.forever().next();
    server.shutdown();
    Ok(())
}
