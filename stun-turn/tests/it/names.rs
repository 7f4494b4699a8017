//! Host names that nobody answers for: at the start, and at a reload.

use std::net::UdpSocket;
use std::process::Command;

use crate::client::patience;
use crate::network::{ip, run_inside};
use crate::running::Program;

const SILENT: &str = "silent.example";

#[test]
fn a_name_without_an_answer_ends_the_start_and_is_named() {
    run_inside("names::at_the_start");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn at_the_start() {
    // Without any network: no resolver can be reached.
    for (option, value) in [
        ("--listen", "udp:silent.example:3478"),
        ("--relay-address", SILENT),
        ("--external-address", SILENT),
        ("--alternate-server", "silent.example:3478"),
        ("--nat-discovery", "silent.example:3479"),
        ("--admin", "silent.example:9641"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stun-turn"))
            .args([option, value])
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        // A service manager tries again after 1, and not after 2.
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(option) && told.contains(SILENT), "{told}");
        assert!(told.contains("can't be resolved"), "{told}");
    }
}

/// The thread that takes signals waited eight seconds for each name.
#[test]
fn a_slow_name_at_a_reload_delays_no_signal() {
    run_inside("names::at_a_reload");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn at_a_reload() {
    if !asks_dns_alone() {
        eprintln!("not run: names are not looked up by DNS alone here");
        return;
    }
    ip("link set lo up");
    let resolvers = silent_resolvers();
    // A machine that is busy for eight seconds between two lines shows nothing, so there are several tries.
    assert!(
        (0..10).any(|_| signals_come_first(&resolvers)),
        "the signals waited for the name"
    );
}

/// Whether signals that come during a lookup are acted on before it ends.
fn signals_come_first(resolvers: &[UdpSocket]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    let write = |more: &str| std::fs::write(&file, format!("user = [\"a:b\"]\n{more}")).unwrap();
    write("");
    let mut program = Program::start(&["--config", file.to_str().unwrap()]);
    write("external-address = [\"silent.example\"]\n");
    program.signal("HUP");
    await_question(resolvers);
    program.signal("USR2");
    // Another reload while one is under way comes after it.
    program.signal("HUP");
    let until_certificates = program.log_until("reloaded certificates");
    program.signal("TERM");
    let rest = program.rest_of_log();
    assert!(rest.contains("\"drained\""), "{rest}");
    !until_certificates.contains("can't be resolved") && !rest.contains("can't be resolved")
}

/// Waits until a resolver was asked, and forgets what else it was asked.
fn await_question(resolvers: &[UdpSocket]) {
    let deadline = std::time::Instant::now() + patience();
    let mut question = [0; 512];
    let mut is_asked = false;
    while !is_asked {
        assert!(std::time::Instant::now() < deadline, "nobody was asked");
        for resolver in resolvers {
            while let Ok(length) = resolver.recv(&mut question) {
                is_asked |= question[..length].windows(6).any(|part| part == b"silent");
            }
        }
        std::thread::yield_now();
    }
}

/// Whether the system asks nobody but the servers of `resolv.conf`, which a namespace cuts off.
fn asks_dns_alone() -> bool {
    let services = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let hosts = services
        .lines()
        .find_map(|line| line.strip_prefix("hosts:"));
    let mut hosts = hosts.unwrap_or("files dns").split_whitespace();
    hosts.all(|service| ["files", "dns", "myhostname"].contains(&service))
}

/// Sockets at the addresses of `resolv.conf` that never answer.
fn silent_resolvers() -> Vec<UdpSocket> {
    let configured = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = configured
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver"));
    let mut servers: Vec<&str> = servers.map(str::trim).collect();
    if servers.is_empty() {
        servers.push("127.0.0.1");
    }
    let silent = servers.into_iter().map(|server| {
        if !server.starts_with("127.") && server != "::1" {
            let length = if server.contains(':') {
                "128 dev lo nodad"
            } else {
                "32 dev lo"
            };
            ip(&format!("address add {server}/{length}"));
        }
        let socket = UdpSocket::bind((server, 53)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    });
    silent.collect()
}
