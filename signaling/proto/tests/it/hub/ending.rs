//! How sessions end, and what the others see of it.

use std::time::Duration;

use signaling_proto::hub::Fault;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, LeftReason, Presence, Role};

use super::{kinds, room};
use crate::world::{CONFIG, World};

#[test]
fn the_longest_present_participant_becomes_host() {
    let mut world = World::new(CONFIG);
    let (host, _) = world.enter(r#""room":"r""#);
    let (viewer, _) = world.enter(r#""room":"r","role":"viewer""#);
    let (heir, welcome) = world.enter(r#""room":"r""#);
    for connection in [host, viewer, heir] {
        world.take(connection);
    }
    world.say(host, r#"{"type":"bye"}"#);
    assert_eq!(world.close_code(host), Some(1000));
    for connection in [viewer, heir] {
        let messages = world.take(connection);
        let [
            ServerMessage::PeerLeft(left),
            ServerMessage::PeerUpdated(updated),
        ] = messages.as_slice()
        else {
            panic!("{messages:?}")
        };
        assert_eq!(left.reason, LeftReason::Bye);
        assert_eq!(
            (&updated.peer.peer, updated.peer.role),
            (&welcome.peer, Role::Host)
        );
    }
}

#[test]
fn a_lost_connection_is_told_as_away_and_then_as_a_timeout() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    world.break_off(peers[1].0);
    let messages = world.take(peers[0].0);
    let [ServerMessage::PeerUpdated(away)] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (&away.peer.peer, away.peer.state),
        (&peers[1].1, Presence::Away)
    );
    world.pass(CONFIG.resume_window - Duration::from_millis(1));
    assert_eq!(world.take(peers[0].0), []);
    world.pass(Duration::from_millis(1));
    let messages = world.take(peers[0].0);
    let [ServerMessage::PeerLeft(left)] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (&left.peer, left.reason),
        (&peers[1].1, LeftReason::Timeout)
    );
}

#[test]
fn faults_of_the_driver_end_one_connection() {
    for (fault, code, close) in [
        (Fault::TooLarge, ErrorCode::TooLarge, 1009),
        (Fault::SlowReader, ErrorCode::SlowConsumer, 4430),
    ] {
        let mut world = World::new(CONFIG);
        let peers = room(&mut world, 2);
        world.hub.handle_fault(world.now, peers[0].0, fault);
        world.collect();
        assert_eq!(world.take_error(peers[0].0).code, code);
        assert_eq!(world.close_code(peers[0].0), Some(close));
        assert_eq!(
            kinds(&world.take(peers[1].0)),
            ["peer_left", "peer_updated"]
        );
    }
}

#[test]
fn a_stopping_server_tells_everybody_and_lets_nobody_in() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    world.hub.handle_drain(world.now);
    world.collect();
    for (connection, _) in &peers {
        assert_eq!(kinds(&world.take(*connection)), ["goaway", "error"]);
        assert_eq!(world.close_code(*connection), Some(4503));
    }
    let late = world.open();
    world.say(late, r#"{"type":"hello","room":"r"}"#);
    world.assert_refused(late, ErrorCode::Draining);
    let snapshot = world.hub.snapshot();
    assert_eq!((snapshot.sessions, snapshot.rooms), (0, 0));
    assert_eq!(snapshot.totals.left_drained, 2);
}
