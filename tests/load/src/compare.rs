//! Relays side by side: each on one core, the same traffic, in alternating rounds.

mod bare;
mod batch;
mod enrol;
mod lab;
mod servers;
mod traffic;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

pub(crate) use bare::Forward;
use enrol::{Goal, enrol};
use lab::{CLIENT_PORT, Lab, PEER_PORT, Place, Process, SERVER_CORE};
use servers::Server;
use traffic::{Flow, Generator, Offer, Outcome};

/// Relays side by side: the most they carry, what it costs, how late it comes
#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// The `stun-turn` to measure
    #[arg(long, default_value = "target/release/stun-turn")]
    program: PathBuf,
    /// A mode of ours: a name and the flags that choose it; repeatable
    #[arg(long, value_name = "NAME=FLAGS")]
    mode: Vec<String>,
    /// Only servers whose name contains one of these
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Packets per second, both directions together; repeatable
    #[arg(long, value_name = "N")]
    rate: Vec<u32>,
    /// Bytes of each payload
    #[arg(long, default_value_t = 160)]
    payload: usize,
    /// Packets of one flow that arrive together, as one that the kernel put together
    #[arg(long, default_value_t = 1)]
    burst: usize,
    /// Calls that go on at a time
    #[arg(long, default_value_t = 100)]
    flows: usize,
    /// Rounds, after one that does not count
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// On loopback even as root
    #[arg(long)]
    loopback: bool,
}

impl Compare {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let lab = Lab::build(self.loopback)?;
        lab::pin_generator()?;
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
        println!("| server | offered | loss | misordered | CPU µs | core µs | p50 | p99 | p99.9 |");
        println!("|---|---|---|---|---|---|---|---|---|");
        for rate in &self.rate {
            for _ in 0..=self.rounds {
                for server in &servers {
                    if stop.load(Ordering::Relaxed) {
                        bail!("stopped");
                    }
                    let offer = Offer {
                        rate: *rate,
                        payload: self.payload,
                        burst: self.burst,
                        time: Duration::from_secs_f64(self.seconds),
                    };
                    let mut bench = Bench::start(&lab, server, self.flows)
                        .with_context(|| server.name.clone())?;
                    let (outcome, cpu, core) = bench.measure(&offer)?;
                    println!(
                        "| {} | {:.0} | {:.3} % | {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
                        server.name,
                        outcome.offered(),
                        outcome.loss() * 100.0,
                        outcome.misordered,
                        cpu,
                        core,
                        outcome.delay_us(0.5),
                        outcome.delay_us(0.99),
                        outcome.delay_us(0.999)
                    );
                }
            }
        }
        Ok(())
    }
}

/// A server that runs, with flows that it relays.
struct Bench {
    process: Process,
    generator: Generator,
    flows: Vec<Flow>,
}

impl Bench {
    fn start(lab: &Lab, server: &Server, flows: usize) -> anyhow::Result<Self> {
        let mut process = lab.start(server.command(lab, flows)?)?;
        let clients = lab.socket(Place::Clients, CLIENT_PORT)?;
        let peers = lab.socket(Place::Peers, PEER_PORT)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = enrol(lab, &clients, 1, Goal::Bound) {
            process.check()?;
            if Instant::now() > deadline {
                return Err(error.context("the server does not answer"));
            }
        }
        let relayed = match server.table() {
            Some(first) => (0..flows)
                .map(|flow| SocketAddrV4::new(lab.relay, first + flow as u16))
                .collect(),
            None => enrol(lab, &clients, flows, Goal::Channel)?,
        };
        let flows = relayed.into_iter().enumerate().map(|(flow, relayed)| Flow {
            client: lab.client(flow),
            peer: lab.peer(flow),
            relayed,
        });
        Ok(Self {
            process,
            flows: flows.collect(),
            generator: Generator::new(clients, peers, lab.server),
        })
    }

    fn measure(&mut self, offer: &Offer) -> anyhow::Result<(Outcome, f64, f64)> {
        let (cpu, core) = (self.process.cpu_ns()?, lab::core_busy_ns(SERVER_CORE));
        let outcome = self.generator.offer(&self.flows, offer)?;
        let cpu = self.process.cpu_ns()? - cpu;
        let core = lab::core_busy_ns(SERVER_CORE).unwrap_or(0) - core.unwrap_or(0);
        self.process.check()?;
        let packets = outcome.received.max(1) as f64 * 1000.0;
        Ok((outcome, cpu as f64 / packets, core as f64 / packets))
    }
}
