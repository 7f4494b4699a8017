//! ADDITIONAL-ADDRESS-FAMILY: two allocations of one five-tuple (RFC 8656 sections 7.2 and 8).

use super::*;

const PEER_V6: &str = "[2620:fe::fe]:5000";

fn both() -> Part {
    raw(kind::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])
}

fn family(byte: u8) -> Part {
    raw(kind::REQUESTED_ADDRESS_FAMILY, &[byte, 0, 0, 0])
}

fn relayed(reply: &Reply) -> Vec<SocketAddr> {
    let id = Message::parse(&reply.bytes).unwrap().transaction();
    let all = reply.attributes.iter();
    let relayed = all.filter(|(kind, _)| *kind == kind::XOR_RELAYED_ADDRESS);
    relayed
        .map(|(_, value)| decode_xor_address(value, id).unwrap())
        .collect()
}

fn allocated() -> (World, Client) {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:4000", "alice");
    let reply = world.request(&mut client, Method::Allocate, &[udp(), both()]);
    assert_eq!(reply.code, 0);
    let [v4, v6] = relayed(&reply)[..] else {
        panic!("{reply:?}");
    };
    assert!(v4.is_ipv4() && v6.is_ipv6());
    assert_eq!(reply.get(kind::ADDRESS_ERROR_CODE), None);
    (world, client)
}

fn send(to: &str) -> Vec<u8> {
    let parts = [peer(to), raw(kind::DATA, b"x")];
    unsigned(Class::Indication, Method::Send, &parts, false)
}

#[test]
fn peers_of_both_families_are_reached_through_their_own_relayed_address() {
    let (mut world, mut client) = allocated();
    let reply = world.request(
        &mut client,
        Method::CreatePermission,
        &[peer(PEER), peer(PEER_V6)],
    );
    assert_eq!(reply.code, 0);
    for to in [PEER, PEER_V6] {
        assert_eq!(
            world.relay_to_peer(&client, &send(to)),
            Ok((address(to), b"x".to_vec()))
        );
    }
    let bound = world.request(
        &mut client,
        Method::ChannelBind,
        &[channel(0x4000), peer(PEER_V6)],
    );
    assert_eq!(bound.code, 0);
    let sent = world.relay_to_peer(&client, b"\x40\x00\x00\x01x");
    assert_eq!(sent, Ok((address(PEER_V6), b"x".to_vec())));
    let again = world.request(
        &mut client,
        Method::ChannelBind,
        &[channel(0x4000), peer(PEER)],
    );
    assert_eq!(again.code, 400, "a number belongs to the five-tuple");
}

#[test]
fn a_retransmission_names_both() {
    let mut world = World::new();
    let client = world.client("198.51.100.7:4000", "alice");
    let bytes = signed(
        &client,
        Method::Allocate,
        TransactionId([9; 12]),
        &[udp(), both()],
    );
    let first = world.receive(&client.five_tuple, &bytes).unwrap();
    assert_eq!(world.receive(&client.five_tuple, &bytes).unwrap(), first);
    assert_eq!(relayed(&decode(&first, &client.key)).len(), 2);
}

#[test]
fn refresh_is_about_one_family_or_about_both() {
    let (mut world, mut client) = allocated();
    let lifetime = |seconds: u32| raw(kind::LIFETIME, &seconds.to_be_bytes());
    let reply = world.request(&mut client, Method::Refresh, &[family(2), lifetime(3600)]);
    assert_eq!((reply.code, reply.lifetime()), (0, 3600));
    world.request(
        &mut client,
        Method::CreatePermission,
        &[peer(PEER), peer(PEER_V6)],
    );
    world.advance(601);
    assert_eq!(
        world.relay.sessions(world.now).count(),
        1,
        "IPv4 was not refreshed"
    );
    let gone = world.request(&mut client, Method::CreatePermission, &[peer(PEER)]);
    assert_eq!(gone.code, 443);
    let refused = world.request(&mut client, Method::Refresh, &[family(1)]);
    assert_eq!(refused.code, 443);
    assert_eq!(
        world
            .request(&mut client, Method::CreatePermission, &[peer(PEER_V6)])
            .code,
        0
    );
    assert!(world.relay_to_peer(&client, &send(PEER_V6)).is_ok());
    assert_eq!(
        world
            .request(&mut client, Method::Refresh, &[lifetime(0)])
            .code,
        0
    );
    assert_eq!(world.relay.sessions(world.now).count(), 0);
    assert_eq!(world.request(&mut client, Method::Refresh, &[]).code, 437);
}

