//! The black-box conformance suite (`tests/conformance`) against our relay: no case may fail.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::programs::{Relay, program};
use tests::stage::{self, Stage};

const SECRET: &str = "conformance";
/// A relay that speaks UDP, TCP and TLS, and its TLS address.
async fn relay(stage: &Stage, options: &[&str]) -> anyhow::Result<(Relay, String)> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| stage.folder().join(name));
    std::fs::write(&cert, certified.cert.pem())?;
    std::fs::write(&key, certified.signing_key.serialize_pem())?;
    let tls = [
        "--listen=tls:127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", cert.display()),
        format!("--tls-key={}", key.display()),
    ];
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    let peers = ["--allow-peer=127.0.0.1/32", "--allow-peer=::1/128"];
    let relayed = ["--relay-address=127.0.0.1", "--relay-address=::1"];
    let user = ["--realm=conformance", "--user=alice:wonder"];
    let options = [&peers[..], &relayed, &user, &tls, options].concat();
    let relay = stage.relay(&options).await?;
    let tls = |line: &str| line.strip_prefix("listening on tls:").map(str::to_owned);
    let tls = relay.process.line(tls).await?;
    Ok((relay, tls))
}

/// Runs the suite and returns its results.
async fn judge(
    stage: &Stage,
    (relay, tls): &(Relay, String),
    options: &[&str],
) -> anyhow::Result<Vec<Value>> {
    let json: PathBuf = stage.folder().join("results.json");
    let mut command = Command::new(program("turn-conformance")?);
    command.args(["--server", &relay.udp.to_string()]);
    command.args(["--tcp", &relay.tcp.to_string(), "--tls", tls]);
    command.args(["--user", "alice", "--password", "wonder"]);
    command.args(["--realm", "conformance", "--peer-ip6", "::1"]);
    command.args(["--rfc5766-channel-numbers", "--json"]);
    command.arg(&json).args(options);
    let suite = stage.process("turn-conformance", &mut command)?;
    let status = suite.exit().await?;
    ensure!(
        status.code() < Some(2),
        "the suite itself failed: {}",
        suite.stderr()?
    );
    let text = std::fs::read_to_string(&json).context("the suite's results")?;
    Ok(serde_json::from_str(&text)?)
}

fn ids(results: &[Value], result: &str) -> Vec<String> {
    let of_this = results.iter().filter(|case| case["result"] == result);
    of_this
        .map(|case| case["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Fails with each case that failed, as the suite tells it.
fn nothing_failed(results: &[Value]) {
    let failed: Vec<_> = results
        .iter()
        .filter(|case| case["result"] == "fail")
        .map(|case| format!("{case:#}"))
        .collect();
    assert!(
        failed.is_empty(),
        "{} cases fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn our_relay_passes_every_case() {
    stage::run(async |stage| {
        let quotas = ["--user-quota", "10", "--source-quota", "50"];
        let options = [&["--auth-secret", SECRET][..], &quotas].concat();
        let relay = relay(stage, &options).await?;
        let results = judge(stage, &relay, &options).await?;
        nothing_failed(&results);
        assert!(
            ids(&results, "pass").len() > 220,
            "few cases apply: {results:#?}"
        );
        Ok(())
    });
}

/// User names can be hashed only where none carries its own expiry.
#[test]
fn our_relay_passes_authentication_with_static_users_alone() {
    stage::run(async |stage| {
        let relay = relay(stage, &["--user=bob:builder"]).await?;
        let other = ["--other-user", "bob", "--other-password", "builder"];
        let options = [&["--filter", "authentication", "--jobs", "4"][..], &other].concat();
        let results = judge(stage, &relay, &options).await?;
        nothing_failed(&results);
        let passed = ids(&results, "pass");
        assert!(
            passed.iter().any(|id| id == "M-18"),
            "hashed names: {results:#?}"
        );
        Ok(())
    });
}
