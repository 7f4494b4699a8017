//! RFC 5780: answers from elsewhere and to elsewhere.

use super::authentication::stranger;
use super::*;
use crate::budget;
use crate::nat_discovery::NatDiscovery;

const PRIMARY: &str = "9.9.9.9:3478";
const ALTERNATE: &str = "9.9.9.10:3479";

fn offering() -> World {
    let mut world = World::new();
    let discovery = NatDiscovery::new(address(PRIMARY), address(ALTERNATE));
    world.reconfigure(|settings| settings.nat_discovery = discovery);
    world
}

fn ask(world: &mut World, at: &str, parts: &[Part]) -> Option<(Reply, SocketAddr, SocketAddr)> {
    let client = FiveTuple {
        server: address(at),
        ..stranger()
    };
    let request = unsigned(Class::Request, Method::Binding, parts, false);
    let mut buffer = [0; limits::MAX_REPLY_BYTES];
    let outcome = world
        .relay
        .handle_client(world.now, &client, &request, &mut buffer);
    let (length, from, to) = match outcome {
        Outcome::ReplyFrom { reply, from, to } => (reply, from, to),
        Outcome::Reply(reply) => (reply, client.server, client.client),
        _ => return None,
    };
    Some((decode(&buffer[..length], &Key::Md5([0; 16])), from, to))
}

fn change(flags: u8) -> Part {
    raw(kind::CHANGE_REQUEST, &[0, 0, 0, flags])
}

#[test]
fn answers_come_from_where_they_are_asked_to() {
    let mut world = offering();
    for (at, flags, from) in [
        (PRIMARY, 0, PRIMARY),
        (PRIMARY, 4, "9.9.9.10:3478"),
        (PRIMARY, 2, "9.9.9.9:3479"),
        (PRIMARY, 6, ALTERNATE),
        (ALTERNATE, 0, ALTERNATE),
        (ALTERNATE, 6, PRIMARY),
        ("9.9.9.9:3479", 4, ALTERNATE),
    ] {
        let (reply, source, to) = ask(&mut world, at, &[change(flags)]).unwrap();
        assert_eq!((reply.code, source), (0, address(from)), "{at} {flags}");
        assert_eq!(to, stranger().client);
        assert_eq!(reply.plain_address(kind::RESPONSE_ORIGIN), address(from));
    }
    let (reply, ..) = ask(&mut world, PRIMARY, &[]).unwrap();
    assert_eq!(reply.plain_address(kind::OTHER_ADDRESS), address(ALTERNATE));
    let (reply, ..) = ask(&mut world, ALTERNATE, &[]).unwrap();
    assert_eq!(reply.plain_address(kind::OTHER_ADDRESS), address(PRIMARY));
}

#[test]
fn another_port_of_the_client_can_be_answered() {
    let mut world = offering();
    let (_, from, to) = ask(
        &mut world,
        PRIMARY,
        &[raw(kind::RESPONSE_PORT, &[0x12, 0x34])],
    )
    .unwrap();
    assert_eq!(from, address(PRIMARY));
    assert_eq!(to, SocketAddr::new(stranger().client.ip(), 0x1234));
    let (reply, ..) = ask(&mut world, PRIMARY, &[raw(kind::RESPONSE_PORT, &[0, 0])]).unwrap();
    assert_eq!(reply.code, 400);
    let (reply, ..) = ask(&mut world, PRIMARY, &[raw(kind::CHANGE_REQUEST, &[4])]).unwrap();
    assert_eq!(reply.code, 400);
}

#[test]
fn where_it_is_not_offered_the_attributes_are_unknown() {
    let refused = |world: &mut World, at| ask(world, at, &[change(6)]).unwrap().0;
    let reply = refused(&mut World::new(), PRIMARY);
    assert_eq!(
        (reply.code, reply.get(kind::UNKNOWN_ATTRIBUTES)),
        (420, Some(&[0, 3][..]))
    );
    assert_eq!(refused(&mut offering(), "9.9.9.9:5000").code, 420);
    let (reply, ..) = ask(&mut World::new(), PRIMARY, &[]).unwrap();
    assert_eq!(
        reply.get(kind::OTHER_ADDRESS),
        None,
        "the smallest reply there is"
    );
}

#[test]
fn redirected_answers_come_out_of_the_strangers_budget() {
    let mut world = offering();
    let mut answered = || u32::from(ask(&mut world, PRIMARY, &[change(6)]).is_some());
    let sum: u32 = (0..1000).map(|_| answered()).sum();
    assert_eq!(sum, budget::BURST);
    assert!(ask(&mut world, PRIMARY, &[]).is_some());
}

#[test]
fn two_addresses_that_do_not_differ_offer_nothing() {
    for (a, b) in [
        (PRIMARY, "9.9.9.9:3479"),
        (PRIMARY, "9.9.9.10:3478"),
        (PRIMARY, "[2620:fe::9]:3479"),
    ] {
        assert_eq!(NatDiscovery::new(address(a), address(b)), None);
    }
}
