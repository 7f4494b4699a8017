//! The page over TLS.

use std::sync::Arc;

use signaling::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::harness::{config, start};

/// A certificate in files, and a client that trusts it alone.
struct Pair {
    folder: tempfile::TempDir,
    client: TlsConnector,
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
        let client = TlsConnector::from(Arc::new(config));
        Self { folder, client }
    }

    fn options(&self) -> [String; 4] {
        let path = |name| self.folder.path().join(name).to_str().unwrap().to_owned();
        let [cert, key] = ["cert.pem", "key.pem"].map(path);
        ["--tls-cert".to_owned(), cert, "--tls-key".to_owned(), key]
    }

    /// What the page answers, or why there is no trust.
    async fn get(&self, server: &Server) -> std::io::Result<String> {
        let stream = TcpStream::connect(server.page()).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = self.client.connect(name, stream).await?;
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
