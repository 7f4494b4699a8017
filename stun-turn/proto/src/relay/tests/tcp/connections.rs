//! Connections that peers open, what clients do with connections, and how they end.

use super::*;

#[test]
fn a_peer_that_connects_needs_a_permission() {
    let mut world = world();
    let mut client = allocated(&mut world);
    let relay = world.relay_id(&client);
    let incoming = |world: &mut World, port: u16| {
        let from = SocketAddr::new(address(PEER).ip(), port);
        world.relay.handle_incoming(world.now, relay, from)
    };
    assert_eq!(incoming(&mut world, 7000), None);
    assert_eq!(world.told(&client), None);
    world.request(&mut client, Method::CreatePermission, &[peer(PEER)]);
    let id = incoming(&mut world, 7000).unwrap();
    let attempt = world.told(&client).unwrap();
    let message = Message::parse(&attempt.bytes).unwrap();
    assert_eq!(message.class(), Class::Indication);
    assert_eq!(message.method(), Method::ConnectionAttempt);
    assert_eq!(attempt.get(kind::CONNECTION_ID), Some(&id.to_bytes()[..]));
    assert_eq!(
        attempt.address(kind::XOR_PEER_ADDRESS),
        address("8.8.8.8:7000")
    );
    let more = (0..100).filter_map(|port| incoming(&mut world, port));
    assert_eq!(more.count(), limits::MAX_PEER_CONNECTIONS - 1);
    world.advance(301);
    assert_eq!(incoming(&mut world, 7000), None, "the permission is over");
}

#[test]
fn a_connection_waits_30_seconds_to_be_bound() {
    let mut world = world();
    let mut client = allocated(&mut world);
    world.request(&mut client, Method::CreatePermission, &[peer(PEER)]);
    let relay = world.relay_id(&client);
    let ours = world.connected(&client, PEER);
    let from = address("8.8.8.8:7000");
    let theirs = world.relay.handle_incoming(world.now, relay, from).unwrap();
    world.told(&client).unwrap();
    let mut data = over(&world, Transport::Tls, "198.51.100.7:2", "alice");
    world.wait(Duration::from_millis(29_999));
    assert_eq!(world.closed_connections(), []);
    assert_eq!(world.bind(&mut data, &ours.to_bytes()), 0);
    world.wait(Duration::from_millis(1));
    assert_eq!(world.closed_connections(), [theirs]);
    assert_eq!(world.told(&client), None);
    let mut late = over(&world, Transport::Tcp, "198.51.100.7:3", "alice");
    assert_eq!(world.bind(&mut late, &theirs.to_bytes()), 400);
    world.wait(Duration::from_secs(300));
    assert_eq!(
        world.closed_connections(),
        [],
        "bound, for as long as the allocation lives"
    );
}

#[test]
fn connection_bind_is_for_the_owner_over_a_connection_of_its_own() {
    let mut world = world();
    let mut client = allocated(&mut world);
    let id = world.connected(&client, PEER).to_bytes();
    let mut datagrams = world.client("198.51.100.7:2", "alice");
    assert_eq!(world.bind(&mut datagrams, &id), 400, "over UDP");
    assert_eq!(world.bind(&mut client, &id), 400, "where an allocation is");
    let mut bob = over(&world, Transport::Tcp, "198.51.100.7:3", "bob");
    assert_eq!(world.bind(&mut bob, &id), 400, "another user's");
    let mut data = over(&world, Transport::Tcp, "198.51.100.7:4", "alice");
    assert_eq!(world.bind(&mut data, &[0; 4]), 400, "nobody's");
    assert_eq!(world.bind(&mut data, &id[..3]), 400, "broken");
    let reply = world.request(&mut data, Method::ConnectionBind, &[]);
    assert_eq!(reply.code, 400, "without CONNECTION-ID");
    let unfinished = world.connect(&client, "8.8.8.8:5001").unwrap().id;
    assert_eq!(
        world.bind(&mut data, &unfinished.to_bytes()),
        400,
        "not made yet"
    );
    let ask = unsigned(
        Class::Request,
        Method::ConnectionBind,
        &[raw(kind::CONNECTION_ID, &id)],
        false,
    );
    let reply = world.receive(&data.five_tuple, &ask).unwrap();
    assert_eq!(decode(&reply, &data.key).code, 401, "unsigned");
    assert_eq!(world.bind(&mut data, &id), 0);
    assert_eq!(world.bind(&mut data, &id), 400, "twice");
}

#[test]
fn a_credential_that_has_expired_still_binds() {
    let mut world = world();
    let mut client = over(&world, Transport::Tcp, "198.51.100.7:1", "alice");
    client.become_time_limited(UNIX + 5, "carol");
    assert_eq!(
        world.request(&mut client, Method::Allocate, &[tcp()]).code,
        0
    );
    let id = world.connected(&client, PEER);
    world.advance(10);
    let mut data = client.clone();
    data.five_tuple.client = address("198.51.100.7:2");
    assert_eq!(world.bind(&mut data, &id.to_bytes()), 0);
    data.five_tuple.client = address("198.51.100.7:3");
    assert_eq!(
        world.request(&mut data, Method::Allocate, &[tcp()]).code,
        401
    );
}

