//! RFC 6062 over real sockets: connections made and accepted, spliced whichever worker has them,
//! closed together.

mod transfer;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use stun_turn::Server;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::proto::attribute::{encode_xor_address, kind};
use stun_turn::proto::message::{Class, Message, Method, TransactionId};
use stun_turn::proto::relay::TcpRelay;

use crate::certificates::{Pair, link, offering, trusting};
use crate::client::{Client, Link, address, options, patience};

/// The time after which failures are answered here.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

fn start(options: Options) -> Server {
    let mut config = Config::from(options);
    config.tcp_relay = Some(TcpRelay {
        connect_timeout: CONNECT_TIMEOUT,
        ..TcpRelay::default()
    });
    Server::start(config).unwrap()
}

fn start_plain(workers: u16) -> Server {
    start(with_bob(options(&["udp", "tcp"], "127.0.0.1", workers)))
}

fn with_bob(mut options: Options) -> Options {
    options.user.push("bob:builder".parse().unwrap());
    options
}

/// A client over TCP with a TCP allocation, and its relayed address.
fn allocated(server: &Server) -> (Client, SocketAddr) {
    let mut client = Client::new(Link::tcp(server));
    let relayed = client.allocate_over(6, 1);
    (client, relayed)
}

/// An IPv4 address in an attribute is the same in every transaction.
fn encoded(peer: SocketAddr) -> Vec<u8> {
    let (value, length) = encode_xor_address(peer, TransactionId([0; 12]));
    value[..length].to_vec()
}

fn connect(client: &mut Client, peer: SocketAddr) -> [u8; 4] {
    let reply = client.request(Method::Connect, &[(kind::XOR_PEER_ADDRESS, &encoded(peer))]);
    connection_id(&reply)
}

fn connection_id(message: &[u8]) -> [u8; 4] {
    let message = Message::parse(message).unwrap();
    let id = message.first(kind::CONNECTION_ID).unwrap();
    id.try_into().unwrap()
}

fn permit(client: &mut Client, peer: SocketAddr) {
    let peer = encoded(peer);
    client.request(Method::CreatePermission, &[(kind::XOR_PEER_ADDRESS, &peer)]);
}

/// A client's data connection after its ConnectionBind.
fn bind(server: &Server, id: [u8; 4]) -> TcpStream {
    bind_over(Link::tcp(server), id, b"").into_tcp()
}

impl Link {
    fn into_tcp(self) -> TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Udp(_) | Self::Tls(_) => panic!("a plain connection was asked for"),
        }
    }

    fn bytes(&mut self) -> &mut dyn ReadWrite {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream,
            Self::Udp(_) => panic!("a connection was asked for"),
        }
    }
}

trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

/// Binds, with bytes for the peer in the same write.
fn bind_over(link: Link, id: [u8; 4], bytes: &[u8]) -> Link {
    let mut data = Client::new(link);
    let mut request = data.next_request(Method::ConnectionBind, &[(kind::CONNECTION_ID, &id)]);
    request.extend(bytes);
    data.link.send(&request);
    let reply = data.link.receive();
    assert_eq!(Message::parse(&reply).unwrap().class(), Class::Success);
    data.link
}

fn bind_code(mut data: Client, id: [u8; 4]) -> u16 {
    data.code(Method::ConnectionBind, &[(kind::CONNECTION_ID, &id)])
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    stream
}

