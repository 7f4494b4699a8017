//! RFC 8016: allocations that follow their client.

use super::*;

const OLD: &str = "198.51.100.7:4000";
const NEW: &str = "203.0.113.9:5000";

fn mobile() -> (World, Client, Vec<u8>) {
    let mut world = World::new();
    world.reconfigure(|settings| settings.mobility = true);
    let mut client = world.client(OLD, "alice");
    let parts = [udp(), raw(kind::MOBILITY_TICKET, b"")];
    let reply = world.request(&mut client, Method::Allocate, &parts);
    assert_eq!(reply.code, 0);
    let ticket = reply.get(kind::MOBILITY_TICKET).unwrap().to_vec();
    let bound = world.request(
        &mut client,
        Method::ChannelBind,
        &[channel(0x4000), peer(PEER)],
    );
    assert_eq!(bound.code, 0);
    (world, client, ticket)
}

fn refresh(world: &mut World, client: &mut Client, ticket: &[u8]) -> Reply {
    world.request(
        client,
        Method::Refresh,
        &[raw(kind::MOBILITY_TICKET, ticket)],
    )
}

/// Where a peer's data goes.
fn reaches(world: &mut World, relay: RelayId) -> SocketAddr {
    let mut buffer = vec![0; limits::HEADROOM + 1 + limits::TAILROOM];
    let payload = limits::HEADROOM..limits::HEADROOM + 1;
    let datagram = PeerDatagram {
        buffer: &mut buffer,
        payload,
    };
    match world
        .relay
        .handle_peer(world.now, relay, address(PEER), datagram)
    {
        FromPeer::ToClient { client, .. } => client.client,
        FromPeer::Drop(reason) => panic!("{reason:?}"),
    }
}

#[test]
fn an_allocation_follows_with_everything_once_data_come_from_the_new_address() {
    let (mut world, old, ticket) = mobile();
    let relay = world.relay_id(&old);
    let mut new = world.client(NEW, "alice");
    let reply = refresh(&mut world, &mut new, &ticket);
    assert_eq!(reply.code, 0);
    let next = reply.get(kind::MOBILITY_TICKET).unwrap().to_vec();
    assert_ne!(next, ticket, "a ticket is good for one move");
    assert_eq!(
        reaches(&mut world, relay),
        address(OLD),
        "nothing has come from there yet"
    );
    assert!(world.relay_to_peer(&old, b"\x40\x00\x00\x01x").is_ok());

    assert_eq!(
        refresh(&mut world, &mut new, &ticket).get(kind::MOBILITY_TICKET),
        Some(&next[..])
    );
    assert!(world.relay_to_peer(&new, b"\x40\x00\x00\x01x").is_ok());
    assert_eq!(reaches(&mut world, relay), address(NEW));
    let from_old = world.relay_to_peer(&old, b"\x40\x00\x00\x01x");
    assert_eq!(from_old, Err(DropReason::NoAllocation));
    assert_eq!(world.relay.table.movers.sizes(), [1, 1, 0]);

    let mut third = world.client("192.0.2.77:1", "alice");
    assert_eq!(
        refresh(&mut world, &mut third, &ticket).code,
        437,
        "the old ticket is void"
    );
    assert_eq!(refresh(&mut world, &mut third, &next).code, 0);
    assert_eq!(
        world
            .request(&mut third, Method::CreatePermission, &[peer(PEER)])
            .code,
        0
    );
    assert_eq!(reaches(&mut world, relay), address("192.0.2.77:1"));
}

#[test]
fn tickets_are_for_their_user_and_for_who_may_move() {
    let (mut world, _, ticket) = mobile();
    let mut thief = world.client(NEW, "bob");
    assert_eq!(refresh(&mut world, &mut thief, &ticket).code, 441);
    assert_eq!(refresh(&mut world, &mut thief, &[7; 16]).code, 437);
    assert_eq!(refresh(&mut world, &mut thief, b"short").code, 437);
    let mut world = World::new();
    let mut client = world.client(OLD, "alice");
    let asked = [udp(), raw(kind::MOBILITY_TICKET, b"")];
    assert_eq!(
        world.request(&mut client, Method::Allocate, &asked).code,
        405
    );
    world.allocate(&mut client);
    assert_eq!(refresh(&mut world, &mut client, &[7; 16]).code, 405);
    let mut elsewhere = world.client(NEW, "alice");
    assert_eq!(refresh(&mut world, &mut elsewhere, &[7; 16]).code, 405);
    world.reconfigure(|settings| settings.mobility = true);
    let filled = [udp(), raw(kind::MOBILITY_TICKET, b"x")];
    let mut other = world.client(NEW, "alice");
    assert_eq!(
        world.request(&mut other, Method::Allocate, &filled).code,
        400
    );
}

