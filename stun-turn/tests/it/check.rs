//! `stun-turn check` against our own relay, and against what goes wrong with relays.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;

use serde_json::Value;
use stun_turn::Server;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::proto::attribute::ErrorCode;
use stun_turn::proto::message::{Class, Message, Method, Writer};

use crate::certificates::{Pair, offering};
use crate::client::{address, options};

const ALICE: [&str; 4] = ["--user", "alice", "--password", "wonder"];

fn start(options: Options) -> Server {
    Server::start(Config::from(options)).unwrap()
}

/// Exit code, standard output and standard error.
fn check(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_stun-turn"))
        .args(["check", url])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn url(server: &Server, protocol: Protocol) -> String {
    let to = address(server, protocol);
    match protocol {
        Protocol::Udp => format!("turn:{to}?transport=udp"),
        Protocol::Tcp => format!("turn:{to}?transport=tcp"),
        Protocol::Tls => format!("turns:{to}"),
    }
}

/// The check fails in one step, and says this about it.
fn fails(url: &str, arguments: &[&str], step: &str, words: &[&str]) {
    let (code, out, err) = check(url, arguments);
    assert_eq!(code, Some(1), "{out}{err}");
    let failed = format!("  FAIL  {step} ");
    let said = out.lines().skip_while(|line| !line.starts_with(&failed));
    let advice = said.clone().skip(1);
    let advice = advice.take_while(|line| line.starts_with("        "));
    let said: Vec<&str> = said.take(1).chain(advice).map(str::trim).collect();
    let said = said.join(" ");
    assert!(!said.is_empty(), "{step} should fail: {out}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing: {out}");
    }
}

#[test]
fn a_relay_that_works_passes_every_step_over_udp_and_tcp() {
    let options = Options {
        auth_secret: vec!["north".to_owned()],
        ..options(&["udp", "tcp"], "127.0.0.1", 2)
    };
    let server = start(options);
    for (protocol, credentials) in [
        (Protocol::Udp, &ALICE[..]),
        (Protocol::Tcp, &ALICE),
        (Protocol::Udp, &["--auth-secret", "north"]),
    ] {
        let (code, out, err) = check(&url(&server, protocol), credentials);
        assert_eq!(code, Some(0), "{out}{err}");
        for step in [
            "Binding",
            "challenge",
            "Allocate",
            "second Allocate",
            "CreatePermission",
            "Send and Data",
            "ChannelBind",
            "ChannelData",
            "Refresh",
        ] {
            let passed = format!("  ok    {step} ");
            assert!(out.contains(&passed), "{step} in {out}");
        }
        assert!(out.contains("20 of 20 came back (0 % lost)"), "{out}");
    }
    let relay = server.handle();
    assert_eq!(relay.allocations(), 0, "a check leaves nothing behind");
    server.shutdown();
}

#[test]
fn ipv6_and_json() {
    let server = start(options(&["udp"], "[::1]", 1));
    let arguments = [&ALICE[..], &["--json", "--realm", "callbox"]].concat();
    let (code, out, err) = check(&url(&server, Protocol::Udp), &arguments);
    assert_eq!(code, Some(0), "{out}{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["passed"], true);
    let way = &told["ways"][0];
    assert_eq!(way["transport"], "udp");
    let allocate = &way["steps"][2];
    assert_eq!(allocate["step"], "Allocate");
    let detail = allocate["detail"].as_str().unwrap();
    assert!(detail.contains("[::1]:"), "{detail}");
    server.shutdown();
}

#[test]
fn tls_with_a_certificate_that_is_trusted_and_ones_that_are_not() {
    let (pair, other) = (
        Pair::new(&["localhost", "127.0.0.1"]),
        Pair::new(&["other.example"]),
    );
    let options = offering(&[&pair], options(&["tls"], "127.0.0.1", 1));
    let server = start(options);
    let url = url(&server, Protocol::Tls);
    let text = |pair: &Pair| pair.certificate().to_str().unwrap().to_owned();
    let (ca, other_ca) = (text(&pair), text(&other));
    let trusted = [&ALICE[..], &["--ca", &ca]].concat();
    let (code, out, err) = check(&url, &trusted);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("  ok    TLS ") && out.contains("TLS 1.3"),
        "{out}"
    );
    let (code, out, _) = check(&url, &[&ALICE[..], &["--insecure"]].concat());
    assert_eq!(code, Some(0), "{out}");
    let of_another = [&ALICE[..], &["--ca", &other_ca]].concat();
    fails(&url, &of_another, "TLS", &["No authority", "--ca FILE"]);
    server.shutdown();

    let options = offering(&[&other], crate::client::options(&["tls"], "127.0.0.1", 1));
    let server = start(options);
    let url = self::url(&server, Protocol::Tls);
    fails(
        &url,
        &of_another,
        "TLS",
        &["not valid for name", "127.0.0.1"],
    );
    server.shutdown();
}

