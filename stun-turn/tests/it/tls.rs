//! TLS: versions, names, ALPN, both kinds of client on one port, new certificates under live
//! connections, and what breaks it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, ProtocolVersion, StreamOwned};
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::{Server, StartError};

use crate::certificates::{Pair, connect, handshake, link, offering, speaking, trusting};
use crate::client::{Client, Link, address, binding, mapped, options, patience};

/// A relay with a TLS and a TCP listener that offers these certificates.
fn start(pairs: &[&Pair]) -> Server {
    let options = offering(pairs, options(&["udp", "tcp", "tls"], "127.0.0.1", 1));
    Server::start(Config::from(options)).unwrap()
}

/// Messages of a few sizes to a peer and back.
fn relay_both_ways(mut client: Client) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(patience())).unwrap();
    let relayed = client.allocate(1);
    client.bind(0x4001, peer.local_addr().unwrap());
    let mut buffer = vec![0; 65_536];
    for size in [0, 1, 4, 1_200, 20_000, 60_000] {
        let mut message = vec![0x40, 0x01];
        message.extend(u16::try_from(size).unwrap().to_be_bytes());
        message.resize(4 + size, 7);
        message.resize(4 + size.next_multiple_of(4), 0);
        client.link.send(&message);
        let (length, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&message[4..4 + size], relayed));
        peer.send_to(&buffer[..length], relayed).unwrap();
        assert_eq!(client.link.receive(), message);
    }
}

#[test]
fn both_versions_carry_an_allocation() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&[&pair]);
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let socket = connect(address(&server, Protocol::Tls));
        let tls = handshake(&speaking(&[version], &[&pair]), "turn.example", socket).unwrap();
        assert_eq!(tls.conn.protocol_version(), Some(expected));
        relay_both_ways(Client::new(Link::Tls(Box::new(tls))));
    }
    server.shutdown();
}

#[test]
fn plain_clients_and_tls_clients_share_each_port() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&[&pair]);
    let config = trusting(&[&pair]);
    for protocol in [Protocol::Tcp, Protocol::Tls] {
        let to = address(&server, protocol);
        relay_both_ways(Client::new(link(&config, "turn.example", to)));
        relay_both_ways(Client::new(Link::Tcp(connect(to))));
    }
    server.shutdown();
}

/// Whoever offered `turns:` alone for privacy had clients that spoke in plain text.
#[test]
fn tls_only_refuses_plain_clients_on_listeners_for_tls_until_it_is_taken_back() {
    let pair = Pair::new(&["turn.example"]);
    let with = |tls_only| {
        let options = Options {
            tls_only,
            ..options(&["udp", "tcp", "tls"], "127.0.0.1", 1)
        };
        Config::from(offering(&[&pair], options))
    };
    let server = Server::start(with(true)).unwrap();
    let to = address(&server, Protocol::Tls);
    let trusted = trusting(&[&pair]);
    relay_both_ways(Client::new(link(&trusted, "turn.example", to)));
    let mut plain = connect(to);
    plain.write_all(&binding(1)).unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end.
    let _ = plain.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    let counted = "stun_turn_connections_refused_total{reason=\"not_tls\"} 1";
    let metrics = server.handle().metrics();
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    // A listener for TCP takes both.
    let tcp = address(&server, Protocol::Tcp);
    relay_both_ways(Client::new(Link::Tcp(connect(tcp))));
    relay_both_ways(Client::new(link(&trusted, "turn.example", tcp)));
    assert_eq!(server.handle().reload(with(false)).unwrap(), [""; 0]);
    relay_both_ways(Client::new(Link::Tcp(connect(to))));
    server.shutdown();
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let first = Pair::new(&["first.example"]);
    let wild = Pair::new(&["*.wild.example"]);
    let server = start(&[&first, &wild]);
    let to = address(&server, Protocol::Tls);
    let config = trusting(&[&first, &wild]);
    for (name, pair) in [("first.example", &first), ("a.wild.example", &wild)] {
        let tls = handshake(&config, name, connect(to)).unwrap();
        assert_eq!(tls.conn.peer_certificates().unwrap()[0], pair.der);
    }
    // No name is sent for an address; the client then finds the first one not to its liking.
    let error = handshake(&config, "127.0.0.1", connect(to)).unwrap_err();
    assert!(error.to_string().contains("first.example"), "{error}");
    server.shutdown();
}

#[test]
fn alpn_is_stun_turn_or_nothing() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&[&pair]);
    let with = |protocols: &[&str]| {
        let mut config = trusting(&[&pair]);
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        let socket = connect(address(&server, Protocol::Tls));
        let tls = handshake(&config, "turn.example", socket)?;
        Ok(tls.conn.alpn_protocol().map(<[u8]>::to_vec))
    };
    let of =
        |protocols: &[&str]| with(protocols).map_err(|error: std::io::Error| error.to_string());
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&["h2", "stun.turn"]), Ok(Some(b"stun.turn".to_vec())));
    let discovery = "stun.nat-discovery";
    assert_eq!(of(&[discovery]), Ok(Some(discovery.into())));
    let error = of(&["h2", "http/1.1"]).unwrap_err();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    server.shutdown();
}

