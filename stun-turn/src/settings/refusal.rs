//! Refusals of the command line without values that may be secret.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::takes_value;

/// What stands in place of a secret value.
const HIDDEN: &str = "(hidden)";

/// Longer values are cut where they are shown, in bytes.
const LONGEST: usize = 400;

/// The parser's refusal of these arguments, without secrets, and with a hint where a value begins with
/// a dash.
pub(super) fn readable(
    command: &Command,
    secrets: &[&str],
    argv: &[OsString],
    mut error: clap::Error,
) -> clap::Error {
    let is_secret = |name: &str| {
        let name = name.strip_prefix("--").unwrap_or(name);
        let name = name.split([' ', '=']).next().unwrap_or(name);
        secrets.iter().any(|secret| name.ends_with(secret))
    };
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && is_secret(option)
        && error.get(ContextKind::InvalidValue).is_some()
    {
        let hidden = ContextValue::String(HIDDEN.to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
        return error;
    }
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && value.len() > LONGEST
    {
        let begin: String = value.chars().take(LONGEST / 4).collect();
        let cut = ContextValue::String(format!("{begin}…"));
        error.insert(ContextKind::InvalidValue, cut);
    }
    let is_about_an_argument = matches!(
        error.kind(),
        ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::InvalidSubcommand
    );
    if !is_about_an_argument {
        return error;
    }
    let texts: Vec<&str> = argv.iter().map(|it| it.to_str().unwrap_or("")).collect();
    for (index, option) in texts.iter().enumerate() {
        let value = texts.get(index + 1).copied().unwrap_or_default();
        let behind = texts.get(index + 2).copied().unwrap_or_default();
        let takes_one = all_options(command).any(|arg| takes_value(arg) && is_named(arg, option));
        if !takes_one {
            continue;
        }
        if is_dashed_value(command, value) {
            let message =
                format!("{option}: a value that begins with - needs = in front: {option}=VALUE\n");
            return clap::Error::raw(error.kind(), message);
        }
        let is_rest = error.kind() == ErrorKind::InvalidSubcommand && !behind.starts_with('-');
        if is_rest && is_secret(option) && !is_subcommand(command, behind) {
            let message = format!(
                "{option}: its value is followed by something that is no option; put a value with blanks in quotes\n"
            );
            return clap::Error::raw(error.kind(), message);
        }
    }
    error
}

/// Whether this can't be an option: it begins with a dash, and none has the name.
fn is_dashed_value(command: &Command, text: &str) -> bool {
    let name = text.split('=').next().unwrap_or(text);
    text.len() > 1
        && text.starts_with('-')
        && !["-h", "-V", "--help", "--version", "--"].contains(&name)
        && !all_options(command).any(|arg| is_named(arg, name))
}

fn is_named(arg: &Arg, option: &str) -> bool {
    arg.get_long().is_some() && option.strip_prefix("--") == arg.get_long()
}

fn is_subcommand(command: &Command, text: &str) -> bool {
    text.is_empty() || command.find_subcommand(text).is_some()
}

fn all_options(command: &Command) -> impl Iterator<Item = &Arg> {
    let of_subcommands = command.get_subcommands().flat_map(Command::get_arguments);
    command.get_arguments().chain(of_subcommands)
}
