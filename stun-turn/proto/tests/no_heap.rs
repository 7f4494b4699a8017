//! The promise of zero heap allocations: for every datagram of a stranger, and for every relayed
//! packet. A counting allocator watches this thread.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/relay.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

use stun_turn_proto::Outcome;
use stun_turn_proto::attribute::{encode_xor_address, kind};
use stun_turn_proto::auth::long_term_key;
use stun_turn_proto::limits;
use stun_turn_proto::message::{Class, Method, TransactionId, Writer};
use stun_turn_proto::relay::{FromPeer, PeerDatagram};

use support::{NOW, allocate, client, nonce, relay, request};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator; counting touches no heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_in(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn a_stranger_s_datagram_allocates_nothing() {
    let (mut relay, settings) = relay();
    let wrong_key = long_term_key(b"alice", b"callbox", b"wrong");
    let nonce = nonce(&settings);
    let udp: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    let datagrams = [
        request(Method::Binding, 1, &[], None),
        request(Method::Binding, 1, &[(0x7FFF, b"x")], None),
        request(Method::Allocate, 1, &[udp], None),
        request(Method::Refresh, 1, &[], None),
        request(Method::Allocate, 1, &[udp], Some((&wrong_key, &nonce))),
        request(
            Method::Allocate,
            1,
            &[udp],
            Some((&wrong_key, b"no nonce of ours")),
        ),
        b"\x40\x00\x00\x01x".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xFF; 1200],
        Vec::new(),
    ];
    let mut buffer = [0; limits::MAX_REPLY_BYTES];
    let count = allocations_in(|| {
        for port in 1..=1000 {
            for datagram in &datagrams {
                relay.handle_client(NOW, &client(port), datagram, &mut buffer);
            }
        }
    });
    assert_eq!(count, 0);
    assert_eq!(relay.allocations(), 0);
}

#[test]
fn a_relayed_packet_allocates_nothing() {
    let (mut relay, settings) = relay();
    let peer: SocketAddr = "8.8.8.8:5000".parse().unwrap();
    let other_port: SocketAddr = "8.8.8.8:5001".parse().unwrap();
    let id = allocate(&mut relay, &settings, peer);
    let (address, length) = encode_xor_address(peer, TransactionId([3; 12]));
    let mut send = [0; 256];
    let mut writer = Writer::new(
        &mut send,
        Class::Indication,
        Method::Send,
        TransactionId([3; 12]),
    );
    writer
        .attribute(kind::XOR_PEER_ADDRESS, &address[..length])
        .attribute(kind::DATA, &[7; 160]);
    let send_length = writer.finish(None, false).unwrap();
    let mut channel_data = vec![0x40, 0, 0, 160];
    channel_data.resize(164, 7);
    let mut buffer = [0; limits::MAX_REPLY_BYTES];
    let mut slot = [0; limits::HEADROOM + 160 + limits::TAILROOM];
    let count = allocations_in(|| {
        for _ in 0..1000 {
            for message in [&channel_data[..], &send[..send_length]] {
                let outcome = relay.handle_client(NOW, &client(1), message, &mut buffer);
                assert!(matches!(outcome, Outcome::ToPeer { .. }));
            }
            // With a channel, and as a Data indication.
            for from in [peer, other_port] {
                let payload = limits::HEADROOM..limits::HEADROOM + 160;
                let datagram = PeerDatagram {
                    buffer: &mut slot,
                    payload,
                };
                let outcome = relay.handle_peer(NOW, id, from, datagram);
                assert!(matches!(outcome, FromPeer::ToClient { .. }));
            }
        }
    });
    assert_eq!(count, 0);
}