#[test]
fn deleting_one_leaves_the_other_s_permissions_and_channels() {
    let (mut world, mut client) = allocated();
    world.request(
        &mut client,
        Method::ChannelBind,
        &[channel(0x4000), peer(PEER)],
    );
    world.request(
        &mut client,
        Method::ChannelBind,
        &[channel(0x4001), peer(PEER_V6)],
    );
    let delete = [family(2), raw(kind::LIFETIME, &[0; 4])];
    assert_eq!(world.request(&mut client, Method::Refresh, &delete).code, 0);
    assert!(world.relay_to_peer(&client, b"\x40\x00\x00\x01x").is_ok());
    let dead = world.relay_to_peer(&client, b"\x40\x01\x00\x01x");
    assert_eq!(dead, Err(DropReason::NoChannel));
}

#[test]
fn what_is_not_to_be_had_is_told_by_address_error_code() {
    // IPv6 can't be bound.
    let mut world = World::new();
    world.bind = |address| address.is_ipv4().then_some(()).ok_or(OpenError::Failed);
    let mut client = world.client("198.51.100.7:4000", "alice");
    let reply = world.request(&mut client, Method::Allocate, &[udp(), both()]);
    assert_eq!((reply.code, relayed(&reply).len()), (0, 1));
    assert_eq!(
        reply.get(kind::ADDRESS_ERROR_CODE),
        Some(&b"\x02\0\x05\x08Insufficient Capacity"[..])
    );
    // IPv4 can't be bound.
    let mut world = World::new();
    world.bind = |address| address.is_ipv6().then_some(()).ok_or(OpenError::Failed);
    let mut client = world.client("198.51.100.7:4000", "alice");
    let reply = world.request(&mut client, Method::Allocate, &[udp(), both()]);
    assert_eq!(reply.code, 0);
    assert!(matches!(relayed(&reply)[..], [address] if address.is_ipv6()));
    assert_eq!(
        reply.get(kind::ADDRESS_ERROR_CODE),
        Some(&b"\x01\0\x05\x08Insufficient Capacity"[..])
    );
    // There is no IPv6 at all.
    let mut world = World::new();
    world.reconfigure(|settings| settings.relay_addresses.retain(|it| it.local.is_ipv4()));
    let mut client = world.client("198.51.100.7:4000", "alice");
    let reply = world.request(&mut client, Method::Allocate, &[udp(), both()]);
    assert_eq!((reply.code, relayed(&reply).len()), (0, 1));
    assert_eq!(
        reply.get(kind::ADDRESS_ERROR_CODE),
        Some(&b"\x02\0\x04\x28Address Family not Supported"[..])
    );
    // Nothing can be bound.
    let mut world = World::new();
    world.bind = |_| Err(OpenError::Failed);
    let mut client = world.client("198.51.100.7:4000", "alice");
    assert_eq!(
        world
            .request(&mut client, Method::Allocate, &[udp(), both()])
            .code,
        508
    );
    assert_eq!(world.settings.shared.quotas.total(), 0);
}

#[test]
fn contradictions_are_bad_requests() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:4000", "alice");
    for parts in [
        vec![udp(), both(), family(1)],
        vec![udp(), raw(kind::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0])],
        vec![udp(), both(), raw(kind::RESERVATION_TOKEN, &[1; 8])],
        vec![udp(), both(), raw(kind::EVEN_PORT, &[0x80])],
        vec![udp(), raw(kind::ADDITIONAL_ADDRESS_FAMILY, &[2])],
    ] {
        let reply = world.request(&mut client, Method::Allocate, &parts);
        assert_eq!(reply.code, 400);
    }
}
