//! The program: what it prints, how it refuses, how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::UdpSocket;
use std::process::{Child, Command, Output, Stdio};

use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Method;

use crate::certificates::Pair;
use crate::client::{Client, Link};
use crate::running::Program;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stun-turn"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = program().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_bad_value_is_refused_with_option_value_and_expectation() {
    for (option, value, expected) in [
        ("--listen", "udp:nowhere", "udp:ADDR:PORT"),
        ("--trusted-proxy", "load-balancer", "network"),
        ("--relay-ports", "9-1", "MIN-MAX"),
        ("--allow-peer", "10.0.0.1/8", "host bits"),
        ("--external-address", "1.2.3", "PUBLIC=LOCAL"),
        ("--listen", "udp:10.0.0:3478", "udp:ADDR:PORT"),
        ("--workers", "0", "1..=256"),
        ("--external-address", "0.0.0.0", "PUBLIC=LOCAL"),
        ("--log-level", "loud", "loud"),
    ] {
        let (code, _, stderr) = run(&[option, value]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(
            stderr.contains(option) && stderr.contains(value),
            "{stderr}"
        );
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = format!("udp:{}", taken.local_addr().unwrap());
    let admin = ["--admin", "127.0.0.1:0"];
    let (code, _, stderr) = run(&[&admin[..], &["--listen", &listen]].concat());
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(&listen) && stderr.contains("in use"),
        "{stderr}"
    );
    // Another relay shares its port among its own threads alone.
    let first = Program::start(&["--user", "alice:wonder", "--workers", "2"]);
    let listen = format!("udp:{}", first.listener);
    let (code, _, stderr) = run(&[&admin[..], &["--listen", &listen]].concat());
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(&listen) && stderr.contains("in use"),
        "{stderr}"
    );
    first.client().allocate(1);
}

/// The unit gave up for good after half a second.
#[test]
fn the_unit_goes_on_trying_unless_an_option_is_wrong() {
    let unit = include_str!("../../../deploy/stun-turn.service");
    for line in [
        "Restart=on-failure",
        "RestartSec=2",
        "StartLimitIntervalSec=0",
        "RestartPreventExitStatus=2",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn contradicting_options_are_refused() {
    let admin = ["--admin", "127.0.0.1:0"];
    let twice = ["--listen", "udp:127.0.0.1:5", "--listen", "udp:0.0.0.0:5"];
    let (code, _, stderr) = run(&[&admin[..], &twice].concat());
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("udp:0.0.0.0:5") && stderr.contains("twice"),
        "{stderr}"
    );
    let listen = ["--listen", "udp:127.0.0.1:0"];
    let (code, _, stderr) =
        run(&[listen, admin, ["--external-address", "1.2.3.4=10.9.9.9"]].concat());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("1.2.3.4=10.9.9.9"), "{stderr}");
    let (code, _, stderr) = run(&[listen, ["--admin", "0.0.0.0:0"]].concat());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--admin-token"), "{stderr}");
    let (code, _, stderr) = run(&["--auth-secret="]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("--auth-secret"),
        "an empty secret opens the relay to everybody: {stderr}"
    );
}

#[test]
fn tls_needs_certificates_that_can_be_read_and_used() {
    let (one, two) = (Pair::new(&["one.example"]), Pair::new(&["two.example"]));
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (cert, key, other_key) = (text(one.certificate()), text(one.key()), text(two.key()));
    let tls = ["--listen", "tls:127.0.0.1:0"];
    for (options, expected_code, expected) in [
        (&[][..], 2, "--listen tls:127.0.0.1:0"),
        (&["--tls-cert", &cert], 2, "--tls-key"),
        (
            &["--tls-cert", &cert, "--tls-key", &other_key],
            2,
            "--tls-key",
        ),
        (&["--tls-cert", &key, "--tls-key", &key], 2, "--tls-cert"),
        (
            &["--tls-cert", &cert, "--tls-key", "/no/such/key"],
            1,
            "/no/such/key",
        ),
    ] {
        for mode in [&[][..], &["--check-config"]] {
            let (code, _, stderr) = run(&[&tls, options, mode].concat());
            assert_eq!(code, Some(expected_code), "{stderr}");
            assert!(stderr.contains(expected), "{stderr}");
        }
    }
    let good = ["--tls-cert", &cert, "--tls-key", &key, "--check-config"];
    assert_eq!(run(&[&tls[..], &good].concat()).0, Some(0));
}

/// TURN over TLS was dead, and nothing told.
#[test]
fn a_certificate_that_clients_refuse_is_told() {
    for (years, words) in [
        ((2020, 2024), "expired"),
        ((2098, 2099), "not valid for another"),
    ] {
        let pair = Pair::of_years(years.0, years.1);
        let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        let (cert, key) = (text(pair.certificate()), text(pair.key()));
        let options = ["--tls-cert", &cert, "--tls-key", &key];
        let (code, _, stderr) = run(&[&options[..], &["--check-config"]].concat());
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains(&cert) && stderr.contains(words), "{stderr}");
        let mut program = Program::start(&options);
        program.wait_for_log(&["WARN", &cert, words]);
        program.signal("HUP");
        program.wait_for_log(&["WARN", &cert, words]);
        assert!(program.metric("stun_turn_certificate_not_after_seconds") > 1_700_000_000);
    }
}

