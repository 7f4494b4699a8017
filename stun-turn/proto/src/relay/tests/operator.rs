//! What the operator decides: quotas, limits, drain, redirection, replaced settings; and what
//! strangers may cost.

use super::authentication::stranger;
use super::*;
use crate::budget;
use crate::quotas::QuotaLimits;

fn with(limits: QuotaLimits) -> World {
    let mut world = World::new();
    world.reconfigure(|settings| settings.quotas = limits);
    world
}

fn allocate(world: &mut World, client: &mut Client) -> u16 {
    world.request(client, Method::Allocate, &[udp()]).code
}

#[test]
fn a_user_s_quota_is_free_again_when_an_allocation_ends_whatever_way() {
    let mut world = with(QuotaLimits {
        per_user: Some(2),
        ..QuotaLimits::NONE
    });
    let mut clients = ["198.51.100.7:1", "198.51.100.8:1", "198.51.100.9:1"]
        .map(|from| world.client(from, "alice"));
    let mut bob = world.client("198.51.100.7:9", "bob");
    let [first, second, third] = &mut clients;
    assert_eq!(allocate(&mut world, first), 0);
    assert_eq!(allocate(&mut world, second), 0);
    assert_eq!(allocate(&mut world, third), 486);
    assert_eq!(allocate(&mut world, &mut bob), 0, "counted per user");

    let gone = [raw(kind::LIFETIME, &[0; 4])];
    assert_eq!(world.request(first, Method::Refresh, &gone).code, 0);
    assert_eq!(
        allocate(&mut world, third),
        0,
        "after a Refresh with lifetime 0"
    );
    assert_eq!(allocate(&mut world, first), 486);
    world
        .relay
        .handle_client_gone(world.now, &second.five_tuple);
    assert_eq!(allocate(&mut world, first), 0, "after the client has gone");
    world.advance(601);
    assert_eq!(world.settings.shared.quotas.total(), 0, "after expiry");
    assert_eq!(allocate(&mut world, second), 0);
    let id = world.relay.sessions(world.now).next().unwrap().id;
    assert!(world.relay.end_session(world.now, id));
    assert!(!world.relay.end_session(world.now, id));
    assert_eq!(
        world.settings.shared.quotas.total(),
        0,
        "after the operator ended it"
    );
}

#[test]
fn a_retransmission_is_counted_once_and_a_failure_not_at_all() {
    let mut world = with(QuotaLimits {
        per_user: Some(1),
        ..QuotaLimits::NONE
    });
    let mut client = world.client("198.51.100.7:1", "alice");
    world.bind = |_| Err(OpenError::Failed);
    assert_eq!(allocate(&mut world, &mut client), 508);
    assert_eq!(world.settings.shared.quotas.total(), 0);
    world.bind = |_| Ok(());
    let bytes = signed(&client, Method::Allocate, TransactionId([7; 12]), &[udp()]);
    let first = world.receive(&client.five_tuple, &bytes).unwrap();
    assert_eq!(world.receive(&client.five_tuple, &bytes).unwrap(), first);
    assert_eq!(decode(&first, &client.key).code, 0);
    assert_eq!(world.settings.shared.quotas.total(), 1);
}

#[test]
fn renewed_credentials_do_not_multiply_a_quota() {
    let mut world = with(QuotaLimits {
        per_user: Some(1),
        ..QuotaLimits::NONE
    });
    let codes: Vec<u16> = (0..3_u16)
        .map(|number| {
            let from = format!("198.51.100.7:{}", 1000 + number);
            let mut client = world.time_limited(&from, UNIX + 100 + u64::from(number), "carol");
            allocate(&mut world, &mut client)
        })
        .collect();
    assert_eq!(codes, [0, 486, 486]);
}

#[test]
fn quotas_of_a_source_and_of_the_server() {
    let mut world = with(QuotaLimits {
        total: Some(3),
        per_source: Some(2),
        per_user: None,
    });
    let mut from = |text: &str| {
        let mut client = world.client(text, "alice");
        allocate(&mut world, &mut client)
    };
    assert_eq!(from("198.51.100.7:1"), 0);
    assert_eq!(from("198.51.100.7:2"), 0);
    assert_eq!(from("198.51.100.7:3"), 486);
    assert_eq!(from("198.51.100.8:1"), 0);
    assert_eq!(from("198.51.100.9:1"), 508);
}

