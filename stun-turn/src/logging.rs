//! The log: on standard error, as text or JSON. A thread of its own writes it: when whoever reads it stops, or the disk
//! is full, lines are lost and counted, and nothing waits.

use std::io::IsTerminal as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Lines that may wait to be written.
const WAITING_LINES: usize = 10_000;

/// Writes what waits when it is dropped.
static WRITER: Mutex<Option<WorkerGuard>> = Mutex::new(None);
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

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
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    LOST.get_or_init(|| writer.error_counter());
    *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer);
    match options.log_format {
        Format::Text => log.with_target(false).init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
}

/// Writes what waits, for a second at most; what is logged after this is lost. To be called before the process ends.
pub fn finish() {
    let guard = WRITER.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(guard);
}

/// How many lines were lost, because nobody took them.
#[must_use]
pub fn lost_lines() -> u64 {
    LOST.get().map_or(0, |lost| lost.dropped_lines() as u64)
}
