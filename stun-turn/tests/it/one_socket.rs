//! One socket for all relayed ports: everything that holds with a socket for each must hold with it.
//!
//! The program that steers datagrams is the network namespace's, so all of this takes place in one of
//! its own.

use std::process::{Command, Stdio};

use stun_turn::Server;
use stun_turn::config::Config;

use crate::client::{Client, Link, options};

/// Makes [`options`] ask for the mode.
pub(crate) const VARIABLE: &str = "STUN_TURN_TEST_ONE_SOCKET";
const INSIDE: &str = "one_socket::no_descriptor_for_an_allocation";

/// In a network namespace of its own whose loopback is up.
fn in_a_namespace(arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--net",
        "sh",
        "-c",
        "ip link set lo up && exec \"$0\" \"$@\"",
    ]);
    command.arg(std::env::current_exe().unwrap());
    command.args(arguments).env(VARIABLE, "1");
    command
}

#[test]
fn all_of_relaying_holds_with_one_socket() {
    let probe = ["--net", "true"];
    let probe = Command::new("unshare")
        .args(probe)
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("not run: it needs root, to make a network namespace and to load BPF programs");
        return;
    }
    let inside = in_a_namespace(&[INSIDE, "--exact", "--ignored", "--nocapture"]).status();
    assert!(inside.unwrap().success(), "the mode is in force");
    let groups = ["udp::", "bursts::", "stream::", "tls::", "own_host::"];
    // It looks for the socket that this mode does without.
    let other = ["--skip", "frees_its_relayed_port"];
    // Two relays on one address can't tell that a port is the other's, as no socket holds it: one at a
    // time. (Once in a while, one test's datagrams went to another test's relay.)
    let alone = ["--test-threads=1"];
    let groups = [&groups[..], &other, &alone].concat();
    let all = in_a_namespace(&groups).output().unwrap();
    let output = String::from_utf8_lossy(&all.stdout);
    assert!(all.status.success(), "{output}");
    assert!(!output.contains(" 0 passed"), "{output}");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn no_descriptor_for_an_allocation() {
    let server = Server::start(Config::from(options(&["udp"], "127.0.0.1", 2))).unwrap();
    let mut links: Vec<Client> = (0..10).map(|_| Client::new(Link::udp(&server))).collect();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for client in &mut links {
        client.allocate(1);
    }
    assert_eq!(descriptors(), before);
    server.shutdown();
}
