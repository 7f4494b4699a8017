//! What an operator does with a running program: asks it, drains it, changes its options.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Method;

use crate::client::{Client, Link, allocate_as_nobody, binding};
use crate::hung::Hung;
use crate::running::{Program, eventually};

const UDP: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
const GONE: (u16, &[u8]) = (kind::LIFETIME, &[0; 4]);

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

// coturn's log filled disks in a flood: a line for each request that failed (coturn issue 1957).
#[test]
fn a_flood_is_one_line_of_the_log() {
    let mut program = Program::start(&["--user", "alice:wonder"]);
    let mut flooder = Link::udp_to(program.listener);
    while program.metric("reason=\"over_budget\"") < 200 {
        for _ in 0..50 {
            flooder.send(&allocate_as_nobody());
        }
    }
    let line = program.wait_for_log(&["WARN", "no answer", "127.0.0.1"]);
    assert!(line.contains("over_budget"), "{line}");
    program.signal("INT");
    let log = program.rest_of_log();
    assert!(!log.contains("no answer"), "once: {log}");
}

/// Whoever reads the log through a pipe may stop to; the relay goes on.
#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let program = Program::start(&["--user", "alice:wonder", "--log-level", "trace"]);
    let mut noisy = Link::udp_to(program.listener);
    while program.metric("stun_turn_log_lines_lost_total") == 0 {
        for _ in 0..500 {
            noisy.send(&allocate_as_nobody());
        }
    }
    // What came of the noise before may still fill the socket, so a request is sent again, as clients do.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(program.listener).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut reply = [0; 200];
    eventually("an answer", || {
        socket.send(&binding(1)).unwrap();
        socket.recv(&mut reply).is_ok()
    });
    assert_eq!(reply[..2], [1, 1], "success");
    program.signal("INT");
    assert!(program.rest_of_log().contains("no answer"));
}