#[test]
fn new_certificates_are_for_new_connections() {
    let (old, new) = (Pair::new(&["turn.example"]), Pair::new(&["turn.example"]));
    let server = start(&[&old]);
    let to = address(&server, Protocol::Tls);
    let mut before = link(&trusting(&[&old]), "turn.example", to);
    before.send(&binding(1));
    mapped(&before.receive());

    let options = offering(&[&new], options(&["tls"], "127.0.0.1", 1));
    let _ = server.handle().reload(Config::from(options)).unwrap();
    let mut after = link(&trusting(&[&new]), "turn.example", to);
    for link in [&mut before, &mut after] {
        link.send(&binding(2));
        mapped(&link.receive());
    }
    let refused = handshake(&trusting(&[&old]), "turn.example", connect(to));
    assert!(refused.is_err(), "the old one is offered no more");
    server.shutdown();
}

#[test]
fn a_tls_listener_is_never_left_without_a_certificate() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&[&pair]);
    // As if the file had lost its `tls:` listener together with the certificates.
    let without = Config::from(options(&["udp"], "127.0.0.1", 1));
    let error = server.handle().reload(without).unwrap_err();
    assert!(error.to_string().contains("--listen tls:"), "{error}");
    let to = address(&server, Protocol::Tls);
    let mut link = link(&trusting(&[&pair]), "turn.example", to);
    link.send(&binding(1));
    mapped(&link.receive());
    server.shutdown();
}

#[test]
fn no_handshake_fails_while_certificates_change() {
    let pairs = [Pair::new(&["turn.example"]), Pair::new(&["turn.example"])];
    let server = start(&[&pairs[0]]);
    let to = address(&server, Protocol::Tls);
    let config = trusting(&[&pairs[0], &pairs[1]]);
    let is_done = AtomicBool::new(false);
    let changes = std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut changes = 0;
            while !is_done.load(Ordering::Relaxed) {
                let options = offering(&[&pairs[changes % 2]], options(&["tls"], "127.0.0.1", 1));
                let _ = server.handle().reload(Config::from(options)).unwrap();
                changes += 1;
            }
            changes
        });
        for _ in 0..100 {
            let mut link = link(&config, "turn.example", to);
            link.send(&binding(1));
            mapped(&link.receive());
        }
        is_done.store(true, Ordering::Relaxed);
        changing.join().unwrap()
    });
    assert!(changes > 2, "{changes} changes");
    server.shutdown();
}

/// A socket that takes one byte at a time.
struct Dribble(TcpStream);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_byte_at_a_time() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(&[&pair]);
    let socket = connect(address(&server, Protocol::Tls));
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from("turn.example").unwrap();
    let connection = ClientConnection::new(Arc::new(trusting(&[&pair])), name).unwrap();
    let mut tls = StreamOwned::new(connection, Dribble(socket));
    tls.write_all(&binding(1)).unwrap();
    let mut reply = [0; 32];
    tls.read_exact(&mut reply).unwrap();
    mapped(&reply);
    server.shutdown();
}

#[test]
fn certificates_that_cannot_serve_are_refused_with_their_option() {
    let (one, two) = (Pair::new(&["one.example"]), Pair::new(&["two.example"]));
    let refusal = |certs: &[&Pair], keys: &[&Pair], break_files: fn(&Pair)| {
        certs.iter().for_each(|pair| break_files(pair));
        let mut options = options(&["tls"], "127.0.0.1", 1);
        options.tls_cert = certs.iter().map(|pair| pair.certificate()).collect();
        options.tls_key = keys.iter().map(|pair| pair.key()).collect();
        let error: StartError = Server::start(Config::from(options)).unwrap_err();
        (error.is_usage(), error.to_string())
    };
    let as_is: fn(&Pair) = |_| {};
    let (is_usage, text) = refusal(&[], &[], as_is);
    assert!(
        is_usage && text.contains("--listen tls:127.0.0.1:0"),
        "{text}"
    );
    let (is_usage, text) = refusal(&[&one, &two], &[&one], as_is);
    assert!(is_usage && text.contains("2 times"), "{text}");
    let (is_usage, text) = refusal(&[&one], &[&two], as_is);
    assert!(
        is_usage && text.contains("--tls-key") && text.contains("--tls-cert"),
        "{text}"
    );
    let (is_usage, text) = refusal(&[&one], &[&one], |pair| {
        std::fs::write(pair.certificate(), "none").unwrap();
    });
    assert!(is_usage && text.contains("--tls-cert"), "{text}");
    let (is_usage, text) = refusal(&[&one], &[&one], |pair| {
        std::fs::remove_file(pair.certificate()).unwrap();
    });
    assert!(!is_usage && text.contains("--tls-cert"), "{text}");
}
