//! Secrets from files: each secret option `--NAME` has a companion `--NAME-file`.
//!
//! Both forms are one option: the first of command line, environment and TOML file that has either
//! of them counts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, Command};

use super::{Error, argument, not_text, own_options};

/// What the name of a companion ends with.
const SUFFIX: &str = "-file";
/// The largest file that is read, in bytes: larger ones are mistakes, such as `/dev/zero`.
const MAX_BYTES: u64 = 1 << 20;
/// What some editors write in front of a file in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Adds the companions of a command's secret options.
pub(super) fn with_files(command: Command, secrets: &[&str]) -> Command {
    let is_secret = |arg: &&Arg| {
        let name = arg.get_long().unwrap_or_default();
        secrets.iter().any(|secret| name.ends_with(secret))
    };
    let companions: Vec<Arg> = own_options(&command)
        .filter(is_secret)
        .map(companion)
        .collect();
    command.args(companions)
}

fn companion(of: &Arg) -> Arg {
    let name = of.get_long().unwrap_or_default();
    let is_repeatable = matches!(of.get_action(), ArgAction::Append);
    let help = match is_repeatable {
        true => format!("File with a value of --{name} on each line; repeatable"),
        false => format!("File with the value of --{name}; a newline at its end does not count"),
    };
    let long = format!("{name}{SUFFIX}");
    let arg = Arg::new(long.clone())
        .long(long)
        .value_name("FILE")
        .value_parser(PathBufValueParser::new())
        .action(of.get_action().clone())
        .help(help);
    match of.get_help_heading() {
        Some(heading) => arg.help_heading(heading.to_owned()),
        None => arg,
    }
}

/// The companion of an option.
pub(super) fn companion_of<'c>(command: &'c Command, arg: &Arg) -> Option<&'c Arg> {
    let name = arg.get_long()?;
    let is_it = |other: &&Arg| {
        let base = other.get_long().and_then(|long| long.strip_suffix(SUFFIX));
        base == Some(name)
    };
    command.get_arguments().find(is_it)
}

/// Whether an option is another one's companion.
pub(super) fn is_companion(command: &Command, arg: &Arg) -> bool {
    let base = arg.get_long().and_then(|long| long.strip_suffix(SUFFIX));
    let is_base = |other: &Arg| other.get_long() == base;
    base.is_some() && command.get_arguments().any(is_base)
}

/// The values of `arg` in a file, as arguments.
///
/// # Errors
/// When the file can't be read, is no text, or holds no value.
pub(super) fn arguments(arg: &Arg, path: &Path) -> Result<Vec<OsString>, Error> {
    let name = arg.get_long().unwrap_or_default();
    let option = format!("--{name}{SUFFIX}");
    let text = read(&option, path)?;
    let values: Vec<&str> = match arg.get_action() {
        ArgAction::Append => text
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .filter(|line| !line.is_empty())
            .collect(),
        _ => vec![text.as_str()],
    };
    Ok(values
        .into_iter()
        .map(|value| argument(name, value.as_ref()))
        .collect())
}

/// The text of a file without a newline at its end.
///
/// # Errors
/// When the file can't be read, is no text, or is empty; names `option`.
pub fn read(option: &str, path: &Path) -> Result<String, Error> {
    use std::io::Read as _;

    let in_file = |source| Error::File(option.to_owned(), PathBuf::from(path), source);
    let file = std::fs::File::open(path).map_err(in_file)?;
    let mut bytes = Vec::new();
    let mut limited = file.take(MAX_BYTES + 1);
    limited.read_to_end(&mut bytes).map_err(in_file)?;
    let path = path.display();
    if bytes.len() as u64 > MAX_BYTES {
        return Err(not_text(format!(
            "{option} {path}: expected a secret of at most {MAX_BYTES} bytes"
        )));
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(not_text(format!("{option} {path}: expected UTF-8")));
    };
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.trim_matches(['\r', '\n']).is_empty() {
        return Err(not_text(format!("{option} {path}: the file is empty")));
    }
    Ok(text.to_owned())
}
