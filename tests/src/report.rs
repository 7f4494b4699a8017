//! What `peer-demo --json` says, and what must be in it.

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Data messages that a run sends to each peer.
const MESSAGES: u64 = 100;

/// The report of one run.
#[derive(Debug)]
pub struct Report(Value);

impl Report {
    /// Reads the one JSON object on standard output.
    ///
    /// # Errors
    /// When that is something else.
    pub fn parse(stdout: &str) -> anyhow::Result<Self> {
        let report = serde_json::from_str(stdout);
        Ok(Self(report.with_context(|| {
            format!("not one JSON object: {stdout:?}")
        })?))
    }

    /// Whether everything was verified with exactly `peers` peers: data echoed in order without loss, sound
    /// and picture decoded and right.
    ///
    /// # Errors
    /// With the whole report when something is missing.
    pub fn verified(&self, peers: usize) -> anyhow::Result<()> {
        self.check(peers)
            .with_context(|| format!("report: {:#}", self.0))
    }

    fn check(&self, peers: usize) -> anyhow::Result<()> {
        ensure!(self.0["ok"] == true, "not ok");
        ensure!(self.peers()?.len() == peers, "{peers} peers were expected");
        for peer in self.peers()? {
            ensure!(peer["connected_ms"].is_u64(), "never connected");
            let data = ["sent", "echoed", "lost"].map(|count| peer["data"][count].as_u64());
            ensure!(
                data == [Some(MESSAGES), Some(MESSAGES), Some(0)],
                "data messages got lost"
            );
            for kind in ["audio", "video"] {
                ensure!(peer[kind]["verified"] == true, "{kind} is not verified");
                for count in ["sent", "received"] {
                    let packets = peer[kind][count].as_u64();
                    ensure!(packets > Some(0), "no {kind} packets {count}");
                }
            }
        }
        Ok(())
    }

    /// The kind of path to each peer: `host`, `srflx`, `prflx` or `relay`.
    ///
    /// # Errors
    /// When a peer has none.
    pub fn paths(&self) -> anyhow::Result<Vec<&str>> {
        let kind = |peer: &'_ Value| peer.pointer("/path/type").and_then(Value::as_str).is_some();
        ensure!(self.peers()?.iter().all(kind), "no path: {:#}", self.0);
        let kinds = self.peers()?.iter();
        Ok(kinds
            .filter_map(|peer| peer["path"]["type"].as_str())
            .collect())
    }

    fn peers(&self) -> anyhow::Result<&Vec<Value>> {
        self.0["peers"].as_array().context("no peers in the report")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        let media = json!({"sent": 9, "received": 9, "lost": 0, "verified": true});
        let data = json!({"sent": 100, "echoed": 100, "lost": 0});
        json!({"ok": true, "peers": [{
            "connected_ms": 5, "path": {"type": "host"}, "data": data, "audio": media, "video": media,
        }]})
    }

    #[test]
    fn only_a_flawless_report_is_verified() {
        assert!(Report(good()).verified(1).is_ok());
        assert!(Report(good()).verified(2).is_err());
        for (flaw, value) in [
            ("/ok", json!(false)),
            ("/peers/0/connected_ms", json!(null)),
            ("/peers/0/data/lost", json!(1)),
            ("/peers/0/data/echoed", json!(99)),
            ("/peers/0/audio/verified", json!(false)),
            ("/peers/0/video/received", json!(0)),
        ] {
            let mut report = good();
            *report.pointer_mut(flaw).expect("the field is there") = value;
            assert!(Report(report).verified(1).is_err(), "{flaw}");
        }
    }
}
