//! Options of single namespaces: in the file the table `[namespace.NAME]` or `[namespace-NAME]`, as flags
//! `--namespace-NAME-…`.
//!
//! Which namespaces there are is seen before options are parsed, by [`named`]; then each of their
//! options is one like all others, with its flag, key, variable, check and refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgMatches, Args as _, Command};
use signaling_proto::hub::NamespaceLimits;

use super::{Options, OriginPattern, values};

/// What all of these options begin with.
const PREFIX: &str = "namespace-";
/// Stands for any name in `--help` and in the example.
const PLACEHOLDER: &str = "NAME";

/// What may be set for one namespace.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
struct NamespaceOptions {
    /// Secret of room tokens for the namespace NAME [default: as --token-secret]
    #[arg(long, value_name = "SECRET")]
    token_secret: Option<String>,
    /// Further origin whose pages may enter the namespace NAME and no other; repeatable
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<OriginPattern>,
    /// Peers in one room of the namespace NAME [default: as --max-room]
    #[arg(long, value_name = "N", value_parser = values::parse_count)]
    max_room: Option<usize>,
    /// Rooms of the namespace NAME [default: as --max-rooms, which holds for all together]
    #[arg(long, value_name = "N", value_parser = values::parse_count)]
    max_rooms: Option<usize>,
    /// Peers in the namespace NAME [default: as --max-sessions, which holds for all together]
    #[arg(long, value_name = "N", value_parser = values::parse_count)]
    max_sessions: Option<usize>,
}

/// A namespace with options of its own; its limits are part of [`signaling_proto::hub::Config`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Checks its room tokens; the general secret does when `None`.
    pub token_secret: Option<String>,
    /// Origins besides the own one and those of all namespaces.
    pub allow_origins: Vec<OriginPattern>,
}

/// The names for which a command line or a file has options. What can't be read is left to the
/// parser, which says what is wrong with it.
#[must_use]
pub fn named(argv: &[OsString], file: Option<&Path>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for argument in argv.iter().filter_map(|argument| argument.to_str()) {
        let option = argument.strip_prefix("--").unwrap_or_default();
        let option = option.split_once('=').map_or(option, |(option, _)| option);
        names.extend(name_of(option).map(|(name, _)| name.to_owned()));
    }
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    let table = text.and_then(|text| text.parse::<toml::Table>().ok());
    for (key, value) in table.unwrap_or_default() {
        match value {
            // `[namespace.NAME]`
            toml::Value::Table(tables) if key == PREFIX.trim_end_matches('-') => {
                let tables = tables.into_iter().filter(|(_, it)| it.is_table());
                names.extend(tables.map(|(name, _)| name));
            }
            // `[namespace-NAME]`
            toml::Value::Table(_) => names.extend(key.strip_prefix(PREFIX).map(str::to_owned)),
            _ => names.extend(name_of(&key).map(|(name, _)| name.to_owned())),
        }
    }
    names.remove("");
    names
}

/// Adds the options of these namespaces to a command, and of a sample for the help.
#[must_use]
pub fn with_namespace_options(command: Command, names: &BTreeSet<String>) -> Command {
    let sample = std::iter::once(PLACEHOLDER);
    let names = names.iter().map(String::as_str).chain(sample);
    let names: BTreeSet<&str> = names.collect();
    command.args(names.into_iter().flat_map(options))
}

fn options(name: &str) -> Vec<Arg> {
    let template = NamespaceOptions::augment_args(Command::new("namespace"));
    let heading = match name {
        PLACEHOLDER => {
            "The namespace NAME, which is any name (in the file also a table [namespace.NAME])"
        }
        _ => "Single namespaces",
    };
    let own = |arg: &Arg| {
        let key = arg.get_long().expect("each has a long name");
        let long = format!("{PREFIX}{name}-{key}");
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        arg.clone()
            .id(long.clone())
            .long(long)
            .help(help.replace(PLACEHOLDER, name))
            .help_heading(heading)
    };
    template.get_arguments().map(own).collect()
}

/// The namespace's name and the key in it that an option is for.
pub(super) fn name_of(option: &str) -> Option<(&str, &str)> {
    let rest = option.strip_prefix(PREFIX)?;
    let keys = [
        "token-secret",
        "token-secret-file",
        "allow-origin",
        "max-room",
        "max-rooms",
        "max-sessions",
    ];
    keys.into_iter()
        .filter_map(|key| Some((rest.strip_suffix(key)?.strip_suffix('-')?, key)))
        .find(|(name, _)| !name.is_empty())
}

/// What [`with_namespace_options`] has added and somebody has set. What is not set is as `general`
/// says.
///
/// # Errors
/// When a secret is empty; names it.
pub(super) fn read(
    matches: &ArgMatches,
    general: &Options,
) -> Result<BTreeMap<String, (Namespace, NamespaceLimits)>, String> {
    let present = matches.ids().map(clap::Id::as_str);
    let names: BTreeSet<&str> = present.filter_map(name_of).map(|(name, _)| name).collect();
    let mut namespaces = BTreeMap::new();
    for name in names {
        let id = |key: &str| format!("{PREFIX}{name}-{key}");
        let count = |key: &str| matches.get_one::<usize>(&id(key)).copied();
        let token_secret = matches.get_one::<String>(&id("token-secret")).cloned();
        if token_secret.as_deref().is_some_and(str::is_empty) {
            let option = id("token-secret");
            return Err(format!("--{option} '': expected at least one character"));
        }
        let origins = matches.get_many::<OriginPattern>(&id("allow-origin"));
        let namespace = Namespace {
            token_secret,
            allow_origins: origins.into_iter().flatten().cloned().collect(),
        };
        let limits = NamespaceLimits {
            max_room: count("max-room").unwrap_or(general.max_room),
            max_rooms: count("max-rooms").unwrap_or(general.max_rooms),
            max_sessions: count("max-sessions").unwrap_or(general.max_sessions),
        };
        namespaces.insert(name.to_owned(), (namespace, limits));
    }
    Ok(namespaces)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn namespaces_are_found_on_the_command_line_and_in_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "max-room = 3\nnamespace-shop-max-room = 4\n[namespace-game]\nmax-rooms = 5\n[namespace-]\n[namespace.chess]\nmax-rooms = 5\n";
        file.write_all(text.as_bytes()).unwrap();
        let argv = [
            "signaling",
            "--namespace-my-app-max-sessions=6",
            "--namespace-x",
        ];
        let argv = argv.map(OsString::from);
        let names: Vec<_> = named(&argv, Some(file.path())).into_iter().collect();
        assert_eq!(names, ["chess", "game", "my-app", "shop"]);
        assert!(named(&argv[..1], Some(Path::new("/nowhere"))).is_empty());
    }

    #[test]
    fn every_option_is_known_by_its_key() {
        let template = NamespaceOptions::augment_args(Command::new("namespace"));
        for arg in template.get_arguments() {
            let key = arg.get_long().unwrap();
            let option = format!("namespace-max-room-{key}");
            assert_eq!(name_of(&option), Some(("max-room", key)));
        }
        assert_eq!(name_of("namespace-max-room"), None);
        assert_eq!(name_of("namespace--max-room"), None);
    }
}
