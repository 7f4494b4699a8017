//! Nobody ends another's session: what a recipient has no room for waits or is refused.

use std::time::Duration;

use signaling_proto::hub::{ConnectionId, limits};
use signaling_proto::id::PeerId;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{Error, ErrorCode, Presence, Role};

use super::{kinds, room, welcomed};
use crate::world::{CONFIG, World};

/// As many bytes of text as an attack was made with: five of these ended everybody else's session.
const LARGE: usize = 60_000;

/// Says something of so many bytes, to one peer or to all.
fn say(world: &mut World, from: ConnectionId, id: u64, bytes: usize, to: Option<&PeerId>) {
    let to = to.map_or_else(String::new, |to| format!(r#","to":"{to}""#));
    let text = "x".repeat(bytes);
    world.say(
        from,
        &format!(r#"{{"type":"chat","id":{id},"text":"{text}"{to}}}"#),
    );
}

/// Ids of the chats that have come since the last call; acknowledges everything.
fn hear(world: &mut World, connection: ConnectionId) -> Vec<u64> {
    let messages = world.take(connection);
    let last = messages.iter().filter_map(ServerMessage::seq).next_back();
    if let Some(seq) = last {
        world.say(connection, &format!(r#"{{"type":"ack","seq":{seq}}}"#));
    }
    let chats = messages.iter().filter_map(|message| match message {
        ServerMessage::Chat(chat) => Some(chat.id.0),
        _ => None,
    });
    chats.collect()
}

/// Everything until nothing more comes.
fn hear_all(world: &mut World, connection: ConnectionId) -> Vec<u64> {
    let mut ids = Vec::new();
    loop {
        let more = hear(world, connection);
        if more.is_empty() {
            return ids;
        }
        ids.extend(more);
    }
}

fn refusals(messages: &[ServerMessage]) -> Vec<Error> {
    let errors = messages.iter().filter_map(|message| match message {
        ServerMessage::Error(error) => Some(error.clone()),
        _ => None,
    });
    errors.collect()
}

fn refused_ids(world: &mut World, connection: ConnectionId) -> Vec<u64> {
    let errors = refusals(&world.take(connection));
    for error in &errors {
        assert_eq!(error.code, ErrorCode::SlowRecipient, "{error:?}");
        assert!(error.retry_after_ms.is_some());
    }
    let ids = errors.into_iter().filter_map(|error| error.id);
    ids.map(|id| id.0).collect()
}

fn delivered_ids(world: &mut World, connection: ConnectionId) -> Vec<u64> {
    world.pass(limits::DELIVERED_DELAY);
    let messages = world.take(connection);
    let delivered = messages.into_iter().filter_map(|message| match message {
        ServerMessage::Delivered(delivered) => Some(delivered.ids),
        _ => None,
    });
    delivered.flatten().map(|id| id.0).collect()
}

/// The reported case: addressed, so that nobody else sees it, to readers who need a moment.
#[test]
fn five_messages_of_60_kb_end_nobody_s_session() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 3);
    let (host, guest, sender) = (peers[0].0, peers[1].0, peers[2].0);
    let mut id = 0;
    for _ in 0..5 {
        for to in [&peers[0].1, &peers[1].1] {
            id += 1;
            say(&mut world, sender, id, LARGE, Some(to));
        }
    }
    assert!([host, guest, sender].iter().all(|it| !world.is_over(*it)));
    // One round trip later they have some of it, and then the rest, in order.
    let first = hear(&mut world, host);
    assert!((1..5).contains(&first.len()), "{first:?}");
    let (mut to_host, mut to_guest) = (first, Vec::new());
    for _ in 0..5 {
        to_guest.extend(hear(&mut world, guest));
        to_host.extend(hear(&mut world, host));
    }
    assert_eq!(to_host, [1, 3, 5, 7, 9]);
    assert_eq!(to_guest, [2, 4, 6, 8, 10]);
    assert_eq!(delivered_ids(&mut world, sender).len(), 10);
    // And the host is host.
    world.say(host, r#"{"type":"moderate","id":1,"action":"lock"}"#);
    assert_eq!(kinds(&world.take(guest)), ["room_updated"]);
}

#[test]
fn two_who_send_to_each_other_do_not_wait_for_ever() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    let (a, b) = (peers[0].0, peers[1].0);
    for id in 1..=6 {
        say(&mut world, a, id, LARGE, None);
        say(&mut world, b, id, LARGE, None);
    }
    let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        to_a.extend(hear(&mut world, a));
        to_b.extend(hear(&mut world, b));
    }
    assert_eq!(to_a, [1, 2, 3, 4, 5, 6]);
    assert_eq!(to_b, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn who_is_away_keeps_the_seat_and_what_there_is_no_room_for_is_refused() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 3);
    let (sender, other, away) = (welcomes[0].0, welcomes[1].0, &welcomes[2]);
    world.break_off(away.0);
    world.take(sender);
    world.take(other);
    for id in 1..=5 {
        say(&mut world, sender, id, LARGE, Some(&away.1.peer));
    }
    assert_eq!(refused_ids(&mut world, sender), [3, 4, 5]);
    // What is for somebody else goes on.
    say(&mut world, sender, 6, LARGE, Some(&welcomes[1].1.peer));
    assert_eq!(hear(&mut world, other), [6]);
    // Somebody else has room for what it says to the one who is away.
    say(&mut world, other, 1, LARGE, None);
    assert_eq!(hear(&mut world, sender), [1]);
    assert_eq!(refused_ids(&mut world, other), [] as [u64; 0]);
    let (back, _) = world.resumed(&away.1, 0, None);
    assert_eq!(hear_all(&mut world, back), [1, 2, 1]);
    // The sender has acknowledged after the refusals, so what it sends again gets through.
    for id in 7..=9 {
        say(&mut world, sender, id, LARGE, Some(&away.1.peer));
    }
    assert_eq!(hear_all(&mut world, back), [7, 8, 9]);
}

#[test]
fn what_was_sent_before_a_refusal_was_heard_does_not_overtake() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 3);
    let (sender, other, away) = (welcomes[0].0, welcomes[1].0, &welcomes[2]);
    world.break_off(away.0);
    hear(&mut world, sender);
    for id in 1..=3 {
        say(&mut world, sender, id, LARGE, Some(&away.1.peer));
    }
    // Small enough for what is left, and behind the third.
    say(&mut world, sender, 4, 1, Some(&away.1.peer));
    say(&mut world, sender, 5, 1, None);
    say(&mut world, sender, 6, 1, Some(&welcomes[1].1.peer));
    let messages = world.take(sender);
    let refused = refusals(&messages);
    let ids: Vec<_> = refused.iter().filter_map(|error| error.id).collect();
    // The sixth is behind the fifth, which was for its recipient, too.
    assert_eq!(ids.iter().map(|id| id.0).collect::<Vec<_>>(), [3, 4, 5, 6]);
    let (back, _) = world.resumed(&away.1, 0, None);
    assert_eq!(hear_all(&mut world, back), [1, 2]);
    say(&mut world, sender, 7, 1, Some(&away.1.peer));
    assert_eq!(refused_ids(&mut world, sender), [7], "it has not heard yet");
    let seq = messages.iter().filter_map(ServerMessage::seq).next_back();
    let seq = seq.unwrap().0 + 2;
    world.say(sender, &format!(r#"{{"type":"ack","seq":{seq}}}"#));
    say(&mut world, sender, 8, 1, Some(&away.1.peer));
    assert_eq!(hear_all(&mut world, back), [8]);
    assert_eq!(hear_all(&mut world, other), [] as [u64; 0]);
}

#[test]
fn who_is_connected_and_takes_nothing_is_cut_at_last_and_the_others_go_on() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 3);
    let (a, b, deaf) = (peers[0].0, peers[1].0, peers[2].0);
    for id in 1..=4 {
        say(&mut world, a, id, LARGE, None);
    }
    assert_eq!(hear_all(&mut world, b), [1, 2], "the others wait");
    let moment = Duration::from_millis(1);
    world.pass(limits::STALL - moment);
    assert!(!world.is_over(deaf));
    world.pass(moment);
    assert_eq!(world.close_code(deaf), Some(4430));
    assert_eq!(kinds(&world.take(deaf)).last().unwrap(), "error");
    assert_eq!(hear_all(&mut world, b), [3, 4]);
    assert!(!world.is_over(a) && !world.is_over(b));
}

