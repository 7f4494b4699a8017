//! What a running system bears, and how its end and its refusals look. How each program refuses its own options
//! is tested beside the program.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use patience::patience;
use rustix::process::Signal;
use tests::programs::program;
use tests::stage;

/// After which a client sends a request again.
const RETRANSMISSION: Duration = Duration::from_millis(500);

#[test]
fn ctrl_c_stops_the_service_in_the_middle_of_calls() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        // Longer than anybody waits: the service does not wait for the end of calls.
        let options = ["--duration", "7200", "--relay-only"];
        let ann = stage.peer_demo("ann", &service, "tea", &options)?;
        let _bob = stage.peer_demo("bob", &service, "tea", &options)?;
        ann.says(": connected").await?;
        service.process.signal(Signal::INT)?;
        let status = service.process.exit().await?;
        assert_eq!(status.code(), Some(0), "{}", service.process.stderr()?);
        Ok(())
    });
}

#[test]
fn malformed_datagrams_disturb_no_relayed_call() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let relay: SocketAddr = service.turn_address().await?;
        let options = ["--duration", "5", "--relay-only"];
        let ann = stage.peer_demo("ann", &service, "tea", &options)?;
        let bob = stage.peer_demo("bob", &service, "tea", &options)?;
        ann.says(": connected").await?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(relay)?;
        for _ in 0..20 {
            for nonsense in malformed() {
                socket.send(&nonsense)?;
            }
        }
        expect_binding_success(&socket)?;
        for peer in [ann, bob] {
            let report = peer.report().await?;
            report.verified(1)?;
            assert_eq!(report.paths()?, ["relay"]);
        }
        Ok(())
    });
}

/// A proper Binding request gets its success, among whatever the nonsense was answered with. It is
/// sent again as clients do (RFC 8489 section 6.2.1): the burst may have filled a queue of the system.
fn expect_binding_success(socket: &UdpSocket) -> anyhow::Result<()> {
    socket.set_read_timeout(Some(RETRANSMISSION))?;
    let transaction = b"\x21\x12\xa4\x42twelve bytes";
    let deadline = Instant::now() + patience();
    let mut buffer = [0; 1500];
    while Instant::now() < deadline {
        socket.send(&[&b"\x00\x01\x00\x00"[..], transaction].concat())?;
        while let Ok(length) = socket.recv(&mut buffer) {
            let answer = &buffer[..length];
            if answer.starts_with(b"\x01\x01") && answer.get(4..20) == Some(transaction) {
                return Ok(());
            }
        }
    }
    anyhow::bail!("no answer to Binding");
}

#[test]
fn peer_demo_names_what_it_could_not_do() {
    stage::run(async |stage| {
        let nowhere = "ws://127.0.0.1:1/signal";
        let cases: [(&str, &[&str], i32, &str); 3] = [
            ("bad-option", &["--duration", "soon"], 2, "--duration"),
            ("bad-role", &["--role", "both"], 2, "--role"),
            ("no-server", &["--duration", "1"], 1, nowhere),
        ];
        for (name, options, code, named) in cases {
            let mut command = Command::new(program("peer-demo")?);
            command
                .args(["--url", nowhere, "--room", "tea"])
                .args(options);
            let process = stage.process(name, &mut command)?;
            let status = process.exit().await?;
            let text = process.stderr()?;
            assert_eq!(status.code(), Some(code), "{name}: {text}");
            assert!(text.contains(named), "{name}: {text}");
        }
        Ok(())
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
