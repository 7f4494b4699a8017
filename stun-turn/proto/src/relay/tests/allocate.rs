//! Allocate and Refresh: RFC 8656 sections 7.2 and 8.2.

use super::*;

fn alice(world: &World) -> Client {
    world.client("198.51.100.7:4000", "alice")
}

/// The code for an Allocate with these attributes.
fn code(parts: &[Part]) -> u16 {
    let mut world = World::new();
    let mut client = alice(&world);
    let reply = world.request(&mut client, Method::Allocate, parts);
    assert!(reply.is_signed);
    reply.code
}

#[test]
fn success_tells_the_public_relayed_address_and_is_signed() {
    let mut world = World::new();
    let mut client = alice(&world);
    let reply = world.request(&mut client, Method::Allocate, &[udp()]);
    assert_eq!(reply.code, 0);
    let relayed = reply.address(kind::XOR_RELAYED_ADDRESS);
    assert_eq!(relayed.ip().to_string(), PUBLIC_V4);
    assert!((50_000..=50_999).contains(&relayed.port()));
    assert_eq!(
        reply.address(kind::XOR_MAPPED_ADDRESS),
        client.five_tuple.client
    );
    assert_eq!(reply.lifetime(), 600);
    assert!(reply.is_signed);
}

#[test]
fn a_retransmission_gets_the_same_answer_another_request_437() {
    let mut world = World::new();
    let client = alice(&world);
    let id = world.id();
    let request = signed(
        &client,
        Method::Allocate,
        id,
        &[udp(), raw(kind::EVEN_PORT, &[0x80])],
    );
    let first = world.receive(&client.five_tuple, &request).unwrap();
    world.advance(20);
    assert_eq!(world.receive(&client.five_tuple, &request).unwrap(), first);
    assert_eq!(world.relay.allocations(), 1);
    let mut again = client.clone();
    assert_eq!(
        world.request(&mut again, Method::Allocate, &[udp()]).code,
        437
    );
}

#[test]
fn lifetimes_are_clamped() {
    for (asked, granted) in [
        (0_u32, 600),
        (1, 600),
        (600, 600),
        (3601, 3600),
        (u32::MAX, 3600),
    ] {
        let mut world = World::new();
        let mut client = alice(&world);
        let parts = [udp(), raw(kind::LIFETIME, &asked.to_be_bytes())];
        let reply = world.request(&mut client, Method::Allocate, &parts);
        assert_eq!(reply.lifetime(), granted, "{asked}");
    }
}

#[test]
fn what_is_wrong_with_a_request() {
    let family = |byte| raw(kind::REQUESTED_ADDRESS_FAMILY, &[byte, 0, 0, 0]);
    let token = || raw(kind::RESERVATION_TOKEN, &[1; 8]);
    assert_eq!(code(&[]), 400, "no REQUESTED-TRANSPORT");
    assert_eq!(code(&[raw(kind::REQUESTED_TRANSPORT, &[17])]), 400);
    assert_eq!(code(&[raw(kind::REQUESTED_TRANSPORT, &[6, 0, 0, 0])]), 442);
    assert_eq!(
        code(&[raw(kind::REQUESTED_TRANSPORT, &[17, 9, 9, 9])]),
        0,
        "reserved bytes"
    );
    assert_eq!(code(&[udp(), raw(kind::LIFETIME, &[0; 3])]), 400);
    assert_eq!(code(&[udp(), family(3)]), 440);
    assert_eq!(
        code(&[udp(), raw(kind::REQUESTED_ADDRESS_FAMILY, &[1])]),
        400
    );
    assert_eq!(code(&[udp(), raw(kind::EVEN_PORT, &[])]), 400);
    assert_eq!(code(&[udp(), raw(kind::RESERVATION_TOKEN, &[1; 7])]), 400);
    assert_eq!(code(&[udp(), token(), family(1)]), 400);
    assert_eq!(code(&[udp(), token(), raw(kind::EVEN_PORT, &[0])]), 400);
    assert_eq!(code(&[udp(), token()]), 508, "nobody has this token");
}