#[test]
fn metrics_sessions_and_the_end_of_one() {
    let mut program = Program::start(&["--user", "alice:wonder"]);
    assert_eq!(program.get("/healthz").0, 200);
    assert_eq!(program.get("/readyz").0, 200);
    assert_eq!(program.get("/nothing").0, 404);
    assert_eq!(program.get("/metrics?format=prometheus").0, 200);
    let (status, body) = program.ask("HEAD", "/readyz", "");
    assert_eq!((status, &*body), (200, ""));
    let mut client = program.client();
    let relayed = client.allocate(1);
    let (_, metrics) = program.get("/metrics");
    for line in [
        "stun_turn_allocations{transport=\"udp\"} 1",
        "stun_turn_allocations_created_total 1",
        "stun_turn_requests_total{method=\"Allocate\",code=\"0\"} 1",
        "stun_turn_requests_total{method=\"Allocate\",code=\"401\"} 1",
        "stun_turn_ready 1",
    ] {
        assert!(has_line(&metrics, line), "{line} in {metrics}");
    }
    let (status, sessions) = program.get("/sessions");
    assert_eq!(status, 200);
    assert!(
        sessions.contains(&format!("\"relayed\":\"{relayed}\"")),
        "{sessions}"
    );
    assert!(sessions.contains("\"user\":\"alice\""), "{sessions}");
    let id = sessions
        .split("\"id\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let path = format!("/sessions/{id}");
    assert_eq!(program.ask("DELETE", &path, "").0, 204);
    assert_eq!(program.ask("DELETE", &path, "").0, 404);
    for wrong in [
        "/sessions/x",
        "/sessions/9-1",
        "/sessions/0-",
        "/sessions/%2e%2e",
    ] {
        assert_eq!(program.ask("DELETE", wrong, "").0, 404, "{wrong}");
    }
    assert_eq!(client.code(Method::Refresh, &[]), 437);
    let record = program.wait_for_log(&["allocation closed"]);
    assert!(record.contains("\"cause\":\"operator\""), "{record}");
    let named = format!("\"session\":\"{id}\"");
    assert!(record.contains(&named), "the same name as above: {record}");
    assert!(
        !record.contains("alice"),
        "user names stay out of the log: {record}"
    );
    let (_, metrics) = program.get("/metrics");
    assert!(has_line(
        &metrics,
        "stun_turn_allocations{transport=\"udp\"} 0"
    ));
    assert!(has_line(
        &metrics,
        "stun_turn_allocations_closed_total{cause=\"operator\"} 1"
    ));
}

#[test]
fn every_metric_is_documented() {
    let documented = include_str!("../../../docs/operating.md");
    let (_, metrics) = Program::start(&[]).get("/metrics");
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let mut count = 0;
    for line in types {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let name = format!("`{name}{suffix}`");
        assert!(documented.contains(&name), "docs/operating.md lacks {name}");
        count += 1;
    }
    assert!(count > 10, "{metrics}");
}

#[test]
fn the_admin_address_is_for_whoever_has_the_token_or_is_here() {
    let program = Program::start(&["--admin-token", "north"]);
    assert_eq!(program.get("/healthz").0, 200);
    assert_eq!(program.get("/readyz").0, 200, "as a kubelet asks");
    for path in ["/metrics", "/sessions"] {
        assert_eq!(program.get(path).0, 401);
        assert_eq!(
            program
                .ask("GET", path, "Authorization: Bearer south\r\n")
                .0,
            401
        );
        assert_eq!(
            program
                .ask("GET", path, "Authorization: Bearer north\r\n")
                .0,
            200
        );
    }
    // The scheme's name in any case, as HTTP has it; the token as it is.
    let lower = program.ask("GET", "/metrics", "Authorization: bearer north\r\n");
    assert_eq!(lower.0, 200);
    let other = program.ask("GET", "/metrics", "Authorization: Bearer NORTH\r\n");
    assert_eq!(other.0, 401);
    let program = Program::start(&[]);
    let rebound = program.ask("GET", "/sessions", "Host: evil.example\r\n");
    assert_eq!(rebound.0, 401, "a page of another name");
    assert_eq!(
        program.ask("GET", "/sessions", "Host: localhost:1\r\n").0,
        200
    );
}

/// A probe that is not answered gets the relay restarted, so nobody may keep it waiting.
#[test]
fn silent_connections_to_the_admin_address_do_not_delay_a_probe() {
    let program = Program::start(&[]);
    // Again where the machine was so slow that the deadline of the silent ones may have let the probe through.
    eventually(
        "a probe that is answered before the silent ones are ended",
        || {
            let silent: Vec<TcpStream> = (0..200)
                .map(|_| TcpStream::connect(program.admin).unwrap())
                .collect();
            assert_eq!(program.get("/healthz").0, 200);
            // The oldest make way for others.
            silent.iter().any(|stream| {
                stream.set_nonblocking(true).unwrap();
                let read = stream.peek(&mut [0]);
                read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
            })
        },
    );
}

#[test]
fn a_client_can_t_reach_the_admin_address_through_the_relay() {
    let options = ["--user", "alice:wonder", "--allow-peer", "127.0.0.0/8"];
    let program = Program::start(&options);
    let mut client = program.client();
    client.allocate(1);
    assert_eq!(client.bind_code(0x4000, program.admin), 403);
}

#[test]
fn sigterm_waits_for_the_allocations_that_live() {
    let mut program = Program::start(&["--user", "alice:wonder"]);
    let mut old = program.client();
    old.allocate(1);
    program.signal("TERM");
    program.wait_for_log(&["draining"]);
    eventually("readiness is taken back", || {
        program.get("/readyz").0 == 503
    });
    let mut new = program.client();
    assert_eq!(new.code(Method::Allocate, &[UDP]), 508);
    assert_eq!(old.code(Method::Refresh, &[]), 0);
    assert_eq!(old.code(Method::Refresh, &[GONE]), 0);
    assert!(program.child.wait().unwrap().success());
}

/// coturn's scripts send them: a relay that did not know them died with its calls.
#[test]
fn sigusr2_reloads_certificates_and_sigusr1_drains() {
    let mut program = Program::start(&["--user", "alice:wonder"]);
    let mut old = program.client();
    old.allocate(1);
    program.signal("USR2");
    program.wait_for_log(&["reloaded certificates"]);
    assert_eq!(old.code(Method::Refresh, &[]), 0);
    program.signal("USR1");
    program.wait_for_log(&["draining"]);
    for name in ["USR1", "USR2"] {
        program.signal(name);
    }
    program.wait_for_log(&["reloaded certificates"]);
    assert_eq!(program.client().code(Method::Allocate, &[UDP]), 508);
    assert_eq!(old.code(Method::Refresh, &[GONE]), 0);
    assert!(program.child.wait().unwrap().success());
}

/// Nothing else would tell: the sockets stay open, and the other threads serve on.
#[test]
fn a_hung_thread_takes_readiness_back_until_it_lives_again() {
    let mut program = Program::start(&["--workers", "2", "--user", "alice:wonder"]);
    let hung = Hung::thread(program.child.id(), "relay-1");
    eventually("readiness is taken back", || {
        program.get("/readyz").0 == 503
    });
    program.wait_for_log(&["ERROR", "hangs"]);
    assert_eq!(program.metric("stun_turn_workers_hung"), 1);
    assert_eq!(program.metric("stun_turn_ready"), 0);
    drop(hung);
    eventually("it is ready again", || program.get("/readyz").0 == 200);
    assert_eq!(program.metric("stun_turn_workers_hung"), 0);
}

#[test]
fn a_second_sigterm_or_the_deadline_ends_at_once() {
    for deadline in ["18446744073709551615", "0"] {
        let mut program = Program::start(&["--user", "alice:wonder", "--drain-deadline", deadline]);
        let mut client = program.client();
        client.allocate(1);
        program.signal("TERM");
        program.wait_for_log(&["draining"]);
        if deadline != "0" {
            program.signal("TERM");
        }
        program.wait_for_log(&["allocation closed", "\"cause\":\"shutdown\""]);
        assert!(program.child.wait().unwrap().success());
    }
}

#[test]
fn sighup_changes_users_policy_and_quotas_and_refuses_nonsense() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("relay.toml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("user = [\"alice:wonder\"]\nallow-peer = [\"127.0.0.0/8\"]\nuser-quota = 1\n");
    let mut program = Program::start(&["--config", as_text(&path)]);
    let mut first = program.client();
    first.allocate(1);
    let peer = SocketAddr::from(([127, 0, 0, 1], 9));
    assert_eq!(first.bind_code(0x4000, peer), 0);
    assert_eq!(program.client().code(Method::Allocate, &[UDP]), 486);

    write("user = [\"alice:wonder\"]\nuser-quota = 2\n");
    program.signal("HUP");
    program.wait_for_log(&["reloaded"]);
    assert_eq!(
        first.bind_code(0x4000, peer),
        403,
        "the policy no longer allows it"
    );
    assert_eq!(
        first.code(Method::Refresh, &[]),
        0,
        "but the allocation lives"
    );
    program.client().allocate(1);

    write("user = [\"alice\"]\n");
    program.signal("HUP");
    let refusal = program.wait_for_log(&["not reloaded"]);
    assert!(refusal.contains("--user"), "{refusal}");
    write("auth-secret = [\"topsecret\n");
    program.signal("HUP");
    let refusal = program.wait_for_log(&["not reloaded"]);
    assert!(refusal.contains("line 1"), "{refusal}");
    assert!(
        !refusal.contains("topsecret"),
        "a secret in the log: {refusal}"
    );
    assert_eq!(
        program.client().code(Method::Allocate, &[UDP]),
        486,
        "as before"
    );

    write("user = [\"bob:builder\"]\nrealm = \"elsewhere\"\nadmin-token = \"north\"\n");
    program.signal("HUP");
    program.wait_for_log(&["restart", "\"admin-token\""]);
    program.wait_for_log(&["restart", "\"realm\""]);
    program.wait_for_log(&["reloaded"]);
    assert_eq!(program.client().code(Method::Allocate, &[UDP]), 401);
    assert_eq!(
        first.code(Method::Refresh, &[]),
        0,
        "calls outlive their users"
    );
}

fn as_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn sockets_that_have_no_answer_do_not_stop_the_others() {
    let options = ["--user", "alice:wonder", "--allow-peer", "127.0.0.0/8"];
    let program = Program::start(&options);
    let mut client = program.client();
    client.allocate(1);
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    assert_eq!(client.bind_code(0x4000, nobody), 0);
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert_eq!(client.bind_code(0x4001, peer.local_addr().unwrap()), 0);
    let mut buffer = [0; 16];
    for number in 0..100_u8 {
        // Each of the first provokes an ICMP error, which must not swallow the second.
        client.link.send(b"\x40\x00\x00\x01x");
        client.link.send(&[0x40, 0x01, 0, 1, number]);
        assert_eq!(peer.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], number);
    }
    // And the client is told, as RFC 8656 section 11.5 wants it.
    let told = client.link.receive();
    let message = stun_turn::proto::message::Message::parse(&told).unwrap();
    assert_eq!(message.method(), Method::Data);
    assert_eq!(
        message.first(kind::ICMP),
        Some(&[0, 0, 6, 3, 0, 0, 0, 0][..])
    );
}

