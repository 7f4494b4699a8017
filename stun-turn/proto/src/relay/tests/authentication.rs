//! What strangers get, and how little of it.

use super::*;

pub(super) fn stranger() -> FiveTuple {
    World::new().client("198.51.100.7:4000", "alice").five_tuple
}

#[test]
fn binding_tells_the_reflexive_address_and_nothing_else() {
    let mut world = World::new();
    let request = unsigned(Class::Request, Method::Binding, &[], false);
    let reply = decode(
        &world.receive(&stranger(), &request).unwrap(),
        &Key::Md5([0; 16]),
    );
    assert_eq!(reply.address(kind::XOR_MAPPED_ADDRESS), stranger().client);
    assert_eq!(reply.attributes.len(), 1);
    assert_eq!(reply.bytes.len(), 32);
}

#[test]
fn a_fingerprint_is_mirrored() {
    let mut world = World::new();
    for fingerprint in [false, true] {
        let request = unsigned(Class::Request, Method::Binding, &[], fingerprint);
        let reply = world.receive(&stranger(), &request).unwrap();
        assert_eq!(
            Message::parse(&reply).unwrap().has_fingerprint(),
            fingerprint
        );
    }
}

#[test]
fn a_request_without_integrity_is_challenged() {
    let mut world = World::new();
    for method in [
        Method::Allocate,
        Method::Refresh,
        Method::CreatePermission,
        Method::ChannelBind,
    ] {
        let request = unsigned(Class::Request, method, &[udp()], false);
        let reply = decode(
            &world.receive(&stranger(), &request).unwrap(),
            &Key::Md5([0; 16]),
        );
        assert_eq!(reply.code, 401);
        let kinds: Vec<u16> = reply.attributes.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [
                kind::ERROR_CODE,
                kind::REALM,
                kind::NONCE,
                kind::PASSWORD_ALGORITHMS
            ]
        );
        assert_eq!(reply.get(kind::REALM), Some(&b"callbox"[..]));
    }
    assert_eq!(world.relay.allocations(), 0);
}

#[test]
fn no_reply_to_a_stranger_is_worth_reflecting() {
    let mut world = World::new();
    let on_wire = |udp: usize| udp + 28;
    let methods = [
        Method::Binding,
        Method::Allocate,
        Method::Refresh,
        Method::CreatePermission,
        Method::ChannelBind,
    ];
    let unknown: Vec<Part> = (0..300).map(|n| raw(0x7000 + n, b"")).collect();
    for method in methods {
        for parts in [
            &[][..],
            &[udp()],
            &[raw(kind::MESSAGE_INTEGRITY, &[0; 20])],
            &unknown,
        ] {
            let request = unsigned(Class::Request, method, parts, false);
            let Some(reply) = world.receive(&stranger(), &request) else {
                continue;
            };
            let factor = on_wire(reply.len()) as f64 / on_wire(request.len()) as f64;
            let bound = if method == Method::Binding { 1.25 } else { 2.2 };
            assert!(
                factor <= bound,
                "{method:?}: {} -> {}",
                request.len(),
                reply.len()
            );
        }
    }
}

#[test]
fn wrong_user_and_wrong_password_look_alike() {
    let mut world = World::new();
    let right = world.client("198.51.100.7:4000", "alice");
    let mut wrong_password = right.clone();
    wrong_password.key = Key::Md5([0; 16]);
    let mut wrong_user = right.clone();
    wrong_user.username = "malic".to_owned();
    let replies = [wrong_password, wrong_user].map(|mut client| {
        let reply = world.request(&mut client, Method::Allocate, &[udp()]);
        assert_eq!(reply.code, 401);
        assert!(!reply.is_signed);
        reply.attributes
    });
    assert_eq!(replies[0], replies[1]);
}

#[test]
fn a_stale_nonce_gets_a_fresh_one_and_keeps_the_allocation() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:4000", "alice");
    world.allocate(&mut client);
    world.request(
        &mut client,
        Method::Refresh,
        &[raw(kind::LIFETIME, &3600_u32.to_be_bytes())],
    );
    world.advance(limits::NONCE_LIFETIME_S + 1);
    let id = world.id();
    let request = signed(&client, Method::Refresh, id, &[]);
    let reply = decode(
        &world.receive(&client.five_tuple, &request).unwrap(),
        &client.key,
    );
    assert_eq!(reply.code, 438);
    assert!(reply.get(kind::REALM).is_some());
    client.nonce = reply.get(kind::NONCE).unwrap().to_vec();
    assert_eq!(world.request(&mut client, Method::Refresh, &[]).code, 0);
}

#[test]
fn an_expired_credential_keeps_its_allocation_but_makes_no_new_one() {
    let mut world = World::new();
    let mut client = world.time_limited("198.51.100.7:4000", UNIX + 5, "carol");
    world.allocate(&mut client);
    world.advance(10);
    assert_eq!(world.request(&mut client, Method::Refresh, &[]).code, 0);
    assert_eq!(
        world
            .request(&mut client, Method::CreatePermission, &[peer(PEER)])
            .code,
        0
    );
    let mut elsewhere = world.client("198.51.100.7:4001", "alice");
    (elsewhere.username, elsewhere.key) = (client.username, client.key);
    assert_eq!(
        world
            .request(&mut elsewhere, Method::Allocate, &[udp()])
            .code,
        401
    );
}

