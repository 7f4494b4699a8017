//! How much a page uses.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::Browser;

/// What a page keeps, after its garbage has been collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The scripts' heap, in bytes.
    pub heap_bytes: u64,
    /// Nodes of the document, also of those that only scripts know.
    pub nodes: u64,
}

impl Browser {
    /// What the page keeps now.
    ///
    /// # Errors
    /// When it is not Chromium's.
    pub async fn usage(&self) -> anyhow::Result<Usage> {
        self.devtools("HeapProfiler.collectGarbage", json!({}))
            .await?;
        self.devtools("Performance.enable", json!({})).await?;
        let told = self
            .driver
            .cdp()
            .send_raw("Performance.getMetrics", json!({}))
            .await?;
        let figure = |name: &str| {
            let metrics = told["metrics"].as_array().into_iter().flatten();
            let value = metrics
                .filter(|metric| metric["name"] == name)
                .find_map(|metric| metric["value"].as_f64());
            // Both are whole and far below 2^53.
            value
                .map(|value| value as u64)
                .with_context(|| format!("no {name}: {told}"))
        };
        Ok(Usage {
            heap_bytes: figure("JSHeapUsedSize")?,
            nodes: figure("Nodes")?,
        })
    }

    /// Resident memory of all processes that have pages, in bytes.
    ///
    /// # Errors
    /// When there is none.
    pub fn page_memory(&self) -> anyhow::Result<u64> {
        let family = descendants(self.process.id());
        let pages = family.into_iter().filter(|id| is_renderer(*id));
        let total = pages.filter_map(resident_bytes).sum();
        anyhow::ensure!(total > 0, "no process with a page");
        Ok(total)
    }
}

fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name before it may have any characters.
            let (_, rest) = stat.rsplit_once(") ")?;
            Some((id, rest.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(id, _)| id),
        );
        next += 1;
    }
    family
}

fn is_renderer(id: u32) -> bool {
    let line = fs::read(Path::new("/proc").join(id.to_string()).join("cmdline"));
    line.is_ok_and(|line| String::from_utf8_lossy(&line).contains("--type=renderer"))
}

fn resident_bytes(id: u32) -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
