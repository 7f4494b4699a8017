//! What was measured, and how it is told.

use std::fmt::Write as _;

use serde_json::json;

/// Every other server is compared with this one.
pub(crate) const BASELINE: &str = "coturn";

/// Something that is measured of every server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) better: Better,
}

/// Which way is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
    /// A share that ought to be 0: no ratio.
    None,
}

pub(crate) fn metric(name: impl Into<String>, better: Better) -> Metric {
    Metric {
        name: name.into(),
        better,
    }
}

struct Sample {
    metric: Metric,
    server: String,
    value: f64,
}

/// All rounds of everything.
#[derive(Default)]
pub(crate) struct Report(Vec<Sample>);

impl Report {
    pub(crate) fn add(&mut self, server: &str, metric: Metric, value: f64) {
        self.0.push(Sample {
            metric,
            server: server.to_owned(),
            value,
        });
    }

    fn values(&self, metric: &Metric, server: &str) -> Vec<f64> {
        let samples = self.0.iter();
        let mut values: Vec<f64> = samples
            .filter(|it| it.metric == *metric && it.server == server)
            .map(|it| it.value)
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    fn median(&self, metric: &Metric, server: &str) -> Option<f64> {
        let values = self.values(metric, server);
        let middle = values.get(values.len() / 2)?;
        Some(match values.len() % 2 {
            0 => f64::midpoint(values[values.len() / 2 - 1], *middle),
            _ => *middle,
        })
    }

    fn metrics(&self) -> Vec<&Metric> {
        unique(self.0.iter().map(|it| &it.metric))
    }

    fn servers(&self) -> Vec<&String> {
        unique(self.0.iter().map(|it| &it.server))
    }

    /// Medians in Markdown; behind them how many times better than the baseline.
    pub(crate) fn table(&self, baseline: &str) -> String {
        let servers = self.servers();
        let mut text = "| |".to_owned();
        for server in &servers {
            // Writing to a string can't fail.
            let _ = write!(text, " {server} |");
        }
        let _ = write!(text, "\n|---|{}", "---|".repeat(servers.len()));
        for metric in self.metrics() {
            let _ = write!(text, "\n| {} |", metric.name);
            let reference = self.median(metric, baseline);
            for server in &servers {
                let Some(value) = self.median(metric, server) else {
                    text.push_str(" - |");
                    continue;
                };
                let _ = write!(text, " {}", number(value));
                let ratio = reference.and_then(|reference| match metric.better {
                    Better::More => Some(value / reference),
                    Better::Less => Some(reference / value),
                    Better::None => None,
                });
                if let Some(ratio) = ratio.filter(|it| it.is_finite() && *server != baseline) {
                    let _ = write!(text, " ({ratio:.2}×)");
                }
                text.push_str(" |");
            }
        }
        text
    }

    /// Every round's values.
    pub(crate) fn json(&self, machine: &str) -> serde_json::Value {
        let mut results = Vec::new();
        for metric in self.metrics() {
            for server in self.servers() {
                results.push(json!({
                    "metric": metric.name,
                    "server": server,
                    "median": self.median(metric, server),
                    "values": self.values(metric, server),
                }));
            }
        }
        json!({ "machine": machine, "results": results })
    }
}

fn unique<'a, T: PartialEq>(all: impl Iterator<Item = &'a T>) -> Vec<&'a T> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        10_000.0.. => format!("{:.0}k", value / 1000.0),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Processor, number of cores and kernel.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {cores} cores, Linux {}",
        model
            .unwrap_or_default()
            .trim_start_matches([' ', '\t', ':']),
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_medians_and_how_many_times_better() {
        let mut report = Report::default();
        for value in [100.0, 300.0, 200.0] {
            report.add("ours", metric("carried", Better::More), value);
        }
        report.add("coturn", metric("carried", Better::More), 100.0);
        report.add("ours", metric("cost", Better::Less), 4.0);
        report.add("coturn", metric("cost", Better::Less), 6.0);
        report.add("ours", metric("loss", Better::None), 0.0);
        let expected = "\
| | ours | coturn |
|---|---|---|
| carried | 200 (2.00×) | 100 |
| cost | 4.00 (1.50×) | 6.00 |
| loss | 0.00 | - |";
        assert_eq!(report.table(BASELINE), expected);
    }
}