/// `1796057771000:alice`, in milliseconds, was good until the year 58884.
#[test]
fn an_expiry_that_lies_too_far_ahead_opens_no_allocation() {
    let mut world = World::new();
    world.reconfigure(|settings| settings.max_credential_ttl_s = 1000);
    let allocate = |from: &str, expires_at: u64, world: &mut World| {
        let mut client = world.time_limited(from, expires_at, "carol");
        world.request(&mut client, Method::Allocate, &[udp()]).code
    };
    // The minting clock may be 300 s ahead.
    let (near, far) = (UNIX + 1300, UNIX + 1301);
    assert_eq!(allocate("198.51.100.7:1", far, &mut world), 401);
    assert_eq!(
        world.relay.take_reason().map(|reason| reason.cause),
        Some(RefusalCause::TooFarAhead(1301))
    );
    assert_eq!(allocate("198.51.100.7:2", UNIX * 1000, &mut world), 401);
    assert_eq!(allocate("198.51.100.7:3", near, &mut world), 0);
    let mut alice = world.client("198.51.100.7:4", "alice");
    assert_eq!(
        world.request(&mut alice, Method::Allocate, &[udp()]).code,
        0
    );
}

/// coturn takes `ID:EXPIRY`, too.
#[test]
fn an_expiry_behind_the_id_is_taken_and_counts_for_the_same_account() {
    let mut world = World::new();
    world.reconfigure(|settings| settings.quotas.per_user = Some(1));
    let allocate = |from: &str, name: String, world: &mut World| {
        let mut client = world.client(from, "alice");
        let password = credential::password(b"north", name.as_bytes());
        client.key = long_term_key(name.as_bytes(), b"callbox", password.as_bytes());
        client.username = name;
        world.request(&mut client, Method::Allocate, &[udp()]).code
    };
    let (good, late) = (UNIX + 60, UNIX - 60);
    assert_eq!(
        allocate("198.51.100.7:1", format!("carol:{late}"), &mut world),
        401
    );
    assert_eq!(
        allocate("198.51.100.7:2", format!("carol:{good}"), &mut world),
        0
    );
    assert_eq!(
        allocate("198.51.100.7:3", format!("{good}:carol"), &mut world),
        486
    );
}

#[test]
fn unknown_required_attributes_are_named_unknown_optional_ones_ignored() {
    let mut world = World::new();
    let request = unsigned(Class::Request, Method::Binding, &[raw(0x7FFF, b"x")], false);
    let reply = decode(
        &world.receive(&stranger(), &request).unwrap(),
        &Key::Md5([0; 16]),
    );
    assert_eq!(reply.code, 420);
    assert_eq!(reply.get(kind::UNKNOWN_ATTRIBUTES), Some(&[0x7F, 0xFF][..]));
    let request = unsigned(Class::Request, Method::Binding, &[raw(0x8FFF, b"x")], false);
    let reply = decode(
        &world.receive(&stranger(), &request).unwrap(),
        &Key::Md5([0; 16]),
    );
    assert_eq!(reply.code, 0);
    let mut client = world.client("198.51.100.7:4000", "alice");
    let reply = world.request(&mut client, Method::Allocate, &[udp(), raw(0x7FFF, b"")]);
    assert_eq!((reply.code, reply.is_signed), (420, true));
}

#[test]
fn responses_and_indications_are_never_answered() {
    let mut world = World::new();
    let methods = [
        Method::Binding,
        Method::Allocate,
        Method::Refresh,
        Method::Send,
        Method::Data,
        Method::ChannelBind,
    ];
    for class in [Class::Indication, Class::Success, Class::Error] {
        for method in methods {
            let message = unsigned(class, method, &[raw(0x7FFF, b"")], false);
            assert_eq!(
                world.receive(&stranger(), &message),
                None,
                "{class:?} {method:?}"
            );
        }
    }
}

#[test]
fn noise_is_never_answered() {
    let mut world = World::new();
    let good = unsigned(Class::Request, Method::Binding, &[], false);
    for end in 0..good.len() {
        assert_eq!(world.receive(&stranger(), &good[..end]), None);
    }
    for first in 0x04..=0xFF {
        let mut bytes = good.clone();
        bytes[0] = first;
        assert_eq!(world.receive(&stranger(), &bytes), None);
    }
    assert!(world.receive(&stranger(), &good).is_some());
}

#[test]
fn a_reply_is_signed_as_its_request_chose() {
    use crate::auth::PasswordAlgorithm;
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:4000", "alice");
    assert_eq!(
        world
            .request(&mut client, Method::Allocate, &[udp()])
            .get(kind::MESSAGE_INTEGRITY),
        None
    );
    let offered = raw(kind::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]);
    let chosen = raw(kind::PASSWORD_ALGORITHM, &[0, 2, 0, 0]);
    client.key = PasswordAlgorithm::Sha256.key(b"alice", b"callbox", b"wonder");
    let reply = world.request(&mut client, Method::Refresh, &[offered, chosen]);
    assert_eq!((reply.code, reply.is_signed), (0, true));
    let last = Message::parse(&reply.bytes).unwrap().integrity();
    assert!(matches!(last, Some(crate::message::Integrity::Sha256(_))));
}

/// librice's client answers the offer of two algorithms with MD5 and signs with MESSAGE-INTEGRITY; a
/// reply with MESSAGE-INTEGRITY-SHA256 it took for a forgery.
#[test]
fn a_client_that_knows_the_list_but_not_the_new_attribute_can_check_its_reply() {
    let mut world = World::new();
    let mut client = world.client("198.51.100.7:4000", "alice");
    let offered = raw(kind::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]);
    let chosen = raw(kind::PASSWORD_ALGORITHM, &[0, 1, 0, 0]);
    let reply = world.request(&mut client, Method::Allocate, &[udp(), offered, chosen]);
    assert_eq!((reply.code, reply.is_signed), (0, true));
    let last = Message::parse(&reply.bytes).unwrap().integrity();
    assert!(matches!(last, Some(crate::message::Integrity::Sha1(_))));
}