/// One user who made and ended allocations as fast as it could used up all ports that had rested.
#[test]
fn a_user_s_churn_is_slowed_down_and_others_notice_nothing() {
    let mut world = with(QuotaLimits {
        per_user: Some(2),
        per_source: Some(50),
        total: None,
    });
    let mut alice = world.client("198.51.100.7:1", "alice");
    let end = [raw(kind::LIFETIME, &[0; 4])];
    let mut churn = |world: &mut World| {
        let mut made = 0;
        for _ in 0..1000 {
            match allocate(world, &mut alice) {
                0 => made += 1,
                code => assert_eq!(code, 486),
            }
            world.request(&mut alice, Method::Refresh, &end);
        }
        made
    };
    assert_eq!(churn(&mut world), 100);
    world.advance(1);
    assert_eq!(churn(&mut world), 10);
    let mut bob = world.client("198.51.100.7:2", "bob");
    assert_eq!(allocate(&mut world, &mut bob), 0);
}

#[test]
fn a_reserved_port_counts_until_it_is_claimed_or_expires() {
    let mut world = with(QuotaLimits {
        per_user: Some(2),
        ..QuotaLimits::NONE
    });
    let mut client = world.client("198.51.100.7:1", "alice");
    let reply = world.request(
        &mut client,
        Method::Allocate,
        &[udp(), raw(kind::EVEN_PORT, &[0x80])],
    );
    assert_eq!(reply.code, 0);
    let token = reply.get(kind::RESERVATION_TOKEN).unwrap().to_vec();
    let mut second = world.client("198.51.100.7:2", "alice");
    assert_eq!(allocate(&mut world, &mut second), 486);
    let claim = [udp(), raw(kind::RESERVATION_TOKEN, &token)];
    assert_eq!(world.request(&mut second, Method::Allocate, &claim).code, 0);
    assert_eq!(world.settings.shared.quotas.total(), 2);
    world.advance(3601);
    assert_eq!(world.settings.shared.quotas.total(), 0);
}

#[test]
fn strangers_are_answered_within_their_budget_and_the_others_at_once() {
    let mut world = World::new();
    let request = unsigned(Class::Request, Method::Allocate, &[udp()], false);
    let ask = |world: &mut World, from: String| {
        let client = FiveTuple {
            client: address(&from),
            ..stranger()
        };
        world.receive(&client, &request).is_some()
    };
    let flood = |world: &mut World| -> u32 {
        (0..1000)
            .map(|port| u32::from(ask(world, format!("192.0.2.1:{}", 1000 + port))))
            .sum()
    };
    assert_eq!(flood(&mut world), budget::BURST);
    assert!(ask(&mut world, "192.0.2.2:1000".into()), "another source");
    world.advance(1);
    assert_eq!(flood(&mut world), budget::PER_SECOND);
    let dropped = world.relay.totals().drops[DropReason::OverBudget as usize].get();
    assert_eq!(
        dropped,
        u64::from(2000 - budget::BURST - budget::PER_SECOND)
    );
    // Somebody behind the same address who has a nonce gets through, and opens the way for more.
    let mut client = world.client("192.0.2.1:4000", "alice");
    assert_eq!(allocate(&mut world, &mut client), 0);
    assert_eq!(flood(&mut world), budget::EARNED);
}

#[test]
fn bindings_and_connections_need_no_budget() {
    let mut world = World::new();
    let binding = unsigned(Class::Request, Method::Binding, &[], false);
    let allocate = unsigned(Class::Request, Method::Allocate, &[udp()], false);
    let connection = FiveTuple {
        transport: Transport::Tcp,
        ..stranger()
    };
    for _ in 0..1000 {
        assert!(world.receive(&stranger(), &binding).is_some());
        assert!(world.receive(&connection, &allocate).is_some());
    }
}

#[test]
fn a_draining_server_keeps_its_allocations_and_takes_no_new_ones() {
    let mut world = World::new();
    let mut old = world.client("198.51.100.7:1", "alice");
    world.allocate(&mut old);
    world.relay.drain();
    let mut new = world.client("198.51.100.7:2", "alice");
    assert_eq!(allocate(&mut world, &mut new), 508);
    assert_eq!(world.request(&mut old, Method::Refresh, &[]).code, 0);
    assert_eq!(
        world
            .request(&mut old, Method::CreatePermission, &[peer(PEER)])
            .code,
        0
    );
}

