//! The log: on standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Options of the log.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// How log lines look
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Log"
    )]
    pub log_format: Format,
    /// The least important lines to show: error, warn, info, debug, trace or off
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Log"
    )]
    pub log_level: LevelFilter,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One object a line, for machines.
    Json,
}

/// Starts logging for the whole process. Other crates' lines are shown from warnings on.
pub fn init(options: &Options) {
    let own = [
        "stun_turn",
        "stun_turn_proto",
        "signaling",
        "signaling_proto",
    ];
    let others = options.log_level.min(LevelFilter::WARN);
    let mut filter = EnvFilter::default().add_directive(others.into());
    for target in own {
        let directive = format!("{target}={}", options.log_level);
        filter = filter.add_directive(directive.parse().expect("a target and a level"));
    }
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match options.log_format {
        Format::Text => log.with_target(false).init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
}
