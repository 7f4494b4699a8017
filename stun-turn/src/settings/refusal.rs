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
        secrets
            .iter()
            .chain(&["password"])
            .any(|secret| name.ends_with(secret))
    };
    let texts: Vec<&str> = argv.iter().map(|it| it.to_str().unwrap_or("")).collect();
    let value = text(&error, ContextKind::InvalidValue);
    if let (Some(option), Some(value)) = (text(&error, ContextKind::InvalidArg), value) {
        // What a positional argument refuses may be the rest of a secret with blanks.
        let is_rest = !option.starts_with('-') && rest_of(&texts, &value, is_secret).is_some();
        if is_secret(&option) || is_rest {
            let hidden = ContextValue::String(HIDDEN.to_owned());
            error.insert(ContextKind::InvalidValue, hidden);
            return error;
        }
        if value.len() > LONGEST {
            let begin: String = value.chars().take(LONGEST / 4).collect();
            let cut = ContextValue::String(format!("{begin}…"));
            error.insert(ContextKind::InvalidValue, cut);
        }
    }
    if let Some(option) = dashed_value(command, &texts, error.kind()) {
        let message =
            format!("{option}: a value that begins with - needs = in front: {option}=VALUE\n");
        return clap::Error::raw(error.kind(), message);
    }
    let unexpected = match error.kind() {
        ErrorKind::UnknownArgument => text(&error, ContextKind::InvalidArg),
        ErrorKind::InvalidSubcommand => text(&error, ContextKind::InvalidSubcommand),
        _ => None,
    };
    let unexpected = unexpected.filter(|it| !it.starts_with("--"));
    if let Some(option) = unexpected.and_then(|it| rest_of(&texts, &it, is_secret)) {
        let message = format!(
            "{option}: its value is followed by something that is no option; put a value with blanks in quotes\n"
        );
        return clap::Error::raw(error.kind(), message);
    }
    error
}

/// Whether the parser's error has a secret value in place of which [`HIDDEN`] stands.
pub(super) fn is_hidden(error: &clap::Error) -> bool {
    text(error, ContextKind::InvalidValue).is_some_and(|value| value == HIDDEN)
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// The option whose value begins with a dash, which the parser took for an option.
fn dashed_value(command: &Command, argv: &[&str], kind: ErrorKind) -> Option<String> {
    let is_about_an_argument = matches!(
        kind,
        ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::InvalidSubcommand
    );
    if !is_about_an_argument {
        return None;
    }
    let pairs = argv.iter().zip(argv.iter().skip(1));
    let mut dashed = pairs.filter(|(option, value)| {
        is_dashed_value(command, value)
            && all_options(command).any(|arg| takes_value(arg) && is_named(arg, option))
    });
    dashed.next().map(|(option, _)| (*option).to_owned())
}

/// The secret option whose value this word seems to continue: `--password correct horse` and
/// `--password=correct horse` have `horse`, and so all words up to the next option.
fn rest_of(argv: &[&str], word: &str, is_secret: impl Fn(&str) -> bool) -> Option<String> {
    let mut secret = None;
    // Words that stand between the option and this one.
    let mut between = 0;
    for argument in argv {
        // The parser names one letter of several: -abc is -a.
        let is_word = *argument == word || (word.starts_with('-') && argument.starts_with(word));
        if is_word && between > 0 && secret.is_some() {
            return secret;
        }
        if argument.starts_with("--") {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (*argument, None),
            };
            secret = is_secret(name).then(|| name.to_owned());
            between = usize::from(value.is_some());
        } else {
            between += 1;
        }
    }
    None
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

fn all_options(command: &Command) -> impl Iterator<Item = &Arg> {
    let of_subcommands = command.get_subcommands().flat_map(Command::get_arguments);
    command.get_arguments().chain(of_subcommands)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name).num_args(1);
        let check = Command::new("check")
            .arg(
                Arg::new("url").value_parser(|url: &str| match url.starts_with("turn:") {
                    true => Ok(url.to_owned()),
                    false => Err("expected turn:HOST"),
                }),
            )
            .args(["user", "password"].map(option));
        let token = Command::new("token").arg(option("token-secret"));
        Command::new("prog")
            .args(["auth-secret", "listen"].map(option))
            .subcommands([check, token])
    }

    fn refusal(line: &str) -> String {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = command().try_get_matches_from(&argv).unwrap_err();
        let secrets = ["auth-secret", "token-secret"];
        readable(&command(), &secrets, &argv, error).to_string()
    }

    /// The parser named `horse`.
    #[test]
    fn the_rest_of_a_secret_with_blanks_is_not_shown() {
        for (line, option) in [
            ("prog --auth-secret=correct horse battery", "--auth-secret"),
            ("prog --auth-secret correct horse battery", "--auth-secret"),
            (
                "prog check turn:h --user a --password correct horse",
                "--password",
            ),
            (
                "prog check turn:h --user a --password=correct horse",
                "--password",
            ),
            ("prog token --token-secret correct horse", "--token-secret"),
            (
                "prog token --token-secret=correct horse -battery",
                "--token-secret",
            ),
        ] {
            let told = refusal(line);
            assert!(told.contains(option) && told.contains("quotes"), "{told}");
            assert!(
                !told.contains("horse") && !told.contains("battery"),
                "{told}"
            );
        }
        let told = refusal("prog check --password correct horse");
        assert!(told.contains("expected turn:HOST"), "{told}");
        assert!(!told.contains("horse"), "{told}");
    }

    #[test]
    fn what_is_not_secret_is_shown() {
        assert!(refusal("prog --listen a chekc").contains("chekc"));
        assert!(refusal("prog check turn:h extra").contains("extra"));
        assert!(refusal("prog check turm:h").contains("turm:h"));
        let told = refusal("prog --auth-secret a --lisen b");
        assert!(told.contains("--lisen"), "{told}");
    }
}
