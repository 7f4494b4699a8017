//! ICMP errors and the DF bit: RFC 8656 sections 11.5 and 14.

use super::*;

const PORT_UNREACHABLE: Icmp = Icmp {
    kind: 3,
    code: 3,
    data: 0,
};

fn permitted() -> (World, Client) {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:4000", "alice");
    world.allocate(&mut client);
    let reply = world.request(&mut client, Method::CreatePermission, &[peer(PEER)]);
    assert_eq!(reply.code, 0);
    (world, client)
}

fn told(world: &mut World, client: &Client, about: &str, icmp: Icmp) -> Option<Vec<u8>> {
    let relay = world.relay_id(client);
    let mut buffer = [0xAA; limits::MAX_REPLY_BYTES];
    let told = world
        .relay
        .handle_icmp(world.now, relay, address(about), icmp, &mut buffer);
    let (to, length) = told?;
    assert_eq!(to, client.five_tuple);
    Some(buffer[..length].to_vec())
}

#[test]
fn an_error_about_a_permitted_peer_is_told_as_a_data_indication() {
    let (mut world, client) = permitted();
    let too_big = Icmp {
        kind: 3,
        code: 4,
        data: 1280,
    };
    let bytes = told(&mut world, &client, PEER, too_big).unwrap();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        (message.class(), message.method()),
        (Class::Indication, Method::Data)
    );
    let about = decode_xor_address(
        message.first(kind::XOR_PEER_ADDRESS).unwrap(),
        message.transaction(),
    );
    assert_eq!(about, Some(address(PEER)));
    // Reserved, type 3 in seven bits, code 4 in nine, the MTU.
    assert_eq!(
        message.first(kind::ICMP),
        Some(&[0, 0, 0b0000_0110, 4, 0, 0, 5, 0][..])
    );
    assert_eq!(message.first(kind::DATA), None);
}

#[test]
fn errors_about_others_of_other_types_or_too_many_are_dropped() {
    let (mut world, client) = permitted();
    assert_eq!(
        told(&mut world, &client, "8.8.4.4:5000", PORT_UNREACHABLE),
        None
    );
    let echo = Icmp {
        kind: 8,
        ..PORT_UNREACHABLE
    };
    assert_eq!(told(&mut world, &client, PEER, echo), None);
    assert!(told(&mut world, &client, PEER, PORT_UNREACHABLE).is_some());
    assert_eq!(
        told(&mut world, &client, PEER, PORT_UNREACHABLE),
        None,
        "at once again"
    );
    world.now.monotonic += limits::ICMP_INTERVAL;
    assert!(told(&mut world, &client, PEER, PORT_UNREACHABLE).is_some());
    world.now.monotonic += limits::PERMISSION_LIFETIME;
    assert_eq!(
        told(&mut world, &client, PEER, PORT_UNREACHABLE),
        None,
        "the permission has ended"
    );
}

#[test]
fn the_df_bit_is_set_where_it_is_asked_for() {
    let (mut world, client) = permitted();
    for asked in [false, true] {
        let mut parts = vec![peer(PEER), raw(kind::DATA, b"x")];
        if asked {
            parts.push(raw(kind::DONT_FRAGMENT, b""));
        }
        let bytes = unsigned(Class::Indication, Method::Send, &parts, false);
        let mut buffer = [0; limits::MAX_REPLY_BYTES];
        let outcome = world
            .relay
            .handle_client(world.now, &client.five_tuple, &bytes, &mut buffer);
        let Outcome::ToPeer { dont_fragment, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(dont_fragment, asked);
    }
    let mut new = world.client("198.51.100.7:4001", "alice");
    let parts = [udp(), raw(kind::DONT_FRAGMENT, b"")];
    assert_eq!(world.request(&mut new, Method::Allocate, &parts).code, 0);
}
