//! Signaling servers side by side: each on one core, the same clients, one after the other.

mod bare;
mod bystanders;
mod connecting;
mod dialect;
mod measure;
mod rooms;
mod servers;
mod session;
mod setups;
mod survivors;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

pub(crate) use self::bare::ForwardWebSockets;
use self::servers::{Kind, Launcher};
use crate::compare::host::{self, Cores};
use crate::compare::process;
use crate::compare::report::{self, Metric, Report};

/// Part of a core in the background that spoils measurements.
const NOT_IDLE: f64 = 0.05;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// Memory of idle connections
    Idle,
    /// Many connections in a short time
    Storm,
    /// Offers, answers and candidates
    Setups,
    /// How fast everybody knows of a newcomer
    Joins,
    /// A client that does not read
    Stopped,
    /// A client that is gone without a word
    Death,
    /// A client whose address changes while messages flow
    Address,
    /// A server that is killed and started again
    Restart,
}

const ALL: [Scenario; 8] = [
    Scenario::Idle,
    Scenario::Storm,
    Scenario::Setups,
    Scenario::Joins,
    Scenario::Stopped,
    Scenario::Death,
    Scenario::Address,
    Scenario::Restart,
];

impl Scenario {
    /// Whether a figure of it depends on what else the machine's host has to do in that second: then
    /// it is measured several times, the servers in turns, and the median is told.
    const fn is_of_the_moment(self) -> bool {
        matches!(self, Self::Storm | Self::Setups | Self::Joins)
    }
}

/// Signaling servers side by side: memory, connections, call set-ups, rooms, and what survives
#[derive(Debug, clap::Args)]
pub(crate) struct Signaling {
    /// What to measure; all by default
    scenarios: Vec<Scenario>,
    /// The `signaling` to measure
    #[arg(long, default_value = "target/release/signaling")]
    program: PathBuf,
    /// The folder where `npm ci` has put the servers for Node.js
    #[arg(long, value_name = "DIR", default_value = "tests/load/others/node")]
    node: PathBuf,
    /// Only servers whose name contains this; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Clients of the server that is killed and started again [default: 5000; quick: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=9000))]
    clients: Option<u32>,
    /// How often storms, set-ups and joins are measured, all servers in turns: medians are told
    /// [default: 3; quick: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: Option<u32>,
    /// Everything small and short: to see that it works, not for figures
    #[arg(long)]
    quick: bool,
    /// Where to write all values as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One run.
struct Bench {
    launcher: Launcher,
    quick: bool,
    report: Report,
}

impl Bench {
    fn add(&mut self, kind: Kind, metric: Metric, value: f64) {
        println!("{}: {}: {value:.3}", kind.name(), metric.name);
        self.report.add(kind.name(), metric, value);
    }

    /// The second where it has to be quick.
    fn sizes<const N: usize>(&self, full: [u32; N], quick: [u32; N]) -> [u32; N] {
        if self.quick { quick } else { full }
    }
}

impl Signaling {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let _alone = host::wait_for_others()?;
        host::allow_many_files()?;
        let machine = report::machine();
        let cores = Cores::choose()?;
        if let Some(busy) = process::busy_part(cores.server, Duration::from_millis(500))
            && busy > NOT_IDLE
        {
            println!(
                "core {} is busy by {:.0} %: figures will be worse than they are",
                cores.server,
                busy * 100.0
            );
        }
        host::pin(cores.generator)?;
        println!("{machine}");
        let bench = Bench {
            launcher: Launcher {
                program: self.program.clone(),
                node: self.node.clone(),
                core: cores.server,
            },
            quick: self.quick,
            report: Report::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let report = runtime.block_on(self.measure(bench))?;
        println!("\n{}", report.table(Kind::PeerServer.name()));
        if let Some(file) = &self.json {
            let text = serde_json::to_string_pretty(&report.json(&machine))?;
            std::fs::write(file, text).with_context(|| file.display().to_string())?;
        }
        Ok(())
    }

    async fn measure(&self, mut bench: Bench) -> anyhow::Result<Report> {
        let mut kinds = Vec::new();
        for kind in Kind::ALL {
            let wanted =
                self.only.is_empty() || self.only.iter().any(|it| kind.name().contains(it));
            match bench.launcher.lacks(kind) {
                _ if !wanted => {}
                Some(why) => println!("{} is left out: {why}", kind.name()),
                None => kinds.push(kind),
            }
        }
        if kinds.is_empty() {
            bail!("no server to measure");
        }
        let scenarios = if self.scenarios.is_empty() {
            &ALL[..]
        } else {
            &self.scenarios
        };
        for scenario in scenarios {
            if *scenario == Scenario::Death {
                rooms::silent_death(&mut bench, &kinds).await?;
                continue;
            }
            let [rounds] = bench.sizes([3], [1]);
            let rounds = match scenario.is_of_the_moment() {
                true => self.rounds.unwrap_or(rounds),
                false => 1,
            };
            let turns = (0..rounds).flat_map(|_| kinds.iter().copied());
            for kind in turns {
                let measured = match scenario {
                    Scenario::Idle => connecting::idle(&mut bench, kind).await,
                    Scenario::Storm => connecting::storm(&mut bench, kind).await,
                    Scenario::Setups => setups::setups(&mut bench, kind).await,
                    Scenario::Joins => rooms::joins(&mut bench, kind).await,
                    Scenario::Stopped => rooms::stopped_reader(&mut bench, kind).await,
                    Scenario::Address => survivors::address(&mut bench, kind).await,
                    Scenario::Restart => survivors::restart(&mut bench, kind, self.clients).await,
                    Scenario::Death => Ok(()),
                };
                // One server's failure is told, and the others are measured all the same.
                if let Err(error) = measured {
                    if kind == Kind::Ours {
                        return Err(error.context(format!("{scenario:?}")));
                    }
                    println!("{}: {scenario:?} failed: {error:#}", kind.name());
                }
            }
        }
        Ok(bench.report)
    }
}