#[test]
fn clients_are_sent_to_another_server_of_their_family() {
    let mut world = World::new();
    world.reconfigure(|settings| settings.alternate_servers = vec![address("192.0.2.80:3478")]);
    let mut client = world.client("198.51.100.7:1", "alice");
    let reply = world.request(&mut client, Method::Allocate, &[udp()]);
    assert_eq!((reply.code, reply.is_signed), (300, true));
    let expected = [0, 1, 0x0D, 0x96, 192, 0, 2, 80];
    assert_eq!(reply.get(kind::ALTERNATE_SERVER), Some(&expected[..]));
    let mut ipv6 = world.client("[2001:db8::7]:1", "alice");
    assert_eq!(allocate(&mut world, &mut ipv6), 0, "there is none for IPv6");
}

#[test]
fn what_a_new_policy_forbids_ends_at_once_and_all_else_goes_on() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:1", "alice");
    world.allocate(&mut client);
    let other = "1.1.1.1:5000";
    for (number, text) in [(0x4000, PEER), (0x4001, other)] {
        let parts = [channel(number), peer(text)];
        assert_eq!(
            world.request(&mut client, Method::ChannelBind, &parts).code,
            0
        );
    }
    world.reconfigure(|settings| {
        let deny = vec!["8.8.8.0/24".parse().unwrap()];
        settings.policy = PeerPolicy::new(Vec::new(), deny, Vec::new(), Vec::new());
    });
    let denied = world.relay_to_peer(&client, b"\x40\x00\x00\x01x");
    assert_eq!(denied, Err(DropReason::NoChannel));
    let denied = world.relay_from_peer(&client, PEER, b"x");
    assert_eq!(denied, Err(DropReason::NoPermission));
    let parts = [channel(0x4000), peer(PEER)];
    assert_eq!(
        world.request(&mut client, Method::ChannelBind, &parts).code,
        403
    );
    assert!(world.relay_to_peer(&client, b"\x40\x01\x00\x01x").is_ok());
    world.relay.table.assert_consistent();
}

/// A service of the host behind its firewall answered through the relay, at an address that came
/// after the start.
#[test]
fn an_address_that_becomes_this_host_s_is_no_peer_from_then_on() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:1", "alice");
    world.allocate(&mut client);
    let other = "1.1.1.1:5000";
    let bind = |world: &mut World, client: &mut Client, number, to: &str| {
        let parts = [channel(number), peer(to)];
        world.request(client, Method::ChannelBind, &parts).code
    };
    for (number, to) in [(0x4000, PEER), (0x4001, other)] {
        assert_eq!(bind(&mut world, &mut client, number, to), 0);
    }
    let local = |nets: &[&str]| {
        let nets = nets.iter().map(|net| net.parse().unwrap());
        Arc::new(policy::LocalAddresses::new(nets))
    };
    world.relay.set_local(local(&["8.8.8.8/32"]));
    let denied = world.relay_to_peer(&client, b"\x40\x00\x00\x01x");
    assert_eq!(denied, Err(DropReason::NoChannel));
    let denied = world.relay_from_peer(&client, PEER, b"x");
    assert_eq!(denied, Err(DropReason::NoPermission));
    assert_eq!(bind(&mut world, &mut client, 0x4000, PEER), 403);
    let asked = [peer(PEER)];
    let code = world.request(&mut client, Method::CreatePermission, &asked);
    assert_eq!(code.code, 403);
    assert!(world.relay_to_peer(&client, b"\x40\x01\x00\x01x").is_ok());
    // A reload forgets nothing of it.
    world.reconfigure(|settings| settings.max_bps = None);
    assert_eq!(bind(&mut world, &mut client, 0x4000, PEER), 403);
    world.relay.set_local(local(&["1.1.0.0/16"]));
    assert_eq!(bind(&mut world, &mut client, 0x4000, PEER), 0);
    let denied = world.relay_to_peer(&client, b"\x40\x01\x00\x01x");
    assert_eq!(denied, Err(DropReason::NoChannel));
    world.relay.table.assert_consistent();
}

