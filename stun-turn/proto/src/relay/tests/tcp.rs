//! RFC 6062: TCP allocations, Connect, ConnectionBind, peers that connect.

mod connections;

use super::*;

pub(super) fn tcp() -> Part {
    raw(kind::REQUESTED_TRANSPORT, &[6, 0, 0, 0])
}

/// A world in which TCP is relayed.
pub(super) fn world() -> World {
    let mut world = World::new();
    world.reconfigure(|settings| settings.tcp_relay = Some(TcpRelay::default()));
    world
}

/// A client that comes over a connection.
pub(super) fn over(world: &World, transport: Transport, from: &str, name: &str) -> Client {
    let mut client = world.client(from, name);
    client.five_tuple.transport = transport;
    client.nonce = nonce(&world.settings, &client.five_tuple, world.now.unix_s);
    client
}

/// Alice over TCP with a TCP allocation.
pub(super) fn allocated(world: &mut World) -> Client {
    let mut client = over(world, Transport::Tcp, "198.51.100.7:1", "alice");
    let reply = world.request(&mut client, Method::Allocate, &[tcp()]);
    assert_eq!(reply.code, 0, "{reply:?}");
    client
}

impl World {
    /// A Connect that the driver has to carry out, or the code that it is answered with.
    pub(super) fn connect(&mut self, client: &Client, to: &str) -> Result<Connecting, u16> {
        let id = self.id();
        let bytes = signed(client, Method::Connect, id, &[peer(to)]);
        let mut buffer = [0; limits::MAX_REPLY_BYTES];
        let outcome = self
            .relay
            .handle_client(self.now, &client.five_tuple, &bytes, &mut buffer);
        match outcome {
            Outcome::Connect { id, from, peer } => Ok(Connecting { id, from, peer }),
            Outcome::Reply(length) => Err(decode(&buffer[..length], &client.key).code),
            other => panic!("{other:?}"),
        }
    }

    /// What a client is told now without having asked just now.
    pub(super) fn told(&mut self, client: &Client) -> Option<Reply> {
        let mut buffer = [0xAA; limits::MAX_REPLY_BYTES];
        let (to, length) = self.relay.poll_reply(&mut buffer)?;
        assert_eq!(to, client.five_tuple);
        Some(decode(&buffer[..length], &client.key))
    }

    /// A connection to a peer, made and known to the client.
    fn connected(&mut self, client: &Client, to: &str) -> ConnectionId {
        let id = self.connect(client, to).unwrap().id;
        assert!(self.relay.handle_connected(self.now, id));
        let reply = self.told(client).unwrap();
        assert_eq!((reply.code, reply.is_signed), (0, true));
        assert_eq!(reply.get(kind::CONNECTION_ID), Some(&id.to_bytes()[..]));
        id
    }

    fn bind(&mut self, client: &mut Client, id: &[u8]) -> u16 {
        let parts = [raw(kind::CONNECTION_ID, id)];
        self.request(client, Method::ConnectionBind, &parts).code
    }

    fn closed_connections(&mut self) -> Vec<ConnectionId> {
        let id = |closed| match closed {
            Closed::Connection(id) => Some(id),
            Closed::Allocation { .. } | Closed::Reservation(_) => None,
        };
        self.settle().into_iter().filter_map(id).collect()
    }

    fn wait(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.relay.handle_timeout(self.now);
    }
}

/// What the driver is to do for a Connect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connecting {
    pub(super) id: ConnectionId,
    pub(super) from: SocketAddr,
    pub(super) peer: SocketAddr,
}

