//! One server that runs, and what is measured of it.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::enrol::{Goal, enrol};
use super::lab::{Lab, Place};
use super::outcome::Outcome;
use super::process::{self, Process};
use super::servers::Server;
use super::streams::{Streams, Transport};
use super::traffic::{Flow, Generator, Kind, Offer};

/// More than any server carries.
pub(crate) const FLOOD: u32 = 2_000_000;
/// Loss below which a rate counts as carried: a machine that also does something else loses that much.
const FREE_OF_LOSS: f64 = 0.001;
/// The search ends when what is carried and what is not are this close.
const CLOSE: f64 = 1.03;

/// Pause of the clients that come while others make noise.
const BETWEEN_ALLOCATIONS: Duration = Duration::from_millis(50);

/// How clients come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// Over UDP, without allocations.
    Strangers,
    /// Over UDP, with allocations and channels.
    Udp,
    /// Over streams, with allocations and channels.
    Over(Transport),
}

/// A server that runs, with flows that it relays.
pub(crate) struct Bench<'a> {
    lab: &'a Lab,
    pub(crate) process: Process,
    generator: Generator,
    flows: Vec<Flow>,
}

/// What one packet cost, in µs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Of the server's threads.
    pub(crate) cpu_us: f64,
    /// Of its core, whatever ran there.
    pub(crate) core_us: f64,
}

/// The most that was carried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maximum {
    /// Packets per second without loss.
    pub(crate) free_of_loss: f64,
    /// Packets per second that arrived of a flood.
    pub(crate) of_a_flood: f64,
    /// Packets per second of that flood.
    pub(crate) flood: f64,
}

impl<'a> Bench<'a> {
    /// Starts the server and makes allocations, where they are wanted.
    pub(crate) fn start(
        lab: &'a Lab,
        server: &Server,
        flows: usize,
        clients: Clients,
    ) -> anyhow::Result<Self> {
        let mut process = lab.start(server.command(lab, flows)?)?;
        let mut generator = Generator::new(lab.side(Place::Clients)?, lab.side(Place::Peers)?);
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = enrol(lab, &generator.clients.socket, 0..1, Goal::Bound) {
            process.check()?;
            if Instant::now() > deadline {
                return Err(error.context("the server does not answer"));
            }
        }
        let relayed = match server.table() {
            Some(first) => (0..flows)
                .map(|flow| SocketAddrV4::new(lab.relay, first + flow as u16))
                .collect(),
            None => match clients {
                Clients::Strangers => vec![lab.server; flows],
                Clients::Udp => enrol(lab, &generator.clients.socket, 0..flows, Goal::Channel)?,
                Clients::Over(transport) => {
                    let (streams, relayed) = Streams::connect(lab, transport, flows)?;
                    generator.streams = Some(streams);
                    relayed
                }
            },
        };
        let flows = relayed.into_iter().enumerate().map(|(flow, relayed)| Flow {
            client: lab.client(flow),
            server: lab.server,
            peer: lab.peer(flow),
            relayed,
        });
        Ok(Self {
            lab,
            process,
            flows: flows.collect(),
            generator,
        })
    }

    pub(crate) fn offer(&mut self, offer: &Offer) -> anyhow::Result<Outcome> {
        let outcome = self.generator.offer(&self.flows, offer)?;
        self.process.check()?;
        Ok(outcome)
    }

    /// Offers a fixed rate.
    pub(crate) fn steady(&mut self, offer: &Offer) -> anyhow::Result<(Outcome, Cost)> {
        let server = self.lab.cores().server;
        let (cpu, core) = (self.process.cpu_ns()?, process::core_busy_ns(server));
        let outcome = self.offer(offer)?;
        let cpu = self.process.cpu_ns()? - cpu;
        let core = process::core_busy_ns(server).unwrap_or(0) - core.unwrap_or(0);
        let packets = outcome.received.max(1) as f64 * 1000.0;
        let cost = Cost {
            cpu_us: cpu as f64 / packets,
            core_us: core as f64 / packets,
        };
        Ok((outcome, cost))
    }

