//! Relays side by side: each on one core, the same traffic, in alternating rounds.

mod bare;
mod batch;
mod bench;
mod enrol;
mod frame;
mod lab;
mod outcome;
mod report;
mod servers;
mod streams;
mod traffic;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};

pub(crate) use bare::Forward;
use bench::{Bench, Clients};
use lab::Lab;
use report::{Better, Report, metric};
use servers::Server;
use streams::Transport;
use traffic::{Kind, Offer};

/// Relays side by side: the most they carry, what it costs, how late it comes
#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// What to measure; all by default
    scenarios: Vec<Scenario>,
    /// The `stun-turn` to measure
    #[arg(long, default_value = "target/release/stun-turn")]
    program: PathBuf,
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
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of each measurement at a fixed rate [default: 3; quick: 1]
    #[arg(long)]
    seconds: Option<f64>,
    /// Everything short: a minute or two instead of a quarter of an hour
    #[arg(long)]
    quick: bool,
    /// On loopback even as root
    #[arg(long)]
    loopback: bool,
    /// Where to write every round's values as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// CPU and delays at fixed rates
    Steady,
    /// The highest rate without loss, and what is carried of a flood
    Maximum,
    /// CPU when packets of one flow arrive together
    Bursts,
    /// Binding requests per second
    Binding,
    /// Allocations with credentials per second
    Allocate,
    /// Memory of idle allocations
    Memory,
    /// What fifty calm calls, and new ones, notice of one that sends all it can
    Fairness,
    /// CPU and delays when clients come over TCP, and over TLS, at the first rate
    Streams,
}

/// Calm calls beside a loud one, and the packets per second of each of them and of its peer.
const CALM: u16 = 50;
const CALM_RATE: u32 = 50;

const ALL: [Scenario; 8] = [
    Scenario::Steady,
    Scenario::Maximum,
    Scenario::Bursts,
    Scenario::Binding,
    Scenario::Allocate,
    Scenario::Memory,
    Scenario::Fairness,
    Scenario::Streams,
];

impl Compare {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
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
        let machine = report::machine();
        let lab = Lab::build(self.loopback)?;
        lab::pin_generator()?;
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
        println!("\n{}", report.table());
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
        servers.extend([Server::coturn(), Server::bare(false), Server::bare(true)]);
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

    fn measure(
        &self,
        lab: &Lab,
        server: &Server,
        scenario: Scenario,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let clients = match scenario {
            Scenario::Binding | Scenario::Allocate | Scenario::Memory => Clients::Strangers,
            _ => Clients::Udp,
        };
        let is_for_all = matches!(
            scenario,
            Scenario::Steady | Scenario::Maximum | Scenario::Bursts | Scenario::Binding
        );
        if server.table().is_some() && !is_for_all {
            return Ok(());
        }
        if scenario == Scenario::Streams {
            return self.streams(lab, server, report);
        }
        let flows = match scenario {
            Scenario::Fairness => CALM + 1,
            _ => self.flows,
        };
        let mut bench = Bench::start(lab, server, usize::from(flows), clients)?;
        let name = &server.name;
        match scenario {
            Scenario::Steady => self.steady(&mut bench, name, report)?,
            Scenario::Maximum => self.maximum(&mut bench, name, report)?,
            Scenario::Bursts => self.bursts(&mut bench, name, report)?,
            Scenario::Binding => {
                let most = bench.maximum(Kind::Binding, self.probe())?;
                report.add(
                    name,
                    metric("Binding/s without loss", Better::More),
                    most.free_of_loss,
                );
                report.add(
                    name,
                    metric("Binding/s of a flood", Better::More),
                    most.of_a_flood,
                );
            }
            Scenario::Streams => {}
            Scenario::Fairness => self.fairness(&mut bench, name, report)?,
            Scenario::Allocate => {
                let count = if self.quick { 4_000 } else { 20_000 };
                let rate = bench.allocations(count)?;
                report.add(name, metric("authenticated Allocate/s", Better::More), rate);
            }
            Scenario::Memory => {
                let counts: &[usize] = if self.quick {
                    &[1_000]
                } else {
                    &[1_000, 10_000]
                };
                for (count, bytes) in counts.iter().zip(bench.memory(counts)?) {
                    let metric = metric(format!("bytes an allocation, {count}"), Better::Less);
                    report.add(name, metric, bytes);
                }
            }
        }
        Ok(())
    }

