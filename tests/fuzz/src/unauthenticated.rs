//! A server that strangers throw bytes at: nothing is kept, nothing is sent to anybody else, and
//! answers are small.

use crate::world::{Sent, World};

/// Bytes of an IPv4 and a UDP header, which both packets have.
const HEADERS: usize = 28;

pub(crate) fn run(input: &[u8]) {
    let mut world = World::new();
    let mut rest = input;
    // One byte of client, one of length, the datagram.
    while let Some((&[client, length], tail)) = rest.split_first_chunk() {
        let (datagram, tail) = tail.split_at(tail.len().min(usize::from(length)));
        rest = tail;
        let from = World::client(client, client & 1 == 1);
        match world.receive(&from, datagram) {
            Sent::Nothing => {}
            Sent::ToPeer(peer, _) => panic!("a stranger reached {peer}"),
            Sent::Reply(reply) => {
                assert!(datagram.len() >= 20, "only whole messages are answered");
                assert_eq!(datagram[0] & 0x01, 0, "only requests are");
                assert_eq!(datagram[1] & 0x10, 0, "only requests are");
                let on_wire = |length| (length + HEADERS) as f64;
                let factor = on_wire(reply.len()) / on_wire(datagram.len());
                assert!(
                    factor <= 2.2,
                    "{} for {} bytes",
                    reply.len(),
                    datagram.len()
                );
                assert_eq!(reply[8..20], datagram[8..20], "the transaction's own reply");
            }
        }
        assert_eq!(world.relay.allocations(), 0);
        assert_eq!(world.relay.poll_timeout(), None, "nothing waits");
    }
}
