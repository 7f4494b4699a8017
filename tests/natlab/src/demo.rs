//! Calls of two `peer-demo`.

use std::process::Command;

use ::tests::process::Process;
use ::tests::programs::program;
use ::tests::stage::Stage;
use anyhow::Context as _;
use rustix::process::Signal;
use serde_json::Value;

use crate::expect::Way;
use crate::lab::{Lab, Side};
use crate::servers::{Servers, trusting};

/// What a report says of the call.
#[derive(Debug)]
pub struct Told {
    /// Seconds from meeting until media could flow.
    pub seconds: Option<f64>,
    /// The way at the end.
    pub way: Option<Way>,
    /// Everything was verified.
    pub is_verified: bool,
    /// Why not, or what the way was.
    pub note: String,
}

/// Starts one behind a side's router, for a call of so many seconds. It waits for the other one for `wait` seconds.
///
/// # Errors
/// When it can't be run.
pub fn start(
    stage: &Stage,
    side: &Side,
    servers: &Servers,
    name: &str,
    (wait, seconds): (u64, u64),
) -> anyhow::Result<Process> {
    let page = Servers::page();
    let url = format!("{}/signal", page.replacen("https", "wss", 1));
    let mut command = Command::new(program("peer-demo")?);
    command.args(["--url", &url, "--room", "lab", "--name", name, "--json"]);
    command.args([
        "--wait",
        &wait.to_string(),
        "--duration",
        &seconds.to_string(),
    ]);
    stage.process(name, &mut trusting(&side.host, &command, servers))
}

/// Two, one behind each router.
///
/// # Errors
/// When they can't be run.
pub fn start_two(
    stage: &Stage,
    lab: &Lab,
    servers: &Servers,
    times: (u64, u64),
) -> anyhow::Result<[Process; 2]> {
    let [a, b] = [("ann", &lab.sides[0]), ("bob", &lab.sides[1])]
        .map(|(name, side)| start(stage, side, servers, name, times));
    Ok([a?, b?])
}

/// Asks it to end, and reads its report.
///
/// # Errors
/// When it does not end, or writes none.
pub async fn stop(process: &Process) -> anyhow::Result<Told> {
    // One that has ended by itself has its report written.
    let _ = process.signal(Signal::TERM);
    report(process).await
}

/// Waits for its end, and reads its report.
///
/// # Errors
/// When it does not end, or writes none.
pub async fn report(process: &Process) -> anyhow::Result<Told> {
    process.exit().await?;
    let report = process.stdout()?;
    let report: Value = serde_json::from_str(&report).with_context(|| format!("{report:?}"))?;
    Ok(read(&report))
}

fn read(report: &Value) -> Told {
    let peer = &report["peers"][0];
    let path = &peer["path"];
    let way = match path["type"].as_str() {
        None => None,
        Some("relay") => Some(Way::Relay),
        Some(_) => Some(Way::Direct),
    };
    let end = |end: &str| path[end]["type"].as_str().unwrap_or("?").to_owned();
    let is_verified = report["ok"] == true;
    let note = match is_verified {
        true => format!("{}/{}", end("local"), end("remote")),
        false => problems(report),
    };
    Told {
        // A number of milliseconds that small is exact in a float.
        seconds: peer["connected_ms"]
            .as_f64()
            .map(|milliseconds| milliseconds / 1000.0),
        way,
        is_verified,
        note,
    }
}

/// What a report complains of, without the ids of peers, which differ in each run.
fn problems(report: &Value) -> String {
    let problems = report["problems"].as_array().into_iter().flatten();
    let is_id = |word: &&str| {
        let id = word.trim_start_matches('(').trim_end_matches([')', ':']);
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let plain = |problem: &Value| {
        let words = problem.as_str().unwrap_or_default().split(' ');
        words
            .filter(|word| !is_id(word))
            .collect::<Vec<_>>()
            .join(" ")
    };
    problems.map(plain).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_tells_its_way() {
        let path =
            json!({"type": "relay", "local": {"type": "srflx"}, "remote": {"type": "relay"}});
        let told = read(&json!({"ok": true, "peers": [{"connected_ms": 1500, "path": path}]}));
        assert_eq!((told.seconds, told.way), (Some(1.5), Some(Way::Relay)));
        assert_eq!(told.note, "srflx/relay");
    }

    #[test]
    fn who_never_connected_says_why() {
        let problem = "bob (ec629eed46e884faee0e45add5a6347c): never connected";
        let told = read(&json!({"ok": false, "problems": [problem], "peers": []}));
        assert_eq!((told.seconds, told.way), (None, None));
        assert_eq!(told.note, "bob never connected");
    }
}