    fn steady(&self, bench: &mut Bench<'_>, name: &str, report: &mut Report) -> anyhow::Result<()> {
        let payload = self.payloads()[0];
        for rate in &self.rate {
            let offer = Offer {
                rate: *rate,
                kind: Kind::Data { payload, burst: 1 },
                hog: 0,
                time: self.time(),
            };
            let (mut outcome, cost) = bench.steady(&offer)?;
            let [p50, p99, p999] = outcome.delays_us([0.5, 0.99, 0.999]);
            let at = |what: &str| format!("{what} at {}k/s", rate / 1000);
            for (what, better, value) in [
                ("CPU µs a packet", Better::Less, cost.cpu_us),
                ("core µs a packet", Better::Less, cost.core_us),
                ("p50 µs", Better::Less, p50),
                ("p99 µs", Better::Less, p99),
                ("p99.9 µs", Better::Less, p999),
                ("offered", Better::None, outcome.offered()),
                ("loss %", Better::None, outcome.loss() * 100.0),
                ("misordered", Better::None, outcome.misordered as f64),
            ] {
                report.add(name, metric(at(what), better), value);
            }
        }
        Ok(())
    }

    fn maximum(
        &self,
        bench: &mut Bench<'_>,
        name: &str,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        for payload in self.payloads() {
            let most = bench.maximum(Kind::Data { payload, burst: 1 }, self.probe())?;
            let of = |what: &str| format!("{what}, {payload} B");
            for (what, better, value) in [
                ("packets/s without loss", Better::More, most.free_of_loss),
                ("packets/s of a flood", Better::More, most.of_a_flood),
                ("the flood", Better::None, most.flood),
            ] {
                report.add(name, metric(of(what), better), value);
            }
        }
        Ok(())
    }

    fn bursts(&self, bench: &mut Bench<'_>, name: &str, report: &mut Report) -> anyhow::Result<()> {
        let payload = self.payloads()[0];
        for rate in &self.rate {
            let offer = Offer {
                rate: *rate,
                kind: Kind::Data {
                    payload,
                    burst: usize::from(self.burst),
                },
                hog: 0,
                time: self.time(),
            };
            let (mut outcome, cost) = bench.steady(&offer)?;
            let [p50, p99] = outcome.delays_us([0.5, 0.99]);
            let at =
                |what: &str| format!("{what} at {}k/s in bursts of {}", rate / 1000, self.burst);
            for (what, better, value) in [
                ("CPU µs a packet", Better::Less, cost.cpu_us),
                ("p50 µs", Better::Less, p50),
                ("p99 µs", Better::Less, p99),
                ("loss %", Better::None, outcome.loss() * 100.0),
                ("misordered", Better::None, outcome.misordered as f64),
            ] {
                report.add(name, metric(at(what), better), value);
            }
        }
        Ok(())
    }

    fn fairness(
        &self,
        bench: &mut Bench<'_>,
        name: &str,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let payload = self.payloads()[0];
        for (hog, when) in [(0, "alone"), (bench::FLOOD, "beside a loud one")] {
            let offer = Offer {
                rate: u32::from(CALM) * CALM_RATE * 2,
                kind: Kind::Data { payload, burst: 1 },
                hog,
                time: self.time(),
            };
            let (mut outcome, slowest) = bench.offer_and_allocate(&offer)?;
            let [p50, p99] = outcome.delays_us([0.5, 0.99]);
            for (what, value) in [
                ("loss %", outcome.loss() * 100.0),
                ("p50 µs", p50),
                ("p99 µs", p99),
                ("slowest Allocate ms", slowest.as_secs_f64() * 1000.0),
            ] {
                let metric = metric(format!("calm calls {when}: {what}"), Better::None);
                report.add(name, metric, value);
            }
        }
        Ok(())
    }

    fn streams(&self, lab: &Lab, server: &Server, report: &mut Report) -> anyhow::Result<()> {
        let (payload, rate) = (self.payloads()[0], self.rate[0]);
        for (transport, over) in [(Transport::Tcp, "TCP"), (Transport::Tls, "TLS")] {
            let clients = Clients::Over(transport);
            let mut bench = Bench::start(lab, server, usize::from(self.flows), clients)?;
            let offer = Offer {
                rate,
                kind: Kind::Data { payload, burst: 1 },
                hog: 0,
                time: self.time(),
            };
            let (mut outcome, cost) = bench.steady(&offer)?;
            let [p50, p99] = outcome.delays_us([0.5, 0.99]);
            let at = |what: &str| format!("{what} at {}k/s over {over}", rate / 1000);
            for (what, better, value) in [
                ("CPU µs a packet", Better::Less, cost.cpu_us),
                ("p50 µs", Better::Less, p50),
                ("p99 µs", Better::Less, p99),
                ("loss %", Better::None, outcome.loss() * 100.0),
            ] {
                report.add(&server.name, metric(at(what), better), value);
            }
        }
        Ok(())
    }
}
