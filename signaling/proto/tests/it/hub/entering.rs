//! Entering.

use std::time::Duration;

use signaling_proto::hub::{Config, limits};
use signaling_proto::id::MessageId;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Role};

use crate::world::{CONFIG, World};

/// An operator who watches relays can tell which peers are in one room; nobody else, what it is called.
#[test]
fn on_a_relay_peers_of_one_room_have_one_tag() {
    let mut world = World::new(CONFIG);
    let mut account = |room: &str| {
        let (_, welcome) = world.enter(&format!(r#""room":"{room}""#));
        let account = welcome.ice_servers[0].username.clone().unwrap();
        let (peer, tag) = account.split_once(':').unwrap();
        assert_eq!(peer, welcome.peer.as_str());
        assert!(
            tag.len() == 16 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{tag}"
        );
        tag.to_owned()
    };
    let (first, second, elsewhere) = (account("standup"), account("standup"), account("lunch"));
    assert_eq!(first, second);
    assert_ne!(first, elsewhere);
    let tags: Vec<_> = world.hub.rooms().into_iter().map(|room| room.tag).collect();
    assert_eq!(tags, [elsewhere, first], "as the operator finds them");
}

#[test]
fn a_welcome_tells_who_is_there_and_what_to_use() {
    let mut world = World::new(CONFIG);
    let (first, host) = world.enter(r#""room":"r","name":"Juno","media":{"audio":true}"#);
    assert_eq!(host.role, Role::Host);
    assert_eq!(host.room.peers, []);
    assert_eq!((host.resumed, host.received), (false, MessageId(0)));
    assert_eq!(host.ice_servers[0].urls, ["turn:host.example"]);

    let (_, guest) = world.enter(r#""room":"r","name":"Mina""#);
    assert_eq!(guest.role, Role::Participant);
    assert_ne!(guest.ticket, host.ticket);
    let [juno] = guest.room.peers.as_slice() else {
        panic!("{:?}", guest.room.peers)
    };
    assert_eq!(
        (juno.name.as_str(), juno.role, juno.media.audio),
        ("Juno", Role::Host, true)
    );
    assert!(juno.polite, "who comes later is polite");
    let joined = world.take(first);
    let [ServerMessage::PeerJoined(joined)] = joined.as_slice() else {
        panic!("{joined:?}")
    };
    assert_eq!(
        (joined.peer.name.as_str(), joined.peer.polite),
        ("Mina", false)
    );
}

#[test]
fn namespaces_keep_rooms_of_one_name_apart() {
    let mut world = World::new(CONFIG);
    world.enter(r#""room":"r""#);
    let (_, elsewhere) = world.enter(r#""room":"r","namespace":"game""#);
    assert_eq!(
        (elsewhere.room.peers.len(), elsewhere.role),
        (0, Role::Host)
    );
    let (_, main) = world.enter(r#""room":"r","namespace":"main""#);
    assert_eq!(main.room.peers.len(), 1, "`main` is the default");
}

#[test]
fn the_first_message_is_hello_and_comes_in_time() {
    for (first, code) in [
        (
            r#"{"type":"chat","id":1,"text":"x"}"#,
            ErrorCode::BadMessage,
        ),
        ("not json", ErrorCode::BadMessage),
        (r#"{"type":"hello","room":""}"#, ErrorCode::BadMessage),
        (
            r#"{"type":"hello","room":"r","namespace":"x\u200b"}"#,
            ErrorCode::BadMessage,
        ),
        (
            r#"{"type":"hello","room":"r","resume":{"ticket":"t","received":0}}"#,
            ErrorCode::ResumeFailed,
        ),
        (
            r#"{"type":"hello","room":"r","role":"viewer","media":{"audio":true}}"#,
            ErrorCode::Forbidden,
        ),
    ] {
        let mut world = World::new(CONFIG);
        let connection = world.open();
        world.say(connection, first);
        world.assert_refused(connection, code);
    }
    let mut world = World::new(CONFIG);
    let silent = world.open();
    let (talking, _) = world.enter(r#""room":"r""#);
    world.pass(limits::HELLO_DEADLINE - Duration::from_millis(1));
    assert!(!world.is_over(silent));
    world.pass(Duration::from_millis(1));
    world.assert_refused(silent, ErrorCode::HelloTimeout);
    assert!(!world.is_over(talking));
}

#[test]
fn caps_are_exact_and_freed_places_are_given_again() {
    let mut world = World::new(Config {
        max_room: 2,
        max_rooms: 2,
        max_sessions: 3,
        ..CONFIG
    });
    let refused = |world: &mut World, room: &str, code| {
        let connection = world.open();
        world.say(
            connection,
            &format!(r#"{{"type":"hello","room":"{room}"}}"#),
        );
        let error = world.take_error(connection);
        assert_eq!(error.code, code, "{room}");
        assert_eq!(world.close_code(connection), code.close_code());
        assert_eq!(
            error.retry_after_ms.is_some(),
            code == ErrorCode::RateLimited
        );
    };
    let (first, _) = world.enter(r#""room":"a""#);
    world.enter(r#""room":"a""#);
    refused(&mut world, "a", ErrorCode::RoomFull);
    let (other, _) = world.enter(r#""room":"b""#);
    refused(&mut world, "b", ErrorCode::RateLimited);
    world.say(first, r#"{"type":"bye"}"#);
    refused(&mut world, "c", ErrorCode::RateLimited);
    world.enter(r#""room":"a""#);
    world.say(other, r#"{"type":"bye"}"#);
    world.enter(r#""room":"c""#);
}

/// At one moment, into one room that holds eight and into 625 of them.
#[test]
fn five_thousand_at_once_leave_the_caps_exact() {
    let mut world = World::new(Config {
        max_room: 8,
        max_rooms: 10_000,
        max_sessions: 20_000,
        max_greeting: 20_000,
        ..CONFIG
    });
    let mut knock = |room: usize| {
        let connection = world.open();
        let hello = format!(r#"{{"type":"hello","room":"{room}"}}"#);
        world.say(connection, &hello);
        let close = world.close_code(connection);
        assert!(matches!(close, None | Some(4431)), "{close:?}");
        close.is_none()
    };
    let inside = (0..5000).filter(|_| knock(0)).count();
    assert_eq!(inside, 8);
    let inside = (0..5000).filter(|number| knock(1 + number % 625)).count();
    assert_eq!(inside, 5000);
    assert_eq!(world.hub.snapshot().sessions, 5008);
}
