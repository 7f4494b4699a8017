//! What may be nowhere but with those whom it concerns: searched for in everything that the program
//! writes while clients do what they should and what they should not.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use signaling_proto::message::ServerMessage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::harness::Client;

/// Long enough to be found by chance nowhere.
const SECRETS: [&str; 5] = [
    "--token-secret=room-tokens-4711",
    "--session-secret=session-tickets-4711",
    "--auth-secret=turn-credentials-4711",
    "--admin-token=operators-only-4711",
    "--turn-user=somebody:static-password-4711",
];

struct Program {
    child: Child,
    page: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Logs as much as it can.
    fn start(admin: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_signaling"))
            .env_clear()
            .args(["--listen=127.0.0.1:0", "--admin", admin])
            .args(["--turn-listen=udp:127.0.0.1:0", "--log-level=trace"])
            .args(SECRETS)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let page = lines.next().unwrap().unwrap();
        let page = page
            .trim_start_matches("Page: http://")
            .trim_end_matches('/');
        Self {
            child,
            page: page.to_owned(),
        }
    }

    /// Connects with a token in the URL too, as careless applications do.
    async fn connect(&self) -> Client {
        let url = format!("ws://{}/signal?token=in-the-url-4711", self.page);
        let request = url.into_client_request().unwrap();
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Client { socket }
    }

    /// Ends it, and returns its whole log.
    fn log(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        log
    }
}

/// A token for the room `r`, as the program makes it.
fn token() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_signaling"))
        .args(["token", SECRETS[0], "--room=r"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let token = SECRETS[3].split_once('=').unwrap().1;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_the_metrics_or_an_error() {
    // Its port is free when it starts, and mostly a moment later too.
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = admin.local_addr().unwrap().to_string();
    drop(admin);
    let program = Program::start(&address);
    let token = token();
    let mut secrets: Vec<String> = SECRETS
        .map(|secret| secret.rsplit(['=', ':']).next().unwrap().to_owned())
        .into();
    secrets.extend([token.clone(), "in-the-url-4711".into()]);
    secrets.extend(["198.51.100.47".into(), "said-in-private-4711".into()]);

    let hello = format!(r#"{{"type":"hello","room":"r","token":"{token}"}}"#);
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut client = program.connect().await;
        client.say(&hello).await;
        let ServerMessage::Welcome(welcome) = client.hear().await else {
            panic!("no welcome")
        };
        secrets.push(welcome.ticket.clone());
        let credentials = welcome.ice_servers.iter();
        secrets.extend(credentials.filter_map(|server| server.credential.clone()));
        peers.push((client, welcome));
    }
    let to = peers[1].1.peer.clone();
    let candidate = "candidate:1 1 udp 1 198.51.100.47 4711 typ host";
    for content in [
        format!(
            r#""type":"signal","id":1,"to":"{to}","epoch":1,"candidate":{{"candidate":"{candidate}"}}"#
        ),
        format!(r#""type":"chat","id":2,"to":"{to}","text":"said-in-private-4711""#),
        r#""type":"chat","id":3,"to":"nobody","text":"said-in-private-4711""#.into(),
    ] {
        peers[0].0.say(&format!("{{{content}}}")).await;
    }
    let mut heard = String::new();
    // What is not for the others: refusals, each about something that is secret.
    let wrong_room = hello.replace(r#""r""#, r#""other""#);
    let no_ticket = format!(
        r#"{{"type":"hello","room":"r","resume":{{"ticket":"{}x","received":0}}}}"#,
        peers[0].1.ticket
    );
    let broken = format!("{hello},");
    for frame in [wrong_room, no_ticket, broken] {
        let mut client = program.connect().await;
        client.say(&frame).await;
        for message in client.hear_out().await.0 {
            heard += &message.to_text();
        }
    }
    while !matches!(peers[0].0.hear().await, ServerMessage::Error(_)) {}
    heard += &get(&address, "/metrics").await;
    heard += &get(&address, "/rooms").await;
    heard += &get(&address, "/turn-sessions").await;
    assert!(heard.contains("signaling_errors"), "{heard}");
    let log = program.log();
    assert!(log.contains("a token of another room was refused"), "{log}");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
        assert!(!heard.contains(&secret), "{secret} is in:\n{heard}");
    }
}