#[test]
fn help_and_check_and_print() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(
        help.contains("--allow-peer") && help.contains("STUN_TURN_"),
        "{help}"
    );
    assert_eq!(run(&["--check-config", "--realm", "r"]).0, Some(0));
    assert_eq!(run(&["--check-config", "--realm", ""]).0, Some(2));
    let several = ["--check-config", "--mobility", "--workers", "4"];
    assert_eq!(run(&several).0, Some(2), "what the start refuses");
    let at_loopback = ["--check-config", "--listen", "udp:127.0.0.1:3478"];
    for (option, value) in [
        ("--external-address", "203.0.113.7=127.0.0.2"),
        ("--external-address", "2001:db8::7"),
        ("--nat-discovery", "127.0.0.2:3478"),
        ("--nat-discovery", "[::1]:3479"),
        ("--alternate-server", "0.0.0.0:3478"),
        ("--alternate-server", "203.0.113.9:0"),
    ] {
        let (code, _, stderr) = run(&[&at_loopback[..], &[option, value]].concat());
        assert_eq!(code, Some(2), "{option} {value}");
        assert!(stderr.contains(option), "{stderr}");
    }
    let good = [
        "--external-address",
        "203.0.113.7=127.0.0.1",
        "--nat-discovery",
        "127.0.0.2:3479",
    ];
    assert_eq!(run(&[&at_loopback[..], &good].concat()).0, Some(0));
    let (_, printed, _) = run(&["--print-config", "--realm", "r", "--user", "alice:wonder"]);
    assert!(
        printed.contains("realm = \"r\"") && !printed.contains("wonder"),
        "{printed}"
    );
}

#[test]
fn it_says_where_it_listens_and_ends_cleanly_on_each_signal() {
    for name in ["INT", "TERM"] {
        let mut child = program()
            .args(["--listen", "udp:127.0.0.1:0", "--user", "a:b"])
            .args(["--admin", "127.0.0.1:0"])
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on udp:")
            .unwrap()
            .to_owned();
        assert!(UdpSocket::bind(&address).is_err(), "{address} is taken");
        signal(&child, name);
        let status = child.wait().unwrap();
        let mut stderr = String::new();
        child.stderr.unwrap().read_to_string(&mut stderr).unwrap();
        assert!(status.success(), "{status} {stderr}");
    }
}

#[test]
fn a_credential_is_minted_as_the_relay_verifies_it() {
    let (code, printed, _) = run(&[
        "credential",
        "--auth-secret",
        "north",
        "--ttl",
        "60",
        "carol",
    ]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = printed.lines().collect();
    let [username, password] = lines[..] else {
        panic!("{printed}")
    };
    let username = username.strip_prefix("username: ").unwrap();
    let (expiry, id) = username.split_once(':').unwrap();
    assert_eq!(id, "carol");
    let minted = stun_turn::proto::auth::credential::mint(b"north", id, expiry.parse().unwrap());
    assert_eq!(password, format!("password: {}", minted.password));
    let (code, _, stderr) = run(&["credential", "carol"]);
    assert_eq!(code, Some(2), "the secret is missing");
    assert!(stderr.contains("--auth-secret-file"), "{stderr}");
}

/// The secret stands where the relay has it.
#[test]
fn credential_and_check_read_environment_and_configuration() {
    let password = |command: &mut Command| {
        let Output { status, stdout, .. } = command.output().unwrap();
        assert!(status.success());
        String::from_utf8(stdout).unwrap()
    };
    let expected = password(program().args(["--auth-secret", "north", "credential", "carol"]));
    let expected = expected.lines().next().unwrap().split_once(':').unwrap().1;
    let is_of_carol = |printed: &str| {
        let name = printed
            .lines()
            .next()
            .unwrap()
            .strip_prefix("username: ")
            .unwrap();
        let (expiry, _) = name.split_once(':').unwrap();
        let minted =
            stun_turn::proto::auth::credential::mint(b"north", "carol", expiry.parse().unwrap());
        printed.contains(&minted.password)
    };
    assert!(expected.ends_with(":carol"));
    let directory = tempfile::tempdir().unwrap();
    let (toml, secret) = (
        directory.path().join("relay.toml"),
        directory.path().join("secret"),
    );
    std::fs::write(&toml, "auth-secret = [\"north\"]\n").unwrap();
    std::fs::write(&secret, "north\n").unwrap();
    let credential = ["credential", "carol"];
    for command in [
        program()
            .env("STUN_TURN_AUTH_SECRET", "north")
            .args(credential),
        program()
            .env("STUN_TURN_AUTH_SECRET_FILE", &secret)
            .args(credential),
        program().arg("--config").arg(&toml).args(credential),
        program().args(credential).arg("--config").arg(&toml),
        program()
            .args(credential)
            .arg("--auth-secret-file")
            .arg(&secret),
    ] {
        assert!(is_of_carol(&password(command)));
    }
    let relay = Program::start(&["--auth-secret", "north"]);
    let url = format!("turn:{}?transport=udp", relay.listener);
    let check = |command: &mut Command| {
        let Output { stdout, .. } = command.args(["check", &url]).output().unwrap();
        String::from_utf8(stdout).unwrap()
    };
    let printed = check(program().env("STUN_TURN_AUTH_SECRET", "north"));
    assert!(printed.contains("relayed address 127.0.0.1"), "{printed}");
    let printed = check(program().env("STUN_TURN_USER", "alice:wonder"));
    assert!(printed.contains("401"), "asked as alice: {printed}");
}

#[test]
fn a_secret_s_file_is_read_again_at_a_reload() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |secret: &str| std::fs::write(file.path(), format!("{secret}\n")).unwrap();
    write("north");
    let path = file.path().to_str().unwrap();
    let mut relay = Program::start(&["--auth-secret-file", path]);
    let listener = relay.listener;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let soon = now.unwrap().as_secs() + 3600;
    let code = |secret: &str| {
        let minted = stun_turn::proto::auth::credential::mint(secret.as_bytes(), "carol", soon);
        let user = (&*minted.username.leak(), &*minted.password.leak());
        let udp = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0][..]);
        Client::of(user, Link::udp_to(listener)).code(Method::Allocate, &[udp])
    };
    assert_eq!((code("north"), code("south")), (0, 401));
    write("south");
    relay.signal("HUP");
    relay.wait_for_log(&["reloaded users"]);
    assert_eq!((code("north"), code("south")), (401, 0));
    write("");
    relay.signal("HUP");
    relay.wait_for_log(&["ERROR", "not reloaded", "--auth-secret-file"]);
    assert_eq!(code("south"), 0, "as before");
}