#[test]
fn another_worker_s_connection_is_named() {
    let mut world = world();
    let client = allocated(&mut world);
    let id = world.connected(&client, PEER);
    let mut other = Relay::new(Arc::clone(&world.settings), [3; 32]).of_worker(1);
    let data = over(&world, Transport::Tcp, "198.51.100.7:2", "alice");
    let mut buffer = [0; limits::MAX_REPLY_BYTES];
    let mut bind = |other: &mut Relay, five_tuple: &FiveTuple, id: &[u8]| {
        let parts = [raw(kind::CONNECTION_ID, id)];
        let bytes = signed(
            &data,
            Method::ConnectionBind,
            TransactionId([9; 12]),
            &parts,
        );
        other.handle_client(world.now, five_tuple, &bytes, &mut buffer)
    };
    let elsewhere = bind(&mut other, &data.five_tuple, &id.to_bytes());
    assert!(
        matches!(elsewhere, Outcome::Elsewhere { worker: 0 }),
        "{elsewhere:?}"
    );
    let datagram = FiveTuple {
        transport: Transport::Udp,
        ..data.five_tuple
    };
    let refused = bind(&mut other, &datagram, &id.to_bytes());
    assert!(matches!(refused, Outcome::Reply(_)), "{refused:?}");
    let here = bind(&mut world.relay, &data.five_tuple, &id.to_bytes());
    assert!(matches!(here, Outcome::Bound { .. }), "{here:?}");
}

#[test]
fn connections_end_with_their_allocation() {
    for end in [Method::Refresh, Method::Allocate] {
        let mut world = world();
        let mut client = allocated(&mut world);
        let bound = world.connected(&client, PEER);
        let mut data = over(&world, Transport::Tcp, "198.51.100.7:2", "alice");
        assert_eq!(world.bind(&mut data, &bound.to_bytes()), 0);
        let unbound = world.connected(&client, "8.8.8.8:5001");
        let connecting = world.connect(&client, "8.8.8.8:5002").unwrap().id;
        if end == Method::Refresh {
            let bytes = signed(
                &client,
                end,
                TransactionId([9; 12]),
                &[raw(kind::LIFETIME, &[0; 4])],
            );
            world.receive(&client.five_tuple, &bytes).unwrap();
        } else {
            world
                .relay
                .handle_client_gone(world.now, &client.five_tuple);
        }
        assert_eq!(world.closed_connections(), [bound, unbound, connecting]);
        assert_eq!(world.settings.shared.connection_ids.count(), 0);
        assert!(!world.relay.handle_connected(world.now, connecting));
        assert_eq!(
            world.told(&client),
            None,
            "there is no allocation to tell of"
        );
        client.five_tuple.client = address("198.51.100.7:9");
    }
}

#[test]
fn what_a_new_policy_forbids_is_closed() {
    let mut world = world();
    let client = allocated(&mut world);
    let bound = world.connected(&client, PEER);
    let connecting = world.connect(&client, "8.8.8.9:1").unwrap().id;
    let other = world.connected(&client, "1.1.1.1:1");
    world.reconfigure(|settings| {
        let deny = vec!["8.8.8.0/24".parse().unwrap()];
        settings.policy = PeerPolicy::new(Vec::new(), deny, Vec::new(), Vec::new());
    });
    let mut closed = world.closed_connections();
    closed.sort_unstable();
    let mut expected = [bound, connecting];
    expected.sort_unstable();
    assert_eq!(closed, expected);
    assert_eq!(world.told(&client).unwrap().code, 447, "a request waits");
    world.relay.handle_connection_ended(other);
}

#[test]
fn a_side_that_has_finished_leaves_the_other_one_time() {
    let mut world = world();
    let client = allocated(&mut world);
    let id = world.connected(&client, PEER);
    let mut data = over(&world, Transport::Tcp, "198.51.100.7:2", "alice");
    assert_eq!(world.bind(&mut data, &id.to_bytes()), 0);
    world.relay.handle_half_closed(world.now, id);
    for _ in 0..10 {
        world.wait(limits::HALF_CLOSED_TIMEOUT - Duration::from_secs(1));
        assert_eq!(world.closed_connections(), []);
        world
            .relay
            .handle_carried(world.now, id, Direction::ToClient, 10);
    }
    world.wait(limits::HALF_CLOSED_TIMEOUT);
    assert_eq!(world.closed_connections(), [id], "silent");
    let traffic = world.relay.sessions(world.now).next().unwrap().traffic;
    assert_eq!(traffic.bytes_to_client, 100);
}

#[test]
fn all_connections_of_an_allocation_share_its_limit() {
    let mut world = world();
    world.reconfigure(|settings| settings.max_bps = Some(100_000));
    let client = allocated(&mut world);
    let ids = ["8.8.8.8:1", "8.8.8.8:2"].map(|peer| world.connected(&client, peer));
    for (number, id) in ids.iter().enumerate() {
        let from = format!("198.51.100.7:{}", 2 + number);
        let mut data = over(&world, Transport::Tcp, &from, "alice");
        assert_eq!(world.bind(&mut data, &id.to_bytes()), 0);
    }
    let mut resumes_at = [Duration::ZERO; 2];
    let mut carried = 0;
    while world.now.monotonic < Duration::from_secs(20) {
        world.now.monotonic += Duration::from_millis(1);
        for (id, resumes_at) in ids.iter().zip(&mut resumes_at) {
            if *resumes_at <= world.now.monotonic {
                let told = world
                    .relay
                    .handle_carried(world.now, *id, Direction::ToPeer, 10_000);
                *resumes_at = told.unwrap_or_default();
                carried += 10_000;
            }
        }
    }
    assert!(
        (1_980_000..2_060_000).contains(&carried),
        "{carried} bytes in 20 s"
    );
    let traffic = world.relay.sessions(world.now).next().unwrap().traffic;
    assert_eq!(traffic.bytes_to_peers, carried);
}
