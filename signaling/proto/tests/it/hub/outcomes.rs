//! What senders are told of very many messages.

use std::collections::BTreeSet;

use signaling_proto::hub::{Config, ConnectionId, limits};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::ErrorCode;

use super::welcomed;
use crate::world::{CONFIG, World};

/// Enough that telling of all of them at once would not fit into any queue.
const MANY: u64 = 800;

fn say_much(world: &mut World, from: ConnectionId, count: u64) {
    for id in 1..=count {
        world.say(from, &format!(r#"{{"type":"chat","id":{id},"text":"x"}}"#));
    }
}

/// Reads and acknowledges until nothing more comes: the ids that were told, and the most bytes that
/// came between two acknowledgements.
fn hear_out(world: &mut World, connection: ConnectionId) -> (BTreeSet<u64>, usize) {
    let (mut ids, mut most) = (BTreeSet::new(), 0);
    loop {
        world.pass(limits::DELIVERED_DELAY);
        let messages = world.take(connection);
        if messages.is_empty() {
            return (ids, most);
        }
        let sizes = messages.iter().map(|message| message.to_text().len());
        most = most.max(sizes.clone().sum());
        assert!(sizes.max() <= Some(limits::DELIVERED_BYTES + 64));
        for message in &messages {
            if let ServerMessage::Delivered(delivered) = message {
                ids.extend(delivered.ids.iter().map(|id| id.0));
            }
        }
        let seq = messages.iter().filter_map(ServerMessage::seq).max();
        if let Some(seq) = seq {
            world.say(connection, &format!(r#"{{"type":"ack","seq":{seq}}}"#));
        }
    }
}

#[test]
fn a_sender_whose_room_has_left_hears_it_in_frames_that_it_can_read() {
    let mut world = World::new(Config {
        max_room: 16,
        ..CONFIG
    });
    let mut welcomes = welcomed(&mut world, 16);
    let (sender, welcome) = welcomes.remove(0);
    say_much(&mut world, sender, MANY);
    world.break_off(sender);
    for (connection, _) in welcomes {
        world.say(connection, r#"{"type":"bye"}"#);
    }
    // The fifteen who entered later, and nobody has said anything to it.
    let (sender, _) = world.resumed(&welcome, 15, None);
    let (ids, most) = hear_out(&mut world, sender);
    assert_eq!(ids, (1..=MANY).collect());
    assert!(most < 2 * limits::OUTCOME_WINDOW_BYTES, "{most} bytes");
    assert!(!world.is_over(sender));
}

#[test]
fn no_outcome_is_forgotten_before_it_was_heard() {
    let mut world = World::new(CONFIG);
    let (sender, welcome) = world.enter(r#""room":"r""#);
    // Nobody else is there: nothing is to be acknowledged unless the server asks for it.
    say_much(&mut world, sender, 10 * MANY);
    world.break_off(sender);
    let (sender, again) = world.resumed(&welcome, 0, None);
    assert_eq!(again.received.0, 10 * MANY);
    let (ids, _) = hear_out(&mut world, sender);
    assert_eq!(ids, (1..=10 * MANY).collect());
}

#[test]
fn who_never_acknowledges_is_a_slow_consumer_at_last() {
    let mut world = World::new(CONFIG);
    let (sender, _) = world.enter(r#""room":"r""#);
    for id in 1..10_000 {
        world.say(sender, &format!(r#"{{"type":"dance","id":{id}}}"#));
        if world.is_over(sender) {
            break;
        }
    }
    assert_eq!(
        world.close_code(sender),
        ErrorCode::SlowConsumer.close_code()
    );
}
