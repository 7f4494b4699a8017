//! Instructions of the core for relayed packets, counted by valgrind's callgrind: equal on every machine, so
//! that a limit can be set. `cargo bench -p stun-turn-proto` fails where a count exceeds its limit, which is 5 %
//! above the recorded count.
//!
//! The program runs itself under callgrind once for each case, with the case's name as its argument.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/relay.rs"]
mod support;

use std::hint::black_box;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};

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

/// A benchmark of [`PACKETS`] packets.
struct Case {
    name: &'static str,
    /// Instructions that were counted when the case was recorded.
    recorded: u64,
    run: fn(),
}

const CASES: [Case; 4] = [
    Case {
        name: "client_to_peer/channel_data",
        recorded: 118_006,
        run: || client_to_peer(with_channel_data()),
    },
    Case {
        name: "client_to_peer/send_indication",
        recorded: 327_406,
        run: || client_to_peer(with_send_indication()),
    },
    Case {
        name: "peer_to_client/channel_data",
        recorded: 74_289,
        run: || peer_to_client(scene(Vec::new())),
    },
    Case {
        name: "binding",
        recorded: 94_406,
        run: || binding(with_binding()),
    },
];

/// The only function whose instructions, and those of what it calls, callgrind counts.
#[inline(never)]
fn counted(packets: impl FnOnce()) {
    packets();
}

fn client_to_peer(mut scene: Scene) {
    let mut reply = [0; limits::MAX_REPLY_BYTES];
    counted(|| {
        for _ in 0..PACKETS {
            let client = client(1);
            let outcome = scene
                .relay
                .handle_client(NOW, &client, &scene.message, &mut reply);
            assert!(matches!(black_box(outcome), Outcome::ToPeer { .. }));
        }
    });
}

fn peer_to_client(mut scene: Scene) {
    let mut slot = vec![7; limits::HEADROOM + PAYLOAD + limits::TAILROOM];
    counted(|| {
        for _ in 0..PACKETS {
            let datagram = PeerDatagram {
                buffer: &mut slot,
                payload: limits::HEADROOM..limits::HEADROOM + PAYLOAD,
            };
            let outcome = scene.relay.handle_peer(NOW, scene.id, peer(), datagram);
            assert!(matches!(black_box(outcome), FromPeer::ToClient { .. }));
        }
    });
}

fn binding(mut scene: Scene) {
    let mut reply = [0; limits::MAX_REPLY_BYTES];
    counted(|| {
        for _ in 0..PACKETS {
            let client = client(1);
            let outcome = scene
                .relay
                .handle_client(NOW, &client, &scene.message, &mut reply);
            assert!(matches!(black_box(outcome), Outcome::Reply(_)));
        }
    });
}

/// Runs a case in a process of its own and returns its instructions.
fn count(case: &Case) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*counted*"])
        .arg(std::env::current_exe().unwrap())
        .arg(case.name)
        .output()
        .expect("valgrind is installed");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {report}", case.name);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected :"));
    let (_, instructions) = collected.unwrap_or_else(|| panic!("no count: {report}"));
    instructions.trim().parse().unwrap()
}

fn main() -> ExitCode {
    let chosen = std::env::args().nth(1);
    if let Some(case) = CASES
        .iter()
        .find(|case| Some(case.name) == chosen.as_deref())
    {
        (case.run)();
        return ExitCode::SUCCESS;
    }
    let mut exceeded = false;
    for case in &CASES {
        let (instructions, limit) = (count(case), case.recorded + case.recorded / 20);
        println!(
            "{}: {instructions} instructions for {PACKETS} packets; recorded {}, limit {limit}",
            case.name, case.recorded
        );
        // A count of nothing is a case that was not measured.
        exceeded |= instructions > limit || instructions < case.recorded / 2;
    }
    if exceeded {
        eprintln!("a count is above its limit, or below half of what is recorded");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