#[test]
fn a_port_without_tls() {
    let pair = Pair::new(&["127.0.0.1"]);
    let ca = pair.certificate().to_str().unwrap().to_owned();
    let server = start(options(&["tcp"], "127.0.0.1", 1));
    let url = format!("turns:{}", address(&server, Protocol::Tcp));
    let arguments = [&ALICE[..], &["--ca", &ca]].concat();
    fails(&url, &arguments, "TLS", &["no TLS", "--tls-cert"]);
    server.shutdown();
}

#[test]
fn wrong_credentials_and_the_wrong_realm() {
    let server = start(options(&["udp"], "127.0.0.1", 1));
    let url = url(&server, Protocol::Udp);
    let wrong = ["--user", "alice", "--password", "blunder"];
    fails(&url, &wrong, "Allocate", &["401", "password", "callbox"]);
    let secret = ["--auth-secret", "south"];
    fails(&url, &secret, "Allocate", &["401", "secret", "clocks"]);
    let realm = [&ALICE[..], &["--realm", "elsewhere"]].concat();
    fails(
        &url,
        &realm,
        "challenge",
        &["callbox", "elsewhere", "--realm"],
    );
    server.shutdown();
}

#[test]
fn no_place_for_a_second_allocation() {
    let narrow = Options {
        user_quota: Some(1),
        ..options(&["udp"], "127.0.0.1", 1)
    };
    let server = start(narrow);
    let words = ["486", "--user-quota"];
    fails(
        &url(&server, Protocol::Udp),
        &ALICE,
        "second Allocate",
        &words,
    );
    let relay = server.handle();
    assert_eq!(relay.allocations(), 0, "the first one is given back");
    server.shutdown();
}

/// What somebody between client and server does to a client's datagram.
enum Meddling {
    Pass,
    Drop,
    Answer(Vec<u8>),
}

/// Stands in front of a server and meddles with what clients send. Lives as long as the process.
fn meddler(server: SocketAddr, meddle: fn(&mut [u8]) -> Meddling) -> SocketAddr {
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = front.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut backs: HashMap<SocketAddr, UdpSocket> = HashMap::new();
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = front.recv_from(&mut buffer) {
            let back = backs.entry(client).or_insert_with(|| {
                let back = UdpSocket::bind("127.0.0.1:0").unwrap();
                back.connect(server).unwrap();
                let (from, to) = (back.try_clone().unwrap(), front.try_clone().unwrap());
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(length) = from.recv(&mut buffer) {
                        to.send_to(&buffer[..length], client).unwrap();
                    }
                });
                back
            });
            let datagram = &mut buffer[..length];
            match meddle(datagram) {
                Meddling::Pass => drop(back.send(datagram).unwrap()),
                Meddling::Drop => {}
                Meddling::Answer(answer) => drop(front.send_to(&answer, client).unwrap()),
            }
        }
    });
    address
}

/// As servers do that deny their own public address.
fn deny_permissions(datagram: &mut [u8]) -> Meddling {
    let Ok(request) = Message::parse(datagram) else {
        return Meddling::Pass;
    };
    if request.method() != Method::CreatePermission {
        return Meddling::Pass;
    }
    let mut answer = vec![0; 100];
    let (class, id) = (Class::Error, request.transaction());
    let mut writer = Writer::new(&mut answer, class, request.method(), id);
    writer.error_code(ErrorCode::Forbidden);
    let length = writer.finish(None, false).unwrap();
    answer.truncate(length);
    Meddling::Answer(answer)
}

