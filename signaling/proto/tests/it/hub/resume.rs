//! Going on with a session of the same process over another connection.

use std::time::Duration;

use signaling_proto::hub::{ConnectionId, limits};
use signaling_proto::id::{MessageId, Seq};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Presence, Welcome};

use super::{kinds, welcomed};
use crate::world::{CONFIG, World};

fn chat(world: &mut World, from: ConnectionId, id: u64) {
    world.say(
        from,
        &format!(r#"{{"type":"chat","id":{id},"text":"{id}"}}"#),
    );
}

fn ack(world: &mut World, connection: ConnectionId, seq: u64) {
    world.say(connection, &format!(r#"{{"type":"ack","seq":{seq}}}"#));
}

/// Two in a room, with their connections and welcomes.
fn pair(world: &mut World) -> [(ConnectionId, Welcome); 2] {
    welcomed(world, 2).try_into().unwrap()
}

#[test]
fn what_was_sent_meanwhile_comes_with_its_old_numbers() {
    let mut world = World::new(CONFIG);
    let [(a, _), (b, welcome)] = pair(&mut world);
    for id in 1..=3 {
        chat(&mut world, a, id);
    }
    world.take(b);
    // b has processed the first two, and its acknowledgement is lost with the connection.
    world.break_off(b);
    chat(&mut world, a, 4);
    let (b, welcome) = world.resumed(&welcome, 2, None);
    assert_eq!((welcome.resumed, welcome.received), (true, MessageId(0)));
    let seqs: Vec<_> = world.take(b).iter().map(ServerMessage::seq).collect();
    assert_eq!(seqs, [Some(Seq(3)), Some(Seq(4))]);
    world.pass(limits::DELIVERED_DELAY);
    let told = world.take(a);
    assert_eq!(kinds(&told), ["peer_updated", "peer_updated", "delivered"]);
    let ServerMessage::Delivered(delivered) = &told[2] else {
        panic!("{told:?}")
    };
    assert_eq!(delivered.ids, [MessageId(1), MessageId(2)]);
}

#[test]
fn the_others_see_away_and_here_once_each() {
    let mut world = World::new(CONFIG);
    let [(a, _), (b, welcome)] = pair(&mut world);
    world.break_off(b);
    let (_, welcome) = world.resumed(&welcome, 0, None);
    let states: Vec<_> = world
        .take(a)
        .into_iter()
        .map(|message| match message {
            ServerMessage::PeerUpdated(updated) => updated.peer.state,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(states, [Presence::Away, Presence::Here]);
    // The absence is over: its deadline means nothing any more.
    world.pass(CONFIG.resume_window * 2);
    assert_eq!(world.take(a), []);
    world.resumed(&welcome, 0, None);
}

#[test]
fn a_new_connection_takes_over_from_one_that_looks_alive() {
    let mut world = World::new(CONFIG);
    let [(a, _), (b, welcome)] = pair(&mut world);
    let (newer, _) = world.resumed(&welcome, 0, None);
    world.assert_refused(b, ErrorCode::Replaced);
    assert_eq!(world.take(a), [], "nobody else is concerned");
    chat(&mut world, a, 1);
    assert_eq!(kinds(&world.take(newer)), ["chat"]);
}

#[test]
fn of_two_connections_with_one_ticket_exactly_one_wins() {
    let mut world = World::new(CONFIG);
    let [_, (b, welcome)] = pair(&mut world);
    world.break_off(b);
    let (first, _) = world.resumed(&welcome, 0, None);
    let (second, _) = world.resumed(&welcome, 0, None);
    world.assert_refused(first, ErrorCode::Replaced);
    ack(&mut world, second, 0);
    let third = world.resume(&welcome, 0, None);
    world.assert_refused(third, ErrorCode::ResumeFailed);
    assert!(!world.is_over(second));
    let refused = world.hub.snapshot().totals.resumes_refused;
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [("old", 1)]);
}

#[test]
fn a_lost_welcome_loses_nobody() {
    let mut world = World::new(CONFIG);
    let [_, (b, welcome)] = pair(&mut world);
    world.break_off(b);
    // The answer never arrives, again and again.
    for _ in 0..5 {
        let (connection, _) = world.resumed(&welcome, 0, None);
        world.break_off(connection);
    }
    let (connection, newest) = world.resumed(&welcome, 0, None);
    ack(&mut world, connection, 0);
    world.break_off(connection);
    let (_, last) = world.resumed(&newest, 0, None);
    assert_eq!(last.peer, welcome.peer);
}

#[test]
fn outcomes_that_may_not_have_been_heard_are_told_again() {
    let mut world = World::new(CONFIG);
    let [(a, welcome), (b, _)] = pair(&mut world);
    ack(&mut world, a, 1);
    chat(&mut world, a, 1);
    ack(&mut world, b, 1);
    world.say(a, r#"{"type":"chat","id":2,"text":"x","to":"nobody"}"#);
    world.pass(limits::DELIVERED_DELAY);
    assert_eq!(kinds(&world.take(a)), ["error", "delivered"]);
    world.break_off(a);
    let (a, welcome) = world.resumed(&welcome, 1, None);
    assert_eq!(welcome.received, MessageId(2));
    assert_eq!(kinds(&world.take(a)), ["error", "delivered"]);
    // Something that came later is acknowledged: all before it was heard.
    chat(&mut world, b, 1);
    ack(&mut world, a, 2);
    world.break_off(a);
    let (a, _) = world.resumed(&welcome, 2, None);
    assert_eq!(world.take(a), []);
}

#[test]
fn deliveries_that_end_while_the_sender_is_away_are_told_when_it_is_back() {
    let mut world = World::new(CONFIG);
    let [(a, welcome), (b, _)] = pair(&mut world);
    chat(&mut world, a, 1);
    world.break_off(a);
    world.say(b, r#"{"type":"bye"}"#);
    world.pass(Duration::from_secs(1));
    let (a, _) = world.resumed(&welcome, 1, None);
    let told = world.take(a);
    assert_eq!(kinds(&told), ["peer_left", "delivered"]);
    let ServerMessage::Delivered(delivered) = &told[1] else {
        panic!("{told:?}")
    };
    assert_eq!(delivered.ids, [MessageId(1)]);
    assert_eq!(delivered.failed.len(), 1);
}

/// Found by the simulation: after a resumption "delivered" came first, so that its client took the
/// message for delivered to somebody who had left before.
#[test]
fn outcomes_and_news_that_are_told_again_keep_their_order() {
    let mut world = World::new(CONFIG);
    let [(a, welcome), (b, _)] = pair(&mut world);
    ack(&mut world, a, 1);
    world.say(b, r#"{"type":"bye"}"#);
    chat(&mut world, a, 1);
    world.pass(limits::DELIVERED_DELAY);
    world.enter(r#""room":"r""#);
    let order = ["peer_left", "delivered", "peer_joined"];
    assert_eq!(kinds(&world.take(a)), order);
    world.break_off(a);
    let (a, welcome) = world.resumed(&welcome, 1, None);
    assert_eq!(kinds(&world.take(a)), order);
    // The same when it has been in another process meanwhile, where it has counted further.
    world.break_off(a);
    let mut elsewhere = world.another();
    std::mem::swap(&mut world.hub, &mut elsewhere);
    let (there, welcome) = world.resumed(&welcome, 1, Some(&[]));
    world.break_off(there);
    std::mem::swap(&mut world.hub, &mut elsewhere);
    let (a, _) = world.resumed(&welcome, 40, None);
    let told = world.take(a);
    assert_eq!(kinds(&told), order);
    assert_eq!(told[2].seq(), Some(Seq(42)));
}

#[test]
fn a_session_that_is_over_is_over() {
    let mut world = World::new(CONFIG);
    let [(a, first), (b, second)] = pair(&mut world);
    world.say(a, r#"{"type":"bye"}"#);
    let late = world.resume(&first, 0, None);
    world.assert_refused(late, ErrorCode::ResumeFailed);
    world.break_off(b);
    world.pass(CONFIG.resume_window);
    let late = world.resume(&second, 0, None);
    world.assert_refused(late, ErrorCode::ResumeFailed);
    let refused = world.hub.snapshot().totals.resumes_refused;
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [("over", 2)]);
}

#[test]
fn tickets_that_do_not_fit_are_refused_and_hurt_nobody() {
    let mut world = World::new(CONFIG);
    let [(a, _), (b, welcome)] = pair(&mut world);
    chat(&mut world, a, 1);
    ack(&mut world, b, 1);
    let mut elsewhere = welcome.clone();
    elsewhere.room.name = "other".into();
    let mut forged = welcome.clone();
    forged.ticket = format!("x{}", welcome.ticket);
    // Before what it has acknowledged, and after what it was sent, it can't have been.
    for (ticket, received) in [(&elsewhere, 1), (&forged, 1), (&welcome, 0), (&welcome, 2)] {
        let connection = world.resume(ticket, received, None);
        world.assert_refused(connection, ErrorCode::ResumeFailed);
    }
    assert!(!world.is_over(b));
}

#[test]
fn old_credentials_that_come_again_are_not_the_last() {
    let mut world = World::new(CONFIG);
    let (a, welcome) = world.enter(r#""room":"r""#);
    world.pass(CONFIG.renew_ice_servers_after);
    assert_eq!(kinds(&world.take(a)), ["ice_servers"]);
    world.break_off(a);
    let (a, welcome) = world.resumed(&welcome, 0, None);
    let told = world.take(a);
    assert_eq!(kinds(&told), ["ice_servers", "ice_servers"]);
    assert_eq!(told[1].seq(), Some(Seq(2)));
    ack(&mut world, a, 2);
    let (a, _) = world.resumed(&welcome, 2, None);
    assert_eq!(world.take(a), []);
}