/// The driver could not watch its socket, so nobody is to come back to it.
#[test]
fn an_abandoned_allocation_ends_though_its_client_might_return() {
    let (mut world, client, ticket) = mobile();
    let relay = world.relay_id(&client);
    world
        .relay
        .handle_client_gone(world.now, &client.five_tuple);
    assert_eq!(world.relay.allocations(), 1, "it waits for its client");
    world.relay.abandon(world.now, relay);
    world.settle();
    assert_eq!(world.settings.shared.quotas.total(), 0);
    let mut new = world.client(NEW, "alice");
    assert_eq!(refresh(&mut world, &mut new, &ticket).code, 437);
}

#[test]
fn announcements_do_not_pile_up() {
    let (mut world, client, ticket) = mobile();
    for port in 1..200 {
        let mut new = world.client(&format!("203.0.113.9:{port}"), "alice");
        assert_eq!(refresh(&mut world, &mut new, &ticket).code, 0);
    }
    assert_eq!(world.relay.table.movers.sizes(), [1, 1, 1]);
    assert_eq!(world.settings.shared.quotas.total(), 1);
    // The one before last is nobody again.
    let before = world.client("203.0.113.9:198", "alice");
    let dropped = world.relay_to_peer(&before, b"\x40\x00\x00\x01x");
    assert_eq!(dropped, Err(DropReason::NoAllocation));
    assert!(world.relay_to_peer(&client, b"\x40\x00\x00\x01x").is_ok());
    world.advance(601);
    assert_eq!(world.relay.table.movers.sizes(), [0, 0, 0]);
    assert_eq!(world.settings.shared.quotas.total(), 0);
}

#[test]
fn a_lost_connection_can_be_followed_by_another_one() {
    let mut world = World::new();
    world.reconfigure(|settings| settings.mobility = true);
    let mut old = world.client(OLD, "alice");
    old.five_tuple.transport = Transport::Tcp;
    let parts = [udp(), raw(kind::MOBILITY_TICKET, b"")];
    let reply = world.request(&mut old, Method::Allocate, &parts);
    let ticket = reply.get(kind::MOBILITY_TICKET).unwrap().to_vec();
    let relay = world.relay_id(&old);
    world.relay.handle_client_gone(world.now, &old.five_tuple);
    let mut new = world.client(NEW, "alice");
    assert_eq!(refresh(&mut world, &mut new, &ticket).code, 0);
    assert_eq!(
        world
            .request(&mut new, Method::CreatePermission, &[peer(PEER)])
            .code,
        0
    );
    assert_eq!(reaches(&mut world, relay), address(NEW));
    let gauges = world.relay.totals();
    let [udp, tcp, _] = &gauges.allocations;
    assert_eq!((udp.get(), tcp.get()), (1, 0));
    assert_eq!(
        world.relay.totals().allocations[Transport::Udp as usize].get(),
        1
    );
    // Without a ticket it ends with its connection.
    let mut plain = world.client("198.51.100.8:1", "alice");
    plain.five_tuple.transport = Transport::Tcp;
    world.allocate(&mut plain);
    world.relay.handle_client_gone(world.now, &plain.five_tuple);
    assert_eq!(world.relay.sessions(world.now).count(), 1);
}