#[test]
fn tcp_is_relayed_where_it_is_switched_on_and_over_connections_alone() {
    let mut world = World::new();
    let mut client = over(&world, Transport::Tcp, "198.51.100.7:1", "alice");
    assert_eq!(
        world.request(&mut client, Method::Allocate, &[tcp()]).code,
        442
    );
    world.reconfigure(|settings| settings.tcp_relay = Some(TcpRelay::default()));
    let mut datagrams = world.client("198.51.100.7:1", "alice");
    let reply = world.request(&mut datagrams, Method::Allocate, &[tcp()]);
    assert_eq!(reply.code, 400, "over UDP");
    for excluded in [
        raw(kind::DONT_FRAGMENT, &[]),
        raw(kind::EVEN_PORT, &[0]),
        raw(kind::RESERVATION_TOKEN, &[0; 8]),
        raw(kind::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]),
    ] {
        let reply = world.request(&mut client, Method::Allocate, &[tcp(), excluded]);
        assert_eq!(reply.code, 400);
    }
    for (transport, from) in [
        (Transport::Tcp, "198.51.100.7:1"),
        (Transport::Tls, "198.51.100.7:2"),
    ] {
        let mut client = over(&world, transport, from, "alice");
        let reply = world.request(&mut client, Method::Allocate, &[tcp()]);
        assert_eq!(reply.code, 0);
        let public = reply.address(kind::XOR_RELAYED_ADDRESS);
        assert_eq!(public.ip(), PUBLIC_V4.parse::<IpAddr>().unwrap());
        let local = SocketAddr::new(RELAY_V4.parse().unwrap(), public.port());
        let ports = &world.settings.ports;
        assert!(ports.is_live(PeerProtocol::Tcp, local));
        assert!(!ports.is_live(PeerProtocol::Udp, local));
    }
}

#[test]
fn a_tcp_allocation_has_permissions_and_no_datagrams() {
    let mut world = world();
    let mut client = allocated(&mut world);
    let permit = world.request(&mut client, Method::CreatePermission, &[peer(PEER)]);
    assert_eq!(permit.code, 0);
    let parts = [channel(0x4000), peer(PEER)];
    assert_eq!(
        world.request(&mut client, Method::ChannelBind, &parts).code,
        400
    );
    let parts = [peer(PEER), raw(kind::DATA, b"hello")];
    let send = unsigned(Class::Indication, Method::Send, &parts, false);
    let dropped = world.relay_to_peer(&client, &send);
    assert_eq!(dropped, Err(DropReason::NoPermission));
}

#[test]
fn connect_needs_a_tcp_allocation_of_the_same_user() {
    let mut world = world();
    let nobody = over(&world, Transport::Tcp, "198.51.100.9:1", "alice");
    assert_eq!(world.connect(&nobody, PEER), Err(437));
    let mut datagrams = over(&world, Transport::Tcp, "198.51.100.9:2", "alice");
    world.allocate(&mut datagrams);
    assert_eq!(
        world.connect(&datagrams, PEER),
        Err(437),
        "a UDP allocation"
    );
    let client = allocated(&mut world);
    let mut bob = over(&world, Transport::Tcp, "198.51.100.7:1", "bob");
    assert_eq!(world.connect(&bob, PEER), Err(441));
    bob.nonce.clear();
    assert_eq!(world.connect(&bob, PEER), Err(438));
    assert_eq!(world.connect(&client, "[2606:4700::1]:80"), Err(443));
    let mut client = client;
    assert_eq!(world.request(&mut client, Method::Connect, &[]).code, 400);
    let bad = raw(kind::XOR_PEER_ADDRESS, &[0, 1, 0]);
    assert_eq!(
        world.request(&mut client, Method::Connect, &[bad]).code,
        400
    );
    assert!(world.connect(&client, PEER).is_ok());
}

