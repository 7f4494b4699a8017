//! What clients and slow files can cost the log and the other threads is bounded, and refusals are told.

use std::io::Write as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use stun_turn::Server;
use stun_turn::config::{Config, Options};
use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Method;
use stun_turn::proto::records::USER_BURST;

use crate::certificates::{Pair, offering};
use crate::client::{Client, Link, options, patience};
use crate::limit::Limit;
use crate::running::{Program, eventually};

const UDP: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
const GONE: (u16, &[u8]) = (kind::LIFETIME, &[0; 4]);

/// The log grew by 2 MB a second while one client made and ended allocations.
#[test]
fn churn_of_allocations_is_few_records_and_a_count() {
    let quotas = ["--user-quota", "0", "--source-quota", "0"];
    let mut program = Program::start(&[&quotas[..], &["--user", "alice:wonder"]].concat());
    let mut client = program.client();
    let name = "stun_turn_log_records_left_out_total";
    let start = std::time::Instant::now();
    let mut ended = 0;
    // A slow machine needs more of them until one is left out.
    while ended < u64::from(USER_BURST) * 3 || program.metric(name) == 0 {
        client.allocate(1);
        assert_eq!(client.code(Method::Refresh, &[GONE]), 0);
        ended += 1;
    }
    let most = u64::from(USER_BURST) + start.elapsed().as_secs() + 1;
    eventually("all are counted", || {
        program.metric("cause=\"deleted\"") == ended
    });
    let left_out = program.metric(name);
    assert!(
        left_out >= ended.saturating_sub(most),
        "{left_out} of {ended}"
    );
    program.wait_for_log(&["INFO", "records of closed allocations were left out"]);
    program.signal("INT");
    let log = program.rest_of_log();
    let records = log.matches("allocation closed").count();
    assert!(records as u64 <= most, "{records}");
}

/// Whoever looks for a 401 or 486 finds its cause in one place, at the default level of the log.
#[test]
fn refusals_are_summed_up_by_reason_at_info_and_in_metrics() {
    let mut program = Program::start(&["--user", "alice:wonder", "--user-quota", "1"]);
    let of = |user, program: &Program| Client::of(user, Link::udp_to(program.listener));
    let mut wrong = of(("alice", "wrong"), &program);
    assert_eq!(wrong.code(Method::Allocate, &[UDP]), 401);
    let line = program.wait_for_log(&["INFO", "requests refused"]);
    assert!(line.contains("\"reasons\":\"wrong_password: 1\""), "{line}");
    program.client().allocate(1);
    assert_eq!(program.client().code(Method::Allocate, &[UDP]), 486);
    let mut unknown = of(("bob", "builder"), &program);
    assert_eq!(unknown.code(Method::Allocate, &[UDP]), 401);
    for (reason, count) in [
        ("wrong_password", 1),
        ("user_quota", 1),
        ("unknown_user", 1),
        ("draining", 0),
    ] {
        let name = format!("stun_turn_refusals_total{{reason=\"{reason}\"}}");
        assert_eq!(program.metric(&name), count, "{reason}");
    }
    program.signal("INT");
    let log = program.rest_of_log();
    assert!(!log.contains("requests refused"), "once a minute: {log}");
}

/// A kick waited for a certificate on a slow disk.
#[test]
fn a_reload_that_waits_for_a_file_holds_nobody_up() {
    let pair = Pair::new(&["a.example"]);
    let plain = || Options {
        workers: Some(1),
        ..options(&["udp"], "127.0.0.1", 1)
    };
    let server = Server::start(Config::from(offering(&[&pair], plain()))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("cert.pem");
    let made = Command::new("mkfifo").arg(&slow).status().unwrap();
    assert!(made.success());
    let config = Config::from(Options {
        tls_cert: vec![slow.clone()],
        tls_key: vec![pair.key()],
        ..plain()
    });
    let relay = server.handle().clone();
    let reload = std::thread::spawn(move || relay.reload(config).map(|_| ()));
    // It can be opened for writing as soon as the reload reads it.
    let mut certificate = std::fs::OpenOptions::new().write(true).open(&slow).unwrap();
    let (done, is_done) = mpsc::channel();
    let relay = server.handle().clone();
    std::thread::spawn(move || {
        relay.revoke("carol", Duration::from_secs(60));
        done.send(relay.metrics().len())
    });
    assert!(is_done.recv_timeout(patience()).is_ok(), "somebody waits");
    let pem = std::fs::read(pair.certificate()).unwrap();
    certificate.write_all(&pem).unwrap();
    drop(certificate);
    reload.join().unwrap().unwrap();
    server.shutdown();
}

/// After a shortage the relay stayed out of service until a TCP client came: without new clients, for
/// ever.
#[test]
fn a_shortage_of_descriptors_ends_by_itself() {
    let mut program = Program::start(&["--user", "alice:wonder", "--workers", "1"]);
    let mut call = program.client();
    call.allocate(1);
    for _ in 0..2 {
        let limit = Limit::until_refused(&program, || program.client());
        program.wait_for_log(&["WARN", "no descriptor"]);
        assert_eq!(call.code(Method::Refresh, &[]), 0, "calls go on");
        drop(limit);
        program.wait_for_log(&["INFO", "there are descriptors again"]);
        assert_eq!(program.get("/readyz").0, 200);
        program.client().allocate(1);
    }
}