#[test]
fn who_comes_back_again_and_again_and_takes_nothing_is_cut() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 2);
    let sender = welcomes[0].0;
    let (mut connection, mut welcome) = welcomes[1].clone();
    say(&mut world, sender, 1, LARGE, None);
    say(&mut world, sender, 2, LARGE, None);
    let moment = Duration::from_secs(9);
    for times in 1.. {
        assert!(times < 10, "never cut");
        world.break_off(connection);
        world.pass(moment);
        (connection, welcome) = world.resumed(&welcome, 0, None);
        if world.is_over(connection) {
            break;
        }
        world.pass(moment);
    }
    assert_eq!(world.close_code(connection), Some(4430));
    hear(&mut world, sender);
    say(&mut world, sender, 3, LARGE, None);
    assert_eq!(delivered_ids(&mut world, sender), [1, 2, 3]);
}

#[test]
fn who_takes_its_time_is_waited_for() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    let (a, slow) = (peers[0].0, peers[1].0);
    let (mut id, mut acknowledged) = (0, 0);
    let mut heard = 0;
    while heard < 20 {
        while id < heard + 4 {
            id += 1;
            say(&mut world, a, id, LARGE, None);
        }
        // One message in fifteen seconds.
        world.pass(Duration::from_secs(15));
        let first = world.take(slow);
        heard += first.iter().filter(|it| it.seq().is_some()).count() as u64;
        acknowledged += 1;
        world.say(slow, &format!(r#"{{"type":"ack","seq":{acknowledged}}}"#));
        assert!(!world.is_over(slow), "after {acknowledged}");
        hear(&mut world, a);
    }
}

#[test]
fn more_than_may_wait_is_refused() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 2);
    let (sender, reader) = (peers[0].0, peers[1].0);
    for id in 1..=12 {
        say(&mut world, sender, id, LARGE, None);
    }
    let refused = refused_ids(&mut world, sender);
    assert_eq!(refused, [11, 12]);
    let heard = hear_all(&mut world, reader);
    assert_eq!(heard, (1..=10).collect::<Vec<_>>());
    assert!(!world.is_over(sender) && !world.is_over(reader));
}

