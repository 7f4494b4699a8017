//! Who may enter a room, who moderates it, and what its peers are given for the relay.

use signaling_proto::hub::limits;
use signaling_proto::id::MessageId;
use signaling_proto::id::Seq;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, IceServersReason, LeftReason, Role};

use super::{kinds, room, welcomed};
use crate::world::{CONFIG, World};

#[test]
fn a_token_says_who_its_bearer_is() {
    let mut world = World::new(CONFIG);
    let (_, first) = world.enter(r#""room":"r","token":"participant","name":"Nobody""#);
    assert_eq!(
        first.role,
        Role::Participant,
        "only a token makes hosts here"
    );
    let (_, second) = world.enter(r#""room":"r","token":"host""#);
    assert_eq!(second.role, Role::Host);
    assert_eq!(
        second.room.peers[0].name, "Participant",
        "as the token says"
    );
    let (_, modest) = world.enter(r#""room":"r","token":"host","role":"viewer""#);
    assert_eq!(modest.role, Role::Viewer);
    let viewer = world.open();
    world.say(
        viewer,
        r#"{"type":"hello","room":"r","token":"viewer","media":{"audio":true}}"#,
    );
    world.assert_refused(viewer, ErrorCode::Forbidden);
}

#[test]
fn a_refused_token_tells_nothing_about_the_room() {
    let mut world = World::new(CONFIG);
    let (host, _) = world.enter(r#""room":"locked""#);
    world.say(host, r#"{"type":"moderate","id":1,"action":"lock"}"#);
    let answers = ["locked", "unknown"].map(|name| {
        let stranger = world.open();
        let hello = format!(r#"{{"type":"hello","room":"{name}","token":"wrong"}}"#);
        world.say(stranger, &hello);
        assert_eq!(world.close_code(stranger), Some(4401));
        world.take_error(stranger)
    });
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn only_hosts_moderate() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    world.say(peers[1].0, r#"{"type":"moderate","id":1,"action":"lock"}"#);
    let error = world.take_error(peers[1].0);
    assert_eq!(
        (error.code, error.id),
        (ErrorCode::Forbidden, Some(MessageId(1)))
    );
    assert!(!world.is_over(peers[1].0));
}

#[test]
fn a_kick_ends_the_session_and_what_it_holds_on_the_relay() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 3);
    let (host, kicked) = (welcomes[0].0, &welcomes[1]);
    let kick = |id: u64, peer: &str| {
        format!(r#"{{"type":"moderate","id":{id},"action":"kick","peer":"{peer}"}}"#)
    };
    world.say(host, &kick(1, kicked.1.peer.as_str()));
    world.assert_refused(kicked.0, ErrorCode::Forbidden);
    assert_eq!(world.revoked, std::slice::from_ref(&kicked.1.peer));
    for witness in [host, welcomes[2].0] {
        let told = world.take(witness);
        let [ServerMessage::PeerLeft(left)] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(
            (&left.peer, left.reason),
            (&kicked.1.peer, LeftReason::Kicked)
        );
    }
    // Its client may have heard nothing of it.
    let again = world.resume(&kicked.1, 0, None);
    world.assert_refused(again, ErrorCode::Forbidden);
    for (id, peer) in [
        (2, kicked.1.peer.as_str()),
        (3, welcomes[0].1.peer.as_str()),
    ] {
        world.say(host, &kick(id, peer));
        assert_eq!(
            world.take_error(host).code,
            ErrorCode::NoSuchPeer,
            "gone, or oneself"
        );
    }
    world.pass(limits::DELIVERED_DELAY);
    assert_eq!(kinds(&world.take(host)), ["delivered"]);
}

#[test]
fn who_was_put_out_while_away_is_told_so_and_does_not_come_back_by_itself() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 2);
    let (host, (target, welcome)) = (welcomes[0].0, &welcomes[1]);
    world.break_off(*target);
    let peer = &welcome.peer;
    world.say(
        host,
        &format!(r#"{{"type":"moderate","id":1,"action":"kick","peer":"{peer}"}}"#),
    );
    // `resume_failed` would make a client enter anew, as if nobody had put it out.
    for _ in 0..2 {
        let again = world.resume(welcome, 0, None);
        world.assert_refused(again, ErrorCode::Forbidden);
    }
    let refused = world.hub.snapshot().totals.resumes_refused;
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [("kicked", 2)]);
    world.enter(r#""room":"r""#);
}

#[test]
fn a_locked_room_lets_in_only_those_who_come_back() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 2);
    let host = welcomes[0].0;
    world.say(host, r#"{"type":"moderate","id":1,"action":"lock"}"#);
    // Once more is no news.
    world.say(host, r#"{"type":"moderate","id":2,"action":"lock"}"#);
    for (connection, _) in &welcomes {
        let told = world.take(*connection);
        let [ServerMessage::RoomUpdated(updated)] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert!(updated.locked);
    }
    let stranger = world.open();
    world.say(stranger, r#"{"type":"hello","room":"r"}"#);
    world.assert_refused(stranger, ErrorCode::RoomLocked);
    world.break_off(welcomes[1].0);
    let (_, again) = world.resumed(&welcomes[1].1, 1, None);
    assert!(again.room.locked);
    world.say(host, r#"{"type":"moderate","id":3,"action":"unlock"}"#);
    world.enter(r#""room":"r""#);
}

#[test]
fn whoever_is_muted_is_told_as_the_others_are() {
    let mut world = World::new(CONFIG);
    let (host, _) = world.enter(r#""room":"r""#);
    let (loud, welcome) = world.enter(r#""room":"r","media":{"audio":true,"video":true}"#);
    world.take(host);
    let peer = &welcome.peer;
    let mute = format!(r#"{{"type":"moderate","id":1,"action":"mute","peer":"{peer}"}}"#);
    world.say(host, &mute);
    for connection in [host, loud] {
        let told = world.take(connection);
        let [ServerMessage::PeerUpdated(updated)] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(&updated.peer.peer, peer);
        assert!(!updated.peer.media.audio && updated.peer.media.video);
    }
}

#[test]
fn credentials_are_renewed_at_half_their_life_as_long_as_the_session_lives() {
    let mut world = World::new(CONFIG);
    let (connection, welcome) = world.enter(r#""room":"r""#);
    let half = CONFIG.renew_ice_servers_after;
    for _ in 0..2 {
        world.pass(half);
        let told = world.take(connection);
        let [ServerMessage::IceServers(renewed)] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(renewed.reason, Some(IceServersReason::Renewal));
        assert_eq!(renewed.ice_servers.len(), welcome.ice_servers.len());
        world.say(
            connection,
            &format!(r#"{{"type":"ack","seq":{}}}"#, renewed.seq),
        );
    }
    // A welcome brings fresh ones too: the clock begins anew.
    world.pass(half - CONFIG.resume_window / 2);
    world.break_off(connection);
    let (connection, _) = world.resumed(&welcome, 2, None);
    world.pass(half / 2);
    assert_eq!(world.take(connection), []);
    world.pass(half / 2);
    assert_eq!(kinds(&world.take(connection)), ["ice_servers"]);
}

#[test]
fn credentials_are_renewed_also_where_the_session_did_not_begin() {
    let mut world = World::new(CONFIG);
    let (before, welcome) = world.enter(r#""room":"r""#);
    world.break_off(before);
    let mut elsewhere = world.another();
    std::mem::swap(&mut world.hub, &mut elsewhere);
    let half = CONFIG.renew_ice_servers_after;
    let (there, welcome) = world.resumed(&welcome, 0, Some(&[]));
    assert!(
        !welcome.ice_servers.is_empty(),
        "an adopted session has some"
    );
    world.pass(half);
    assert_eq!(kinds(&world.take(there)), ["ice_servers"]);
    world.pass(half);
    assert_eq!(kinds(&world.take(there)), ["ice_servers"]);
    // And after another adoption, by a process that takes the place of this one.
    let welcome = world.with_newest_ticket(there, &welcome);
    world.crash();
    let (again, welcome) = world.resumed(&welcome, 2, Some(&[]));
    assert!(!welcome.ice_servers.is_empty());
    world.pass(half);
    let told = world.take(again);
    assert_eq!(
        (kinds(&told), told[0].seq()),
        (vec!["ice_servers".to_owned()], Some(Seq(3)))
    );
}

#[test]
fn when_the_relay_changes_everybody_who_is_there_is_told() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 2);
    world.break_off(welcomes[1].0);
    world.take(welcomes[0].0);
    world
        .hub
        .handle_relay_change(world.now, IceServersReason::RelayLost);
    world.collect();
    assert_eq!(kinds(&world.take(welcomes[0].0)), ["ice_servers"]);
    let (back, _) = world.resumed(&welcomes[1].1, 0, None);
    assert_eq!(world.take(back), [], "its welcome has them");
}

#[test]
fn what_a_token_calls_its_bearer_holds_for_all_of_the_session() {
    let mut world = World::new(CONFIG);
    let (reader, reader_welcome) = world.enter(r#""room":"r","token":"host""#);
    let (bearer, welcome) = world.enter(r#""room":"r","token":"participant","name":"Boss""#);
    world.take(reader);
    world.say(
        bearer,
        r#"{"type":"update","id":1,"name":"Boss","media":{"audio":true}}"#,
    );
    let error = world.take_error(bearer);
    assert_eq!(
        (error.code, error.id),
        (ErrorCode::Forbidden, Some(MessageId(1)))
    );
    assert_eq!(world.take(reader), [], "nothing of it is done");
    world.say(bearer, r#"{"type":"update","id":2,"name":"Participant"}"#);
    assert_eq!(kinds(&world.take(reader)), ["peer_updated"]);

    world.crash();
    let connection = world.open();
    let ticket = &welcome.ticket;
    world.say(
        connection,
        &format!(
            r#"{{"type":"hello","room":"r","name":"Boss","resume":{{"ticket":"{ticket}","received":0}}}}"#
        ),
    );
    let (_, again) = world.resumed(&reader_welcome, 1, None);
    assert_eq!(again.room.peers[0].name, "Participant");
}