    /// Searches the highest rate that is carried without loss.
    pub(crate) fn maximum(&mut self, kind: Kind, probe: Duration) -> anyhow::Result<Maximum> {
        let offer = |rate| Offer {
            rate,
            kind,
            hog: 0,
            time: probe,
        };
        let flood = self.offer(&offer(FLOOD))?;
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let mut rate = flood.carried().max(1000.0);
        while low * CLOSE < high {
            // A pause of the machine is not the server's: who loses may try again.
            let carried = [(); 2]
                .iter()
                .find_map(|()| match self.offer(&offer(rate as u32)) {
                    Ok(outcome) if outcome.loss() > FREE_OF_LOSS => None,
                    other => Some(other),
                });
            match carried.transpose()? {
                Some(outcome) => {
                    low = outcome.offered();
                    // The generator's own limit is reached.
                    if low * CLOSE < rate {
                        break;
                    }
                }
                None => high = rate,
            }
            rate = match (low, high) {
                (0.0, high) => high * 0.75,
                (low, f64::INFINITY) => low * 1.25,
                (low, high) => f64::midpoint(low, high),
            };
            if rate < 1000.0 {
                break;
            }
        }
        Ok(Maximum {
            free_of_loss: low,
            of_a_flood: flood.carried(),
            flood: flood.offered(),
        })
    }

    /// Makes allocations with credentials; how many per second.
    pub(crate) fn allocations(&mut self, count: usize) -> anyhow::Result<f64> {
        let begin = Instant::now();
        self.enrol(0..count, Goal::Allocated)?;
        Ok(count as f64 / begin.elapsed().as_secs_f64())
    }

    /// Makes allocations with two permissions and a channel, up to each of the counts; bytes of user
    /// memory for each at each count.
    pub(crate) fn memory(&mut self, counts: &[usize]) -> anyhow::Result<Vec<f64>> {
        let before = self.process.memory()?;
        let mut made = 0;
        let mut results = Vec::new();
        for count in counts {
            self.enrol(made..*count, Goal::ChannelAndPermission)?;
            made = *count;
            let growth = self.process.memory()?.saturating_sub(before);
            results.push(growth as f64 / made as f64);
        }
        Ok(results)
    }

    /// Offers while a new client after the other allocates; how long each took, at most.
    pub(crate) fn offer_and_allocate(
        &mut self,
        offer: &Offer,
    ) -> anyhow::Result<(Outcome, Duration)> {
        let lab = self.lab;
        let socket = lab.socket(Place::Clients, 0)?;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let late = scope.spawn(|| -> Duration {
                let mut slowest = Duration::ZERO;
                for client in self.flows.len().. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let begin = Instant::now();
                    // Who gives up has waited too long, which is what is to be told.
                    let _ = enrol(lab, &socket, client..client + 1, Goal::Allocated);
                    slowest = slowest.max(begin.elapsed());
                    std::thread::sleep(BETWEEN_ALLOCATIONS);
                }
                slowest
            });
            let outcome = self.generator.offer(&self.flows, offer);
            is_over.store(true, Ordering::Relaxed);
            let slowest = late
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((outcome?, slowest))
        })
    }

    fn enrol(&mut self, flows: std::ops::Range<usize>, goal: Goal) -> anyhow::Result<()> {
        enrol(self.lab, &self.generator.clients.socket, flows, goal)
            .map(|_| ())
            .context("making allocations")
    }
}

/// What the generator alone can do with a whole core, in packets per second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alone {
    /// Sent into a socket that nobody reads.
    pub(crate) sent: f64,
    /// Sent, forwarded by the kernel on the generator's core too, and received; not on loopback.
    pub(crate) forwarded: Option<f64>,
}

/// Measures the generator without any server.
pub(crate) fn generator_alone(lab: &Lab, time: Duration) -> anyhow::Result<Alone> {
    let mut generator = Generator::new(lab.side(Place::Clients)?, lab.side(Place::Peers)?);
    let sink = lab.sink()?;
    let offer = Offer {
        rate: FLOOD,
        kind: Kind::Data {
            payload: 160,
            burst: 1,
        },
        hog: 0,
        time,
    };
    let flows = |into_sink: bool| -> Vec<Flow> {
        let flow = |number| Flow {
            client: lab.client(number),
            server: if into_sink {
                lab.server
            } else {
                lab.peer(number)
            },
            peer: lab.peer(number),
            relayed: match into_sink {
                true => lab.server,
                false => lab.client_address(number),
            },
        };
        (0..100).map(flow).collect()
    };
    let mut measure = |into_sink| -> anyhow::Result<f64> {
        let cpu = process::own_cpu_ns()?;
        let outcome = generator.offer(&flows(into_sink), &offer)?;
        let packets = if into_sink {
            outcome.sent
        } else {
            outcome.received
        };
        Ok(packets as f64 * 1e9 / (process::own_cpu_ns()? - cpu) as f64)
    };
    let sent = measure(true)?;
    drop(sink);
    let forwarded = if lab.forward(true)? {
        let forwarded = measure(false)?;
        lab.forward(false)?;
        Some(forwarded)
    } else {
        None
    };
    Ok(Alone { sent, forwarded })
}