/// An allocation that waited for its client's ticket was once served to whoever got the address next.
#[test]
fn whoever_gets_a_lost_client_s_address_next_is_nobody() {
    let mut world = World::new();
    world.reconfigure(|settings| settings.mobility = true);
    let mut client = world.client(OLD, "alice");
    client.five_tuple.transport = Transport::Tcp;
    let parts = [udp(), raw(kind::MOBILITY_TICKET, b"")];
    let reply = world.request(&mut client, Method::Allocate, &parts);
    let ticket = reply.get(kind::MOBILITY_TICKET).unwrap().to_vec();
    let bound = [channel(0x4000), peer(PEER)];
    assert_eq!(
        world.request(&mut client, Method::ChannelBind, &bound).code,
        0
    );
    let relay = world.relay_id(&client);
    world
        .relay
        .handle_client_gone(world.now, &client.five_tuple);
    let stranger = world.relay_to_peer(&client, b"\x40\x00\x00\x01x");
    assert_eq!(stranger, Err(DropReason::NoAllocation));
    assert_ne!(reaches(&mut world, relay), address(OLD));
    // The same address is good for an allocation of its own, and the ticket still works.
    let mut next = world.client(OLD, "bob");
    next.five_tuple.transport = Transport::Tcp;
    world.allocate(&mut next);
    let mut back = world.client(NEW, "alice");
    assert_eq!(refresh(&mut world, &mut back, &ticket).code, 0);
    assert!(world.relay_to_peer(&back, b"\x40\x00\x00\x01x").is_ok());
    assert_eq!(reaches(&mut world, relay), address(NEW));
}

/// Two clients that announced one address took the move from each other for good.
#[test]
fn the_last_who_announced_an_address_has_it() {
    let (mut world, _, ticket_a) = mobile();
    let mut other = world.client("198.51.100.8:4000", "alice");
    let parts = [udp(), raw(kind::MOBILITY_TICKET, b"")];
    let reply = world.request(&mut other, Method::Allocate, &parts);
    let ticket_b = reply.get(kind::MOBILITY_TICKET).unwrap().to_vec();
    let relay_b = world.relay_id(&other);
    let mut new = world.client(NEW, "alice");
    let mut elsewhere = world.client("203.0.113.10:1", "alice");
    assert_eq!(refresh(&mut world, &mut new, &ticket_a).code, 0);
    assert_eq!(refresh(&mut world, &mut new, &ticket_b).code, 0);
    assert_eq!(refresh(&mut world, &mut elsewhere, &ticket_a).code, 0);
    assert_eq!(refresh(&mut world, &mut new, &ticket_b).code, 0);
    assert_eq!(
        world
            .request(&mut new, Method::CreatePermission, &[peer(PEER)])
            .code,
        0
    );
    assert_eq!(world.relay_id(&new), relay_b);
    world.advance(4000);
    assert_eq!(world.relay.table.movers.sizes(), [0, 0, 0]);
}

#[test]
fn noise_and_strangers_do_not_complete_a_move() {
    let (mut world, client, ticket) = mobile();
    let relay = world.relay_id(&client);
    let mut new = world.client(NEW, "alice");
    assert_eq!(refresh(&mut world, &mut new, &ticket).code, 0);
    let binding = unsigned(Class::Request, Method::Binding, &[], false);
    let unbound = b"\x40\x07\x00\x01x";
    for bytes in [&b"\xFF"[..], b"", &binding, unbound] {
        world.receive(&new.five_tuple, bytes);
        assert_eq!(reaches(&mut world, relay), address(OLD));
    }
    let mut bob = world.client(NEW, "bob");
    let refused = world.request(&mut bob, Method::CreatePermission, &[peer(PEER)]);
    assert_eq!(refused.code, 441);
    assert_eq!(reaches(&mut world, relay), address(OLD));
}

#[test]
fn both_halves_of_a_dual_allocation_are_counted_where_they_went() {
    let mut world = World::new();
    world.reconfigure(|settings| settings.mobility = true);
    let mut old = world.client(OLD, "alice");
    old.five_tuple.transport = Transport::Tcp;
    let both = raw(kind::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    let parts = [udp(), both, raw(kind::MOBILITY_TICKET, b"")];
    let reply = world.request(&mut old, Method::Allocate, &parts);
    let ticket = reply.get(kind::MOBILITY_TICKET).unwrap().to_vec();
    let mut new = world.client(NEW, "alice");
    refresh(&mut world, &mut new, &ticket);
    assert_eq!(
        world
            .request(&mut new, Method::CreatePermission, &[peer(PEER)])
            .code,
        0
    );
    let totals = world.relay.totals();
    let gauge = |transport: Transport| totals.allocations[transport as usize].get();
    assert_eq!((gauge(Transport::Udp), gauge(Transport::Tcp)), (2, 0));
    world.advance(4000);
    assert_eq!((gauge(Transport::Udp), gauge(Transport::Tcp)), (0, 0));
}
