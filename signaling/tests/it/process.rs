//! The program as an operator meets it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

pub(crate) fn signaling(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signaling"));
    command
        .env_clear()
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// On free ports.
pub(crate) const FREE: [&str; 8] = [
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--turn-listen",
    "udp:127.0.0.1:0",
    "--turn-listen",
    "tcp:127.0.0.1:0",
];

fn run(options: &[&str]) -> Output {
    signaling(options).output().unwrap()
}

pub(crate) fn assert_fails(options: &[&str], exit_code: i32, words: &[&str]) {
    let output = run(options);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        output.status.code(),
        Some(exit_code),
        "{options:?}: {error}"
    );
    for word in words {
        assert!(error.contains(word), "{options:?}: no `{word}` in {error}");
    }
}

/// Ends the process if the test does not.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_bad_value_is_named_with_its_option_and_what_was_expected() {
    for (options, words) in [
        (
            &["--listen", "8080"][..],
            &["--listen", "8080", "ADDR:PORT"][..],
        ),
        (
            &["--public-url", "call.example"],
            &["--public-url", "call.example", "https://HOST"],
        ),
        (
            &["--allow-origin", "https://a/b"],
            &["--allow-origin", "https://a/b", "without a path"],
        ),
        (
            &["--allow-origin", "https://*.org"],
            &["--allow-origin", "https://*.org", "two labels"],
        ),
        (
            &["--ping-interval", "26"],
            &["--ping-interval", "26", "1..=25"],
        ),
        (
            &["--allow-origin", "null"],
            &["--allow-origin", "null", "sandboxed frames"],
        ),
        (
            &["--max-room", "0"],
            &["--max-room", "0", "a number from 1"],
        ),
        (&["--credential-ttl", "5"], &["--credential-ttl", "5", "30"]),
        (&["--turn-mode", "own"], &["--turn-mode", "own", "bundled"]),
        (
            &["--turn-mode", "external"],
            &["--turn-mode external", "--turn-url"],
        ),
        (
            &["--turn-mode", "external", "--turn-url", "turn:a"],
            &["--turn-url", "--auth-secret"],
        ),
        (
            &["--turn-mode", "none", "--turn-realm", "x"],
            &["--turn-realm", "bundled"],
        ),
        (
            &["--turn-url", "turn:a"],
            &["--turn-url", "--turn-mode external"],
        ),
        (
            &["--namespace-game-max-room", "0"],
            &["--namespace-game-max-room", "0", "a number from 1"],
        ),
        (
            &["--namespace-game-allow-origin", "game.example"],
            &["--namespace-game-allow-origin", "https://HOST"],
        ),
        (
            &["--namespace-game-token-secret", ""],
            &["--namespace-game-token-secret", "at least one character"],
        ),
        (
            &["--namespace-game-listen", "127.0.0.1:1"],
            &["--namespace-game-listen"],
        ),
        (&["--turn-listen", "3478"], &["--turn-listen", "3478"]),
        (&["--admin", "0.0.0.0:9640"], &["--admin", "--admin-token"]),
        (&["--tls-cert", "x.pem"], &["--tls-key"]),
        (&["--no-such-option"], &["--no-such-option"]),
    ] {
        assert_fails(options, 2, words);
    }
}

#[test]
fn a_taken_port_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let tcp = format!("tcp:{address}");
    for (options, option) in [
        (
            [
                "--listen",
                address.as_str(),
                "--admin",
                "127.0.0.1:0",
                "--turn-mode",
                "none",
            ],
            "--listen",
        ),
        (
            [
                "--listen",
                "127.0.0.1:0",
                "--admin",
                address.as_str(),
                "--turn-mode",
                "none",
            ],
            "--admin",
        ),
        (
            [
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--turn-listen",
                tcp.as_str(),
            ],
            "--turn-listen",
        ),
    ] {
        assert_fails(&options, 1, &[option, &address, "in use"]);
    }
}

