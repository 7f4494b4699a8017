//! Tests in a network namespace of their own, where addresses can come and go.

use std::process::{Command, Stdio};

use crate::running::eventually;

/// Set in the namespaces that tests make.
const INSIDE: &str = "CALLBOX_TEST_NAMESPACE";

/// Panics in the host's own network, which the tests for a namespace would change.
pub(crate) fn assert_inside() {
    let is_inside = std::env::var_os(INSIDE).is_some();
    assert!(is_inside, "only for the namespace that another test makes");
}

/// Marks a command whose process makes a namespace for ignored tests.
pub(crate) fn mark_inside(command: &mut Command) -> &mut Command {
    command.env(INSIDE, "1")
}

fn unshare(way: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(way);
    command
}

/// The arguments that make a namespace here, if any do.
fn permitted_way() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
    ways.into_iter().find(|way| {
        let mut probe = unshare(way);
        probe.args(["ip", "link", "set", "lo", "up"]);
        let status = probe.stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    })
}

/// Whether [`run_inside`] can run anything.
pub(crate) fn can_run_inside() -> bool {
    permitted_way().is_some()
}

/// Runs an ignored test of this program in a network namespace of its own.
///
/// Root makes only the network, so that BPF programs can be loaded; others become root of a user
/// namespace first. Where neither is permitted the test says that it was not run.
pub(crate) fn run_inside(test: &str) {
    let Some(way) = permitted_way() else {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "network namespaces can't be made here");
        eprintln!("not run: network namespaces can't be made here");
        return;
    };
    let status = mark_inside(&mut unshare(way))
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(status.success(), "in the namespace: {status}");
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &str) {
    assert_inside();
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
