//! One rule of the protocol each.

mod backpressure;
mod ending;
mod entering;
mod messages;
mod moving;
mod namespaces;
mod outcomes;
mod panics;
mod pressure;
mod resume;
mod reunion;
mod rooms;
mod sources;
mod tickets;

use signaling_proto::hub::ConnectionId;
use signaling_proto::id::PeerId;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::Welcome;

use crate::world::World;

/// A room `r` with `count` participants, everything of their entering read.
fn room(world: &mut World, count: usize) -> Vec<(ConnectionId, PeerId)> {
    let welcomed = welcomed(world, count).into_iter();
    welcomed
        .map(|(connection, welcome)| (connection, welcome.peer))
        .collect()
}

/// As [`room`], with what each was welcomed with.
fn welcomed(world: &mut World, count: usize) -> Vec<(ConnectionId, Welcome)> {
    let peers: Vec<_> = (0..count).map(|_| world.enter(r#""room":"r""#)).collect();
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