#[test]
fn ipv6_on_request() {
    let mut world = World::new();
    let mut client = alice(&world);
    let parts = [udp(), raw(kind::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])];
    let reply = world.request(&mut client, Method::Allocate, &parts);
    assert_eq!(
        reply.address(kind::XOR_RELAYED_ADDRESS).ip().to_string(),
        RELAY_V6
    );
    assert_eq!(
        world
            .request(
                &mut client,
                Method::CreatePermission,
                &[peer("[2a00::1]:1")]
            )
            .code,
        0
    );
    assert_eq!(
        world
            .request(&mut client, Method::CreatePermission, &[peer(PEER)])
            .code,
        443
    );
    // An IPv4 address in disguise has the right family on the wire, but is forbidden.
    for hidden in ["[::ffff:127.0.0.1]:1", "[::ffff:8.8.8.8]:1"] {
        assert_eq!(
            world
                .request(&mut client, Method::CreatePermission, &[peer(hidden)])
                .code,
            403
        );
    }
    let refresh = |byte: u8| [raw(kind::REQUESTED_ADDRESS_FAMILY, &[byte, 0, 0, 0])];
    assert_eq!(
        world
            .request(&mut client, Method::Refresh, &refresh(1))
            .code,
        443
    );
    assert_eq!(
        world
            .request(&mut client, Method::Refresh, &refresh(2))
            .code,
        0
    );
}

#[test]
fn even_port_reserves_the_next_one_for_its_user_once() {
    let mut world = World::new();
    let mut client = alice(&world);
    let reply = world.request(
        &mut client,
        Method::Allocate,
        &[udp(), raw(kind::EVEN_PORT, &[0x80])],
    );
    let even = reply.address(kind::XOR_RELAYED_ADDRESS);
    assert_eq!(even.port() % 2, 0);
    let token = raw(
        kind::RESERVATION_TOKEN,
        reply.get(kind::RESERVATION_TOKEN).unwrap(),
    );

    let mut thief = world.client("198.51.100.8:1", "bob");
    assert_eq!(
        world
            .request(&mut thief, Method::Allocate, &[udp(), token.clone()])
            .code,
        508
    );
    let mut second = world.client("198.51.100.7:4001", "alice");
    let reply = world.request(&mut second, Method::Allocate, &[udp(), token.clone()]);
    assert_eq!(
        reply.address(kind::XOR_RELAYED_ADDRESS).port(),
        even.port() + 1
    );
    let mut third = world.client("198.51.100.7:4002", "alice");
    assert_eq!(
        world
            .request(&mut third, Method::Allocate, &[udp(), token])
            .code,
        508
    );
}

#[test]
fn an_unclaimed_reservation_ends_after_its_time() {
    let mut world = World::new();
    let mut client = alice(&world);
    let reply = world.request(
        &mut client,
        Method::Allocate,
        &[udp(), raw(kind::EVEN_PORT, &[0x80])],
    );
    let token = raw(
        kind::RESERVATION_TOKEN,
        reply.get(kind::RESERVATION_TOKEN).unwrap(),
    );
    let relayed = reply.address(kind::XOR_RELAYED_ADDRESS);
    let next = SocketAddr::new(RELAY_V4.parse().unwrap(), relayed.port() + 1);
    assert!(!world.settings.ports.claim(next), "held while reserved");
    assert_eq!(
        world.relay.poll_timeout(),
        Some(limits::RESERVATION_LIFETIME)
    );
    world.advance(31);
    assert!(world.settings.ports.claim(next), "free afterwards");
    let mut second = world.client("198.51.100.7:4001", "alice");
    assert_eq!(
        world
            .request(&mut second, Method::Allocate, &[udp(), token])
            .code,
        508
    );
}

/// Allocates and gives the allocation back: the code, and what was to be bound.
fn come_and_go(world: &mut World, client: &mut Client, parts: &[Part]) -> (u16, Vec<u16>) {
    world.binds.clear();
    let code = world.request(client, Method::Allocate, parts).code;
    if code == 0 {
        let end = [raw(kind::LIFETIME, &[0; 4])];
        assert_eq!(world.request(client, Method::Refresh, &end).code, 0);
    }
    let mut ports: Vec<u16> = world.binds.iter().map(SocketAddr::port).collect();
    let binds = ports.len();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), binds, "a port is tried once");
    (code, ports)
}

/// A port that another program holds was never used, so it was taken for the best one while all
/// others rested: each attempt went to it.
#[test]
fn a_port_of_another_program_costs_nobody_an_allocation() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:1", "alice");
    world.bind = |address| match address.port() {
        50_123 => Err(OpenError::AddressInUse),
        _ => Ok(()),
    };
    for _ in 0..3000 {
        assert_eq!(come_and_go(&mut world, &mut client, &[udp()]).0, 0);
    }
    let mut attempts = 0;
    for _ in 0..1000 {
        attempts += come_and_go(&mut world, &mut client, &[udp()]).1.len();
    }
    assert_eq!(attempts, 1000, "it is known by then");
}

