//! Permissions, channels and the data that they let through: RFC 8656 sections 9 to 12.

use super::*;

/// A world with an allocation.
fn allocated() -> (World, Client, SocketAddr) {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:4000", "alice");
    let relayed = world.allocate(&mut client);
    (world, client, relayed)
}

fn send(to: &str, data: &[u8]) -> Vec<u8> {
    unsigned(
        Class::Indication,
        Method::Send,
        &[peer(to), raw(kind::DATA, data)],
        false,
    )
}

fn permit(world: &mut World, client: &mut Client, peers: &[&str]) -> u16 {
    let parts: Vec<Part> = peers.iter().map(|text| peer(text)).collect();
    world.request(client, Method::CreatePermission, &parts).code
}

fn bind(world: &mut World, client: &mut Client, number: u16, to: &str) -> u16 {
    world
        .request(client, Method::ChannelBind, &[channel(number), peer(to)])
        .code
}

#[test]
fn send_and_data_with_a_permission() {
    let (mut world, mut client, _) = allocated();
    assert_eq!(
        world.relay_to_peer(&client, &send(PEER, b"hi")),
        Err(DropReason::NoPermission)
    );
    assert_eq!(permit(&mut world, &mut client, &[PEER]), 0);
    for data in [&b""[..], b"h", b"hi", b"hello"] {
        assert_eq!(
            world.relay_to_peer(&client, &send(PEER, data)),
            Ok((address(PEER), data.to_vec()))
        );
        let bytes = world.relay_from_peer(&client, PEER, data).unwrap();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.class(), message.method()),
            (Class::Indication, Method::Data)
        );
        assert_eq!(message.first(kind::DATA), Some(data));
        let from = decode_xor_address(
            message.first(kind::XOR_PEER_ADDRESS).unwrap(),
            message.transaction(),
        );
        assert_eq!(from, Some(address(PEER)));
        let padding = &bytes[bytes.len() - channel_padding(data.len())..];
        assert!(
            padding.iter().all(|byte| *byte == 0),
            "no stale bytes in the padding"
        );
    }
    // A permission has no port, but an address.
    assert!(
        world
            .relay_to_peer(&client, &send("8.8.8.8:99", b"hi"))
            .is_ok()
    );
    assert_eq!(
        world.relay_from_peer(&client, "8.8.4.4:5000", b"x"),
        Err(DropReason::NoPermission)
    );
}

fn channel_padding(length: usize) -> usize {
    crate::channel_data::padding(length)
}

#[test]
fn channel_data_both_ways_with_padding_on_streams_only() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::new();
        let mut client = world.client("198.51.100.7:4000", "alice");
        client.five_tuple.transport = transport;
        client.nonce = nonce(&world.settings, &client.five_tuple, UNIX);
        world.allocate(&mut client);
        assert_eq!(bind(&mut world, &mut client, 0x4001, PEER), 0);
        let sent = world.relay_to_peer(&client, b"\x40\x01\x00\x05hello\0\0\0");
        assert_eq!(sent, Ok((address(PEER), b"hello".to_vec())));
        let expected: &[u8] = if transport == Transport::Tcp {
            b"\x40\x01\x00\x05hello\0\0\0"
        } else {
            b"\x40\x01\x00\x05hello"
        };
        assert_eq!(
            world.relay_from_peer(&client, PEER, b"hello").unwrap(),
            expected
        );
    }
}

#[test]
fn a_channel_is_for_one_transport_address_its_permission_for_all_ports() {
    let (mut world, mut client, _) = allocated();
    assert_eq!(bind(&mut world, &mut client, 0x4001, PEER), 0);
    let other_port = world
        .relay_from_peer(&client, "8.8.8.8:5001", b"x")
        .unwrap();
    assert_eq!(Message::parse(&other_port).unwrap().method(), Method::Data);
}