#[test]
fn an_unreadable_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let (empty, missing) = (empty.to_str().unwrap(), "/nonexistent/key.pem");
    let options = ["--tls-cert", empty, "--tls-key", missing];
    assert_fails(&[&FREE[..], &options].concat(), 1, &["--tls-cert", empty]);
    let options = ["--tls-cert", missing, "--tls-key", empty];
    assert_fails(&[&FREE[..], &options].concat(), 1, &["--tls-cert", missing]);
}

#[test]
fn checking_and_printing_options_start_nothing() {
    let output = run(&["--check-config"]);
    assert!(output.status.success());
    let output = run(&[
        "--print-config",
        "--auth-secret",
        "north",
        "--max-room",
        "5",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("max-room = 5"), "{text}");
    assert!(!text.contains("north"), "{text}");
}

#[test]
fn namespaces_stand_in_the_file_and_what_is_wrong_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signaling.toml");
    let file = file.to_str().unwrap();
    let game = "[namespace-game]\ntoken-secret = \"north\"\nallow-origin = [\"https://game.example\"]\nmax-room = 4\n";
    std::fs::write(file, game).unwrap();
    let output = run(&["--config", file, "--check-config"]);
    assert!(output.status.success(), "{output:?}");
    let output = run(&["--config", file, "--print-config"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("namespace-game-max-room = 4"), "{text}");
    assert!(!text.contains("north"), "{text}");
    let output = signaling(&["--check-config"])
        .env("SIGNALING_CONFIG", file)
        .env("SIGNALING_NAMESPACE_GAME_MAX_ROOM", "none")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--namespace-game-max-room"), "{error}");

    for (wrong, words) in [
        (
            "max-room = 0",
            ["--namespace-game-max-room", "a number from 1"],
        ),
        ("max-roms = 4", ["unknown key", "namespace-game-max-roms"]),
        (
            "allow-origin = [\"game.example\"]",
            ["--namespace-game-allow-origin", "https://HOST"],
        ),
    ] {
        let secret = "token-secret = \"north\"";
        std::fs::write(file, format!("[namespace-game]\n{secret}\n{wrong}\n")).unwrap();
        let options = ["--config", file, "--check-config"];
        assert_fails(&options, 2, &words);
        assert!(!String::from_utf8_lossy(&run(&options).stderr).contains("north"));
    }
}

#[test]
fn it_says_where_to_go_and_stops_when_told() {
    let mut child = Running(signaling(&FREE).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let page = lines.next().unwrap().unwrap();
    let turn = lines.next().unwrap().unwrap();
    assert!(
        page.starts_with("Page: http://127.0.0.1:") && !page.contains(":0/"),
        "{page}"
    );
    assert!(turn.starts_with("TURN: turn:127.0.0.1:"), "{turn}");

    let pid = child.0.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(killed.success());
    let status = child.0.wait().unwrap();
    let mut error = String::new();
    child
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut error)
        .unwrap();
    assert!(status.success(), "{status}: {error}");
    assert!(
        !error.contains("WARN") && !error.contains("ERROR"),
        "{error}"
    );
}

#[test]
fn the_example_config_in_the_documentation_is_the_program_s() {
    let output = run(&["--example-config"]);
    assert!(output.status.success());
    let documented = include_bytes!("../../../docs/signaling.example.toml");
    assert!(
        output.stdout == documented,
        "docs/signaling.example.toml is not of today. Make it anew:\n\
         cargo run -p signaling -- --example-config > docs/signaling.example.toml"
    );
}

#[test]
fn the_config_in_force_is_printed_whole_and_read_back() {
    let output = run(&[
        "--print-config",
        "--lan",
        "--turn-user-quota",
        "7",
        "--turn-user",
        "a:b",
    ]);
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        "listen = \"0.0.0.0:8443\"",
        "lan = true",
        "turn-realm = \"callbox\"",
        "turn-user-quota = 7",
        "turn-relay-ports = \"49152-65535\"",
    ] {
        assert!(
            printed.lines().any(|found| found == line),
            "{line} in {printed}"
        );
    }
    assert!(!printed.contains("a:b"), "{printed}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &printed).unwrap();
    let again = run(&["--config", file.path().to_str().unwrap(), "--print-config"]);
    assert!(
        again.status.success(),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    let again = String::from_utf8(again.stdout).unwrap();
    assert_eq!(values(&again), values(&printed));
}

/// The secret stands where the service has it, and files end with a newline.
#[test]
fn tokens_and_the_service_take_secrets_from_files_and_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("secret"), "north\n").unwrap();
    let secret = path("secret");
    let secret = secret.to_str().unwrap();
    let toml =
        format!("token-secret-file = {secret:?}\n[namespace.game]\ntoken-secret = \"south\"\n");
    std::fs::write(path("service.toml"), toml).unwrap();
    let token = |command: &mut Command, namespace: &str| {
        let command = command.args(["token", "--room", "r", "--namespace", namespace]);
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap().trim().to_owned()
    };
    // Two tokens of one second and secret are the same.
    let is_of = |made: &mut dyn FnMut() -> Command, namespace: &str, secret: &str| {
        let mut pairs = std::iter::repeat_with(|| {
            let mut explicit = signaling(&[]);
            let found = token(&mut made(), namespace);
            let expected = token(explicit.env("SIGNALING_TOKEN_SECRET", secret), namespace);
            (found, expected)
        });
        let payload = |token: &str| token.rsplit_once('.').unwrap().0.to_owned();
        let of_one_second = pairs
            .by_ref()
            .take(100)
            .find(|(found, expected)| payload(found) == payload(expected));
        let (found, expected) = of_one_second.expect("two tokens of one second");
        found == expected
    };
    let by_variable = |name: &str, value: &str| {
        let mut command = signaling(&[]);
        command.env(name, value);
        command
    };
    let file = path("service.toml");
    let config = ["--config", file.to_str().unwrap()];
    let mut makers: [&mut dyn FnMut() -> Command; 4] = [
        &mut || by_variable("SIGNALING_TOKEN_SECRET", "north"),
        &mut || by_variable("SIGNALING_TOKEN_SECRET_FILE", secret),
        &mut || signaling(&config),
        &mut || signaling(&["--token-secret-file", secret]),
    ];
    for made in &mut makers {
        assert!(is_of(*made, "main", "north"));
    }
    assert!(is_of(&mut || signaling(&config), "game", "south"));
    assert_fails(&["token", "--room", "r"], 1, &["--token-secret-file"]);
    let both = ["--session-secret", "x", "--session-secret-file", secret];
    assert_fails(&both, 2, &["--session-secret and --session-secret-file"]);
    assert_fails(&["--token-secret", "-Abc"], 2, &["--token-secret=VALUE"]);
    let too_short = ["--turn-max-credential-ttl", "60"];
    assert_fails(
        &too_short,
        2,
        &["--turn-max-credential-ttl", "--credential-ttl"],
    );
}

#[test]
fn check_config_tells_of_certificates_for_other_names() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("cert"), made.cert.pem()).unwrap();
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (path("cert"), path("key"));
    let page = ["--tls-cert", &cert, "--tls-key", &key];
    let relay = ["--turn-tls-cert", &cert, "--turn-tls-key", &key];
    let told = |host: &str| {
        let url = format!("https://{host}");
        let options = [&["--check-config", "--public-url", &url][..], &page, &relay].concat();
        let output = run(&options);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(told("a.example"), "");
    let other = told("b.example");
    assert!(
        other.contains("--tls-cert: no certificate is for b.example"),
        "{other}"
    );
    assert!(other.contains("--turn-tls-cert: no certificate"), "{other}");
    let missing = [
        "--check-config",
        "--turn-tls-cert",
        "/no/such",
        "--turn-tls-key",
        &key,
    ];
    // The option is right, the file is not there: that may be over soon.
    assert_fails(&missing, 1, &["--turn-tls-cert /no/such"]);
}
