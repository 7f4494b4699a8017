//! The `signaling` program: options in, a running service out.

mod token_command;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use signaling::Server;
use signaling::config::{
    self, Config, Options, SECRETS, example, with_namespace_options, with_relay_options,
};
use stun_turn::logging;
use stun_turn::settings::{self, Knowledge, Names, Settings, Sources};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::token_command::TokenOptions;

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
    #[command(subcommand)]
    command: Option<Subcommand>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Print a token that lets its bearer into one room
    Token(TokenOptions),
}

/// What the options are called elsewhere.
const NAMES: Names = Names {
    prefix: "SIGNALING",
    secrets: &SECRETS,
};

/// Reads the options, at the start and again at each SIGHUP.
fn load(
    argv: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
) -> Result<Settings, settings::Error> {
    stun_turn::config::begin_reading();
    let mut of_config = variables
        .iter()
        .filter(|(name, _)| name == "SIGNALING_CONFIG");
    let file = Cli::command()
        .ignore_errors(true)
        .try_get_matches_from(&argv)
        .ok()
        .and_then(|matches| settings::config_of(&matches))
        .or_else(|| of_config.next().map(|(_, value)| PathBuf::from(value)))
        .filter(|path| !path.as_os_str().is_empty());
    let command = command(&config::named(&argv, file.as_deref()));
    Settings::load(command, NAMES, argv, variables)
}

/// All options, those of these namespaces included.
fn command(namespaces: &BTreeSet<String>) -> clap::Command {
    with_namespace_options(with_relay_options(Cli::command()), namespaces)
}

/// What this process was started with.
fn load_own() -> Result<Settings, settings::Error> {
    load(std::env::args_os().collect(), std::env::vars_os().collect())
}

