//! Random operations against a reference model that keeps plain lists and scans them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PEERS: [&str; 4] = ["8.8.8.8:1", "8.8.8.8:2", "1.1.1.1:1", "10.0.0.1:1"];
const CLIENTS: u8 = 3;

#[derive(Debug, Clone)]
enum Op {
    Allocate {
        client: u8,
        lifetime: u32,
    },
    Refresh {
        client: u8,
        lifetime: u32,
    },
    Permit {
        client: u8,
        peer: usize,
    },
    Bind {
        client: u8,
        number: u16,
        peer: usize,
    },
    Leave {
        client: u8,
    },
    Send {
        client: u8,
        peer: usize,
    },
    ChannelData {
        client: u8,
        number: u16,
    },
    FromPeer {
        client: u8,
        peer: usize,
    },
    Advance {
        seconds: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let client = 0..CLIENTS;
    let peer = 0..PEERS.len();
    let number = 0x4000_u16..0x4003;
    let lifetime = prop_oneof![Just(0_u32), Just(600), 0..5000_u32];
    let op = prop_oneof![
        3 => (client.clone(), lifetime.clone()).prop_map(|(client, lifetime)| Op::Allocate { client, lifetime }),
        1 => (client.clone(), lifetime).prop_map(|(client, lifetime)| Op::Refresh { client, lifetime }),
        2 => (client.clone(), peer.clone()).prop_map(|(client, peer)| Op::Permit { client, peer }),
        3 => (client.clone(), number.clone(), peer.clone()).prop_map(|(client, number, peer)| Op::Bind { client, number, peer }),
        1 => client.clone().prop_map(|client| Op::Leave { client }),
        2 => (client.clone(), peer.clone()).prop_map(|(client, peer)| Op::Send { client, peer }),
        2 => (client.clone(), number).prop_map(|(client, number)| Op::ChannelData { client, number }),
        2 => (client, peer).prop_map(|(client, peer)| Op::FromPeer { client, peer }),
        2 => prop_oneof![1..10_u64, 250..350_u64, 550..650_u64].prop_map(|seconds| Op::Advance { seconds }),
    ];
    prop::collection::vec(op, 1..80)
}

/// What the RFC says, without any index.
#[derive(Default)]
struct Model {
    now: u64,
    allocations: BTreeMap<u8, ModelAllocation>,
}

#[derive(Default)]
struct ModelAllocation {
    expires_at: u64,
    permissions: Vec<(IpAddr, u64)>,
    channels: Vec<(u16, usize, u64)>,
}

fn grant(asked: u32) -> u64 {
    u64::from(asked).clamp(600, 3600)
}

impl Model {
    /// The code of a request's reply.
    fn request(&mut self, op: &Op) -> u16 {
        let now = self.now;
        match *op {
            Op::Allocate { client, lifetime } => {
                if self.allocations.contains_key(&client) {
                    return 437;
                }
                let expires_at = now + grant(lifetime);
                self.allocations.insert(
                    client,
                    ModelAllocation {
                        expires_at,
                        ..Default::default()
                    },
                );
                0
            }
            Op::Refresh { client, lifetime } => match self.allocations.get_mut(&client) {
                None => 437,
                Some(_) if lifetime == 0 => {
                    self.allocations.remove(&client);
                    0
                }
                Some(allocation) => {
                    allocation.expires_at = now + grant(lifetime);
                    0
                }
            },
            Op::Permit { client, peer } => match self.allocations.get_mut(&client) {
                None => 437,
                Some(_) if PEERS[peer].starts_with("10.") => 403,
                Some(allocation) => {
                    allocation.permit(peer, now);
                    0
                }
            },
            Op::Bind {
                client,
                number,
                peer,
            } => match self.allocations.get_mut(&client) {
                None => 437,
                Some(_) if PEERS[peer].starts_with("10.") => 403,
                Some(allocation) => allocation.bind(number, peer, now),
            },
            _ => unreachable!("not a request"),
        }
    }

    fn advance(&mut self, seconds: u64) {
        self.now += seconds;
        let now = self.now;
        self.allocations
            .retain(|_, allocation| now < allocation.expires_at);
    }
}

impl ModelAllocation {
    fn permit(&mut self, peer: usize, now: u64) {
        let ip = address(PEERS[peer]).ip();
        self.permissions.retain(|(other, _)| *other != ip);
        self.permissions.push((ip, now + 300));
    }

