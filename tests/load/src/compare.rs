//! Relays side by side: each on one core, the same traffic, in alternating rounds.

mod bare;
mod batch;
mod bench;
mod enrol;
mod frame;
pub(crate) mod host;
mod lab;
mod outcome;
pub(crate) mod process;
pub(crate) mod report;
mod scenarios;
mod servers;
mod streams;
mod traffic;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};

pub(crate) use bare::Forward;
use bare::Way;
use lab::Lab;
use report::Report;
use scenarios::{ALL, Scenario};
use servers::Server;

/// Part of a core in the background that spoils measurements.
const NOT_IDLE: f64 = 0.03;

/// Relays side by side: the most they carry, what it costs, how late it comes
#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// What to measure; all by default
    scenarios: Vec<Scenario>,
    /// The `stun-turn` to measure
    #[arg(long, default_value = "target/release/stun-turn")]
    program: PathBuf,
    /// The server of the crate `turn`, as built in tests/load/others
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/release/webrtc-rs-turn"
    )]
    webrtc_rs: PathBuf,
    /// A mode of ours: a name and the flags that choose it; repeatable
    #[arg(long, value_name = "NAME=FLAGS")]
    mode: Vec<String>,
    /// Only servers whose name contains this; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Packets per second, both directions together; repeatable [default: 20000 and 60000]
    #[arg(long, value_name = "N")]
    rate: Vec<u32>,
    /// Bytes of each payload; repeatable [default: 160 and, for the maximum, 1200; quick: 160]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(20..=1400))]
    payload: Vec<u16>,
    /// Packets of one flow that arrive together where bursts are measured
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u8).range(2..=40))]
    burst: u8,
    /// Calls that go on at a time
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    flows: u16,
    /// Rounds, after one that does not count [default: 3; quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Seconds of each measurement at a fixed rate [default: 3; quick: 1]
    #[arg(long)]
    seconds: Option<f64>,
    /// Everything short: a minute or two instead of a quarter of an hour
    #[arg(long)]
    quick: bool,
    /// Go before whatever else runs on this machine, which is better kept idle
    #[arg(long)]
    hurry: bool,
    /// On loopback even as root
    #[arg(long)]
    loopback: bool,
    /// Where to write every round's values as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Compare {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        // Before signals are caught: who waits can be stopped at once.
        let _alone = host::wait_for_others()?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        if self.scenarios.is_empty() {
            self.scenarios = ALL.to_vec();
        }
        if self.rate.is_empty() {
            self.rate = vec![20_000, 60_000];
        }
        let servers = self.servers()?;
        println!(
            "turn-server (crates.io) is left out: it has no relayed sockets and reaches its own clients only"
        );
        let machine = report::machine();
        let mut lab = Lab::build(self.loopback)?;
        if self.hurry {
            lab.hurry()?;
        }
        lab.pin_generator()?;
        println!("{machine}");
        self.tell_generator(&lab)?;
        let mut report = Report::default();
        for scenario in &self.scenarios {
            for round in 0..=self.rounds() {
                // The first warms caches and the processor up.
                let mut discarded = Report::default();
                let report = if round == 0 {
                    &mut discarded
                } else {
                    &mut report
                };
                for server in &servers {
                    if stop.load(Ordering::Relaxed) {
                        bail!("stopped");
                    }
                    self.measure(&lab, server, *scenario, report)
                        .with_context(|| format!("{}: {scenario:?}", server.name))?;
                }
            }
        }
        println!("\n{}", report.table(report::BASELINE));
        if let Some(file) = &self.json {
            let text = serde_json::to_string_pretty(&report.json(&machine))?;
            std::fs::write(file, text).with_context(|| file.display().to_string())?;
        }
        Ok(())
    }

    fn servers(&self) -> anyhow::Result<Vec<Server>> {
        let mut servers = vec![Server::ours("ours", &self.program, "")];
        for mode in &self.mode {
            let (name, flags) = mode.split_once('=').context("--mode is NAME=FLAGS")?;
            servers.push(Server::ours(name, &self.program, flags));
        }
        servers.extend([
            Server::coturn(),
            Server::webrtc_rs(&self.webrtc_rs),
            Server::bare(Way::Single),
            Server::bare(Way::Batched),
            Server::bare(Way::Uring),
        ]);
        servers.retain(|server| {
            self.only.is_empty() || self.only.iter().any(|name| server.name.contains(name))
        });
        servers.retain(|server| {
            let missing = server.missing();
            if let Some(reason) = &missing {
                println!("{} is left out: {reason}", server.name);
            }
            missing.is_none()
        });
        Ok(servers)
    }

    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    fn time(&self) -> Duration {
        let default = if self.quick { 1.0 } else { 3.0 };
        Duration::from_secs_f64(self.seconds.unwrap_or(default))
    }

    /// Each try of a search.
    fn probe(&self) -> Duration {
        self.time() / 3
    }

    fn payloads(&self) -> Vec<usize> {
        match (&self.payload[..], self.quick) {
            ([], true) => vec![160],
            ([], false) => vec![160, 1200],
            (given, _) => given.iter().map(|it| usize::from(*it)).collect(),
        }
    }

    fn tell_generator(&self, lab: &Lab) -> anyhow::Result<()> {
        let busy = process::busy_part(lab.cores().server, Duration::from_secs(1));
        if let Some(busy) = busy.filter(|it| *it > NOT_IDLE) {
            println!(
                "the server's core is {:.0} % busy with something else: believe CPU figures a little, nothing else",
                busy * 100.0
            );
        }
        let alone = bench::generator_alone(lab, self.time())?;
        print!(
            "the generator alone sends {:.0}k packets/s",
            alone.sent / 1000.0
        );
        match alone.forwarded {
            Some(rate) => println!(
                "; {:.0}k it sends and receives when the kernel forwards on the same core",
                rate / 1000.0
            ),
            None => println!(),
        }
        Ok(())
    }
}