fn main() -> ExitCode {
    let settings = load_own().unwrap_or_else(|error| error.exit());
    let cli = Cli::from_arg_matches(&settings.matches).unwrap_or_else(|error| error.exit());
    let config = Config::from_matches(&settings.matches).unwrap_or_else(|error| error.exit());
    let knowledge = Knowledge {
        secrets: &SECRETS,
        computed: config.computed(),
        example: &example,
    };
    if cli.sources.check_config {
        let of_certificates = match config.check_certificates() {
            Ok(warnings) => warnings,
            Err(error) => {
                eprintln!("error: {}", error.message);
                return ExitCode::from(if error.is_usage { 2 } else { 1 });
            }
        };
        let warnings = settings.warnings.iter().cloned().chain(config.warnings());
        for warning in warnings.chain(of_certificates) {
            eprintln!("warning: {warning}");
        }
    }
    if settings.answer(&cli.sources, &knowledge) {
        return ExitCode::SUCCESS;
    }
    if let Some(Subcommand::Token(options)) = cli.command {
        return match options.print(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    logging::init(&cli.log);
    warn_about(&settings, &config);
    let result = run(config);
    logging::finish();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the operator should know of options that are valid.
fn warn_about(settings: &Settings, config: &Config) {
    for warning in settings.warnings.iter().cloned().chain(config.warnings()) {
        tracing::warn!("{warning}");
    }
}

/// How long what is under way on other threads may take after the end: a file is written by then, and a name server that does not
/// answer is not waited for.
const LAST_WORK: Duration = Duration::from_secs(1);

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_timeout(LAST_WORK);
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before anything listens, so that no signal meets the default handler.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    raise_file_limit(config.hub.max_sessions);
    let lan = config.lan;
    let mut server = Server::start(config).await?;
    announce(&server, lan);
    let mut reading: Option<oneshot::Receiver<Loaded>> = None;
    let mut is_asked_again = false;
    loop {
        let read = async {
            match &mut reading {
                Some(reading) => reading.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => match reading {
                Some(_) => is_asked_again = true,
                None => reading = Some(begin_reading()),
            },
            loaded = read => {
                reading = std::mem::take(&mut is_asked_again).then(begin_reading);
                match loaded {
                    Ok(loaded) => reload(&server, loaded),
                    // The thread could not be started, or a mistake of ours has ended it.
                    Err(_) => tracing::error!("not reloaded: the options could not be read"),
                }
            }
            () = server.failed() => anyhow::bail!("the signaling core has failed; please report this"),
        }
    }
    tracing::info!("stopping");
    tokio::select! {
        () = server.stop() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// The options of a reload, or why there are none, without secrets.
type Loaded = Result<Config, String>;

/// Reads all options again on another thread: host names among them may take seconds. The end of the
/// process does not wait for it.
fn begin_reading() -> oneshot::Receiver<Loaded> {
    let (sender, receiver) = oneshot::channel();
    let read = move || {
        let config = load_own().and_then(|settings| {
            let config = Config::from_matches(&settings.matches)?;
            warn_about(&settings, &config);
            Ok(config)
        });
        // The process may be ending.
        let _ = sender.send(config.map_err(|error| error.without_secrets()));
    };
    let thread = std::thread::Builder::new().name("reload".to_owned());
    if let Err(error) = thread.spawn(read) {
        tracing::error!(%error, "no thread to read the options");
    }
    receiver
}

/// Puts new options in force; whatever is wrong with them leaves the old ones in force.
fn reload(server: &Server, config: Loaded) {
    let reloaded = config.and_then(|config| {
        let reloaded = server.reload(config);
        reloaded.map_err(|error| format!("{error:#}"))
    });
    match reloaded {
        Err(error) => {
            let error = error.trim_end();
            tracing::error!(%error, "not reloaded, the old options stay in force");
        }
        Ok(unchanged) => {
            for option in unchanged {
                tracing::warn!(option, "differs, but is changed by a restart only");
            }
            tracing::info!(
                "reloaded certificates, and the relay's users, secrets, peer policy, quotas and limits"
            );
        }
    }
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

#[cfg(test)]
#[path = "../../stun-turn/tests/support/every_option.rs"]
mod every_option;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// All keys of the example at once: what it shows is what is read.
    #[test]
    fn every_line_of_the_example_is_a_value_that_is_taken() {
        let knowledge = Knowledge {
            secrets: &SECRETS,
            computed: Vec::new(),
            example: &example,
        };
        let text = settings::example(&command(&BTreeSet::new()), &knowledge);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let keys = text.lines().filter_map(|line| line.strip_prefix('#'));
        for line in keys.filter(|line| line.starts_with(char::is_alphabetic)) {
            writeln!(file, "{line}").unwrap();
        }
        let config = format!("--config={}", file.path().display());
        let argv = ["signaling", &config].map(Into::into);
        let loaded = load(argv.into(), Vec::new());
        let loaded =
            loaded.unwrap_or_else(|error| panic!("{error}\n(examples: config::example)\n{text}"));
        Cli::from_arg_matches(&loaded.matches).unwrap();
    }

    #[test]
    fn every_option_is_taken_or_refused_by_name_whatever_it_is_given() {
        let known = BTreeSet::from(["game".to_owned()]);
        let load = |mut argv: Vec<OsString>, variables: Vec<_>, text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            // It makes the namespace known.
            writeln!(file, "[namespace-game]\nmax-rooms = 7").unwrap();
            let config = format!("--config={}", file.path().display());
            argv.splice(0..0, ["signaling".into(), config.into()]);
            let loaded = load(argv, variables);
            let config = loaded.and_then(|loaded| Ok(Config::from_matches(&loaded.matches)?));
            config.map(|_| ()).map_err(|error| error.to_string())
        };
        // The sample of the help is no namespace of the file.
        let options = command(&known).mut_args(|arg| match arg.get_id().as_str() {
            id if id.starts_with("namespace-NAME-") || id == "namespace-game-max-rooms" => {
                arg.long(None::<&str>)
            }
            _ => arg,
        });
        every_option::check(&options, NAMES, &load);
    }
}
