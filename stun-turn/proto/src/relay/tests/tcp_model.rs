//! Random operations on the connections of one TCP allocation, against a model that knows each peer's
//! state and when it ends.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tcp::{allocated, over, world};
use super::*;

#[derive(Debug, Clone, Copy)]
enum Op {
    Connect(usize),
    Connected(usize),
    Incoming(usize),
    Bind(usize),
    HalfClose(usize),
    Carry(usize),
    End(usize),
    Wait(u64),
}

const PEERS: usize = 4;

fn op() -> impl Strategy<Value = Op> {
    let peer = 0..PEERS;
    prop_oneof![
        4 => peer.clone().prop_map(Op::Connect),
        4 => peer.clone().prop_map(Op::Connected),
        2 => peer.clone().prop_map(Op::Incoming),
        4 => peer.clone().prop_map(Op::Bind),
        1 => peer.clone().prop_map(Op::HalfClose),
        1 => peer.clone().prop_map(Op::Carry),
        2 => peer.prop_map(Op::End),
        4 => (100_u64..10_000).prop_map(Op::Wait),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modelled {
    Connecting,
    Unbound,
    Bound,
    HalfClosed,
}

/// By peer: the connection's id, its state and when that ends.
#[derive(Default)]
struct Model {
    peers: BTreeMap<usize, (ConnectionId, Modelled, Option<Duration>)>,
    connects: Vec<Duration>,
}

fn text(peer: usize) -> String {
    format!("8.8.8.8:{}", 5000 + peer)
}

fn run(ops: &[Op]) {
    let mut world = world();
    let mut client = allocated(&mut world);
    let permit = [peer("8.8.8.8:1")];
    assert_eq!(
        world
            .request(&mut client, Method::CreatePermission, &permit)
            .code,
        0
    );
    let relay = world.relay_id(&client);
    let mut model = Model::default();
    let mut data_port = 10_000;
    for op in ops {
        let now = world.now.monotonic;
        let later = Some(now + Duration::from_secs(30));
        match *op {
            Op::Connect(at) => {
                let recent = model
                    .connects
                    .iter()
                    .filter(|it| **it + Duration::from_secs(1) > now);
                let expected = match (model.peers.contains_key(&at), recent.count()) {
                    (true, _) => Err(446),
                    (false, 5..) => Err(508),
                    (false, _) => Ok(()),
                };
                let result = world.connect(&client, &text(at));
                assert_eq!(result.as_ref().map(|_| ()).map_err(|code| *code), expected);
                if let Ok(connecting) = result {
                    model.connects.push(now);
                    let state = (connecting.id, Modelled::Connecting, later);
                    model.peers.insert(at, state);
                }
            }
            Op::Connected(at) => {
                if let Some((id, state, ends_at)) = model.peers.get_mut(&at) {
                    let was_waited_for = *state == Modelled::Connecting;
                    assert_eq!(world.relay.handle_connected(world.now, *id), was_waited_for);
                    if was_waited_for {
                        (*state, *ends_at) = (Modelled::Unbound, later);
                        assert_eq!(world.told(&client).unwrap().code, 0);
                    }
                }
            }
            Op::Incoming(at) => {
                let from = address(&text(at));
                // The permission lasts 300 s and nobody renews it.
                let may = now < Duration::from_secs(300) && !model.peers.contains_key(&at);
                let id = world.relay.handle_incoming(world.now, relay, from);
                if let Some((connecting, state, ends_at)) = model.peers.get_mut(&at)
                    && *state == Modelled::Connecting
                {
                    assert_eq!(id, Some(*connecting));
                    (*state, *ends_at) = (Modelled::Unbound, later);
                    assert_eq!(world.told(&client).unwrap().code, 0);
                } else {
                    assert_eq!(id.is_some(), may);
                }
                if let Some(id) = id.filter(|_| may) {
                    model.peers.insert(at, (id, Modelled::Unbound, later));
                    assert!(
                        world
                            .told(&client)
                            .unwrap()
                            .get(kind::XOR_PEER_ADDRESS)
                            .is_some()
                    );
                }
            }
            Op::Bind(at) => {
                if let Some((id, state, ends_at)) = model.peers.get_mut(&at) {
                    data_port += 1;
                    let from = format!("198.51.100.7:{data_port}");
                    let mut data = over(&world, Transport::Tcp, &from, "alice");
                    let parts = [raw(kind::CONNECTION_ID, &id.to_bytes())];
                    let code = world
                        .request(&mut data, Method::ConnectionBind, &parts)
                        .code;
                    let may = *state == Modelled::Unbound;
                    assert_eq!(code, if may { 0 } else { 400 });
                    if may {
                        (*state, *ends_at) = (Modelled::Bound, None);
                    }
                }
            }
            Op::HalfClose(at) => {
                if let Some((id, state, ends_at)) = model.peers.get_mut(&at) {
                    world.relay.handle_half_closed(world.now, *id);
                    if matches!(state, Modelled::Bound | Modelled::HalfClosed) {
                        (*state, *ends_at) = (Modelled::HalfClosed, later);
                    }
                }
            }
            Op::Carry(at) => {
                if let Some((id, state, ends_at)) = model.peers.get_mut(&at) {
                    world
                        .relay
                        .handle_carried(world.now, *id, Direction::ToPeer, 1);
                    if *state == Modelled::HalfClosed {
                        *ends_at = later;
                    }
                }
            }
            Op::End(at) => {
                if let Some((id, ..)) = model.peers.remove(&at) {
                    world.relay.handle_connection_ended(id);
                }
            }
            Op::Wait(milliseconds) => {
                world.now.monotonic += Duration::from_millis(milliseconds);
                let now = world.now.monotonic;
                world.relay.handle_timeout(world.now);
                let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
                model.peers.retain(|_, (_, state, at)| {
                    if is_due(*at) && *state == Modelled::Connecting {
                        assert_eq!(world.told(&client).unwrap().code, 447);
                    }
                    !is_due(*at)
                });
            }
        }
        assert_eq!(world.told(&client), None);
        world.settle();
        assert_eq!(
            world.settings.shared.connection_ids.count(),
            model.peers.len()
        );
        let next = model.peers.values().filter_map(|(.., at)| *at).min();
        let allocation_ends = Duration::from_secs(600);
        assert_eq!(
            world.relay.poll_timeout(),
            Some(next.unwrap_or(allocation_ends))
        );
    }
}

proptest! {
    #[test]
    fn connections_do_what_the_model_says(ops in prop::collection::vec(op(), 1..50)) {
        run(&ops);
    }
}