#[test]
fn what_is_valid_and_hardly_meant_is_told() {
    let hushed = ["--user", "alice:hush", "--user", "alice:hush2"];
    let listen = ["--listen", "udp:[::1]:3478", "--tls-only"];
    let checked = [&["--check-config"][..], &hushed, &listen].concat();
    let (code, _, stderr) = run(&checked);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("warning: --user alice is given several times"),
        "{stderr}"
    );
    assert!(stderr.contains("warning: --tls-only"), "{stderr}");
    assert!(!stderr.contains("hush"), "{stderr}");
    for wrong in [
        &["--user", "alice"][..],
        &["--user=alice"],
        &["--user", "alice:", "hush"],
    ] {
        let (code, _, stderr) = run(wrong);
        assert_eq!(code, Some(2));
        assert!(
            stderr.contains("--user") && !stderr.contains("alice"),
            "{stderr}"
        );
        assert!(!stderr.contains("hush"), "{stderr}");
    }
    let mut relay = Program::start(&hushed);
    let line = relay.wait_for_log(&["WARN", "alice is given several times"]);
    assert!(!line.contains("hush"), "{line}");
}

#[test]
fn the_example_config_in_the_documentation_is_the_program_s() {
    let (code, printed, _) = run(&["--example-config"]);
    assert_eq!(code, Some(0));
    let documented = include_str!("../../../docs/stun-turn.example.toml");
    assert!(
        printed == documented,
        "docs/stun-turn.example.toml is not of today. Make it anew:\n\
         cargo run -p stun-turn -- --example-config > docs/stun-turn.example.toml"
    );
}

#[test]
fn the_config_in_force_is_printed_whole_and_read_back() {
    let given = [
        "--user-quota",
        "7",
        "--listen",
        "udp:127.0.0.1:5000",
        "--user",
        "alice:wonder",
        "--tls-only",
    ];
    let (_, printed, _) = run(&[&["--print-config"], &given[..]].concat());
    for line in [
        "listen = [\"udp:127.0.0.1:5000\"]",
        "realm = \"callbox\"",
        "relay-ports = \"49152-65535\"",
        "user-quota = 7",
        "source-quota = 2048",
        "tls-only = true",
        "admin = \"127.0.0.1:9641\"",
        "drain-deadline = 30",
    ] {
        assert!(
            printed.lines().any(|found| found == line),
            "{line} in {printed}"
        );
    }
    assert!(printed.contains("workers = "), "{printed}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &printed).unwrap();
    let config = ["--config", file.path().to_str().unwrap(), "--print-config"];
    let (code, again, stderr) = run(&config);
    assert_eq!(code, Some(0), "{stderr}");
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(values(&again), values(&printed));
    let (_, defaults, _) = run(&["--print-config"]);
    assert!(defaults.contains("udp:0.0.0.0:3478"), "{defaults}");
}
