//! Puts a relay under load and says what became of it. All traffic stays on loopback or in network
//! namespaces of its own, and stops by itself.

mod calls;
mod compare;
mod flood;
mod memory_group;
mod relay;
mod signaling;
mod timing;
mod turn;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "load")]
enum Command {
    /// Floods of every kind against a relay that carries calls, one after the other
    Flood {
        /// The `stun-turn` to try
        #[arg(long, default_value = "target/release/stun-turn")]
        program: PathBuf,
        /// How long each flood lasts
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Memory that the relay may have, the kernel's for its sockets included; needs root
        #[arg(long, value_name = "MEBIBYTES")]
        memory_limit: Option<u64>,
        /// Only floods whose name contains this
        #[arg(default_value = "")]
        filter: String,
    },
    /// Whether the time of a refusal tells which users exist
    Timing,
    Relay(compare::Compare),
    Signaling(signaling::Signaling),
    #[command(hide = true)]
    Forward(compare::Forward),
    #[command(hide = true)]
    ForwardWebSockets(signaling::ForwardWebSockets),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Flood {
            program,
            seconds,
            memory_limit,
            filter,
        } => flood::run(
            &program,
            Duration::from_secs(seconds),
            memory_limit,
            &filter,
        ),
        Command::Timing => timing::run(),
        Command::Relay(compare) => compare.run(),
        Command::Signaling(signaling) => signaling.run(),
        Command::Forward(forward) => forward.run(),
        Command::ForwardWebSockets(forward) => forward.run(),
    }
}