#[test]
fn what_waits_is_gone_with_its_sender_and_nobody_else_waits_for_it() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 3);
    let (sender, other, reader) = (peers[0].0, peers[1].0, peers[2].0);
    for id in 1..=4 {
        say(&mut world, sender, id, LARGE, Some(&peers[2].1));
    }
    world.say(sender, r#"{"type":"bye"}"#);
    assert_eq!(hear_all(&mut world, reader), [1, 2]);
    say(&mut world, other, 1, LARGE, None);
    assert_eq!(hear_all(&mut world, reader), [1]);
}

#[test]
fn what_waits_for_somebody_who_leaves_is_answered() {
    let mut world = World::new(CONFIG);
    let peers = room(&mut world, 3);
    let (sender, leaver) = (peers[0].0, peers[2].0);
    for id in 1..=3 {
        say(&mut world, sender, id, LARGE, Some(&peers[2].1));
    }
    // To all: it waits behind the third.
    say(&mut world, sender, 4, 1, None);
    world.say(leaver, r#"{"type":"bye"}"#);
    world.pass(limits::DELIVERED_DELAY);
    let messages = world.take(sender);
    let errors = refusals(&messages);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].code, ErrorCode::NoSuchPeer);
    assert_eq!(errors[0].id.unwrap().0, 3);
    assert_eq!(hear_all(&mut world, peers[1].0), [4]);
}