#[test]
fn connect_asks_the_peer_policy_with_the_port() {
    let mut world = world();
    let client = allocated(&mut world);
    let relayed = world
        .relay
        .table
        .get(world.relay_id(&client))
        .unwrap()
        .public;
    let mut datagrams = world.client("198.51.100.8:1", "alice");
    let udp = world.allocate(&mut datagrams);
    for (peer, rule) in [
        ("10.0.0.1:80".to_owned(), None),
        ("127.0.0.1:80".to_owned(), None),
        ("169.254.169.254:80".to_owned(), None),
        ("0.0.0.0:80".to_owned(), Some(policy::Denial::NotUnicast)),
        ("8.8.8.8:0".to_owned(), Some(policy::Denial::PortZero)),
        (
            format!("{RELAY_V4}:3478"),
            Some(policy::Denial::OwnListener),
        ),
        (
            format!("{PUBLIC_V4}:3478"),
            Some(policy::Denial::OwnListener),
        ),
        (format!("{PUBLIC_V4}:22"), Some(policy::Denial::OwnAddress)),
        (udp.to_string(), Some(policy::Denial::OwnAddress)),
        (relayed.to_string(), Some(policy::Denial::OwnAddress)),
    ] {
        assert_eq!(world.connect(&client, &peer), Err(403), "{peer}");
        let refusal = world.relay.take_refusal().unwrap();
        assert_eq!(refusal.peer, address(&peer));
        assert!(rule.is_none_or(|rule| rule == refusal.rule), "{refusal:?}");
    }
    assert_eq!(world.settings.shared.connection_ids.count(), 0);
}

#[test]
fn two_clients_of_this_relay_connect_to_each_other() {
    let mut world = world();
    let alice = allocated(&mut world);
    let mut bob = over(&world, Transport::Tls, "198.51.100.8:1", "bob");
    let reply = world.request(&mut bob, Method::Allocate, &[tcp()]);
    let bobs = reply.address(kind::XOR_RELAYED_ADDRESS);
    let connecting = world.connect(&alice, &bobs.to_string()).unwrap();
    let local = |address: SocketAddr| SocketAddr::new(RELAY_V4.parse().unwrap(), address.port());
    assert_eq!(connecting.peer, local(bobs), "not by way of the NAT");
    let permit = [peer(&format!("{PUBLIC_V4}:1"))];
    world.request(&mut bob, Method::CreatePermission, &permit);
    let relay = world.relay_id(&bob);
    let id = world
        .relay
        .handle_incoming(world.now, relay, connecting.from);
    let attempt = world.told(&bob).unwrap();
    assert_eq!(
        attempt.get(kind::CONNECTION_ID),
        Some(&id.unwrap().to_bytes()[..])
    );
    let from = attempt.address(kind::XOR_PEER_ADDRESS);
    assert_eq!(from.ip(), PUBLIC_V4.parse::<IpAddr>().unwrap());
    // Another program of this host, with the permission that Bob's peer has.
    let stranger = address(&format!("{RELAY_V4}:40000"));
    assert_eq!(
        world.relay.handle_incoming(world.now, relay, stranger),
        None
    );
}

#[test]
fn a_peer_is_connected_to_once_at_a_time() {
    let mut world = world();
    let mut client = allocated(&mut world);
    let first = world.connect(&client, PEER).unwrap();
    assert_eq!(world.connect(&client, PEER), Err(446), "under way");
    assert!(world.relay.handle_connected(world.now, first.id));
    assert_eq!(world.told(&client).unwrap().code, 0);
    assert_eq!(world.connect(&client, PEER), Err(446), "made");
    let mut data = over(&world, Transport::Tcp, "198.51.100.7:2", "alice");
    assert_eq!(world.bind(&mut data, &first.id.to_bytes()), 0);
    assert_eq!(world.connect(&client, PEER), Err(446), "spliced");
    assert!(
        world.connect(&client, "8.8.8.8:5001").is_ok(),
        "another port"
    );
    world.relay.handle_connection_ended(first.id);
    assert_eq!(world.closed_connections(), [first.id]);
    let second = world.connected(&client, PEER);
    assert_ne!(second, first.id);
    // What a peer connects from counts as well.
    world.request(&mut client, Method::CreatePermission, &[peer(PEER)]);
    let relay = world.relay_id(&client);
    let again = world.relay.handle_incoming(world.now, relay, address(PEER));
    assert_eq!(again, None);
}