fn read(from: &mut (impl Read + ?Sized), length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

/// The other end has closed, with or without a word.
fn assert_closed(stream: &mut (impl Read + ?Sized)) {
    match stream.read(&mut [0; 1]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}

/// A connection over this kind of link carries everything both ways from the first byte to the last.
fn a_client_connects(server: &Server, mut client: Client, new_link: impl Fn() -> Link) {
    let relayed = client.allocate_over(6, 1);
    let (listener, at) = listen();
    let id = connect(&mut client, at);
    let mut peer = accept(&listener);
    assert_eq!(
        peer.peer_addr().unwrap(),
        relayed,
        "from the relayed address"
    );
    peer.write_all(b"early").unwrap();
    assert_eq!(client.connect_code(at), 446);
    let mut data = bind_over(new_link(), id, b"in the same segment");
    assert_eq!(read(&mut peer, 19), b"in the same segment");
    assert_eq!(read(data.bytes(), 5), b"early");
    for round in 0..20_u8 {
        let message = vec![round; 1 << round.min(15)];
        data.bytes().write_all(&message).unwrap();
        assert_eq!(read(&mut peer, message.len()), message);
        peer.write_all(&message).unwrap();
        assert_eq!(read(data.bytes(), message.len()), message);
    }
    assert_eq!(client.connect_code(at), 446, "active");
    // The peer finishes first and still reads.
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(data.bytes(), 10), b"last words");
    assert_eq!(data.bytes().read(&mut [0; 1]).unwrap(), 0);
    data.bytes().write_all(b"answer").unwrap();
    assert_eq!(read(&mut peer, 6), b"answer");
    drop(data);
    assert_closed(&mut peer);
    // With both connections the peer is free again.
    let start = Instant::now();
    while client.connect_code(at) == 446 {
        assert!(start.elapsed() < patience(), "still taken");
        std::thread::yield_now();
    }
    let session = &server.handle().sessions()[0];
    assert!(session.traffic.bytes_to_peers > 65_536, "{session:?}");
}

#[test]
fn a_client_connects_to_a_peer_over_tcp() {
    let server = start_plain(1);
    let new_link = || Link::tcp(&server);
    a_client_connects(&server, Client::new(new_link()), new_link);
    server.shutdown();
}

#[test]
fn a_client_connects_to_a_peer_over_tls() {
    let pair = Pair::new(&["turn.example"]);
    let server = start(offering(&[&pair], options(&["tls"], "127.0.0.1", 2)));
    let to = address(&server, Protocol::Tls);
    let config = trusting(&[&pair]);
    let new_link = || link(&config, "turn.example", to);
    a_client_connects(&server, Client::new(new_link()), new_link);
    server.shutdown();
}

#[test]
fn a_peer_connects_to_the_client_that_permits_it() {
    let server = start_plain(1);
    let (mut client, relayed) = allocated(&server);
    let mut stranger = TcpStream::connect(relayed).unwrap();
    stranger.set_read_timeout(Some(patience())).unwrap();
    assert_closed(&mut stranger);
    permit(&mut client, "127.0.0.1:1".parse().unwrap());
    let mut peer = TcpStream::connect(relayed).unwrap();
    peer.set_read_timeout(Some(patience())).unwrap();
    peer.write_all(b"hello").unwrap();
    let attempt = client.link.receive();
    let message = Message::parse(&attempt).unwrap();
    assert_eq!(
        (message.class(), message.method()),
        (Class::Indication, Method::ConnectionAttempt)
    );
    let from = message.first(kind::XOR_PEER_ADDRESS).unwrap();
    assert_eq!(from, encoded(peer.local_addr().unwrap()));
    let mut data = bind(&server, connection_id(&attempt));
    assert_eq!(read(&mut data, 5), b"hello");
    data.write_all(b"world").unwrap();
    assert_eq!(read(&mut peer, 5), b"world");
    drop(peer);
    assert_closed(&mut data);
    server.shutdown();
}

/// A port that answers nobody: its queue of connections is full.
fn silent() -> (Socket, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let to = listener.local_addr().unwrap();
    let fill = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        // It is under way, or it hangs.
        let _ = socket.connect(&to);
        socket
    };
    let filling = (0..4).map(|_| fill()).collect();
    (listener, filling)
}

#[test]
fn closed_and_silent_ports_look_alike() {
    let server = start_plain(1);
    let (mut client, _) = allocated(&server);
    let (listener, closed) = listen();
    drop(listener);
    let (listener, _filling) = silent();
    let silent = listener.local_addr().unwrap().as_socket().unwrap();
    for port in [closed, silent] {
        let start = Instant::now();
        assert_eq!(client.connect_code(port), 447);
        // The relay counts from the start of its round, which is a little before.
        let took = start.elapsed() + Duration::from_millis(100);
        assert!(took > CONNECT_TIMEOUT, "{port} was told after {took:?}");
    }
    server.shutdown();
}

