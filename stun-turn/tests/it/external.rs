//! What the relay says of the addresses that clients are told, and how a second relay takes over.

use std::net::SocketAddr;

use stun_turn::Server;
use stun_turn::config::{Config, Options};
use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Method;

use crate::client::{Client, Link, options};
use crate::network::{ip, run_inside};
use crate::running::Program;

const UDP: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);

fn telling(public: &str) -> Config {
    Config::from(Options {
        external_address: vec![public.parse().unwrap()],
        ..options(&["udp"], "127.0.0.1", 1)
    })
}

/// A public address that changes each night needed a restart, which ended all calls.
#[test]
fn a_reload_puts_another_external_address_in_force() {
    let server = Server::start(telling("203.0.113.7")).unwrap();
    let mut call = Client::new(Link::udp(&server));
    assert_eq!(call.allocate(1).ip().to_string(), "203.0.113.7");
    let unchanged = server.handle().reload(telling("203.0.113.8")).unwrap();
    assert_eq!(unchanged, [""; 0]);
    let relayed = Client::new(Link::udp(&server)).allocate(1);
    assert_eq!(relayed.ip().to_string(), "203.0.113.8");
    assert_eq!(call.code(Method::Refresh, &[]), 0, "the call goes on");
    let nobody_s = telling("2001:db8::7");
    assert!(server.handle().reload(nobody_s).is_err());
    server.shutdown();
}

#[test]
fn a_public_address_that_the_host_lacks_is_told_with_a_hint() {
    let mut program = Program::start(&["--listen", "udp:11.0.0.77:0", "--user", "alice:wonder"]);
    program.wait_for_log(&["WARN", "11.0.0.77", "give --external-address 11.0.0.77"]);
}

/// A second process can't have the port, and a draining one refuses newcomers.
#[test]
fn an_upgrade_by_redirection_refuses_nobody_and_ends_no_call() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("relay.toml");
    let write = |more: &str| std::fs::write(&file, format!("user = [\"alice:wonder\"]\n{more}"));
    write("").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let mut old = Program::start(&config);
    let mut call = old.client();
    call.allocate(1);
    let new = Program::start(&["--user", "alice:wonder"]);
    write(&format!("alternate-server = [\"{}\"]\n", new.listener)).unwrap();
    old.signal("HUP");
    old.wait_for_log(&["reloaded"]);
    assert_eq!(old.client().code(Method::Allocate, &[UDP]), 300);
    old.signal("TERM");
    old.wait_for_log(&["draining"]);
    assert_eq!(old.client().code(Method::Allocate, &[UDP]), 300, "no 508");
    new.client().allocate(1);
    assert_eq!(call.code(Method::Refresh, &[]), 0);
    assert_eq!(call.code(Method::Refresh, &[(kind::LIFETIME, &[0; 4])]), 0);
    assert!(
        old.child.wait().unwrap().success(),
        "the last call has ended"
    );
}

#[test]
fn hosts_whose_addresses_are_of_no_use_elsewhere() {
    run_inside("external::inside");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn inside() {
    ip("link set lo up");
    ip("address add 10.0.0.5/32 dev lo");
    let options = ["--listen", "udp:10.0.0.5:3478", "--user", "alice:wonder"];
    let mut private = Program::start(&[&options[..], &["--relay-address", "10.0.0.5"]].concat());
    private.wait_for_log(&["INFO", "clients are told a private address", "10.0.0.5"]);
    drop(private);
    // "Everything works", said the check.
    let _relay = Program::start(&[&options[..], &["--relay-address", "127.0.0.1"]].concat());
    let to = SocketAddr::from(([10, 0, 0, 5], 3478));
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_stun-turn"))
        .args(["check", &format!("turn:{to}?transport=udp")])
        .args(["--user", "alice", "--password", "wonder"])
        .output()
        .unwrap();
    let told = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{told}");
    assert!(
        told.contains("FAIL  Allocate") && told.contains("--relay-address"),
        "{told}"
    );
}