/// Listeners on all addresses are refused also at addresses that the operator opens.
#[test]
fn a_channel_to_an_address_that_becomes_this_host_s_is_judged_by_its_port() {
    let mut world = World::new();
    world.reconfigure(|settings| {
        let allow = vec!["8.8.8.8/32".parse().unwrap()];
        let listeners = vec![address("0.0.0.0:5000")];
        settings.policy = PeerPolicy::new(allow, Vec::new(), Vec::new(), listeners);
    });
    let mut client = world.client("198.51.100.7:1", "alice");
    world.allocate(&mut client);
    for (number, to) in [(0x4000, "8.8.8.8:5000"), (0x4001, "8.8.8.8:5001")] {
        let parts = [channel(number), peer(to)];
        let reply = world.request(&mut client, Method::ChannelBind, &parts);
        assert_eq!(reply.code, 0);
    }
    let local = policy::LocalAddresses::new(["8.8.8.8/32".parse().unwrap()]);
    world.relay.set_local(Arc::new(local));
    let denied = world.relay_to_peer(&client, b"\x40\x00\x00\x01x");
    assert_eq!(denied, Err(DropReason::Forbidden));
    assert!(world.relay_to_peer(&client, b"\x40\x01\x00\x01x").is_ok());
}

#[test]
fn a_user_who_is_removed_keeps_the_call_that_runs() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:1", "alice");
    world.allocate(&mut client);
    world.reconfigure(|settings| {
        let keys = NonceKeys::new(&[1; 32]);
        settings.authenticator = Authenticator::new("callbox", [], ["north".to_owned()], keys);
    });
    assert_eq!(world.request(&mut client, Method::Refresh, &[]).code, 0);
    let mut again = world.client("198.51.100.7:2", "alice");
    assert_eq!(allocate(&mut world, &mut again), 401);
}

#[test]
fn a_revoked_account_holds_nothing_and_gets_nothing_until_its_time_is_over() {
    let mut world = World::new();
    let mut put_out = world.time_limited("198.51.100.7:1", UNIX + 600, "bob");
    let mut spared = world.client("198.51.100.7:2", "alice");
    world.allocate(&mut put_out);
    world.allocate(&mut spared);
    let until_s = UNIX + 3600;
    let revoked = &world.settings.shared.revoked;
    revoked.add(b"bob", until_s, UNIX);
    world.relay.end_account(world.now, b"bob");
    world.settle();
    assert_eq!(world.relay.allocations(), 1);
    assert_eq!(world.request(&mut put_out, Method::Refresh, &[]).code, 401);
    // Neither with this credential nor with another one, made later.
    assert_eq!(allocate(&mut world, &mut put_out), 401);
    let mut again = world.time_limited("198.51.100.7:3", UNIX + 7200, "bob");
    assert_eq!(allocate(&mut world, &mut again), 401);
    assert_eq!(world.request(&mut spared, Method::Refresh, &[]).code, 0);
    world.advance(3600);
    let mut again = world.time_limited("198.51.100.7:4", UNIX + 7200, "bob");
    assert_eq!(allocate(&mut world, &mut again), 0);
}

#[test]
fn a_rotated_nonce_key_ends_no_nonce_before_its_time() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:1", "alice");
    world.allocate(&mut client);
    let keys = NonceKeys::new(&[1; 32]).rotated(&[2; 32]);
    let users = || [("alice".to_owned(), "wonder".to_owned())];
    let rotated = |keys| Authenticator::new("callbox", users(), [], keys);
    world.reconfigure(|settings| settings.authenticator = rotated(keys.clone()));
    let id = world.id();
    let refresh = signed(&client, Method::Refresh, id, &[]);
    let reply = world.receive(&client.five_tuple, &refresh).unwrap();
    assert_eq!(decode(&reply, &client.key).code, 0);
    world.reconfigure(|settings| settings.authenticator = rotated(keys.rotated(&[3; 32])));
    let id = world.id();
    let refresh = signed(&client, Method::Refresh, id, &[]);
    let reply = world.receive(&client.five_tuple, &refresh).unwrap();
    assert_eq!(decode(&reply, &client.key).code, 438, "two rotations later");
}