#[test]
fn indications_that_lead_nowhere() {
    let (mut world, mut client, _) = allocated();
    permit(&mut world, &mut client, &[PEER]);
    let indication = |parts: &[Part]| unsigned(Class::Indication, Method::Send, parts, false);
    let bad = Err(DropReason::BadAttribute);
    assert_eq!(
        world.relay_to_peer(&client, &indication(&[peer(PEER)])),
        bad
    );
    assert_eq!(
        world.relay_to_peer(&client, &indication(&[raw(kind::DATA, b"x")])),
        bad
    );
    let unknown = [peer(PEER), raw(kind::DATA, b"x"), raw(0x7FFF, b"")];
    assert_eq!(world.relay_to_peer(&client, &indication(&unknown)), bad);
    assert_eq!(
        world.relay_to_peer(&client, &send("8.8.8.8:0", b"x")),
        Err(DropReason::Forbidden)
    );
    // The first of two addresses decides, whichever is allowed.
    let two = |first, second| indication(&[peer(first), peer(second), raw(kind::DATA, b"x")]);
    assert!(
        world
            .relay_to_peer(&client, &two(PEER, "10.0.0.1:1"))
            .is_ok()
    );
    assert_eq!(
        world.relay_to_peer(&client, &two("10.0.0.1:1", PEER)),
        Err(DropReason::NoPermission)
    );
    let stranger = world.client("198.51.100.9:1", "alice");
    assert_eq!(
        world.relay_to_peer(&stranger, &send(PEER, b"x")),
        Err(DropReason::NoAllocation)
    );
    assert_eq!(
        world.relay_to_peer(&stranger, b"\x40\x01\0\0"),
        Err(DropReason::NoAllocation)
    );
    assert_eq!(
        world.relay_to_peer(&client, b"\x40\x01\0\0"),
        Err(DropReason::NoChannel)
    );
}

#[test]
fn a_permission_lasts_300_seconds_and_data_does_not_refresh_it() {
    let (mut world, mut client, _) = allocated();
    permit(&mut world, &mut client, &[PEER]);
    world.advance(299);
    assert!(world.relay_to_peer(&client, &send(PEER, b"x")).is_ok());
    assert!(world.relay_from_peer(&client, PEER, b"x").is_ok());
    world.advance(1);
    assert_eq!(
        world.relay_to_peer(&client, &send(PEER, b"x")),
        Err(DropReason::NoPermission)
    );
    assert_eq!(
        world.relay_from_peer(&client, PEER, b"x"),
        Err(DropReason::NoPermission)
    );
    permit(&mut world, &mut client, &[PEER]);
    assert!(world.relay_from_peer(&client, PEER, b"x").is_ok());
}

#[test]
fn a_channel_lasts_600_seconds_and_rests_300_more() {
    let (mut world, mut client, _) = allocated();
    let lifetime = raw(kind::LIFETIME, &3600_u32.to_be_bytes());
    world.request(&mut client, Method::Refresh, &[lifetime]);
    assert_eq!(bind(&mut world, &mut client, 0x4001, PEER), 0);
    world.advance(599);
    assert!(world.relay_to_peer(&client, b"\x40\x01\0\0").is_ok());
    world.advance(1);
    assert_eq!(
        world.relay_to_peer(&client, b"\x40\x01\0\0"),
        Err(DropReason::NoChannel)
    );
    assert_eq!(
        bind(&mut world, &mut client, 0x4001, "1.1.1.1:1"),
        400,
        "still resting"
    );
    assert_eq!(
        bind(&mut world, &mut client, 0x4002, PEER),
        400,
        "still resting"
    );
    world.advance(300);
    assert_eq!(bind(&mut world, &mut client, 0x4001, "1.1.1.1:1"), 0);
    assert_eq!(bind(&mut world, &mut client, 0x4002, PEER), 0);
}

