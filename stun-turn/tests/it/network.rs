//! Tests in a network namespace of their own, where addresses can come and go.

use std::process::{Command, Stdio};

use crate::running::eventually;

/// Runs an ignored test of this program in a network namespace of its own.
///
/// Root makes only the network, so that BPF programs can be loaded; others become root of a user
/// namespace first. Where neither is permitted the test says that it was not run.
pub(crate) fn run_inside(test: &str) {
    let ways = [&["--net"][..], &["--user", "--map-root-user", "--net"]];
    let unshare = |way: &&[&str]| {
        let mut command = Command::new("unshare");
        command.args(*way);
        command
    };
    let is_permitted = |way: &&&[&str]| {
        let mut probe = unshare(way);
        probe.args(["ip", "link", "set", "lo", "up"]);
        let status = probe.stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let Some(way) = ways.iter().find(is_permitted) else {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "network namespaces can't be made here");
        eprintln!("not run: network namespaces can't be made here");
        return;
    };
    let status = unshare(way)
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(status.success(), "in the namespace: {status}");
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

/// Waits until the kernel has a route to itself for an address: one of IPv6 can be bound a moment
/// before anything is delivered to it.
pub(crate) fn until_delivered(address: &str) {
    let family = if address.contains(':') { "-6" } else { "-4" };
    eventually("the address is the host's", || {
        let routes = [family, "route", "show", "table", "local"];
        let output = Command::new("ip").args(routes).output().unwrap();
        let mut words = std::str::from_utf8(&output.stdout).unwrap().split(' ');
        words.any(|word| word == address)
    });
}
