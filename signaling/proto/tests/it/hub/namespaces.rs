//! Namespaces with limits and pages of their own, beside those that have none.

use signaling_proto::hub::{Arrival, Config, ConnectionId, NamespaceLimits};
use signaling_proto::message::server::ErrorCode;

use crate::world::{CONFIG, World};

/// Small for `game`, and as usual for everybody else.
fn world() -> World {
    let game = NamespaceLimits {
        max_room: 2,
        max_rooms: 2,
        max_sessions: 3,
    };
    World::new(Config {
        namespaces: [("game".into(), game)].into(),
        ..CONFIG
    })
}

fn refused(world: &mut World, fields: &str, code: ErrorCode) {
    let connection = world.open();
    world.say(connection, &format!(r#"{{"type":"hello",{fields}}}"#));
    world.assert_refused(connection, code);
}

fn leave(world: &mut World, connection: ConnectionId) {
    world.say(connection, r#"{"type":"bye"}"#);
}

#[test]
fn limits_of_a_namespace_hold_there_only_and_freed_places_are_given_again() {
    let mut world = world();
    let (first, welcome) = world.enter(r#""room":"a","namespace":"game""#);
    assert_eq!(welcome.room.capacity, 2);
    world.enter(r#""room":"a","namespace":"game""#);
    refused(
        &mut world,
        r#""room":"a","namespace":"game""#,
        ErrorCode::RoomFull,
    );
    let (alone, _) = world.enter(r#""room":"b","namespace":"game""#);
    refused(
        &mut world,
        r#""room":"b","namespace":"game""#,
        ErrorCode::RateLimited,
    );
    // One session less, but as many rooms as before.
    leave(&mut world, first);
    refused(
        &mut world,
        r#""room":"c","namespace":"game""#,
        ErrorCode::RateLimited,
    );
    leave(&mut world, alone);
    world.enter(r#""room":"c","namespace":"game""#);
    world.enter(r#""room":"c","namespace":"game""#);

    for elsewhere in ["main", "unheard-of"] {
        for room in ["a", "b", "c"] {
            for _ in 0..CONFIG.max_room {
                let fields = format!(r#""room":"{room}","namespace":"{elsewhere}""#);
                let (_, welcome) = world.enter(&fields);
                assert_eq!(welcome.room.capacity, CONFIG.max_room);
            }
        }
    }
}

#[test]
fn who_comes_back_after_a_crash_is_counted_too() {
    let mut world = world();
    let fields = r#""room":"a","namespace":"game""#;
    let welcomes: Vec<_> = (0..2).map(|_| world.enter(fields).1).collect();
    world.crash();
    for welcome in &welcomes {
        let connection = world.open();
        let ticket = &welcome.ticket;
        let hello =
            format!(r#"{{"type":"hello",{fields},"resume":{{"ticket":"{ticket}","received":0}}}}"#);
        world.say(connection, &hello);
        assert!(!world.is_over(connection));
    }
    refused(&mut world, fields, ErrorCode::RoomFull);
    world.enter(r#""room":"b","namespace":"game""#);
    refused(
        &mut world,
        r#""room":"b","namespace":"game""#,
        ErrorCode::RateLimited,
    );
}

/// As test environments have it, pages of `https://NAME.example` may enter the namespace NAME.
#[test]
fn pages_of_one_namespace_may_not_enter_another_one() {
    let mut world = world();
    let from_the_game = |world: &mut World, fields: &str| {
        let connection = world.arrive(Arrival {
            page: Some("https://game.example".into()),
            ..Arrival::default()
        });
        let hello = format!(r#"{{"type":"hello","room":"r"{fields}}}"#);
        world.say(connection, &hello);
        connection
    };
    let welcomed = from_the_game(&mut world, r#","namespace":"game""#);
    assert!(!world.is_over(welcomed));
    let (_, welcome) = world.enter(r#""room":"r""#);
    let ticket = welcome.ticket;
    let stolen = format!(r#","resume":{{"ticket":"{ticket}","received":0}}"#);
    for fields in ["", r#","namespace":"main""#, &stolen] {
        let refused = from_the_game(&mut world, fields);
        world.assert_refused(refused, ErrorCode::Forbidden);
    }
}
