//! Instructions of the core for a relayed packet, counted by valgrind: equal on every machine, so that
//! a limit can be set. `cargo bench -p stun-turn-proto` fails where one is exceeded: each is 5 %
//! above what was counted when it was written here.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(missing_docs, reason = "the macros make public items without any")]

#[path = "../tests/support/relay.rs"]
mod support;

use std::hint::black_box;
use std::net::SocketAddr;

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use stun_turn_proto::attribute::{encode_xor_address, kind};
use stun_turn_proto::message::{Class, Method, TransactionId, Writer};
use stun_turn_proto::relay::{FromPeer, PeerDatagram};
use stun_turn_proto::{Outcome, Relay, RelayId, limits};
use support::{NOW, client};

/// Packets of each count.
const PACKETS: usize = 100;
const PAYLOAD: usize = 160;

/// A relay with an allocation that has channel 0x4000 to a peer, and a message of its client.
struct Scene {
    relay: Relay,
    id: RelayId,
    message: Vec<u8>,
}

fn peer() -> SocketAddr {
    "8.8.8.8:5000".parse().unwrap()
}

fn scene(message: Vec<u8>) -> Scene {
    let (mut relay, settings) = support::relay();
    let id = support::allocate(&mut relay, &settings, peer());
    Scene { relay, id, message }
}

fn with_channel_data() -> Scene {
    let mut message = vec![0x40, 0, 0, 160];
    message.resize(4 + PAYLOAD, 7);
    scene(message)
}

fn with_send_indication() -> Scene {
    let id = TransactionId([3; 12]);
    let (address, length) = encode_xor_address(peer(), id);
    let mut buffer = [0; 256];
    let mut writer = Writer::new(&mut buffer, Class::Indication, Method::Send, id);
    writer
        .attribute(kind::XOR_PEER_ADDRESS, &address[..length])
        .attribute(kind::DATA, &[7; PAYLOAD]);
    let length = writer.finish(None, false).unwrap();
    scene(buffer[..length].to_vec())
}

fn with_binding() -> Scene {
    scene(support::request(Method::Binding, 1, &[], None))
}

fn with_datagram() -> (Scene, Vec<u8>) {
    let slot = vec![7; limits::HEADROOM + PAYLOAD + limits::TAILROOM];
    (scene(Vec::new()), slot)
}

/// Fails beyond 5 % more than this.
fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, instructions + instructions / 20)]);
    LibraryBenchmarkConfig::default().tool(callgrind).clone()
}

#[library_benchmark]
#[bench::channel_data(args = [], setup = with_channel_data, config = at_most(118_006))]
#[bench::send_indication(args = [], setup = with_send_indication, config = at_most(327_406))]
fn client_to_peer(mut scene: Scene) -> Scene {
    let mut reply = [0; limits::MAX_REPLY_BYTES];
    for _ in 0..PACKETS {
        let client = client(1);
        let outcome = scene
            .relay
            .handle_client(NOW, &client, &scene.message, &mut reply);
        assert!(matches!(black_box(outcome), Outcome::ToPeer { .. }));
    }
    scene
}

#[library_benchmark]
#[bench::channel_data(args = [], setup = with_datagram, config = at_most(74_289))]
fn peer_to_client((mut scene, mut slot): (Scene, Vec<u8>)) -> (Scene, Vec<u8>) {
    for _ in 0..PACKETS {
        let datagram = PeerDatagram {
            buffer: &mut slot,
            payload: limits::HEADROOM..limits::HEADROOM + PAYLOAD,
        };
        let outcome = scene.relay.handle_peer(NOW, scene.id, peer(), datagram);
        assert!(matches!(black_box(outcome), FromPeer::ToClient { .. }));
    }
    (scene, slot)
}

#[library_benchmark]
#[bench::plain(args = [], setup = with_binding, config = at_most(94_406))]
fn binding(mut scene: Scene) -> Scene {
    let mut reply = [0; limits::MAX_REPLY_BYTES];
    for _ in 0..PACKETS {
        let client = client(1);
        let outcome = scene
            .relay
            .handle_client(NOW, &client, &scene.message, &mut reply);
        assert!(matches!(black_box(outcome), Outcome::Reply(_)));
    }
    scene
}

library_benchmark_group!(
    name = hot_path,
    benchmarks = [client_to_peer, peer_to_client, binding]
);
main!(library_benchmark_groups = hot_path);
