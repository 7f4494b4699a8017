//! Sessions that go from one process to another and back, while both run.
//!
//! The simulation with two servers has found what these tests tell: who came back had met somebody in the
//! other process, whom this one did not wait for. A message for all was "delivered" without that peer, and
//! nobody told that it had gone.

use signaling_proto::hub::{Config, ConnectionId, limits};
use signaling_proto::id::{MessageId, PeerId};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{LeftReason, Welcome};

use super::{kinds, welcomed};
use crate::world::{CONFIG, World};

/// Two are in a room; the first goes to another process, meets somebody new there and comes back. So many
/// have entered here meanwhile.
struct Mover {
    world: World,
    connection: ConnectionId,
    others: Vec<ConnectionId>,
    met: Welcome,
}

fn mover(config: Config, newcomers: usize) -> Mover {
    let mut world = World::new(config);
    let [(first, welcome), (stayed, other)] = welcomed(&mut world, 2).try_into().unwrap();
    world.break_off(first);
    let newcomers = (0..newcomers).map(|_| world.enter(r#""room":"r""#).0);
    let mut others: Vec<_> = newcomers.collect();
    others.push(stayed);
    let mut elsewhere = world.another();
    std::mem::swap(&mut world.hub, &mut elsewhere);
    let (there, welcome) = world.resumed(&welcome, 1, Some(&[&other.peer]));
    let (_, met) = world.enter(r#""room":"r""#);
    assert_eq!(kinds(&world.take(there)), ["peer_joined"]);
    world.break_off(there);
    std::mem::swap(&mut world.hub, &mut elsewhere);
    let known = [&other.peer, &met.peer];
    let (connection, _) = world.resumed(&welcome, 2, Some(&known));
    Mover {
        world,
        connection,
        others,
        met,
    }
}

impl Mover {
    fn say_to_all(&mut self) {
        self.world
            .say(self.connection, r#"{"type":"chat","id":1,"text":"all"}"#);
        for other in &self.others {
            let told = self.world.take(*other);
            assert_eq!(kinds(&told).last().unwrap(), "chat");
            let seq = told.last().and_then(ServerMessage::seq).unwrap();
            let ack = format!(r#"{{"type":"ack","seq":{seq}}}"#);
            self.world.say(*other, &ack);
        }
    }
}

fn left(message: &ServerMessage) -> Option<(&PeerId, LeftReason)> {
    match message {
        ServerMessage::PeerLeft(left) => Some((&left.peer, left.reason)),
        _ => None,
    }
}

#[test]
fn what_is_for_somebody_met_elsewhere_waits_until_that_peer_follows() {
    let mut mover = mover(CONFIG, 0);
    mover.say_to_all();
    mover.world.pass(limits::DELIVERED_DELAY);
    let told = mover.world.take(mover.connection);
    assert_eq!(kinds(&told), ["peer_joined"], "one has not got it");
    let met = mover.met.clone();
    let (follower, _) = mover.world.resumed(&met, 1, None);
    assert_eq!(kinds(&mover.world.take(follower)), ["chat"]);
    mover.world.say(follower, r#"{"type":"ack","seq":2}"#);
    mover.world.pass(limits::DELIVERED_DELAY);
    let told = mover.world.take(mover.connection);
    assert_eq!(kinds(&told), ["peer_joined", "delivered"]);
}

#[test]
fn who_was_met_elsewhere_and_does_not_follow_has_left() {
    let mut mover = mover(CONFIG, 0);
    mover.say_to_all();
    mover.world.pass(CONFIG.resume_window);
    mover.world.pass(limits::DELIVERED_DELAY);
    let told = mover.world.take(mover.connection);
    let met = &mover.met.peer;
    assert_eq!(left(&told[1]), Some((met, LeftReason::Timeout)));
    match &told[2..] {
        [ServerMessage::Delivered(delivered)] => {
            assert_eq!(delivered.ids, [MessageId(1)]);
            assert_eq!(delivered.failed[&MessageId(1)], std::slice::from_ref(met));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn for_whom_the_room_here_has_no_place_has_left_at_once() {
    let config = Config {
        max_room: 3,
        ..CONFIG
    };
    let mut mover = mover(config, 1);
    let told = mover.world.take(mover.connection);
    let met = &mover.met.peer;
    let gone: Vec<_> = told.iter().filter_map(left).collect();
    assert_eq!(gone, [(met, LeftReason::Timeout)]);
    mover.say_to_all();
    mover.world.pass(limits::DELIVERED_DELAY);
    assert_eq!(kinds(&mover.world.take(mover.connection)), ["delivered"]);
}
