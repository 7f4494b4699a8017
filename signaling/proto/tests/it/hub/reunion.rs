//! Going on with sessions of a process that is gone.

use std::time::Duration;

use signaling_proto::hub::{ConnectionId, limits};
use signaling_proto::id::{MessageId, PeerId, Seq};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{Delivered, ErrorCode, LeftReason, Role, Welcome};

use super::{kinds, welcomed};
use crate::world::{CONFIG, World};

/// Three in a room, whose process then dies.
fn three(world: &mut World) -> ([Welcome; 3], [PeerId; 3]) {
    let welcomes = welcomed(world, 3).into_iter().map(|(_, welcome)| welcome);
    let welcomes: Vec<_> = welcomes.collect();
    let peers: Vec<_> = welcomes
        .iter()
        .map(|welcome| welcome.peer.clone())
        .collect();
    world.crash();
    (welcomes.try_into().unwrap(), peers.try_into().unwrap())
}

/// What has come since the last call is one `delivered`.
fn take_delivered(world: &mut World, connection: ConnectionId) -> Delivered {
    world.pass(limits::DELIVERED_DELAY);
    match world.take(connection).as_slice() {
        [ServerMessage::Delivered(delivered)] => delivered.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn peers_form_the_room_again_as_it_was() {
    let mut world = World::new(CONFIG);
    let ([a, b, c], [a_id, b_id, c_id]) = three(&mut world);
    // The last one comes back first.
    let (_, c_again) = world.resumed(&c, 0, Some(&[&a_id, &b_id]));
    let (_, a_again) = world.resumed(&a, 2, Some(&[&b_id, &c_id]));
    let (connection, b_again) = world.resumed(&b, 1, Some(&[&a_id, &c_id]));
    assert_eq!(
        (&a_again.peer, &b_again.peer, &c_again.peer),
        (&a_id, &b_id, &c_id)
    );
    assert_eq!(
        (a_again.role, b_again.role),
        (Role::Host, Role::Participant)
    );
    assert_eq!(b_again.received, MessageId(0));
    let roster: Vec<_> = b_again
        .room
        .peers
        .iter()
        .map(|peer| (&peer.peer, peer.polite))
        .collect();
    assert_eq!(
        roster,
        [(&a_id, true), (&c_id, false)],
        "the order and who is polite stay"
    );
    world.say(connection, r#"{"type":"bye"}"#);
    assert_eq!(world.hub.snapshot().totals.sessions_adopted, 3);
}

#[test]
fn numbers_go_on_and_what_was_delivered_leaves_gaps() {
    let mut world = World::new(CONFIG);
    let ([a, b, _], [a_id, b_id, _]) = three(&mut world);
    let (a, _) = world.resumed(&a, 7, Some(&[&b_id]));
    let (b, _) = world.resumed(&b, 3, Some(&[&a_id]));
    let told = world.take(a);
    let [ServerMessage::PeerJoined(joined)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(joined.seq, Seq(8));
    // 4 and 6 were not delivered by the process that died; 5 was.
    for id in [4, 6, 7] {
        world.say(a, &format!(r#"{{"type":"chat","id":{id},"text":"x"}}"#));
    }
    let seqs: Vec<_> = world.take(b).iter().map(ServerMessage::seq).collect();
    assert_eq!(seqs, [4, 5, 6].map(|seq| Some(Seq(seq))));
    world.say(a, r#"{"type":"chat","id":7,"text":"x"}"#);
    world.assert_refused(a, ErrorCode::BadMessage);
}

#[test]
fn messages_wait_for_those_who_are_not_back_yet() {
    let mut world = World::new(CONFIG);
    let ([a, b, c], [a_id, b_id, c_id]) = three(&mut world);
    let (a, _) = world.resumed(&a, 2, Some(&[&b_id, &c_id]));
    world.say(a, r#"{"type":"chat","id":5,"text":"all"}"#);
    world.say(
        a,
        &format!(r#"{{"type":"chat","id":6,"text":"one","to":"{c_id}"}}"#),
    );
    let (b, _) = world.resumed(&b, 1, Some(&[&a_id, &c_id]));
    assert_eq!(kinds(&world.take(b)), ["chat"]);
    world.say(b, r#"{"type":"ack","seq":2}"#);
    world.pass(Duration::from_secs(1));
    assert_eq!(
        kinds(&world.take(a)),
        ["peer_joined"],
        "not delivered to all yet"
    );
    let (c, _) = world.resumed(&c, 0, Some(&[&a_id, &b_id]));
    assert_eq!(kinds(&world.take(c)), ["chat", "chat"]);
    world.say(c, r#"{"type":"ack","seq":2}"#);
    world.take(a);
    let delivered = take_delivered(&mut world, a);
    assert_eq!(delivered.ids, [MessageId(5), MessageId(6)]);
    assert_eq!(delivered.failed.len(), 0);
}

#[test]
fn who_does_not_come_back_is_told_as_left_and_as_failed() {
    let mut world = World::new(CONFIG);
    let ([a, _, c], [a_id, b_id, c_id]) = three(&mut world);
    let (a, _) = world.resumed(&a, 0, Some(&[&b_id, &c_id]));
    world.say(a, r#"{"type":"chat","id":1,"text":"all"}"#);
    let (c, _) = world.resumed(&c, 0, Some(&[&a_id, &b_id]));
    world.say(c, r#"{"type":"ack","seq":1}"#);
    world.take(a);
    world.take(c);
    world.pass(CONFIG.resume_window);
    for connection in [a, c] {
        let told = world.take(connection);
        let ServerMessage::PeerLeft(left) = &told[0] else {
            panic!("{told:?}")
        };
        assert_eq!((&left.peer, left.reason), (&b_id, LeftReason::Timeout));
    }
    let delivered = take_delivered(&mut world, a);
    assert_eq!(delivered.failed[&MessageId(1)], [b_id]);
}

#[test]
fn clients_that_do_not_tell_whom_they_know_lose_nothing_either() {
    let mut world = World::new(CONFIG);
    let ([a, b, c], [_, b_id, _]) = three(&mut world);
    let (a, _) = world.resumed(&a, 2, None);
    world.say(a, r#"{"type":"chat","id":1,"text":"all"}"#);
    world.say(
        a,
        &format!(r#"{{"type":"chat","id":2,"text":"one","to":"{b_id}"}}"#),
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(world.take(a), [], "nobody has it yet");
    let (b, _) = world.resumed(&b, 1, None);
    assert_eq!(kinds(&world.take(b)), ["chat", "chat"]);
    world.say(b, r#"{"type":"ack","seq":3}"#);
    world.take(a);
    assert_eq!(
        take_delivered(&mut world, a).ids,
        [MessageId(1), MessageId(2)]
    );
    let (c, _) = world.resumed(&c, 0, None);
    assert_eq!(kinds(&world.take(c)), ["chat"]);
    // Its own id is nobody whom it could address, and a room that is whole again waits for nobody.
    world.say(a, r#"{"type":"chat","id":3,"text":"x","to":"nobody"}"#);
    world.pass(CONFIG.resume_window);
    world.take(a);
    world.say(a, r#"{"type":"chat","id":4,"text":"x","to":"nobody"}"#);
    assert_eq!(world.take_error(a).code, ErrorCode::NoSuchPeer);
}

#[test]
fn a_newcomer_does_not_become_host_of_a_room_that_comes_together_again() {
    let mut world = World::new(CONFIG);
    let ([a, b, _], [a_id, b_id, c_id]) = three(&mut world);
    world.resumed(&b, 1, Some(&[&a_id, &c_id]));
    let (_, newcomer) = world.enter(r#""room":"r""#);
    assert_eq!(newcomer.role, Role::Participant);
    let (_, again) = world.resumed(&a, 2, Some(&[&b_id, &c_id]));
    assert_eq!(again.role, Role::Host);
}

#[test]
fn places_are_kept_for_those_who_are_about_to_come_back() {
    let mut world = World::new(CONFIG);
    let ([a, b, c], [a_id, b_id, c_id]) = three(&mut world);
    world.resumed(&a, 2, Some(&[&b_id, &c_id]));
    world.enter(r#""room":"r""#);
    let late = world.open();
    world.say(late, r#"{"type":"hello","room":"r"}"#);
    world.assert_refused(late, ErrorCode::RoomFull);
    world.resumed(&b, 1, Some(&[&a_id, &c_id]));
    world.resumed(&c, 0, Some(&[&a_id, &b_id]));
}

#[test]
fn an_adopted_session_that_is_over_is_over_for_all_its_tickets() {
    let mut world = World::new(CONFIG);
    let ([a, ..], [_, b_id, _]) = three(&mut world);
    let (connection, _) = world.resumed(&a, 0, Some(&[&b_id]));
    world.say(connection, r#"{"type":"bye"}"#);
    let late = world.resume(&a, 0, Some(&[&b_id]));
    world.assert_refused(late, ErrorCode::ResumeFailed);
}

#[test]
fn rooms_are_forgotten_when_nobody_came_back() {
    let mut world = World::new(CONFIG);
    let ([a, ..], [_, b_id, _]) = three(&mut world);
    let (connection, _) = world.resumed(&a, 0, Some(&[&b_id]));
    world.say(connection, r#"{"type":"bye"}"#);
    world.pass(CONFIG.resume_window);
    assert_eq!(world.hub.snapshot().rooms, 0);
}

/// Three whose process died, and two of them are back: everybody who told whom it knows is here.
fn two_back_and_one_away_before(world: &mut World) -> Welcome {
    let welcomes = welcomed(world, 3);
    let [(_, a), (_, b), (late, c)] = welcomes.try_into().unwrap();
    world.break_off(late);
    world.pass(CONFIG.resume_window);
    world.crash();
    world.resumed(&a, 4, Some(&[&b.peer]));
    world.resumed(&b, 3, Some(&[&a.peer]));
    c
}

#[test]
fn a_session_that_had_ended_before_a_restart_is_not_brought_back_by_it() {
    for wait in [Duration::ZERO, CONFIG.resume_window * 2] {
        let mut world = World::new(CONFIG);
        let over = two_back_and_one_away_before(&mut world);
        world.pass(wait);
        let late = world.resume(&over, 3, None);
        world.assert_refused(late, ErrorCode::ResumeFailed);
    }
}

#[test]
fn who_comes_after_the_window_is_told_that_its_session_is_over() {
    let mut world = World::new(CONFIG);
    let ([a, b, _], [a_id, b_id, c_id]) = three(&mut world);
    // Its own name for the others does not matter: they have been told that it left.
    world.resumed(&a, 2, Some(&[&b_id, &c_id]));
    world.pass(CONFIG.resume_window);
    let late = world.resume(&b, 1, Some(&[&a_id]));
    world.assert_refused(late, ErrorCode::ResumeFailed);
    let refused = world.hub.snapshot().totals.resumes_refused;
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [("over", 1)]);
}

#[test]
fn newcomers_who_were_faster_keep_nobody_from_coming_back_within_the_window() {
    let mut world = World::new(CONFIG);
    let ([a, b, _], [a_id, b_id, c_id]) = three(&mut world);
    world.enter(r#""room":"r""#);
    world.resumed(&a, 2, Some(&[&b_id, &c_id]));
    world.resumed(&b, 1, Some(&[&a_id, &c_id]));
    let mut world = World::new(CONFIG);
    let ([a, ..], _) = three(&mut world);
    world.enter(r#""room":"r""#);
    world.pass(CONFIG.resume_window);
    let late = world.resume(&a, 2, None);
    world.assert_refused(late, ErrorCode::ResumeFailed);
}

#[test]
fn a_room_holds_no_more_because_they_come_from_another_process() {
    let mut world = World::new(CONFIG);
    let ([a, b, c], _) = three(&mut world);
    for _ in 0..2 {
        world.enter(r#""room":"r""#);
    }
    world.resumed(&a, 2, None);
    world.resumed(&b, 1, None);
    let late = world.resume(&c, 0, None);
    world.assert_refused(late, ErrorCode::RoomFull);
    assert_eq!(CONFIG.max_room, 4);
}

#[test]
fn names_that_nobody_was_given_take_no_place() {
    let mut world = World::new(CONFIG);
    let ([a, b, _], [a_id, b_id, c_id]) = three(&mut world);
    let long = PeerId::new(&"x".repeat(10_000));
    let phantoms = [1, 2, 3, 4].map(|number| PeerId::new(&format!("phantom{number}")));
    let mut told = vec![&long];
    told.extend(&phantoms);
    world.resumed(&a, 2, Some(&told));
    // More than can be there: who is really missed is not known, so nobody is kept out.
    world.resumed(&b, 1, Some(&[&a_id, &c_id]));
    assert_ne!(b_id, c_id);
}

#[test]
fn who_comes_back_from_another_process_to_the_one_before_loses_nothing() {
    let mut world = World::new(CONFIG);
    let [(a, _), (b, welcome)] = welcomed(&mut world, 2).try_into().unwrap();
    let a_id = &welcome.room.peers[0].peer;
    world.say(
        a,
        r#"{"type":"chat","id":1,"text":"lost with the connection"}"#,
    );
    world.break_off(b);
    // Elsewhere it goes on: 40 `seq`s that the first process knows nothing of, and three messages.
    let mut elsewhere = world.another();
    std::mem::swap(&mut world.hub, &mut elsewhere);
    let (there, welcome) = world.resumed(&welcome, 0, Some(&[a_id]));
    for id in 1..=3 {
        world.say(there, &format!(r#"{{"type":"chat","id":{id},"text":"x"}}"#));
    }
    world.break_off(there);
    std::mem::swap(&mut world.hub, &mut elsewhere);
    world.say(a, r#"{"type":"chat","id":2,"text":"said meanwhile"}"#);
    world.take(a);

    let (b, again) = world.resumed(&welcome, 40, Some(&[a_id]));
    assert_eq!(again.received, MessageId(0));
    let told = world.take(b);
    assert_eq!(kinds(&told), ["chat", "chat"]);
    let seqs: Vec<_> = told.iter().map(ServerMessage::seq).collect();
    assert_eq!(seqs, [Some(Seq(41)), Some(Seq(42))]);
    assert_eq!(kinds(&world.take(a)), ["peer_updated"], "here again");
    world.pass(limits::DELIVERED_DELAY);
    assert_eq!(
        world.take(a),
        [],
        "nothing is delivered before it is acknowledged"
    );
    world.say(b, r#"{"type":"ack","seq":42}"#);
    assert_eq!(take_delivered(&mut world, a).ids, [1, 2].map(MessageId));
    // What was delivered elsewhere leaves a gap.
    world.say(b, r#"{"type":"chat","id":4,"text":"next"}"#);
    assert!(!world.is_over(b));
    assert_eq!(kinds(&world.take(a)), ["chat"]);
}