#[test]
fn an_allocation_carries_no_more_than_its_limit() {
    let mut world = World::new();
    world.reconfigure(|settings| settings.max_bps = Some(100_000));
    let mut client = world.client("198.51.100.7:1", "alice");
    world.allocate(&mut client);
    assert_eq!(
        world
            .request(
                &mut client,
                Method::ChannelBind,
                &[channel(0x4000), peer(PEER)]
            )
            .code,
        0
    );
    let packet = [&b"\x40\x00\x03\xE8"[..], &[7; 1000]].concat();
    let (mut out, mut back) = (0, 0);
    for _ in 0..10_000 {
        // 1 MB/s in both directions.
        world.now.monotonic += Duration::from_millis(1);
        out += usize::from(world.relay_to_peer(&client, &packet).is_ok());
        back += usize::from(world.relay_from_peer(&client, PEER, &[7; 1000]).is_ok());
    }
    for passed in [out, back] {
        assert!(
            (1000..1050).contains(&passed),
            "{passed} kB in 10 s at 100 kB/s"
        );
    }
    let traffic = world.relay.sessions(world.now).next().unwrap().traffic;
    assert_eq!(traffic.bytes_to_peers, 1000 * out as u64);
    assert_eq!(traffic.packets_to_client, back as u64);
}

#[test]
fn every_allocation_leaves_one_record() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:1", "alice");
    let relayed = world.allocate(&mut client);
    world.request(&mut client, Method::CreatePermission, &[peer(PEER)]);
    world.relay_from_peer(&client, PEER, b"hello").unwrap();
    world.advance(5);
    world.relay.shut_down(world.now);
    let closed = world.settle();
    let [Closed::Allocation { ended, .. }] = &closed[..] else {
        panic!("{closed:?}");
    };
    assert_eq!(ended.cause, Cause::Shutdown);
    assert_eq!(&*ended.username, b"alice");
    assert_eq!(
        (ended.relayed, ended.lived),
        (relayed, Duration::from_secs(5))
    );
    assert_eq!(
        (
            ended.traffic.packets_to_client,
            ended.traffic.bytes_to_client
        ),
        (1, 5)
    );
    let totals = world.relay.totals();
    assert_eq!(totals.allocations_created.get(), 1);
    assert_eq!(totals.allocations_closed[Cause::Shutdown as usize].get(), 1);
    assert_eq!(totals.allocations[Transport::Udp as usize].get(), 0);
    assert_eq!(totals.successes[Method::CreatePermission as usize].get(), 1);
}

#[test]
fn errors_are_counted_by_method_and_code() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:1", "alice");
    world.request(&mut client, Method::Refresh, &[]);
    let request = unsigned(Class::Request, Method::Allocate, &[udp()], false);
    world.receive(&stranger(), &request);
    let totals = world.relay.totals();
    let count =
        |method: Method, code: ErrorCode| totals.errors[method as usize][code.index()].get();
    assert_eq!(count(Method::Refresh, ErrorCode::AllocationMismatch), 1);
    assert_eq!(count(Method::Allocate, ErrorCode::Unauthenticated), 1);
    let all = totals
        .errors
        .iter()
        .flatten()
        .map(crate::totals::Counter::get)
        .sum::<u64>();
    assert_eq!(all, 2);
}

/// When thousands of allocations end in one second, packets wait for a part of them only.
#[test]
fn what_ends_at_once_is_ended_in_parts() {
    const COUNT: u16 = 1000;
    let mut world = with(QuotaLimits::NONE);
    for number in 0..COUNT {
        let mut client = world.client(&format!("198.51.100.7:{}", 1000 + number), "alice");
        assert_eq!(allocate(&mut world, &mut client), 0);
    }
    world.now.monotonic += Duration::from_secs(601);
    let mut ended = Vec::new();
    while world
        .relay
        .poll_timeout()
        .is_some_and(|at| at <= world.now.monotonic)
    {
        world.relay.handle_timeout(world.now);
        ended.push(world.settle().len());
    }
    assert_eq!(ended, [256, 256, 256, 232]);
    let mut client = world.client("198.51.100.7:1", "alice");
    assert_eq!(allocate(&mut world, &mut client), 0, "all ports are free");
}
