//! Clients that break TLS, or use it to make work: hung up on, while others are served.

use std::io::{ErrorKind, Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion};
use stun_turn::Server;
use stun_turn::config::{Config, Protocol};

use crate::certificates::{Pair, connect, handshake, link, offering, speaking, trusting};
use crate::client::{address, binding, mapped, options};

fn start(pair: &Pair) -> Server {
    let options = offering(&[pair], options(&["udp", "tls"], "127.0.0.1", 1));
    Server::start(Config::from(options)).unwrap()
}

fn dial(server: &Server) -> TcpStream {
    connect(address(server, Protocol::Tls))
}

fn wait_for_end(mut stream: impl Read) {
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => panic!("the connection was not closed: {error}"),
        }
    }
}

fn assert_serves(server: &Server, pair: &Pair) {
    let to = address(server, Protocol::Tls);
    let mut link = link(&trusting(&[pair]), "turn.example", to);
    link.send(&binding(1));
    mapped(&link.receive());
}

#[test]
fn garbage_instead_of_a_record() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&pair);
    for garbage in [
        &b"\x17\x03\x03\x00\x20 not what the keys would make of"[..],
        &[0xFF; 300],
    ] {
        let tls = handshake(&trusting(&[&pair]), "turn.example", dial(&server)).unwrap();
        let mut socket = tls.sock;
        socket.write_all(garbage).unwrap();
        wait_for_end(socket);
    }
    assert_eq!(
        server
            .handle()
            .stream_totals()
            .tls_failures
            .load(Ordering::Relaxed),
        2
    );
    assert_serves(&server, &pair);
    server.shutdown();
}

#[test]
fn garbage_inside_of_records() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&pair);
    let mut tls = handshake(&trusting(&[&pair]), "turn.example", dial(&server)).unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    wait_for_end(tls);
    assert_eq!(
        server
            .handle()
            .stream_totals()
            .garbage
            .load(Ordering::Relaxed),
        1
    );
    assert_serves(&server, &pair);
    server.shutdown();
}

#[test]
fn a_goodbye_in_the_middle_of_a_handshake() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&pair);
    let name = ServerName::try_from("turn.example").unwrap();
    let mut tls = ClientConnection::new(Arc::new(trusting(&[&pair])), name).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    // A warning alert: close_notify.
    hello.extend(b"\x15\x03\x03\x00\x02\x01\x00");
    let mut socket = dial(&server);
    socket.write_all(&hello).unwrap();
    wait_for_end(socket);
    let totals = server.handle().stream_totals();
    assert_eq!(
        totals.timed_out.load(Ordering::Relaxed),
        0,
        "noticed at once"
    );
    assert_serves(&server, &pair);
    server.shutdown();
}

/// Writes records after the handshake, its own way.
struct Records {
    socket: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Records {
    fn new(server: &Server, pair: &Pair) -> Self {
        let mut config = speaking(&[&TLS13], &[pair]);
        config.enable_secret_extraction = true;
        let tls = handshake(&config, "turn.example", dial(server)).unwrap();
        let (connection, socket) = tls.into_parts();
        let suite = connection.negotiated_cipher_suite().unwrap();
        let (sequence, secrets) = connection.dangerous_extract_secrets().unwrap().tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("a suite of TLS 1.3")
        };
        let encrypter = suite.tls13().unwrap().aead_alg.encrypter(key, iv);
        Self {
            socket,
            encrypter,
            sequence,
        }
    }

    fn encrypt(&mut self, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(payload),
        };
        let record = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        record.encode()
    }
}

/// TLS allows them, and rustls as many as other libraries do.
#[test]
fn a_few_empty_records_are_nothing_and_a_hundred_thousand_end_the_connection() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&pair);
    let mut records = Records::new(&server, &pair);
    let mut bytes: Vec<u8> = (0..32).flat_map(|_| records.encrypt(&[])).collect();
    bytes.extend(records.encrypt(&binding(1)));
    records.socket.write_all(&bytes).unwrap();
    // Tickets come first; the answer is known by its length, with the tag and a type behind it.
    let mut length = 0;
    while length != 32 + 17 {
        let mut header = [0; 5];
        records.socket.read_exact(&mut header).unwrap();
        length = u16::from_be_bytes([header[3], header[4]]);
        let mut body = vec![0; length.into()];
        records.socket.read_exact(&mut body).unwrap();
    }
    let empty: Vec<u8> = (0..100_000).flat_map(|_| records.encrypt(&[])).collect();
    // It hangs up before it has taken all of them.
    let _ = records.socket.write_all(&empty);
    wait_for_end(records.socket);
    assert_eq!(
        server
            .handle()
            .stream_totals()
            .tls_failures
            .load(Ordering::Relaxed),
        1
    );
    assert_serves(&server, &pair);
    server.shutdown();
}