#[test]
fn what_the_policy_forbids_sees_no_connection() {
    let mut options = options(&["udp", "tcp"], "127.0.0.1", 1);
    options.deny_peer = vec!["127.0.0.99/32".parse().unwrap()];
    let server = start(options);
    let (mut client, relayed) = allocated(&server);
    let canary = TcpListener::bind("127.0.0.99:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let datagrams = {
        let mut other = Client::new(Link::udp(&server));
        other.allocate(1)
    };
    for peer in [
        canary.local_addr().unwrap(),
        address(&server, Protocol::Tcp),
        relayed,
        "0.0.0.0:80".parse().unwrap(),
        "10.0.0.1:80".parse().unwrap(),
    ] {
        assert_eq!(client.connect_code(peer), 403, "{peer}");
    }
    let refused = canary.accept().map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock, "no SYN");
    assert!(datagrams.port() != relayed.port(), "one port, one protocol");
    server.shutdown();
}

#[test]
fn two_clients_of_one_server_connect_to_each_other() {
    let server = start_plain(4);
    let (mut alice, _) = allocated(&server);
    let (mut bob, bobs) = allocated(&server);
    permit(&mut bob, "127.0.0.1:1".parse().unwrap());
    let mut alices = bind(&server, connect(&mut alice, bobs));
    let mut bobs = bind(&server, connection_id(&bob.link.receive()));
    alices.write_all(b"hello").unwrap();
    assert_eq!(read(&mut bobs, 5), b"hello");
    bobs.write_all(b"world").unwrap();
    assert_eq!(read(&mut alices, 5), b"world");
    server.shutdown();
}

/// Whichever attempt comes first, both clients have one connection and know its id.
#[test]
fn clients_that_connect_to_each_other_at_once_are_connected() {
    for workers in [1, 4] {
        let server = start_plain(workers);
        for _ in 0..5 {
            let mut clients = [allocated(&server), allocated(&server)];
            let peers = [clients[1].1, clients[0].1];
            for (client, _) in &mut clients {
                permit(client, "127.0.0.1:1".parse().unwrap());
            }
            for ((client, _), peer) in clients.iter_mut().zip(peers) {
                let peer = encoded(peer);
                let request =
                    client.next_request(Method::Connect, &[(kind::XOR_PEER_ADDRESS, &peer)]);
                client.link.send(&request);
            }
            let [mut one, mut other] = clients.each_mut().map(|(client, _)| {
                let mut first_id = || loop {
                    let reply = client.link.receive();
                    let message = Message::parse(&reply).unwrap();
                    if message.first(kind::CONNECTION_ID).is_some() {
                        return connection_id(&reply);
                    }
                    let code = message.first(kind::ERROR_CODE).unwrap();
                    assert_eq!(code[2..], [4, 46], "else it is told of the other's");
                };
                bind(&server, first_id())
            });
            one.write_all(b"hello").unwrap();
            assert_eq!(read(&mut other, 5), b"hello");
            other.write_all(b"world").unwrap();
            assert_eq!(read(&mut one, 5), b"world");
        }
        server.shutdown();
    }
}

#[test]
fn only_its_user_binds_a_connection_and_only_once() {
    let server = start_plain(2);
    let (mut client, _) = allocated(&server);
    let (listener, at) = listen();
    let id = connect(&mut client, at);
    let mut peer = accept(&listener);
    let bob = Client::of(("bob", "builder"), Link::tcp(&server));
    assert_eq!(bind_code(bob, id), 400, "another user's");
    assert_eq!(
        bind_code(Client::new(Link::udp(&server)), id),
        400,
        "over UDP"
    );
    let code = client.code(Method::ConnectionBind, &[(kind::CONNECTION_ID, &id)]);
    assert_eq!(code, 400, "where the allocation is");
    let mut data = bind(&server, id);
    assert_eq!(bind_code(Client::new(Link::tcp(&server)), id), 400, "twice");
    data.write_all(b"x").unwrap();
    assert_eq!(read(&mut peer, 1), b"x");
    server.shutdown();
}

#[test]
fn a_connection_that_nobody_binds_is_closed() {
    let mut config = Config::from(options(&["tcp"], "127.0.0.1", 1));
    config.tcp_relay = Some(TcpRelay {
        bind_timeout: Duration::from_millis(300),
        ..TcpRelay::default()
    });
    let server = Server::start(config).unwrap();
    let (mut client, _) = allocated(&server);
    let (listener, at) = listen();
    connect(&mut client, at);
    assert_closed(&mut accept(&listener));
    server.shutdown();
}
