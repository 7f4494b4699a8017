//! One rule of the protocol each.

use std::time::Duration;

use signaling_proto::hub::{Config, ConnectionId, Fault, limits};
use signaling_proto::id::{MessageId, PeerId};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, LeftReason, Role};

use crate::world::{CONFIG, World};

/// A room with `count` participants, everything of their entering read.
fn room(world: &mut World, count: usize) -> Vec<(ConnectionId, PeerId)> {
    let peers: Vec<_> = (0..count)
        .map(|_| {
            let (connection, welcome) = world.enter(r#""room":"r""#);
            (connection, welcome.peer)
        })
        .collect();
    for (connection, _) in &peers {
        world.take(*connection);
    }
    peers
}

/// The types of messages, as on the wire.
fn kinds(messages: &[ServerMessage]) -> Vec<String> {
    messages
        .iter()
        .map(|message| {
            let value: serde_json::Value = serde_json::from_str(&message.to_text()).unwrap();
            value["type"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn a_welcome_tells_who_is_there_and_what_to_use() {
    let mut world = World::new(CONFIG);
    let (first, host) = world.enter(r#""room":"r","name":"Juno","media":{"audio":true}"#);
    assert_eq!(host.role, Role::Host);
    assert_eq!(host.room.peers, []);
    assert_eq!((host.resumed, host.received), (false, MessageId(0)));
    assert_eq!(host.ice_servers[0].urls, ["turn:host.example"]);
    assert_eq!(
        host.ice_servers[0].username.as_deref(),
        Some(host.peer.as_str())
    );

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
            r#"{"type":"hello","room":"r","namespace":" x"}"#,
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
    world.break_off(c);
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
fn moderation_is_refused_without_ending_the_call() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    world.say(peers[0].0, r#"{"type":"moderate","id":1,"action":"lock"}"#);
    let error = world.take_error(peers[0].0);
    assert_eq!(
        (error.code, error.id),
        (ErrorCode::Forbidden, Some(MessageId(1)))
    );
    assert!(!world.is_over(peers[0].0));
}

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
fn a_lost_connection_is_told_as_a_timeout() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    world.break_off(peers[1].0);
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
fn caps_are_exact_and_freed_places_are_given_again() {
    let mut world = World::new(Config {
        max_room: 2,
        max_rooms: 2,
        max_sessions: 3,
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
    world.break_off(first);
    refused(&mut world, "c", ErrorCode::RateLimited);
    world.enter(r#""room":"a""#);
    world.break_off(other);
    world.enter(r#""room":"c""#);
}

#[test]
fn a_client_that_never_acknowledges_is_cut_and_the_others_go_on() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 3);
    let (a, b, deaf) = (peers[0].0, peers[1].0, peers[2].0);
    let mut seq = 0;
    for id in 1.. {
        assert!(id <= limits::UNACKNOWLEDGED + 1, "never cut");
        world.say(a, &format!(r#"{{"type":"chat","id":{id},"text":"x"}}"#));
        for message in world.take(b) {
            seq = message.seq().unwrap().0;
        }
        world.say(b, &format!(r#"{{"type":"ack","seq":{seq}}}"#));
        if world.is_over(deaf) {
            break;
        }
    }
    assert_eq!(world.close_code(deaf), Some(4430));
    assert_eq!(kinds(&world.take(deaf)).last().unwrap(), "error");
    assert!(!world.is_over(a) && !world.is_over(b));
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
