//! The comparison runs to its end. What it measures here is not looked at: no figure of a busy
//! machine is worth a verdict.

use std::process::Command;

use serde_json::Value;

/// Both bare forwarders carry packets over loopback, both ways and in order.
#[test]
fn bare_forwarders_are_measured_on_loopback() {
    let directory = tempfile::tempdir().expect("a directory");
    let results = directory.path().join("results.json");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["relay", "steady", "--loopback", "--only", "bare"])
        .args(["--rounds", "1", "--seconds", "0.2", "--rate", "2000"])
        .arg("--json")
        .arg(&results)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(results).expect("results");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let median = |server: &str, metric: &str| {
        let results = report["results"].as_array().expect("a list");
        let found = results
            .iter()
            .find(|it| it["server"] == server && it["metric"] == metric);
        found.and_then(|it| it["median"].as_f64())
    };
    for server in ["bare recvfrom/sendto", "bare recvmmsg/sendmmsg"] {
        assert_eq!(median(server, "misordered at 2k/s"), Some(0.0), "{text}");
        let loss = median(server, "loss % at 2k/s").expect("a loss");
        assert!(loss < 100.0, "packets come through: {text}");
    }
}

/// Our `signaling`, where it was built beside this program: `cargo build` of the workspace does it.
fn signaling() -> Option<std::path::PathBuf> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_load")).with_file_name("signaling");
    program.exists().then_some(program)
}

/// A killed server, under clients in pairs that exchange numbered messages: real processes.
#[test]
fn a_killed_and_restarted_server_loses_and_doubles_nothing() {
    let Some(program) = signaling() else {
        eprintln!("left out: `signaling` is not built");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let results = directory.path().join("results.json");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["signaling", "idle", "setups", "address", "restart"])
        .args(["--quick", "--only", "ours", "--clients", "200", "--program"])
        .arg(&program)
        .arg("--json")
        .arg(&results)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(results).expect("results");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let results = report["results"].as_array().expect("a list");
    let value = |metric: &str| {
        let metrics = results.iter().filter(|it| {
            it["metric"]
                .as_str()
                .is_some_and(|name| name.ends_with(metric))
        });
        metrics
            .map(|it| it["median"].as_f64().expect("a number"))
            .sum::<f64>()
    };
    assert!(value("clients: messages") > 200.0, "{text}");
    assert!(value("99 % are back") <= 5.0, "{text}");
    for trouble in [
        "lost",
        "lost to it",
        "lost from it",
        "doubled",
        "out of order",
    ] {
        assert_eq!(value(trouble), 0.0, "{trouble}: {text}");
    }
}