/// A host that locks and unlocks, and peers that come and go, once filled the replay of who was away.
#[test]
fn news_ends_nobody_s_session_and_the_newest_is_told() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 3);
    let (host, flapper, away) = (welcomes[0].0, &welcomes[1], &welcomes[2]);
    world.break_off(away.0);
    let mut flapping = (flapper.0, flapper.1.clone());
    let mut seq = 0;
    for id in 1..=2001 {
        let action = if id % 2 == 1 { "lock" } else { "unlock" };
        let lock = format!(r#"{{"type":"moderate","id":{id},"action":"{action}"}}"#);
        world.say(host, &lock);
        world.break_off(flapping.0);
        flapping = world.resumed(&flapping.1, seq, None);
        let messages = world.take(flapping.0);
        seq = messages
            .iter()
            .filter_map(ServerMessage::seq)
            .next_back()
            .map_or(seq, |it| it.0);
        hear(&mut world, host);
    }
    world.say(host, r#"{"type":"bye"}"#);
    let (back, welcome) = world.resumed(&away.1, 0, None);
    assert_eq!(welcome.room.peers.len(), 1);
    let mut messages = world.take(back);
    let bytes: usize = messages.iter().map(|it| it.to_text().len()).sum();
    assert!(bytes < 2 * limits::CROWDED_BYTES, "{bytes}");
    loop {
        let seq = messages
            .iter()
            .filter_map(ServerMessage::seq)
            .next_back()
            .unwrap();
        world.say(back, &format!(r#"{{"type":"ack","seq":{seq}}}"#));
        let more = world.take(back);
        if more.is_empty() {
            break;
        }
        messages.extend(more);
    }
    let mut locks = messages.iter().filter_map(|message| match message {
        ServerMessage::RoomUpdated(updated) => Some(updated.locked),
        _ => None,
    });
    assert_eq!(locks.next_back(), Some(true));
    let lefts = kinds(&messages)
        .iter()
        .filter(|it| *it == "peer_left")
        .count();
    assert_eq!(lefts, 1);
    let mut states = messages.iter().filter_map(|message| match message {
        ServerMessage::PeerUpdated(updated) if updated.peer.peer == flapper.1.peer => {
            Some((updated.peer.state, updated.peer.role))
        }
        _ => None,
    });
    assert_eq!(states.next_back(), Some((Presence::Here, Role::Host)));
}

#[test]
fn who_came_and_went_is_not_told_to_whom_much_waits_for() {
    let mut world = World::new(CONFIG);
    let welcomes = welcomed(&mut world, 2);
    let (sender, away) = (welcomes[0].0, &welcomes[1]);
    world.break_off(away.0);
    say(&mut world, sender, 1, LARGE, None);
    say(&mut world, sender, 2, LARGE, None);
    for _ in 0..100 {
        let (visitor, _) = world.enter(r#""room":"r""#);
        world.say(visitor, r#"{"type":"bye"}"#);
    }
    let (stays, welcome) = world.enter(r#""room":"r""#);
    // What it says must not come before the news that it is there.
    say(&mut world, stays, 1, 1, None);
    assert_eq!(refused_ids(&mut world, stays), [1]);
    let (back, _) = world.resumed(&away.1, 0, None);
    let messages = world.take(back);
    assert_eq!(kinds(&messages), ["chat", "chat", "peer_updated"]);
    let ServerMessage::PeerUpdated(updated) = &messages[2] else {
        panic!("{messages:?}")
    };
    // The welcome has listed it.
    assert_eq!(updated.peer.peer, welcome.peer);
}