#[test]
fn one_port_of_sixty_four_is_found_at_once_and_again() {
    let mut world = World::new();
    world.bind = |address| match address.port() % 64 {
        0 => Ok(()),
        _ => Err(OpenError::AddressInUse),
    };
    let mut client = world.client("198.51.100.7:1", "alice");
    for _ in 0..50 {
        for parity in [&[udp()][..], &[udp(), raw(kind::EVEN_PORT, &[0])]] {
            assert_eq!(come_and_go(&mut world, &mut client, parity).0, 0);
        }
        world.advance(61);
    }
}

#[test]
fn a_pair_of_ports_is_found_and_the_innocent_one_stays_free() {
    let pair = [udp(), raw(kind::EVEN_PORT, &[0x80])];
    let mut world = World::new();
    // 50,048 is the first of such pairs.
    world.bind = |address| match address.port() % 64 {
        0 | 1 => Ok(()),
        _ => Err(OpenError::AddressInUse),
    };
    let mut client = world.client("198.51.100.7:1", "alice");
    assert_eq!(come_and_go(&mut world, &mut client, &pair).0, 0);
    let mut world = World::new();
    world.bind = |address| match address.port() % 2 {
        0 => Ok(()),
        _ => Err(OpenError::AddressInUse),
    };
    let mut client = world.client("198.51.100.7:1", "alice");
    let (code, tried) = come_and_go(&mut world, &mut client, &pair);
    assert_eq!(code, 508);
    for port in tried {
        let class = |port| {
            let address = SocketAddr::new(RELAY_V4.parse().unwrap(), port);
            world.settings.ports.class(address)
        };
        assert_eq!(class(port), crate::ports::Class::Free);
        assert_eq!(class(port + 1), crate::ports::Class::SetAside);
    }
    assert_eq!(come_and_go(&mut world, &mut client, &[udp()]).0, 0);
}

#[test]
fn where_all_ports_are_others_an_allocate_costs_little_and_the_first_free_one_is_found() {
    let mut world = World::new();
    world.bind = |_| Err(OpenError::AddressInUse);
    let mut client = world.client("198.51.100.7:1", "alice");
    let mut tried = |world: &mut World| {
        let (code, tried) = come_and_go(world, &mut client, &[udp()]);
        assert_eq!(code, 508);
        u32::try_from(tried.len()).unwrap()
    };
    for _ in 0..3 {
        assert_eq!(tried(&mut world), limits::MAX_PORT_ATTEMPTS);
    }
    assert_eq!(tried(&mut world), 1000 - 3 * limits::MAX_PORT_ATTEMPTS);
    assert_eq!(tried(&mut world), limits::MAX_SET_ASIDE_ATTEMPTS);
    world.bind = |_| Ok(());
    assert_eq!(come_and_go(&mut world, &mut client, &[udp()]).0, 0);
}

#[test]
fn a_failure_that_another_port_would_not_mend_is_508_at_once() {
    let mut world = World::new();
    world.bind = |_| Err(OpenError::Failed);
    let mut client = world.client("198.51.100.7:21", "alice");
    let (code, tried) = come_and_go(&mut world, &mut client, &[udp()]);
    assert_eq!((code, tried.len()), (508, 1));
    world.bind = |_| Ok(());
    let (code, _) = come_and_go(&mut world, &mut client, &[udp()]);
    assert_eq!(code, 0, "nothing leaked");
}

#[test]
fn a_full_range_is_508_and_recovers_with_the_first_release() {
    let mut world = World::new();
    let client = |world: &World, n: u16| {
        let from = format!("198.51.{}.{}:1", n / 250, n % 250);
        world.client(&from, "alice")
    };
    let mut first = client(&world, 0);
    world.allocate(&mut first);
    for n in 1..1000 {
        let mut next = client(&world, n);
        world.allocate(&mut next);
    }
    let mut late = client(&world, 1000);
    assert_eq!(
        world.request(&mut late, Method::Allocate, &[udp()]).code,
        508
    );
    world.request(&mut first, Method::Refresh, &[raw(kind::LIFETIME, &[0; 4])]);
    assert_eq!(world.request(&mut late, Method::Allocate, &[udp()]).code, 0);
}

#[test]
fn refresh_prolongs_and_lifetime_zero_deletes() {
    let mut world = World::new();
    let mut client = alice(&world);
    let relayed = world.allocate(&mut client);
    world.advance(599);
    assert_eq!(
        world.request(&mut client, Method::Refresh, &[]).lifetime(),
        600
    );
    world.advance(599);
    let parts = [raw(kind::LIFETIME, &0_u32.to_be_bytes())];
    let reply = world.request(&mut client, Method::Refresh, &parts);
    assert_eq!(
        (reply.code, reply.lifetime(), reply.is_signed),
        (0, 0, true)
    );
    assert_eq!(world.relay.allocations(), 0);
    assert_eq!(
        world.request(&mut client, Method::Refresh, &parts).code,
        437
    );
    let local = SocketAddr::new(RELAY_V4.parse().unwrap(), relayed.port());
    assert!(world.settings.ports.claim(local));
}

