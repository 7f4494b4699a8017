//! The `stun-turn` program: options in, a running relay out.

mod serve;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use stun_turn::config::{self, Config, Options, SECRETS};
use stun_turn::proto::auth::credential::{self, Credential};
use stun_turn::settings::{self, Knowledge, Names, Settings, Sources};
use stun_turn::{StartError, admin, check, logging};

/// STUN and TURN server: tells clients their public address and relays for those who can't reach
/// each other. Relays to public addresses only, unless told otherwise.
#[derive(Debug, Parser)]
#[command(name = "stun-turn", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    admin: admin::Options,
    /// How long allocations that live may go on after SIGTERM
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        help_heading = "Admin"
    )]
    drain_deadline: u64,
    #[command(flatten)]
    log: logging::Options,
    #[command(flatten)]
    sources: Sources,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check any STUN or TURN server as a client would: who we are seen as, whether it relays, and what to
    /// do if not
    Check(Box<check::Options>),
    /// Print a time-limited user name and its password, by the TURN REST convention
    Credential(CredentialOptions),
}

#[derive(Debug, clap::Args)]
struct CredentialOptions {
    /// Secret that the relay was given by --auth-secret [default: the first one of the relay's own options]
    #[arg(long, value_name = "SECRET", value_parser = NonEmptyStringValueParser::new())]
    auth_secret: Option<String>,
    /// File with the secret; a newline at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with = "auth_secret")]
    auth_secret_file: Option<PathBuf>,
    /// The relay's TOML file, for its secret
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For how long the credential opens new allocations
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    ttl: u64,
    /// Whom the credential is for; becomes part of the user name
    #[arg(default_value = "")]
    id: String,
}

impl CredentialOptions {
    /// The secret that is named here, or else the first one of the relay's options.
    ///
    /// # Errors
    /// When the file can't be read, or there is no secret.
    fn secret(&self, relay: &Options) -> Result<String, settings::Error> {
        let secret = match &self.auth_secret_file {
            Some(path) => Some(settings::read_secret("--auth-secret-file", path)?),
            None => self.auth_secret.clone(),
        };
        let secret = secret.or_else(|| relay.auth_secret.first().cloned());
        secret.ok_or_else(|| {
            let message = "a credential needs a secret: give --auth-secret or --auth-secret-file, set \
                           STUN_TURN_AUTH_SECRET, or name the relay's file by --config\n";
            clap::Error::raw(ErrorKind::MissingRequiredArgument, message).into()
        })
    }
}

/// What the options are called elsewhere.
const NAMES: Names = Names {
    prefix: "STUN_TURN",
    secrets: &SECRETS,
};

fn main() -> ExitCode {
    let settings = load().unwrap_or_else(|error| error.exit());
    let cli = Cli::from_arg_matches(&settings.matches).unwrap_or_else(|error| error.exit());
    if cli.sources.check_config
        && let Err(error) = check_options(&cli, &settings.warnings)
    {
        return refuse(&error.into());
    }
    let knowledge = Knowledge {
        secrets: &SECRETS,
        computed: Config::from(cli.options.clone()).computed(),
        example: &config::example,
    };
    if settings.answer(&cli.sources, &knowledge) {
        return ExitCode::SUCCESS;
    }
    match &cli.command {
        None => {}
        Some(Command::Check(options)) => {
            let options = check::Options::clone(options).or_of_relay(&cli.options);
            return check_server(options.unwrap_or_else(|error| error.exit()));
        }
        Some(Command::Credential(options)) => {
            let secret = options.secret(&cli.options);
            let secret = secret.unwrap_or_else(|error| error.exit());
            print_credential(&secret, options.ttl, &options.id);
            return ExitCode::SUCCESS;
        }
    }
    logging::init(&cli.log);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let result = serve::run(cli);
    logging::finish();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// What the options' values alone do not tell.
fn check_options(cli: &Cli, warnings: &[String]) -> Result<(), StartError> {
    cli.admin.guard().map_err(StartError::Usage)?;
    let config = Config::from(cli.options.clone());
    let certificates = stun_turn::check_config(&config)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let of_certificates = certificates.warnings(now.unwrap_or_default().as_secs());
    let warnings = warnings.iter().cloned();
    for warning in warnings.chain(config.warnings()).chain(of_certificates) {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

/// Success only when every step of every way passed.
fn check_server(options: check::Options) -> ExitCode {
    if options.url.scheme.is_turn()
        && let Some(account) = &options.account_of
    {
        // Of standard output scripts read the verdict.
        eprintln!(
            "note: signing as {account} of the relay's own options (STUN_TURN_… variables or --config)"
        );
    }
    match check::run(options, &mut std::io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    let is_usage = error.downcast_ref().is_some_and(StartError::is_usage);
    ExitCode::from(if is_usage { 2 } else { 1 })
}

/// Reads the options, at the start and again at each SIGHUP.
fn load() -> Result<Settings, settings::Error> {
    config::begin_reading();
    Settings::load(
        Cli::command(),
        NAMES,
        std::env::args_os(),
        std::env::vars_os(),
    )
}

fn print_credential(secret: &str, ttl_s: u64, id: &str) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let expires_at = now.as_secs().saturating_add(ttl_s);
    let Credential { username, password } = credential::mint(secret.as_bytes(), id, expires_at);
    println!("username: {username}");
    println!("password: {password}");
}

#[cfg(test)]
#[path = "../tests/support/every_option.rs"]
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
            example: &config::example,
        };
        let text = settings::example(&Cli::command(), &knowledge);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let keys = text.lines().filter_map(|line| line.strip_prefix('#'));
        for line in keys.filter(|line| line.starts_with(char::is_alphabetic)) {
            writeln!(file, "{line}").unwrap();
        }
        let config = format!("--config={}", file.path().display());
        let argv = ["stun-turn", &config].map(Into::into);
        let loaded = Settings::load(Cli::command(), NAMES, argv, []);
        let loaded =
            loaded.unwrap_or_else(|error| panic!("{error}\n(examples: config::example)\n{text}"));
        Cli::from_arg_matches(&loaded.matches).unwrap();
    }

    #[test]
    fn every_option_is_taken_or_refused_by_name_whatever_it_is_given() {
        let load = |mut argv: Vec<std::ffi::OsString>, variables: Vec<_>, text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let config = format!("--config={}", file.path().display());
            argv.splice(0..0, ["stun-turn".into(), config.into()]);
            let loaded = Settings::load(Cli::command(), NAMES, argv, variables);
            let cli = loaded.and_then(|loaded| Ok(Cli::from_arg_matches(&loaded.matches)?));
            cli.map(|_| ()).map_err(|error| error.to_string())
        };
        every_option::check(&Cli::command(), NAMES, &load);
    }
}
