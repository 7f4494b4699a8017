//! What is measured of each server.

use super::Compare;
use super::bench::{Bench, Clients, FLOOD};
use super::lab::Lab;
use super::report::{Better, Report, metric};
use super::servers::Server;
use super::streams::Transport;
use super::traffic::{Kind, Offer};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
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

/// In the order of the table.
pub(crate) const ALL: [Scenario; 8] = [
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
    /// Measures one server once.
    pub(super) fn measure(
        &self,
        lab: &Lab,
        server: &Server,
        scenario: Scenario,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let is_for_all = matches!(
            scenario,
            Scenario::Steady | Scenario::Maximum | Scenario::Bursts | Scenario::Binding
        );
        if server.table().is_some() && !is_for_all {
            return Ok(());
        }
        let name = &server.name;
        let start = |flows: u16, clients| Bench::start(lab, server, usize::from(flows), clients);
        match scenario {
            Scenario::Steady => self.steady(&mut start(self.flows, Clients::Udp)?, name, report),
            Scenario::Maximum => self.maximum(&mut start(self.flows, Clients::Udp)?, name, report),
            Scenario::Bursts => self.bursts(&mut start(self.flows, Clients::Udp)?, name, report),
            Scenario::Binding => {
                let mut bench = start(self.flows, Clients::Strangers)?;
                let most = bench.maximum(Kind::Binding, self.probe())?;
                for (what, value) in [
                    ("Binding/s without loss", most.free_of_loss),
                    ("Binding/s of a flood", most.of_a_flood),
                ] {
                    report.add(name, metric(what, Better::More), value);
                }
                Ok(())
            }
            Scenario::Allocate => {
                let count = if self.quick { 4_000 } else { 15_000 };
                let rate = start(0, Clients::Strangers)?.allocations(count)?;
                report.add(name, metric("authenticated Allocate/s", Better::More), rate);
                Ok(())
            }
            Scenario::Memory => {
                let counts: &[usize] = match self.quick {
                    true => &[1_000],
                    false => &[1_000, 10_000],
                };
                let memory = start(0, Clients::Strangers)?.memory(counts)?;
                for (count, bytes) in counts.iter().zip(memory) {
                    let metric = metric(format!("bytes an allocation, {count}"), Better::Less);
                    report.add(name, metric, bytes);
                }
                Ok(())
            }
            Scenario::Fairness => self.fairness(&mut start(CALM + 1, Clients::Udp)?, name, report),
            Scenario::Streams if server.has_streams() => self.streams(lab, server, report),
            Scenario::Streams => Ok(()),
        }
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
        for (hog, when) in [(0, "alone"), (FLOOD, "beside a loud one")] {
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
