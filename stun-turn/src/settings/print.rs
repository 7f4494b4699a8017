//! Options written down as TOML: those in force, and an example with all there are.

use std::any::TypeId;
use std::ffi::OsStr;

use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

use crate::text::wrap;

use super::{Settings, Sources, own_options, takes_value};

/// How long lines of the example's comments may be, in characters.
const WIDTH: usize = 110;

/// What a program adds to the description of its options.
pub struct Knowledge<'k> {
    /// Names of options whose values are secret; with any prefix too.
    pub secrets: &'k [&'k str],
    /// Values in force of options that nobody gave and whose default depends on other options or on
    /// the machine, by their names.
    pub computed: Vec<(String, Value)>,
    /// For an option, by its name: a value as TOML, where no fixed default can be shown.
    pub example: &'k dyn Fn(&str) -> Option<&'static str>,
}

impl std::fmt::Debug for Knowledge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Knowledge")
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Does what `--print-config`, `--example-config` and `--check-config` ask for; true when the
    /// program is done then.
    #[must_use]
    pub fn answer(&self, sources: &Sources, knowledge: &Knowledge<'_>) -> bool {
        if sources.example_config {
            print!("{}", example(&self.command, knowledge));
        } else if sources.print_config {
            print!("{}", self.to_toml(knowledge));
        } else if sources.check_config {
            println!("the options are fine");
        }
        sources.example_config || sources.print_config || sources.check_config
    }

    /// The options in force as TOML that `--config` reads. Of secrets only a comment tells: no
    /// placeholder that could be taken for one.
    #[must_use]
    pub fn to_toml(&self, knowledge: &Knowledge<'_>) -> String {
        let mut table = Table::new();
        let mut hidden = String::new();
        for (name, value) in &knowledge.computed {
            table.insert(name.clone(), value.clone());
        }
        for arg in own_options(&self.command) {
            let name = arg.get_long().unwrap_or_default();
            let Some(raw) = self.matches.get_raw(arg.get_id().as_str()) else {
                continue;
            };
            if knowledge.secrets.iter().any(|it| name.ends_with(it)) {
                hidden += &format!("# {name} is set, hidden here ({} in all)\n", raw.count());
                continue;
            }
            let mut values: Vec<_> = raw.map(|text| value_of(arg, text)).collect();
            let value = match arg.get_action() {
                ArgAction::Append => Value::Array(values),
                _ => values.pop().unwrap_or(Value::Boolean(false)),
            };
            table.insert(name.to_owned(), value);
        }
        format!("{hidden}{table}")
    }
}

fn value_of(arg: &Arg, text: &OsStr) -> Value {
    let kind = arg.get_value_parser().type_id();
    let is_number = [
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
    ]
    .iter()
    .any(|number| kind == *number);
    let text = text.to_string_lossy();
    match text.parse() {
        Ok(number) if is_number => Value::Integer(number),
        _ if takes_value(arg) => Value::String(text.into_owned()),
        _ => Value::Boolean(text == "true"),
    }
}

/// A file with every option, commented out, under the headings of `--help`.
#[must_use]
pub fn example(command: &Command, knowledge: &Knowledge<'_>) -> String {
    let program = command.get_name();
    let mut text = format!(
        "# Every option of {program}, with its default or an example, as `{program} --example-config` prints it.\n\
         # Take the # away in front of what you set, and start with `{program} --config FILE`.\n\
         # `{program} --config FILE --check-config` tells whether it is right.\n"
    );
    let mut headings: Vec<&str> = Vec::new();
    for arg in own_options(command) {
        let heading = heading(arg);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for wanted in headings {
        text += &format!("\n##### {wanted}\n");
        for arg in own_options(command).filter(|arg| heading(arg) == wanted) {
            text.push('\n');
            text += &comment(arg);
            let name = arg.get_long().unwrap_or_default();
            text += &format!("#{name} = {}\n", example_value(arg, knowledge));
        }
    }
    text
}

fn heading(arg: &Arg) -> &str {
    arg.get_help_heading().unwrap_or("General")
}

/// The help, wrapped, and the values there are if they can be counted.
fn comment(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut words = help.map(ToString::to_string).unwrap_or_default();
    let values = arg.get_possible_values();
    if takes_value(arg) && !values.is_empty() {
        let names: Vec<_> = values.iter().map(|value| value.get_name()).collect();
        words += &format!(" [values: {}]", names.join(", "));
    }
    wrap(&words, "# ", WIDTH)
}

fn example_value(arg: &Arg, knowledge: &Knowledge<'_>) -> String {
    let name = arg.get_long().unwrap_or_default();
    if let Some(example) = (knowledge.example)(name) {
        return example.to_owned();
    }
    match arg.get_default_values() {
        [default, ..] => value_of(arg, default).to_string(),
        [] => "false".to_owned(),
    }
}