    fn is_permitted(&self, peer: usize, now: u64) -> bool {
        let ip = address(PEERS[peer]).ip();
        self.permissions
            .iter()
            .any(|(other, until)| *other == ip && now < *until)
    }

    fn bind(&mut self, number: u16, peer: usize, now: u64) -> u16 {
        self.channels.retain(|(_, _, until)| now < until + 300);
        let conflicts = |(n, p, _): &(u16, usize, u64)| (*n == number) != (*p == peer);
        if self.channels.iter().any(conflicts) {
            return 400;
        }
        self.channels.retain(|(n, _, _)| *n != number);
        self.channels.push((number, peer, now + 600));
        self.permit(peer, now);
        0
    }
}

fn client_of(world: &World, number: u8) -> Client {
    world.client(
        &format!("198.51.100.7:{}", 4000 + u16::from(number)),
        "alice",
    )
}

fn run(ops: &[Op]) {
    let mut world = World::new();
    let mut model = Model::default();
    for op in ops {
        step(&mut world, &mut model, op);
        world.settle();
        assert_eq!(
            world.relay.allocations(),
            model.allocations.len(),
            "after {op:?}"
        );
    }
}

fn step(world: &mut World, model: &mut Model, op: &Op) {
    let (now, allocation) = (model.now, |client: u8| model.allocations.get(&client));
    match *op {
        Op::Advance { seconds } => {
            model.advance(seconds);
            world.advance(seconds);
        }
        Op::Leave { client } => {
            model.allocations.remove(&client);
            let client = client_of(world, client);
            world
                .relay
                .handle_client_gone(world.now, &client.five_tuple);
        }
        Op::Send { client, peer } => {
            let expected = allocation(client).is_some_and(|it| it.is_permitted(peer, now));
            let data = [super::peer(PEERS[peer]), raw(kind::DATA, b"x")];
            let bytes = unsigned(Class::Indication, Method::Send, &data, false);
            let client = client_of(world, client);
            assert_eq!(
                world.relay_to_peer(&client, &bytes).is_ok(),
                expected,
                "{op:?}"
            );
        }
        Op::ChannelData { client, number } => {
            let bound = allocation(client).and_then(|it| {
                it.channels
                    .iter()
                    .find(|(n, _, until)| *n == number && now < *until)
            });
            let expected = bound.map(|(_, peer, _)| address(PEERS[*peer]));
            let [high, low] = number.to_be_bytes();
            let client = client_of(world, client);
            let sent = world.relay_to_peer(&client, &[high, low, 0, 1, 7]);
            assert_eq!(sent.ok().map(|(peer, _)| peer), expected, "{op:?}");
        }
        Op::FromPeer { client, peer } => {
            let Some(it) = allocation(client) else { return };
            let permitted = it.is_permitted(peer, now);
            let bound = it
                .channels
                .iter()
                .find(|(_, p, until)| *p == peer && now < *until);
            let expected = permitted.then(|| bound.map(|(number, _, _)| *number));
            let client = client_of(world, client);
            let got = world.relay_from_peer(&client, PEERS[peer], b"x").ok();
            let got = got.map(|bytes| {
                let number = u16::from_be_bytes([bytes[0], bytes[1]]);
                (number >= 0x4000).then_some(number)
            });
            assert_eq!(got, expected, "{op:?}");
        }
        Op::Allocate { client, lifetime } | Op::Refresh { client, lifetime } => {
            let lifetime = raw(kind::LIFETIME, &lifetime.to_be_bytes());
            let (method, parts) = match op {
                Op::Allocate { .. } => (Method::Allocate, vec![udp(), lifetime]),
                _ => (Method::Refresh, vec![lifetime]),
            };
            let mut client = client_of(world, client);
            let reply = world.request(&mut client, method, &parts);
            assert_eq!(reply.code, model.request(op), "{op:?}");
        }
        Op::Permit { client, peer } => {
            let mut client = client_of(world, client);
            let reply = world.request(
                &mut client,
                Method::CreatePermission,
                &[super::peer(PEERS[peer])],
            );
            assert_eq!(reply.code, model.request(op), "{op:?}");
        }
        Op::Bind {
            client,
            number,
            peer,
        } => {
            let mut client = client_of(world, client);
            let parts = [channel(number), super::peer(PEERS[peer])];
            let reply = world.request(&mut client, Method::ChannelBind, &parts);
            assert_eq!(reply.code, model.request(op), "{op:?}");
        }
    }
}

proptest! {
    #[test]
    fn the_relay_does_what_the_model_says(ops in ops()) {
        run(&ops);
    }
}
