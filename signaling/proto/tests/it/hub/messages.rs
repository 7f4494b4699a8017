//! What is passed on, to whom, and what its sender learns.

use std::time::Duration;

use signaling_proto::hub::limits;
use signaling_proto::id::MessageId;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Role};

use super::{kinds, room};
use crate::world::{CONFIG, World};

#[test]
fn an_unknown_type_is_told_and_its_id_counts() {
    let mut world = World::new(CONFIG);
    let newcomer = world.open();
    world.say(newcomer, r#"{"type":"dance"}"#);
    assert_eq!(world.take_error(newcomer).code, ErrorCode::UnknownType);
    world.say(newcomer, r#"{"type":"hello","room":"r"}"#);
    world.take(newcomer);
    world.say(newcomer, r#"{"type":"dance","id":1}"#);
    let error = world.take_error(newcomer);
    assert_eq!(
        (error.code, error.id),
        (ErrorCode::UnknownType, Some(MessageId(1)))
    );
    world.say(newcomer, r#"{"type":"chat","id":2,"text":"x"}"#);
    assert!(!world.is_over(newcomer));
}

#[test]
fn ids_come_one_by_one() {
    for id in [0, 2, 7] {
        let mut world = World::new(CONFIG);
        let peers = room(&mut world, 2);
        world.say(
            peers[0].0,
            &format!(r#"{{"type":"chat","id":{id},"text":"x"}}"#),
        );
        world.assert_refused(peers[0].0, ErrorCode::BadMessage);
        assert_eq!(
            kinds(&world.take(peers[1].0)),
            ["peer_left", "peer_updated"]
        );
    }
}

#[test]
fn who_is_elsewhere_and_who_is_nobody_look_the_same() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    let (elsewhere, welcome) = world.enter(r#""room":"other""#);
    let mut messages = Vec::new();
    for (id, to) in [welcome.peer.as_str(), "nobody", peers[0].1.as_str()]
        .iter()
        .enumerate()
    {
        let id = id + 1;
        world.say(
            peers[0].0,
            &format!(r#"{{"type":"signal","id":{id},"to":"{to}","epoch":0,"candidate":null}}"#),
        );
        let error = world.take_error(peers[0].0);
        assert_eq!(error.id, Some(MessageId(id as u64)));
        assert_eq!(error.code, ErrorCode::NoSuchPeer);
        messages.push(error.message);
    }
    messages.dedup();
    assert_eq!(messages.len(), 1);
    let list = format!(
        r#"{{"type":"event","id":4,"name":"e","to":["{}","{}"]}}"#,
        peers[1].1, welcome.peer
    );
    world.say(peers[0].0, &list);
    assert_eq!(world.take_error(peers[0].0).code, ErrorCode::NoSuchPeer);
    assert_eq!(world.take(elsewhere), []);
    assert_eq!(world.take(peers[1].0), [], "a list is all or nothing");
}

#[test]
fn direct_and_broadcast_messages_reach_whom_they_name_and_nobody_else() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 3);
    let (a, b, c) = (peers[0].0, peers[1].0, peers[2].0);
    world.say(a, r#"{"type":"chat","id":1,"text":"all"}"#);
    let direct = format!(
        r#"{{"type":"chat","id":2,"text":"b","to":"{}"}}"#,
        peers[1].1
    );
    world.say(a, &direct);
    let list = format!(
        r#"{{"type":"event","id":3,"name":"e","data":null,"to":["{0}","{1}","{0}"]}}"#,
        peers[2].1, peers[1].1
    );
    world.say(a, &list);
    assert_eq!(world.take(a), [], "nothing is echoed");
    let to_b = world.take(b);
    assert_eq!(kinds(&to_b), ["chat", "chat", "event"]);
    assert_eq!(
        kinds(&world.take(c)),
        ["chat", "event"],
        "named twice, told once"
    );
    let ServerMessage::Chat(chat) = &to_b[0] else {
        panic!("{to_b:?}")
    };
    assert_eq!((&chat.from, chat.id), (&peers[0].1, MessageId(1)));
}

#[test]
fn a_sender_learns_what_was_delivered_after_50_ms_in_one_frame() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 3);
    let (a, b, c) = (peers[0].0, peers[1].0, peers[2].0);
    for id in 1..=2 {
        world.say(a, &format!(r#"{{"type":"chat","id":{id},"text":"x"}}"#));
    }
    world.take(b);
    // b saw c join (1) and two chats; c saw the two chats.
    world.say(b, r#"{"type":"ack","seq":3}"#);
    world.say(c, r#"{"type":"ack","seq":1}"#);
    world.pass(Duration::from_millis(49));
    assert_eq!(world.take(a), []);
    world.say(c, r#"{"type":"bye"}"#);
    world.pass(Duration::from_millis(1));
    let messages = world.take(a);
    assert_eq!(kinds(&messages), ["peer_left", "delivered"]);
    let ServerMessage::Delivered(delivered) = &messages[1] else {
        panic!("{messages:?}")
    };
    assert_eq!(delivered.ids, [MessageId(1), MessageId(2)]);
    let failed: Vec<_> = delivered.failed.clone().into_iter().collect();
    assert_eq!(failed, [(MessageId(2), vec![peers[2].1.clone()])]);
}

#[test]
fn an_acknowledgement_may_be_repeated_but_not_invented() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    let first = peers[0].0;
    for _ in 0..2 {
        world.say(first, r#"{"type":"ack","seq":1}"#);
        world.say(first, r#"{"type":"ack","seq":0}"#);
    }
    assert_eq!(world.take(first), []);
    world.say(first, r#"{"type":"ack","seq":2}"#);
    world.assert_refused(first, ErrorCode::BadMessage);
}

#[test]
fn an_update_changes_what_it_names_and_is_cleaned() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    world.say(
        peers[0].0,
        r#"{"type":"update","id":1,"name":" Ju\u202eno ","media":{"screen":true}}"#,
    );
    world.say(
        peers[0].0,
        r#"{"type":"update","id":2,"media":{"audio":true}}"#,
    );
    let messages = world.take(peers[1].0);
    let [
        ServerMessage::PeerUpdated(_),
        ServerMessage::PeerUpdated(last),
    ] = messages.as_slice()
    else {
        panic!("{messages:?}")
    };
    assert_eq!(last.peer.name, "Juno");
    assert_eq!(
        (last.peer.media.audio, last.peer.media.screen),
        (true, true)
    );
    assert!(
        last.peer.polite,
        "the second peer stays polite towards the first"
    );
    world.say(peers[1].0, r#"{"type":"ack","seq":2}"#);
    world.pass(limits::DELIVERED_DELAY);
    assert_eq!(kinds(&world.take(peers[0].0)), ["delivered"]);
}

#[test]
fn viewers_chat_and_receive_but_offer_no_media() {
    let mut world = World::new(CONFIG);
    let (viewer, _) = world.enter(r#""room":"r","role":"viewer""#);
    let (host, welcome) = world.enter(r#""room":"r""#);
    assert_eq!(
        welcome.role,
        Role::Host,
        "a viewer who was there first is no host"
    );
    world.take(viewer);
    let offer = |id: u64, direction: &str| {
        format!(
            r#"{{"type":"signal","id":{id},"to":"{}","epoch":0,"description":{{"type":"offer","sdp":"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na={direction}\r\n"}}}}"#,
            welcome.peer
        )
    };
    world.say(viewer, &offer(1, "sendrecv"));
    assert_eq!(world.take_error(viewer).code, ErrorCode::Forbidden);
    world.say(viewer, r#"{"type":"update","id":2,"media":{"video":true}}"#);
    assert_eq!(world.take_error(viewer).code, ErrorCode::Forbidden);
    assert_eq!(world.take(host), []);
    world.say(viewer, &offer(3, "recvonly"));
    world.say(viewer, r#"{"type":"chat","id":4,"text":"hello"}"#);
    assert_eq!(kinds(&world.take(host)), ["signal", "chat"]);
    assert!(!world.is_over(viewer));
}

#[test]
fn a_list_names_no_more_than_a_room_holds() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    let event = |id: u64, count: usize| {
        let to = vec![&peers[1].1; count];
        let to = serde_json::to_string(&to).unwrap();
        format!(r#"{{"type":"event","id":{id},"name":"e","to":{to}}}"#)
    };
    world.say(peers[0].0, &event(1, CONFIG.max_room + 1));
    let error = world.take_error(peers[0].0);
    assert_eq!(
        (error.code, error.id),
        (ErrorCode::TooLarge, Some(MessageId(1)))
    );
    world.say(peers[0].0, &event(2, CONFIG.max_room));
    assert_eq!(kinds(&world.take(peers[1].0)), ["event"]);
}
