//! Options from the command line, the environment and a TOML file, in this order of precedence.
//!
//! The command line is the one description of all options. What the environment and the file add is
//! turned into arguments and parsed once more, so that a bad value is refused with the same words
//! wherever it stood. For an option `--auth-secret` of a program with the prefix `STUN_TURN` the
//! variable is `STUN_TURN_AUTH_SECRET` and the key `auth-secret` (`auth_secret` is taken too). A
//! variable holds one value, byte for byte; that of a repeatable option takes several, one a line,
//! as the file takes an array. An empty variable counts as unset. Secrets may stand in files of their
//! own (`--auth-secret-file`).

mod files;
mod hint;
mod layers;
mod print;
mod refusal;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use files::read as read_secret;
pub use print::{Knowledge, example};
pub use toml::Value;

use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use crate::config::AddressError;
use layers::{Environment, Layers};

/// The options that say where other options come from.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Sources {
    /// TOML file with further options, keys named like the flags
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub config: Option<PathBuf>,
    /// Check the options and exit
    #[arg(long, help_heading = "Configuration")]
    pub check_config: bool,
    /// Print the options in force as TOML that --config reads, without secrets, and exit
    #[arg(long, help_heading = "Configuration")]
    pub print_config: bool,
    /// Print a file for --config with all options explained, and exit
    #[arg(long, help_heading = "Configuration")]
    pub example_config: bool,
}

const SOURCES: [&str; 4] = ["config", "check_config", "print_config", "example_config"];

/// A program's options in force.
#[derive(Debug)]
pub struct Settings {
    command: Command,
    /// As after parsing the command line alone.
    pub matches: ArgMatches,
    /// What the operator should know although nothing is wrong with the options; without secrets.
    pub warnings: Vec<String>,
}

/// What a program's options are called elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// In front of environment variables.
    pub prefix: &'static str,
    /// What the names of options end with whose values are secret: each has a companion `-file`.
    pub secrets: &'static [&'static str],
}

/// Why no settings could be made.
#[derive(Debug)]
pub enum Error {
    /// A wrong option, or `--help`: `clap` prints it and knows the exit code (2 or 0).
    Usage(clap::Error),
    /// The file of this option can't be read (exit code 1).
    File(String, PathBuf, std::io::Error),
}

impl Error {
    /// Prints and ends the process.
    ///
    /// A name that can't be resolved is exit code 1: that may be over soon, and a service manager that
    /// does not restart after 2 tries again.
    pub fn exit(&self) -> ! {
        match self {
            Self::Usage(error) if is_unresolved(error) => {
                // Nobody may be reading.
                let _ = error.print();
                std::process::exit(1)
            }
            Self::Usage(error) => error.exit(),
            Self::File(..) => {
                eprintln!("error: {self}");
                std::process::exit(1)
            }
        }
    }

    /// For a log: one line, with values, but for those of secret options.
    #[must_use]
    pub fn without_secrets(&self) -> String {
        match self {
            Self::Usage(error) => match error.get(ContextKind::InvalidArg) {
                // The parser's hint at --help is for a terminal.
                Some(_) if !refusal::is_hidden(error) => {
                    let text = error.to_string();
                    let text = text.split("\n\n").next().unwrap_or_default();
                    text.strip_prefix("error: ").unwrap_or(text).to_owned()
                }
                Some(option) => format!("{option}: {}", error.kind()),
                None => error.to_string(),
            },
            other @ Self::File(..) => other.to_string(),
        }
    }
}

/// Whether the network may be at fault and not the value.
fn is_unresolved(error: &clap::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|it| it.downcast_ref());
    matches!(source, Some(AddressError::Unresolved { .. }))
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::File(option, path, error) => write!(f, "{option} {}: {error}", path.display()),
        }
    }
}