/// Over loopback the kernel refuses the attempt of whoever comes second, and with it the client would
/// lose the connection that there is.
#[test]
fn a_peer_that_connects_while_it_is_connected_to_answers_the_connect() {
    let mut world = world();
    let client = allocated(&mut world);
    let id = world.connect(&client, PEER).unwrap().id;
    let relay = world.relay_id(&client);
    let other = world
        .relay
        .handle_incoming(world.now, relay, address("8.8.8.8:7"));
    assert_eq!(other, None, "not the one that is connected to");
    let taken = world.relay.handle_incoming(world.now, relay, address(PEER));
    assert_eq!(taken, Some(id));
    let reply = world.told(&client).unwrap();
    assert_eq!(reply.code, 0);
    assert_eq!(reply.get(kind::CONNECTION_ID), Some(&id.to_bytes()[..]));
    assert_eq!(world.told(&client), None);
    let again = world.relay.handle_incoming(world.now, relay, address(PEER));
    assert_eq!(again, None);
}

/// A refused connection, one that nobody answers and one that no route leads to look alike: the driver
/// has nothing to tell of any, and the client is answered when the time is over.
#[test]
fn every_failure_has_one_code_and_one_time() {
    let mut world = world();
    let client = allocated(&mut world);
    let connecting = world.connect(&client, PEER).unwrap();
    assert_eq!(world.relay.poll_timeout(), Some(limits::CONNECT_TIMEOUT));
    world.wait(limits::CONNECT_TIMEOUT - Duration::from_millis(1));
    assert_eq!(world.told(&client), None);
    assert_eq!(world.connect(&client, PEER), Err(446), "not answered yet");
    world.wait(Duration::from_millis(1));
    let reply = world.told(&client).unwrap();
    assert_eq!((reply.code, reply.is_signed), (447, true));
    assert_eq!(world.told(&client), None);
    assert_eq!(world.closed_connections(), [connecting.id]);
    assert!(
        !world.relay.handle_connected(world.now, connecting.id),
        "too late"
    );
    assert!(world.connect(&client, PEER).is_ok());
}

#[test]
fn a_connect_without_a_socket_says_nothing_about_the_peer() {
    let mut world = world();
    let client = allocated(&mut world);
    let id = world.connect(&client, PEER).unwrap().id;
    let mut buffer = [0; limits::MAX_REPLY_BYTES];
    let Outcome::Reply(length) = world.relay.handle_no_socket(id, &mut buffer) else {
        panic!("a request waits");
    };
    let reply = decode(&buffer[..length], &client.key);
    assert_eq!((reply.code, reply.is_signed), (508, true));
    assert_eq!(world.closed_connections(), [id]);
}

#[test]
fn connects_are_few_a_second_and_few_at_once() {
    let mut world = world();
    let client = allocated(&mut world);
    let mut port = 1000;
    let mut connect = |world: &mut World| {
        port += 1;
        world
            .connect(&client, &format!("8.8.8.8:{port}"))
            .map(|_| ())
            .err()
    };
    for _ in 0..limits::MAX_CONNECTS_PER_S {
        assert_eq!(connect(&mut world), None);
    }
    assert_eq!(connect(&mut world), Some(508));
    world.wait(Duration::from_millis(999));
    assert_eq!(connect(&mut world), Some(508));
    let mut made = limits::MAX_CONNECTS_PER_S;
    for _ in 0..20 {
        world.wait(Duration::from_secs(1));
        made += (0..10).filter(|_| connect(&mut world).is_none()).count();
    }
    assert_eq!(made, limits::MAX_PEER_CONNECTIONS, "within the first 30 s");
    world.wait(limits::CONNECT_TIMEOUT);
    assert_eq!(connect(&mut world), None, "they have failed");
    world.settle();
}
