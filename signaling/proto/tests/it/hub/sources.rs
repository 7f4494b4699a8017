//! What one source may take: its share, and nobody else's.

use std::time::Duration;

use signaling_proto::hub::ConnectionId;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Welcome};
use signaling_proto::source::Source;

use crate::world::{CONFIG, World};

fn source(number: u8) -> Option<Source> {
    Some(Source::alone(number.into()))
}

fn hello_from(world: &mut World, number: u8, room: &str, more: &str) -> ConnectionId {
    let connection = world.open_from(source(number));
    let hello = format!(r#"{{"type":"hello","room":"{room}"{more}}}"#);
    world.say(connection, &hello);
    connection
}

fn welcome(world: &mut World, connection: ConnectionId) -> Welcome {
    match world.take(connection).first() {
        Some(ServerMessage::Welcome(welcome)) => (**welcome).clone(),
        other => panic!("expected a welcome: {other:?}"),
    }
}

fn room(number: usize) -> String {
    format!("room {number}")
}

#[test]
fn a_source_has_its_share_of_sessions_and_others_have_theirs() {
    let mut world = World::new(CONFIG);
    let mut inside = Vec::new();
    for number in 0..CONFIG.source.sessions {
        let connection = hello_from(&mut world, 1, &room(number), "");
        welcome(&mut world, connection);
        inside.push(connection);
    }
    let refused = hello_from(&mut world, 1, "r", "");
    let error = world.take_error(refused);
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(error.retry_after_ms.is_some());
    assert_eq!(world.close_code(refused), Some(4429));
    for number in 2..4 {
        let connection = hello_from(&mut world, number, "r", "");
        welcome(&mut world, connection);
    }

    // Whoever is away still counts, whoever has left does not.
    world.break_off(inside[0]);
    let refused = hello_from(&mut world, 1, "r", "");
    world.assert_refused(refused, ErrorCode::RateLimited);
    world.say(inside[1], r#"{"type":"bye"}"#);
    let entered = hello_from(&mut world, 1, "r", "");
    welcome(&mut world, entered);
}

#[test]
fn a_session_counts_where_its_client_is_now() {
    let mut world = World::new(CONFIG);
    let first = hello_from(&mut world, 1, "r", "");
    let ticket = welcome(&mut world, first).ticket;
    let resume = format!(r#","resume":{{"ticket":"{ticket}","received":0}}"#);
    let moved = hello_from(&mut world, 2, "r", &resume);
    assert!(welcome(&mut world, moved).resumed);
    for number in 0..CONFIG.source.sessions {
        let connection = hello_from(&mut world, 1, &room(number), "");
        welcome(&mut world, connection);
    }
    for number in 1..CONFIG.source.sessions {
        let connection = hello_from(&mut world, 2, &room(number), "");
        welcome(&mut world, connection);
    }
    let refused = hello_from(&mut world, 2, "r", "");
    world.assert_refused(refused, ErrorCode::RateLimited);
}

#[test]
fn who_tries_room_after_room_is_slowed_down_and_told_for_how_long() {
    let mut world = World::new(CONFIG);
    let burst = CONFIG.source.hellos.burst;
    for number in 0..burst {
        let connection = hello_from(&mut world, 1, &format!("guess {number}"), "");
        welcome(&mut world, connection);
        world.say(connection, r#"{"type":"bye"}"#);
    }
    let refused = hello_from(&mut world, 1, "guess", "");
    let error = world.take_error(refused);
    assert_eq!(error.code, ErrorCode::RateLimited);
    let wait = Duration::from_millis(error.retry_after_ms.unwrap());
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    let elsewhere = hello_from(&mut world, 2, "guess", "");
    welcome(&mut world, elsewhere);
    world.pass(wait);
    let entered = hello_from(&mut world, 1, "guess", "");
    welcome(&mut world, entered);
}

#[test]
fn refused_tokens_and_tickets_cost_more() {
    for refused in [
        r#","token":"forged""#,
        r#","resume":{"ticket":"forged","received":0}"#,
    ] {
        let mut world = World::new(CONFIG);
        for _ in 0..2 {
            hello_from(&mut world, 1, "r", refused);
        }
        let entering = hello_from(&mut world, 1, "r", "");
        world.assert_refused(entering, ErrorCode::RateLimited);
        world.pass(Duration::from_secs(2));
        let entering = hello_from(&mut world, 1, "r", "");
        welcome(&mut world, entering);
    }
}

#[test]
fn coming_back_counts_as_entering() {
    let mut world = World::new(CONFIG);
    let first = hello_from(&mut world, 1, "r", "");
    let mut ticket = welcome(&mut world, first).ticket;
    let resume = |world: &mut World, ticket: &str| {
        let resume = format!(r#","resume":{{"ticket":"{ticket}","received":0}}"#);
        hello_from(world, 1, "r", &resume)
    };
    for _ in 1..CONFIG.source.hellos.burst {
        let next = resume(&mut world, &ticket);
        ticket = welcome(&mut world, next).ticket;
    }
    let refused = resume(&mut world, &ticket);
    let error = world.take_error(refused);
    assert_eq!(error.code, ErrorCode::RateLimited);
    // Nothing is lost: the same ticket is taken later.
    world.pass(Duration::from_millis(error.retry_after_ms.unwrap()));
    let next = resume(&mut world, &ticket);
    assert!(welcome(&mut world, next).resumed);
}

#[test]
fn connections_that_say_nothing_are_few() {
    let mut world = World::new(CONFIG);
    let silent: Vec<_> = (0..CONFIG.source.sessions)
        .map(|_| world.open_from(source(1)))
        .collect();
    let refused = world.open_from(source(1));
    world.assert_refused(refused, ErrorCode::RateLimited);
    let connection = hello_from(&mut world, 2, "r", "");
    welcome(&mut world, connection);
    // The places of those that are gone are free again.
    world.break_off(silent[0]);
    let connection = hello_from(&mut world, 1, "r", "");
    welcome(&mut world, connection);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.close_code(silent[1]), Some(4408));

    // In all, whoever they are.
    let mut open = Vec::new();
    for _ in 0..CONFIG.max_greeting {
        open.push(world.open());
    }
    let refused = world.open();
    world.assert_refused(refused, ErrorCode::RateLimited);
    world.break_off(open[0]);
    let (_, _) = world.enter(r#""room":"r""#);
}

#[test]
fn a_source_has_no_more_sessions_because_they_come_from_another_process() {
    let mut world = World::new(CONFIG);
    let welcomes: Vec<_> = (0..=CONFIG.source.sessions)
        .map(|room| world.enter(&format!(r#""room":"{room}""#)).1)
        .collect();
    world.crash();
    for (number, welcome) in welcomes.iter().enumerate() {
        let connection = world.open_from(source(1));
        let (room, ticket) = (&welcome.room.name, &welcome.ticket);
        let hello = format!(
            r#"{{"type":"hello","room":"{room}","resume":{{"ticket":"{ticket}","received":0}}}}"#
        );
        world.say(connection, &hello);
        let beyond = number == CONFIG.source.sessions;
        assert_eq!(world.is_over(connection), beyond);
        if beyond {
            world.assert_refused(connection, ErrorCode::RateLimited);
        }
    }
}
