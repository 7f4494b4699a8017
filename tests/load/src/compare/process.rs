//! A server as a process, and what the system says that it costs.

use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// A started server; ends with this value.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Fails when the process has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.0.try_wait()? {
            Some(status) => bail!("the server ended by itself: {status}"),
            None => Ok(()),
        }
    }

    /// Nanoseconds that its threads have run so far, what the kernel did in their name included:
    /// system calls, and the softirqs that these set off.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            // A thread may end meanwhile.
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let first = text.split_whitespace().next().unwrap_or("0");
            total += first.parse::<u64>().unwrap_or_default();
        }
        Ok(total)
    }
}

impl Process {
    /// Memory in bytes that is resident and its own, shared pages by their part.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line
            .and_then(|line| line.split_whitespace().next())
            .context("Pss")?;
        Ok(kib.parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is nothing to be saved.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nanoseconds that this thread has run so far.
pub(crate) fn own_cpu_ns() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().context("schedstat")?;
    Ok(first.parse()?)
}

/// Part of a core that is busy with something else while this program waits.
pub(crate) fn busy_part(core: usize, wait: Duration) -> Option<f64> {
    let before = core_busy_ns(core)?;
    std::thread::sleep(wait);
    let busy = core_busy_ns(core)?.saturating_sub(before);
    Some(busy as f64 / wait.as_nanos() as f64)
}

/// How long a core was not idle since the start, in ns. Whatever ran there counts.
pub(crate) fn core_busy_ns(core: usize) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let label = format!("cpu{core} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&label))?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map_while(|it| it.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; a tick is 10 ms here on every architecture.
    let busy = ticks.iter().take(8).sum::<u64>() - ticks.get(3)? - ticks.get(4)?;
    Some(busy * 10_000_000)
}
