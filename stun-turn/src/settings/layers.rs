//! The layers below the command line: environment and TOML file, with secrets from files of their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    Error, arguments_of_text, arguments_of_toml, files, hint, lookup, not_text, takes_value,
};

/// The variables that begin with a program's prefix.
pub(super) struct Environment {
    prefix: &'static str,
    /// By what stands behind the prefix; empty ones are left out.
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    pub(super) fn new(
        prefix: &'static str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let own = |(name, value): (OsString, OsString)| {
            let rest = name.to_str()?.strip_prefix(prefix)?.strip_prefix('_')?;
            (!rest.is_empty() && !value.is_empty()).then(|| (rest.to_owned(), value))
        };
        let variables = variables.into_iter().filter_map(own).collect();
        Self { prefix, variables }
    }

    pub(super) fn config(&self) -> Option<PathBuf> {
        self.variables.get("CONFIG").map(PathBuf::from)
    }

    /// The value of an option.
    ///
    /// # Errors
    /// When it is no text.
    fn get(&self, option: &str) -> Result<Option<String>, Error> {
        let name = variable(option);
        let Some(value) = self.variables.get(&name) else {
            return Ok(None);
        };
        let text = value.clone().into_string();
        let prefix = self.prefix;
        text.map(Some).map_err(|_| {
            not_text(format!(
                "the environment variable {prefix}_{name} is not valid UTF-8"
            ))
        })
    }

    /// What to say of variables that no option has.
    pub(super) fn unknown<'o>(&self, options: impl Iterator<Item = &'o str>) -> Vec<String> {
        let known: Vec<String> = options.map(variable).chain(["CONFIG".to_owned()]).collect();
        let unknown = self.variables.keys().filter(|name| !known.contains(name));
        unknown
            .filter_map(|name| hint::for_variable(self.prefix, name, &known))
            .collect()
    }
}

/// An option's variable without the prefix.
fn variable(option: &str) -> String {
    option.replace('-', "_").to_uppercase()
}

/// Where options come from.
pub(super) struct Layers<'l> {
    pub(super) command: &'l Command,
    pub(super) secrets: &'l [&'l str],
    /// Of the command line alone.
    pub(super) matches: &'l ArgMatches,
    pub(super) environment: &'l Environment,
    pub(super) file: &'l toml::Table,
    /// What was found that is worth a line.
    pub(super) warnings: Vec<String>,
}

impl Layers<'_> {
    /// The arguments that an option gets besides those of the command line, its companion's included.
    ///
    /// # Errors
    /// When a value is no text, or a file of a companion can't be read.
    pub(super) fn arguments(&mut self, arg: &Arg) -> Result<Vec<OsString>, Error> {
        let name = arg.get_long().unwrap_or_default();
        let companion = files::companion_of(self.command, arg);
        let is_given = |arg: &Arg| {
            self.matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let of_companion = companion.filter(|it| is_given(it));
        if is_given(arg) || of_companion.is_some() {
            let id = of_companion.map(|companion| companion.get_id().as_str());
            let paths = id.and_then(|id| self.matches.get_many::<PathBuf>(id));
            let paths: Vec<PathBuf> = paths.into_iter().flatten().cloned().collect();
            refuse_both(arg, is_given(arg), &paths)?;
            return in_files(arg, &paths);
        }
        let mut all = Vec::new();
        let value = self.environment.get(name)?;
        let mut is_set = value.is_some();
        if let Some(value) = value {
            // Of a repeatable option's variable each line is a value.
            if !matches!(arg.get_action(), ArgAction::Append) {
                self.warn_of_newline(arg, "its environment variable", &value);
            }
            all.extend(arguments_of_text(arg, &value));
        }
        let mut paths = Vec::new();
        if let Some(companion) = companion
            && let Some(value) = self
                .environment
                .get(companion.get_long().unwrap_or_default())?
        {
            paths = arguments_of_text(companion, &value);
        }
        if !is_set && paths.is_empty() {
            let value = lookup(self.file, name);
            is_set = value.is_some();
            if let Some(value) = value {
                for text in value.as_array().into_iter().flatten().chain([value]) {
                    let text = text.as_str().unwrap_or_default();
                    self.warn_of_newline(arg, "the file of --config", text);
                }
                refuse_booleans(arg, value)?;
                all.extend(arguments_of_toml(arg, value));
            }
            if let Some(companion) = companion
                && let Some(value) = lookup(self.file, companion.get_long().unwrap_or_default())
            {
                paths = arguments_of_toml(companion, value);
            }
        }
        let found: Vec<PathBuf> = paths.iter().filter_map(value_of_argument).collect();
        refuse_both(arg, is_set, &found)?;
        all.extend(in_files(arg, &found)?);
        all.extend(paths);
        Ok(all)
    }

    /// Tells of a secret that ends with a newline, which hardly anybody means.
    fn warn_of_newline(&mut self, arg: &Arg, place: &str, value: &str) {
        let name = arg.get_long().unwrap_or_default();
        let is_secret = self.secrets.iter().any(|secret| name.ends_with(secret));
        if is_secret && value.ends_with('\n') {
            self.warnings.push(format!(
                "--{name}: the value in {place} ends with a newline, which is a part of it. In TOML put the closing \
                 quotes on the same line; --{name}-file does not count a newline at the end of the file"
            ));
        }
    }
}

/// The values of an option in the files of its companion.
fn in_files(arg: &Arg, paths: &[PathBuf]) -> Result<Vec<OsString>, Error> {
    let values = paths.iter().map(|path| files::arguments(arg, path));
    Ok(values.collect::<Result<Vec<_>, _>>()?.concat())
}

/// No option takes `true` for a value; as text it could be a host name.
fn refuse_booleans(arg: &Arg, value: &toml::Value) -> Result<(), Error> {
    let name = arg.get_long().unwrap_or_default();
    let mut values = value.as_array().into_iter().flatten().chain([value]);
    if !takes_value(arg) || !values.any(toml::Value::is_bool) {
        return Ok(());
    }
    let message =
        format!("the key `{name}` of --config: expected a text or a number, not true or false\n");
    Err(clap::Error::raw(ErrorKind::InvalidValue, message).into())
}

/// An option with a single value has it from one place.
fn refuse_both(arg: &Arg, is_set: bool, paths: &[PathBuf]) -> Result<(), Error> {
    if !is_set || paths.is_empty() || matches!(arg.get_action(), ArgAction::Append) {
        return Ok(());
    }
    let name = arg.get_long().unwrap_or_default();
    let message = format!("--{name} and --{name}-file are both given: expected one of them\n");
    Err(clap::Error::raw(ErrorKind::ArgumentConflict, message).into())
}

/// What stands behind the `=` of an argument.
fn value_of_argument(argument: &OsString) -> Option<PathBuf> {
    let (_, value) = argument.to_str()?.split_once('=')?;
    Some(PathBuf::from(value))
}
