//! The page over TLS.

use std::sync::Arc;

use signaling::Server;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::harness::{config, start};

/// A certificate in files, and a client that trusts it alone.
struct Pair {
    folder: tempfile::TempDir,
    client: ClientConfig,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            folder,
            client: config,
        }
    }

    fn options(&self) -> [String; 4] {
        let path = |name| self.folder.path().join(name).to_str().unwrap().to_owned();
        let [cert, key] = ["cert.pem", "key.pem"].map(path);
        ["--tls-cert".to_owned(), cert, "--tls-key".to_owned(), key]
    }

    /// A connection to the page's port that offers these protocols.
    async fn connect(
        &self,
        server: &Server,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(server.page()).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = self.client.clone();
        client.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        let mut stream = TlsConnector::from(Arc::new(client))
            .connect(name, stream)
            .await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// What the page answers, or why there is no trust.
    async fn get(&self, server: &Server) -> std::io::Result<String> {
        let mut stream = self.connect(server, &[]).await?;
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

#[tokio::test]
async fn the_page_is_served_with_the_operators_certificate() {
    let pair = Pair::new();
    let server = start(&pair.options().each_ref().map(String::as_str)).await;
    assert!(
        server.url().starts_with("https://127.0.0.1:"),
        "{}",
        server.url()
    );
    let answer = pair.get(&server).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("strict-transport-security"), "{answer}");
    server.stop().await;
}

/// What a TURN client sends first: an Allocate request (RFC 8656) without credentials.
const ALLOCATE: [u8; 28] =
    *b"\x00\x03\x00\x08\x21\x12\xa4\x42shared--port\x00\x19\x00\x04\x11\x00\x00\x00";
/// How the answer begins: an error of Allocate.
const CHALLENGE: [u8; 2] = [0x01, 0x13];

/// Sends byte by byte and reads how the answer begins.
async fn allocate(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> [u8; 2] {
    for byte in ALLOCATE {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

/// Networks that let out port 443 alone were shut out of the relay.
#[tokio::test]
async fn page_websocket_and_relay_share_one_port() {
    let pair = Pair::new();
    let options = pair.options();
    let mut options: Vec<_> = options.iter().map(String::as_str).collect();
    options.extend(["--turn-listen", "udp:127.0.0.1:0"]);
    let server = start(&options).await;
    let port = server.page().port();
    let turns = format!("turns:127.0.0.1:{port}?transport=tcp");
    assert!(server.turn_urls().contains(&turns), "{server:?}");

    let answer = pair.get(&server).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let request = format!("wss://localhost:{port}/signal");
    let stream = pair.connect(&server, &[b"http/1.1"]).await.unwrap();
    tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    // Browsers offer no protocol for `turns:`, others the relay's.
    for offered in [&[][..], &[&b"stun.turn"[..]]] {
        let stream = pair.connect(&server, offered).await.unwrap();
        assert_eq!(allocate(stream).await, CHALLENGE, "{offered:?}");
    }
    let plain = TcpStream::connect(server.page()).await.unwrap();
    assert_eq!(allocate(plain).await, CHALLENGE);

    let mut plain = TcpStream::connect(server.page()).await.unwrap();
    let request = b"GET /room/a HTTP/1.1\r\nHost: call.example\r\nConnection: close\r\n\r\n";
    plain.write_all(request).await.unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    assert!(answer.contains("location: https://call.example/room/a\r\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_relay_shares_the_port_of_plain_http_and_none_is_told_without_one() {
    let server = start(&["--turn-listen", "udp:127.0.0.1:0"]).await;
    let plain = TcpStream::connect(server.page()).await.unwrap();
    assert_eq!(allocate(plain).await, CHALLENGE);
    assert_eq!(server.turn_urls().len(), 1, "UDP: {server:?}");
    server.stop().await;

    let pair = Pair::new();
    let server = start(&pair.options().each_ref().map(String::as_str)).await;
    assert!(server.turn_urls().is_empty());
    for (method, status) in [("GET", "308"), ("POST", "400")] {
        let mut plain = TcpStream::connect(server.page()).await.unwrap();
        let request =
            format!("{method} /room/a HTTP/1.1\r\nHost: call.example\r\nConnection: close\r\n\r\n");
        plain.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        plain.read_to_string(&mut answer).await.unwrap();
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{method}: {answer}");
    }
    // A browser that offers HTTP/2 speaks HTTP/1.1.
    let stream = pair.connect(&server, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let refused = pair.connect(&server, &[b"stun.turn"]).await;
    assert!(refused.is_err(), "there is no relay");
    server.stop().await;
}

/// Connections that say nothing end by the deadline, with TLS and without.
#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let pair = Pair::new();
    let options = pair.options();
    let mut options: Vec<_> = options.iter().map(String::as_str).collect();
    options.extend(["--turn-listen", "udp:127.0.0.1:0"]);
    let server = start(&options).await;
    let mut plain = TcpStream::connect(server.page()).await.unwrap();
    let mut silent = pair.connect(&server, &[]).await.unwrap();
    let mut rest = Vec::new();
    plain.read_to_end(&mut rest).await.unwrap();
    // It may end without the goodbye of TLS.
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_without_a_restart_and_a_broken_one_is_not() {
    let (old, new) = (Pair::new(), Pair::new());
    let server = start(&old.options().each_ref().map(String::as_str)).await;
    let unchanged = server.reload(config(&new.options().each_ref().map(String::as_str)));
    assert_eq!(unchanged.unwrap(), [""; 0]);
    assert!(old.get(&server).await.is_err());
    assert!(new.get(&server).await.is_ok());

    std::fs::write(old.folder.path().join("cert.pem"), "renewed badly").unwrap();
    let broken = server.reload(config(&old.options().each_ref().map(String::as_str)));
    let error = format!("{:#}", broken.unwrap_err());
    assert!(error.contains("--tls-cert"), "{error}");
    assert!(new.get(&server).await.is_ok(), "the one before stays");

    let without = server.reload(config(&["--max-room", "3"])).unwrap();
    assert_eq!(without, ["tls-cert", "max-room"], "they need a restart");
    assert!(new.get(&server).await.is_ok());
    server.stop().await;
}
