//! Steps of the wall clock: an allocation lives by the monotonic clock, and costs its client a new nonce
//! at most.

use super::*;

#[test]
fn steps_of_the_wall_clock_end_no_allocation_and_refuse_nobody() {
    const YEAR: u64 = 365 * 24 * 3600;
    for step in [3600, YEAR, 40 * YEAR] {
        for is_back in [false, true] {
            let mut world = World::new();
            let mut client = world.client("198.51.100.7:4000", "alice");
            world.allocate(&mut client);
            let bound = world.request(
                &mut client,
                Method::ChannelBind,
                &[channel(0x4000), peer(PEER)],
            );
            assert_eq!(bound.code, 0);
            world.now.unix_s = match is_back {
                true => UNIX.saturating_sub(step),
                false => UNIX + step,
            };
            world.relay.handle_timeout(world.now);
            world.settle();
            assert!(world.relay_to_peer(&client, b"\x40\x00\x00\x01x").is_ok());
            let id = world.id();
            let request = signed(&client, Method::Refresh, id, &[]);
            let reply = world.receive(&client.five_tuple, &request).unwrap();
            assert_eq!(decode(&reply, &client.key).code, 438, "{step} {is_back}");
            // As a client does with the nonce that it got.
            assert_eq!(world.request(&mut client, Method::Refresh, &[]).code, 0);
            let mut newcomer = world.client("198.51.100.8:4000", "bob");
            world.allocate(&mut newcomer);
            // Both end by the time that has really passed.
            world.advance(599);
            assert_eq!(world.relay.allocations(), 2);
            world.advance(2);
            assert_eq!(world.relay.allocations(), 0);
        }
    }
}