#[test]
fn rules_of_pairing() {
    let (mut world, mut client, _) = allocated();
    assert_eq!(bind(&mut world, &mut client, 0x4001, PEER), 0);
    assert_eq!(
        bind(&mut world, &mut client, 0x4001, "1.1.1.1:1"),
        400,
        "the number is taken"
    );
    assert_eq!(
        bind(&mut world, &mut client, 0x4002, PEER),
        400,
        "the peer has a number"
    );
    assert_eq!(
        bind(&mut world, &mut client, 0x4001, PEER),
        0,
        "the same pair is refreshed"
    );
    for number in [0, 0x3FFF, 0x8000, 0xFFFF] {
        assert_eq!(
            bind(&mut world, &mut client, number, "1.1.1.1:1"),
            400,
            "{number:x}"
        );
    }
    let no_peer = world.request(&mut client, Method::ChannelBind, &[channel(0x4005)]);
    let no_number = world.request(&mut client, Method::ChannelBind, &[peer(PEER)]);
    assert_eq!((no_peer.code, no_number.code), (400, 400));
}

/// Debian's `turnutils_uclient`, a client of RFC 5766, chooses at random from its whole range; RFC 8656
/// ends the range at 0x4FFF. How a client authenticates tells which of them it knows.
#[test]
fn channel_numbers_end_where_the_clients_rfc_has_their_end() {
    let (mut world, mut client, _) = allocated();
    let mut bind = |number: u16, names_algorithm: bool| {
        let mut parts = vec![channel(number), peer(&format!("1.1.1.1:{number}"))];
        if names_algorithm {
            let offered = raw(kind::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]);
            parts.extend([offered, raw(kind::PASSWORD_ALGORITHM, &[0, 1, 0, 0])]);
        }
        world.request(&mut client, Method::ChannelBind, &parts).code
    };
    let as_rfc5766 = [0x4000, 0x4FFF, 0x5000, 0x7FFF, 0x8000].map(|number| bind(number, false));
    assert_eq!(as_rfc5766, [0, 0, 0, 0, 400]);
    let as_rfc8656 = [0x3FFF, 0x4000, 0x4FFF, 0x5000, 0x7FFF].map(|number| bind(number, true));
    assert_eq!(as_rfc8656, [400, 0, 0, 400, 400]);
}

#[test]
fn the_peer_policy_holds_for_every_method() {
    let (mut world, mut client, _) = allocated();
    for forbidden in [
        "127.0.0.1:80",
        "10.0.0.1:80",
        "169.254.169.254:80",
        "0.0.0.0:80",
        "9.9.9.9:3478",
    ] {
        if forbidden != "9.9.9.9:3478" {
            assert_eq!(
                permit(&mut world, &mut client, &[forbidden]),
                403,
                "{forbidden}"
            );
        }
        assert_eq!(
            bind(&mut world, &mut client, 0x4001, forbidden),
            403,
            "{forbidden}"
        );
    }
    assert_eq!(
        permit(&mut world, &mut client, &[PEER, "10.0.0.1:1"]),
        403,
        "all or none"
    );
    assert_eq!(
        world.relay_to_peer(&client, &send(PEER, b"x")),
        Err(DropReason::NoPermission)
    );
    let told = world.relay.take_refusal().unwrap();
    assert_eq!(told.peer, address("10.0.0.1:1"));
    assert!(
        told.rule.to_string().contains("10.0.0.0/8"),
        "{}",
        told.rule
    );
    assert_eq!(permit(&mut world, &mut client, &[]), 400);
    assert_eq!(permit(&mut world, &mut client, &["[2a00::1]:1"]), 443);
}