/// Whoever looks for a 401 or a 486 finds its cause in the log.
#[test]
fn each_refusal_is_a_line_with_its_reason() {
    let options = [
        "--user",
        "alice:wonder",
        "--auth-secret",
        "north",
        "--user-quota",
        "1",
    ];
    let mut program = Program::start(&[&options[..], &["--log-level", "debug"]].concat());
    let listener = program.listener;
    let of = |user| Client::of(user, Link::udp_to(listener));
    for (user, words) in [
        (("alice", "wrong"), "wrong password of a static user"),
        (("bob", "builder"), "no --user has this name"),
        (("1999999999:carol", "wrong"), "no --auth-secret makes"),
    ] {
        assert_eq!(of(user).code(Method::Allocate, &[UDP]), 401);
        let line = program.wait_for_log(&["refused", "401", words]);
        assert!(
            line.contains("Allocate") && line.contains("127.0.0.1"),
            "{line}"
        );
        assert!(!line.contains(user.0), "{line}");
    }
    let mut holder = program.client();
    holder.allocate(1);
    assert_eq!(program.client().code(Method::Allocate, &[UDP]), 486);
    program.wait_for_log(&["refused", "486", "--user-quota"]);
    assert_eq!(holder.code(Method::Allocate, &[UDP]), 437);
    program.wait_for_log(&["refused", "437"]);
    let tcp = (kind::REQUESTED_TRANSPORT, &[6, 0, 0, 0][..]);
    assert_eq!(program.client().code(Method::Allocate, &[tcp]), 442);
    program.wait_for_log(&["refused", "442"]);
    program.signal("TERM");
    program.wait_for_log(&["draining"]);
    assert_eq!(program.client().code(Method::Allocate, &[UDP]), 508);
    program.wait_for_log(&["refused", "508", "the relay is draining"]);
}