fn is_channel_data(datagram: &[u8]) -> bool {
    datagram[0] == 0x40
}

fn drop_large_packets(datagram: &mut [u8]) -> Meddling {
    if is_channel_data(datagram) && datagram.len() > 1000 {
        Meddling::Drop
    } else {
        Meddling::Pass
    }
}

fn drop_channel_data(datagram: &mut [u8]) -> Meddling {
    if is_channel_data(datagram) {
        Meddling::Drop
    } else {
        Meddling::Pass
    }
}

fn alter(datagram: &mut [u8]) -> Meddling {
    if is_channel_data(datagram) {
        // On the way back once more: not a change that undoes itself.
        let last = datagram.last_mut().unwrap();
        *last = last.wrapping_add(1);
    }
    Meddling::Pass
}

#[test]
fn what_a_relay_may_do_to_its_clients_and_what_we_say_about_it() {
    let server = start(options(&["udp"], "127.0.0.1", 1));
    let at = |meddle| {
        let address = meddler(address(&server, Protocol::Udp), meddle);
        format!("turn:{address}?transport=udp")
    };
    let soon = [&ALICE[..], &["--timeout", "1"]].concat();
    let denied = ["403", "--external-address", "--allow-peer"];
    fails(&at(deny_permissions), &soon, "CreatePermission", &denied);
    let lost = ["do not arrive", "--relay-ports", "hairpinning"];
    fails(&at(drop_channel_data), &soon, "ChannelData", &lost);
    let altered = ["came back changed", "alters"];
    fails(&at(alter), &soon, "ChannelData", &altered);
    let limited = ["1200 bytes", "MTU"];
    fails(&at(drop_large_packets), &soon, "ChannelData", &limited);
    server.shutdown();
}

#[test]
fn nobody_there_and_somebody_who_never_answers() {
    // Discard: below the ports that the kernel gives out, so that no other test's server can have it.
    let (code, out, _) = check("turn:127.0.0.1:9", &ALICE);
    assert_eq!(code, Some(1));
    for via in ["UDP", "TCP"] {
        assert!(
            out.contains(&format!("nothing listens on {via} port")),
            "{out}"
        );
    }
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("turn:{}?transport=udp", silent.local_addr().unwrap());
    let soon = [&ALICE[..], &["--timeout", "1"]].concat();
    fails(
        &url,
        &soon,
        "Binding",
        &["no answer", "firewall", "tcpdump"],
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("turn:{}?transport=tcp", silent.local_addr().unwrap());
    fails(&url, &soon, "Binding", &["no answer", "PROXY"]);
    let (code, out, _) = check(
        &format!("turns:{}", silent.local_addr().unwrap()),
        &[&soon[..], &["--insecure"]].concat(),
    );
    assert_eq!(code, Some(1));
    assert!(out.contains("does not answer the TLS handshake"), "{out}");
}

#[test]
fn a_stun_url_asks_for_the_own_address_alone() {
    let server = start(options(&["udp"], "127.0.0.1", 1));
    let (code, out, err) = check(&format!("stun:{}", address(&server, Protocol::Udp)), &[]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("seen as 127.0.0.1:") && !out.contains("Allocate"),
        "{out}"
    );
    server.shutdown();
}

#[test]
fn what_can_t_be_checked_is_a_wrong_use() {
    for (arguments, words) in [
        (&["turn:a.example"][..], "--auth-secret"),
        (&["turn://a.example"], "slashes"),
        (&["turn:a", "--user", "alice"], "--password"),
        (&["turn:a", "--timeout", "0"], "--timeout"),
    ] {
        let (code, _, err) = check(arguments[0], &arguments[1..]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(words), "{err}");
    }
    let (code, _, err) = check("turn:no-such-host.invalid", &ALICE);
    assert_eq!(code, Some(1));
    assert!(err.contains("can't be resolved"), "{err}");
}