impl From<clap::Error> for Error {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl Settings {
    /// Puts the layers together. `variables` are those of the environment.
    ///
    /// # Errors
    /// See [`Error`]; also for `--help` and `--version`.
    pub fn load(
        command: Command,
        names: Names,
        argv: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let prefix = names.prefix;
        let command = files::with_files(command, names.secrets).after_help(format!(
            "Every option is also an environment variable ({prefix}_ and its name in capitals, \
             _ for -)\nand a key of the TOML file given by --config. A variable of a repeatable option holds one value a line."
        ));
        let argv: Vec<OsString> = argv.into_iter().collect();
        let parse = |all: &[OsString]| {
            let matches = command.clone().try_get_matches_from(all);
            matches.map_err(|error| refusal::readable(&command, names.secrets, all, error))
        };
        let matches = parse(&argv)?;
        let environment = Environment::new(prefix, variables);
        let file = match config_of(&matches).or_else(|| environment.config()) {
            Some(path) => read_file(&command, &path)?,
            None => toml::Table::new(),
        };
        let mut layers = Layers {
            command: &command,
            secrets: names.secrets,
            matches: &matches,
            environment: &environment,
            file: &file,
            warnings: Vec::new(),
        };
        let mut all: Vec<OsString> = argv.iter().take(1).cloned().collect();
        for arg in own_options(&command).filter(|arg| !files::is_companion(&command, arg)) {
            all.extend(layers.arguments(arg)?);
        }
        all.extend(argv.into_iter().skip(1));
        let known = own_options(&command).filter_map(Arg::get_long);
        let mut warnings = layers.warnings;
        warnings.extend(environment.unknown(known));
        let matches = parse(&all)?;
        Ok(Self {
            command,
            matches,
            warnings,
        })
    }
}

/// The file with options: before a subcommand or behind it.
#[must_use]
pub fn config_of(matches: &ArgMatches) -> Option<PathBuf> {
    let of = |matches: &ArgMatches| matches.try_get_one::<PathBuf>("config").ok()?.cloned();
    of(matches).or_else(|| of(matches.subcommand()?.1))
}

/// The options of another program under a prefix: `--listen` becomes `--turn-listen`.
#[must_use]
pub fn prefixed<T: clap::Args>(prefix: &'static str, heading: &'static str) -> Vec<Arg> {
    let command = T::augment_args(Command::new(prefix));
    let rename = |arg: &Arg| {
        let long = arg
            .get_long()
            .expect("options of a program have long names");
        let long = format!("{prefix}-{long}");
        arg.clone()
            .id(long.clone())
            .long(long)
            .help_heading(heading)
    };
    command.get_arguments().map(rename).collect()
}

/// Reads what [`prefixed`] added.
///
/// # Errors
/// When a combination of values is refused; each alone was checked before.
pub fn extract<T: clap::Args + FromArgMatches>(
    prefix: &'static str,
    matches: &ArgMatches,
) -> Result<T, clap::Error> {
    let command = T::augment_args(Command::new(prefix));
    let mut argv = vec![OsString::from(prefix)];
    for arg in command.get_arguments() {
        let name = arg
            .get_long()
            .expect("options of a program have long names");
        let id = format!("{prefix}-{name}");
        if matches.value_source(&id) != Some(ValueSource::CommandLine) {
            continue;
        }
        for value in matches.get_raw(&id).into_iter().flatten() {
            if takes_value(arg) {
                argv.push(argument(name, value));
            } else if value == "true" {
                argv.push(format!("--{name}").into());
            }
        }
    }
    T::from_arg_matches(&command.try_get_matches_from(argv)?)
}

/// A value that can't be used; `message` names where it stands.
fn not_text(message: String) -> Error {
    Error::Usage(clap::Error::raw(ErrorKind::InvalidUtf8, message + "\n"))
}

/// Everything but help, version and [`Sources`].
fn own_options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let id = arg.get_id().as_str();
        arg.get_long().is_some() && !SOURCES.contains(&id) && !["help", "version"].contains(&id)
    })
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn argument(name: &str, value: &std::ffi::OsStr) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(value);
    argument
}

fn arguments_of_text(arg: &Arg, value: &str) -> Vec<OsString> {
    let name = arg.get_long().unwrap_or_default();
    match arg.get_action() {
        ArgAction::Append => value
            .split('\n')
            .filter(|line| !line.is_empty())
            .map(|part| argument(name, part.as_ref()))
            .collect(),
        ArgAction::Set => vec![argument(name, value.as_ref())],
        // An empty or denying value leaves a switch off; a wrong one is shown to the parser.
        _ => match value {
            "" | "0" | "false" | "no" => Vec::new(),
            "1" | "true" | "yes" => vec![format!("--{name}").into()],
            wrong => vec![argument(name, wrong.as_ref())],
        },
    }
}

fn arguments_of_toml(arg: &Arg, value: &toml::Value) -> Vec<OsString> {
    let name = arg.get_long().unwrap_or_default();
    let plain = |value: &toml::Value| match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        toml::Value::Array(values) if matches!(arg.get_action(), ArgAction::Append) => values
            .iter()
            .map(|value| argument(name, plain(value).as_ref()))
            .collect(),
        value if takes_value(arg) => vec![argument(name, plain(value).as_ref())],
        value => arguments_of_text(arg, &plain(value)),
    }
}

/// Reads the file and refuses keys that no option has.
fn read_file(command: &Command, path: &Path) -> Result<toml::Table, Error> {
    let unreadable = |error| Error::File("--config".to_owned(), path.into(), error);
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let refuse = |kind, message: String| {
        let message = format!("--config {}: {message}\n", path.display());
        Error::Usage(clap::Error::raw(kind, message))
    };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        if hint::is_of_coturn(&text) {
            return refuse(ErrorKind::InvalidValue, hint::of_coturn());
        }
        // The error shows its line whole, which may be a secret's.
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let message = format!("not TOML: line {line}: {}", error.message());
        refuse(ErrorKind::InvalidValue, message)
    })?;
    let flat = flatten(table);
    for (index, key) in flat.keys().enumerate() {
        if flat.keys().take(index).any(|other| same_name(other, key)) {
            let message = format!("the key `{key}` stands there twice");
            return Err(refuse(ErrorKind::ArgumentConflict, message));
        }
        let is_known = |arg: &Arg| arg.get_long().is_some_and(|name| same_name(name, key));
        if !own_options(command).any(is_known) {
            let names = own_options(command).filter_map(Arg::get_long);
            let hint = hint::for_key(key, names);
            let message = format!("unknown key `{key}`{hint}");
            return Err(refuse(ErrorKind::UnknownArgument, message));
        }
    }
    Ok(flat)
}

/// `[turn] listen = …` is `turn-listen = …`, at any depth.
fn flatten(table: toml::Table) -> toml::Table {
    let mut flat = toml::Table::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = flatten(inner).into_iter();
                flat.extend(inner.map(|(name, value)| (format!("{key}-{name}"), value)));
            }
            value => {
                flat.insert(key, value);
            }
        }
    }
    flat
}

fn lookup<'t>(table: &'t toml::Table, name: &str) -> Option<&'t toml::Value> {
    table
        .iter()
        .find(|(key, _)| same_name(name, key))
        .map(|(_, value)| value)
}

/// Equal but for dashes and underscores.
fn same_name(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.replace(['-', '_'], "");
    letters(a) == letters(b)
}

#[cfg(test)]
mod tests;