/// An expired credential says since when.
#[test]
fn an_expired_credential_is_told_from_a_wrong_one() {
    let options = ["--auth-secret", "north", "--log-level", "debug"];
    let mut program = Program::start(&options);
    let minted = stun_turn::proto::auth::credential::mint(b"north", "carol", 1_700_000_000);
    let user = (&*minted.username.leak(), &*minted.password.leak());
    let mut client = Client::of(user, Link::udp_to(program.listener));
    assert_eq!(client.code(Method::Allocate, &[UDP]), 401);
    program.wait_for_log(&["refused", "401", "the credential expired"]);
}

/// A label for each name that a stranger may choose would fill the memory of whoever collects metrics.
/// And what strangers say has no place in the log.
#[test]
fn no_name_that_a_client_chooses_becomes_a_metric_or_a_line() {
    let program = Program::start(&["--user", "alice:wonder", "--log-level", "debug"]);
    let names = |metrics: String| -> Vec<String> {
        let lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    let be_refused = |name: &'static str| {
        let link = Link::udp_to(program.listener);
        let mut client = Client::of((name, "wonder"), link);
        assert_eq!(client.code(Method::Allocate, &[UDP]), 401);
    };
    be_refused("mallory");
    let before = names(program.get("/metrics").1);
    for name in [
        "mallory-1",
        "mallory\r\nINFO all is well",
        "mallory\u{1b}[31m",
        "mallory%n%s",
        "mallory\0",
        "1700000000:mallory",
    ] {
        be_refused(name);
    }
    assert_eq!(names(program.get("/metrics").1), before);
    program.signal("TERM");
    let log = program.rest_of_log();
    assert!(!log.contains("mallory"), "{log}");
}
