//! The `signaling` program: options in, a running service out.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use signaling::Server;
use signaling::config::{
    self, Config, Options, SECRETS, example, with_namespace_options, with_relay_options,
};
use signaling::room_token::{self, Claims};
use signaling_proto::message::server::Role;
use signaling_proto::name::{self, BadName};
use stun_turn::logging;
use stun_turn::settings::{self, Knowledge, Names, Settings, Sources};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

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

#[derive(Debug, clap::Args)]
struct TokenOptions {
    /// Secret that the service was given by --token-secret [default: that of the service's own options, of
    /// the namespace where it has one]
    #[arg(long, value_name = "SECRET", value_parser = NonEmptyStringValueParser::new())]
    token_secret: Option<String>,
    /// File with the secret; a newline at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with = "token_secret")]
    token_secret_file: Option<PathBuf>,
    /// The service's TOML file, for its secret
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which room it opens: its name, or a link to it
    #[arg(long, value_name = "NAME|LINK", value_parser = parse_room)]
    room: String,
    /// Which application's room
    #[arg(long, value_name = "NAME", default_value = "main", value_parser = parse_namespace)]
    namespace: String,
    /// What its bearer is
    #[arg(long, value_name = "ROLE", default_value = "participant",
          value_parser = ["host", "participant", "viewer"])]
    role: String,
    /// How its bearer is called [default: as it says itself]
    #[arg(long, value_name = "NAME", value_parser = parse_person)]
    name: Option<String>,
    /// For how long it opens the room
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl: u64,
}

fn parse_room(text: &str) -> Result<String, String> {
    name::room_of(text).map_err(|why| format!("it {why}"))
}

fn parse_namespace(text: &str) -> Result<String, String> {
    name::namespace(text).map_err(|why| format!("it {why}"))
}

/// A name that would be shown otherwise is a mistake here.
fn parse_person(text: &str) -> Result<String, String> {
    match name::namespace(text) {
        Ok(_) | Err(BadName::Dots) => Ok(name::person(text)),
        Err(why) => Err(format!("it {why}")),
    }
}

impl TokenOptions {
    /// The secret that is named here, or else that of the service for the namespace.
    fn secret(&self, service: &Config) -> anyhow::Result<String> {
        if let Some(path) = &self.token_secret_file {
            let secret = settings::read_secret("--token-secret-file", path);
            return secret.map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()));
        }
        let of_namespace = service.namespaces.get(&self.namespace);
        let of_namespace = of_namespace.and_then(|it| it.token_secret.clone());
        let secret = self.token_secret.clone().or(of_namespace);
        let secret = secret.or_else(|| service.token_secret.clone());
        secret.context(
            "a token needs a secret: give --token-secret or --token-secret-file, set \
             SIGNALING_TOKEN_SECRET, or name the service's file by --config",
        )
    }

    fn print(self, service: &Config) -> anyhow::Result<()> {
        let secret = self.secret(service)?;
        let claims = Claims {
            room: self.room,
            namespace: self.namespace,
            role: match self.role.as_str() {
                "host" => Role::Host,
                "viewer" => Role::Viewer,
                _ => Role::Participant,
            },
            name: self.name,
            exp: 0,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let ttl = Duration::from_secs(self.ttl);
        let token = room_token::mint(&secret, claims, now, ttl)?;
        writeln!(std::io::stdout(), "{token}")?;
        Ok(())
    }
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

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
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

/// Reads all options again on a thread of its own: host names among them may take seconds. The end of the
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
