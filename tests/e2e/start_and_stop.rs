//! How the programs start, refuse to start, bear nonsense and end.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Signal;
use tests::programs::program;
use tests::stage::{self, Stage};

/// How long a program may take to refuse.
const REFUSAL: Duration = Duration::from_secs(20);
/// How long Ctrl-C may take (issue: a clean stop within 2 s).
const STOP: Duration = Duration::from_secs(2);
/// How long an answer on loopback may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Runs a program that must end by itself: its exit code and what it said on standard error.
async fn refusal(
    stage: &Stage,
    name: &str,
    options: &[&str],
) -> anyhow::Result<(Option<i32>, String)> {
    let process = stage.process(name, Command::new(program(name)?).args(options))?;
    let status = process.exit(REFUSAL).await?;
    Ok((status.code(), process.stderr()?))
}

#[test]
fn a_bad_option_is_named_with_exit_code_2() {
    stage::run(async |stage| {
        let room = ["--url", "ws://127.0.0.1:1/signal", "--room", "tea"];
        let cases: [(&str, &[&str], &str, &str); 8] = [
            ("signaling", &[], "--listen", "here"),
            ("signaling", &[], "--max-room", "0"),
            ("signaling", &[], "--turn-mode", "sideways"),
            ("signaling", &[], "--turn-relay-ports", "9-1"),
            ("stun-turn", &[], "--listen", "sctp:127.0.0.1:3478"),
            ("stun-turn", &[], "--allow-peer", "127.0.0.0/99"),
            ("stun-turn", &[], "--user", "nobody"),
            ("peer-demo", &room, "--duration", "soon"),
        ];
        for (name, needed, option, value) in cases {
            let options = [needed, &[option, value]].concat();
            let (code, text) = refusal(stage, name, &options).await?;
            assert_eq!(code, Some(2), "{name} {option} {value}: {text}");
            assert!(text.contains(option), "{name} {option} {value}: {text}");
            assert!(text.contains(value), "{name} {option} {value}: {text}");
        }
        Ok(())
    });
}

#[test]
fn a_port_in_use_is_named_with_exit_code_1() {
    stage::run(async |stage| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let taken = listener.local_addr()?.to_string();
        let tcp = format!("tcp:{taken}");
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp = format!("udp:{}", datagrams.local_addr()?);
        let free = "127.0.0.1:0";
        let cases: [(&str, &[&str], &str); 5] = [
            ("stun-turn", &["--listen", &tcp], &taken),
            ("stun-turn", &["--listen", &udp], &udp),
            (
                "signaling",
                &["--listen", &taken, "--admin", free, "--turn-mode=none"],
                &taken,
            ),
            (
                "signaling",
                &["--listen", free, "--admin", &taken, "--turn-mode=none"],
                &taken,
            ),
            (
                "signaling",
                &["--listen", free, "--admin", free, "--turn-listen", &udp],
                &udp,
            ),
        ];
        for (name, options, address) in cases {
            let (code, text) = refusal(stage, name, options).await?;
            assert_eq!(code, Some(1), "{name} {options:?}: {text}");
            assert!(text.contains(address), "{name} {options:?}: {text}");
        }
        Ok(())
    });
}

#[test]
fn ctrl_c_stops_the_service_within_two_seconds() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        // Somebody is in a room, as somebody always is.
        let options = ["--duration", "60", "--wait", "60"];
        let guest = stage.peer_demo("guest", &service, "tea", &options)?;
        guest.says("joined tea").await?;
        let started = Instant::now();
        service.process.signal(Signal::INT)?;
        let status = service.process.exit(ANSWER).await?;
        assert_eq!(status.code(), Some(0), "{}", service.process.stderr()?);
        assert!(started.elapsed() < STOP, "{:?}", started.elapsed());
        Ok(())
    });
}

#[test]
fn ctrl_c_stops_the_relay_within_two_seconds() {
    stage::run(async |stage| {
        let relay = stage.relay(&["--user", "alice:wonder"]).await?;
        let started = Instant::now();
        relay.process.signal(Signal::INT)?;
        let status = relay.process.exit(ANSWER).await?;
        assert_eq!(status.code(), Some(0), "{}", relay.process.stderr()?);
        assert!(started.elapsed() < STOP, "{:?}", started.elapsed());
        Ok(())
    });
}

#[test]
fn the_relay_serves_on_after_malformed_datagrams() {
    stage::run(async |stage| {
        let relay = stage.relay(&["--user", "alice:wonder"]).await?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(relay.udp)?;
        socket.set_read_timeout(Some(ANSWER))?;
        for nonsense in malformed() {
            socket.send(&nonsense)?;
        }
        // Whatever the nonsense was answered with (400 at most), the Binding request gets its success.
        let transaction = b"\x21\x12\xa4\x42twelve bytes";
        socket.send(&[&b"\x00\x01\x00\x00"[..], transaction].concat())?;
        let mut buffer = [0; 1500];
        loop {
            let length = socket.recv(&mut buffer).context("no answer to Binding")?;
            let answer = &buffer[..length];
            if answer.starts_with(b"\x01\x01") && answer.get(4..20) == Some(transaction) {
                return Ok(());
            }
        }
    });
}

/// Datagrams that are almost STUN, and some that are nothing at all.
fn malformed() -> Vec<Vec<u8>> {
    let header = |kind: u16, length: u16| {
        let mut message = kind.to_be_bytes().to_vec();
        message.extend(length.to_be_bytes());
        message.extend(b"\x21\x12\xa4\x42malformed...");
        message
    };
    let mut all = vec![
        vec![],
        vec![0],
        vec![0xff; 1400],
        vec![0; 19],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    // Methods Binding, Allocate, Refresh, Send, CreatePermission, ChannelBind; lengths that lie.
    for kind in [0x0001, 0x0003, 0x0004, 0x0016, 0x0008, 0x0009] {
        for length in [0, 1, 4, 0xffff] {
            all.push(header(kind, length));
        }
        // An attribute that is longer than the message.
        let mut message = header(kind, 8);
        message.extend([0x00, 0x06, 0xff, 0xff, 1, 2, 3, 4]);
        all.push(message);
        // A credential of nobody, with an integrity of nothing.
        let mut message = header(kind, 32);
        message.extend([0x00, 0x06, 0x00, 0x04, b'n', b'o', b'n', b'e']);
        message.extend([0x00, 0x08, 0x00, 0x14]);
        message.extend([0; 20]);
        all.push(message);
    }
    // ChannelData of a channel that nobody has bound, with a length that lies.
    all.push(vec![0x40, 0x00, 0xff, 0xff, 1, 2, 3]);
    all
}
