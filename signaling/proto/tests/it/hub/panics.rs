//! A mistake of ours in the middle of an input.

use std::panic::{AssertUnwindSafe, catch_unwind};

use signaling_proto::hub::Arrival;
use signaling_proto::message::ClientMessage;
use signaling_proto::message::server::ErrorCode;

use super::{kinds, welcomed};
use crate::world::{CONFIG, PLANTED, World};

#[test]
fn a_panic_ends_the_room_that_it_was_in_and_its_sessions_come_back_as_after_a_restart() {
    let mut world = World::new(CONFIG);
    let (witness, _) = world.enter(r#""room":"other""#);
    let [a, b] = welcomed(&mut world, 2).try_into().unwrap();
    let failing = world.arrive(Arrival::default());
    let hello = ClientMessage::parse(r#"{"type":"hello","room":"r","token":"planted"}"#);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        world.hub.handle_message(world.now, failing, hello);
    }));
    assert!(panic.is_err(), "{PLANTED}");
    // In the middle of a message: the room of its sender goes.
    let tags = world.hub.handle_panic(world.now, Some(a.0));
    assert_eq!(tags.len(), 1);
    world.collect();
    for (connection, _) in [&a, &b] {
        let told = world.take(*connection);
        assert_eq!(kinds(&told), ["error"]);
        assert_eq!(
            world.close_code(*connection),
            ErrorCode::Internal.close_code()
        );
    }
    assert!(!world.is_over(witness));
    assert_eq!(world.take(witness), []);
    assert_eq!(world.hub.snapshot().sessions, 1);
    let (back, again) = world.resumed(&a.1, 2, Some(&[&b.1.peer]));
    assert_eq!((&again.peer, again.role), (&a.1.peer, a.1.role));
    world.resumed(&b.1, 1, Some(&[&a.1.peer]));
    world.say(back, r#"{"type":"chat","id":1,"text":"x"}"#);
    assert!(!world.is_over(back));
}