#[test]
fn a_port_that_was_used_is_the_last_to_be_used_again() {
    let mut world = World::new();
    let mut first = alice(&world);
    let relayed = |world: &mut World, client: &mut Client, parts: &[Part]| {
        let reply = world.request(client, Method::Allocate, parts);
        reply.address(kind::XOR_RELAYED_ADDRESS).port()
    };
    let used = relayed(&mut world, &mut first, &[udp()]);
    let end = [raw(kind::LIFETIME, &0_u32.to_be_bytes())];
    world.request(&mut first, Method::Refresh, &end);
    let others = 1000..2000_u16;
    let ports: Vec<u16> = others
        .map(|port| {
            let mut client = world.client(&format!("198.51.100.8:{port}"), "alice");
            relayed(&mut world, &mut client, &[udp()])
        })
        .collect();
    let at = ports.iter().position(|port| *port == used);
    assert_eq!(at, Some(999), "the thousandth of a thousand ports");
}

#[test]
fn an_allocation_expires_on_time() {
    let mut world = World::new();
    let mut client = alice(&world);
    world.allocate(&mut client);
    assert_eq!(world.relay.poll_timeout(), Some(Duration::from_secs(600)));
    world.advance(599);
    assert_eq!(world.relay.allocations(), 1);
    world.advance(1);
    assert_eq!(world.relay.allocations(), 0);
    assert_eq!(world.relay.poll_timeout(), None);
}

#[test]
fn a_client_that_leaves_takes_its_allocation_along() {
    let mut world = World::new();
    let mut client = alice(&world);
    world.allocate(&mut client);
    let relay = world.relay_id(&client);
    world
        .relay
        .handle_client_gone(world.now, &client.five_tuple);
    let closed = world.settle();
    assert!(matches!(
        &closed[..],
        [Closed::Allocation { relay: id, ended, .. }]
            if *id == relay && ended.cause == Cause::ClientGone
    ));
    assert_eq!(
        world.request(&mut client, Method::Allocate, &[udp()]).code,
        0
    );
}

#[test]
fn without_an_allocation_437_and_another_s_allocation_441() {
    let mut world = World::new();
    let mut client = alice(&world);
    let bind = [channel(0x4000), peer(PEER)];
    for (method, parts) in [
        (Method::Refresh, &[][..]),
        (Method::CreatePermission, &[peer(PEER)]),
        (Method::ChannelBind, &bind),
    ] {
        let reply = world.request(&mut client, method, parts);
        assert_eq!((reply.code, reply.is_signed), (437, true), "{method:?}");
    }
    world.allocate(&mut client);
    let mut other = world.client("198.51.100.7:4000", "bob");
    assert_eq!(world.request(&mut other, Method::Refresh, &[]).code, 441);
    assert_eq!(
        world
            .request(&mut other, Method::CreatePermission, &[peer(PEER)])
            .code,
        441
    );
    assert_eq!(
        world.request(&mut other, Method::ChannelBind, &bind).code,
        441
    );
}

#[test]
fn ports_are_not_handed_out_in_order() {
    let mut world = World::new();
    let ports: Vec<u16> = (1..=50)
        .map(|port| {
            let mut client = world.client(&format!("198.51.100.7:{port}"), "alice");
            world.allocate(&mut client).port()
        })
        .collect();
    let neighbours = ports
        .windows(2)
        .filter(|pair| pair[1] == pair[0] + 1)
        .count();
    assert!(neighbours <= 3, "{ports:?}");
}

#[test]
fn a_family_that_is_not_relayed_is_refused() {
    let mut world = World::new();
    world.reconfigure(|settings| settings.relay_addresses.retain(|it| it.local.is_ipv4()));
    let mut client = world.client("198.51.100.7:4000", "alice");
    let family = |byte| raw(kind::REQUESTED_ADDRESS_FAMILY, &[byte, 0, 0, 0]);
    let refused = world.request(&mut client, Method::Allocate, &[udp(), family(2)]);
    assert_eq!(refused.code, 440);
    let granted = world.request(&mut client, Method::Allocate, &[udp(), family(1)]);
    assert_eq!(granted.code, 0);
}