#[test]
fn two_clients_of_this_relay_reach_each_other_and_nothing_else_of_it() {
    let (mut world, mut alice, relayed_a) = allocated();
    let mut bob = world.client("198.51.100.8:4000", "bob");
    let relayed_b = world.allocate(&mut bob);
    assert_eq!(permit(&mut world, &mut alice, &[&relayed_b.to_string()]), 0);
    assert_eq!(
        bind(&mut world, &mut bob, 0x4001, &relayed_a.to_string()),
        0
    );
    // Clients name public addresses, this host sends to local ones.
    let local = |public: SocketAddr| SocketAddr::new(RELAY_V4.parse().unwrap(), public.port());
    let sent = world
        .relay_to_peer(&alice, &send(&relayed_b.to_string(), b"x"))
        .unwrap();
    assert_eq!(sent.0, local(relayed_b));
    let received = world
        .relay_from_peer(&bob, &local(relayed_a).to_string(), b"x")
        .unwrap();
    assert_eq!(
        received, b"\x40\x01\x00\x01x",
        "bob bound the public address"
    );
    assert_eq!(
        world.relay_to_peer(&bob, b"\x40\x01\x00\x01y").unwrap().0,
        local(relayed_a)
    );

    // The same address on any other port is closed, listener or not.
    for port in [3478, 22, 50_000] {
        let closed = SocketAddr::new(relayed_b.ip(), port);
        if closed != relayed_b {
            let dropped = world.relay_to_peer(&alice, &send(&closed.to_string(), b"x"));
            assert_eq!(dropped, Err(DropReason::Forbidden), "{closed}");
        }
    }
    // Nor does another program of this host reach a client.
    let other = format!("{RELAY_V4}:22");
    let permit_own = permit(&mut world, &mut bob, &[&format!("{PUBLIC_V4}:1")]);
    assert_eq!(permit_own, 0);
    assert!(world.relay_from_peer(&bob, &other, b"x").is_err());
    // And closed again when the other one has left.
    world.request(&mut alice, Method::Refresh, &[raw(kind::LIFETIME, &[0; 4])]);
    assert_eq!(
        world.relay_to_peer(&bob, b"\x40\x01\x00\x01y"),
        Err(DropReason::Forbidden)
    );
}

#[test]
fn permissions_and_channels_are_capped() {
    let (mut world, mut client, _) = allocated();
    for n in 0..limits::MAX_PERMISSIONS {
        assert_eq!(
            permit(&mut world, &mut client, &[&format!("8.8.4.{n}:1")]),
            0
        );
    }
    assert_eq!(permit(&mut world, &mut client, &["8.8.8.8:1"]), 508);
    assert_eq!(
        permit(&mut world, &mut client, &["8.8.4.1:1"]),
        0,
        "an old one is refreshed"
    );
    for n in 0..limits::MAX_CHANNELS as u16 {
        assert_eq!(
            bind(&mut world, &mut client, 0x4000 + n, &format!("8.8.4.{n}:1")),
            0
        );
    }
    assert_eq!(bind(&mut world, &mut client, 0x4FFF, "8.8.4.1:2"), 508);
    world.advance(301);
    world.request(&mut client, Method::Refresh, &[]);
    assert_eq!(
        permit(&mut world, &mut client, &["8.8.8.8:1"]),
        0,
        "expired ones make room"
    );
}

#[test]
fn a_peer_s_payload_is_opaque() {
    let (mut world, mut client, _) = allocated();
    permit(&mut world, &mut client, &[PEER]);
    let id = world.id();
    let delete = signed(
        &client,
        Method::Refresh,
        id,
        &[raw(kind::LIFETIME, &[0; 4])],
    );
    let bytes = world.relay_from_peer(&client, PEER, &delete).unwrap();
    assert_eq!(
        Message::parse(&bytes).unwrap().first(kind::DATA),
        Some(&delete[..])
    );
    assert_eq!(world.relay.allocations(), 1);
}

#[test]
fn the_largest_datagram_passes_or_is_dropped_whole() {
    let (mut world, mut client, _) = allocated();
    permit(&mut world, &mut client, &[PEER]);
    assert_eq!(
        world.relay_from_peer(&client, PEER, &[0; 65_535]),
        Err(DropReason::TooLarge)
    );
    assert!(world.relay_from_peer(&client, PEER, &[0; 65_000]).is_ok());
    assert_eq!(bind(&mut world, &mut client, 0x4001, PEER), 0);
    assert_eq!(
        world
            .relay_from_peer(&client, PEER, &[7; 65_535])
            .unwrap()
            .len(),
        65_539
    );
}
