//! Random senders, slow readers and absences: nobody's session ends for what others send, everything
//! comes once and in order, and each message has its one outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use signaling_proto::hub::{ConnectionId, limits};
use signaling_proto::id::PeerId;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::Welcome;

use super::welcomed;
use crate::world::{CONFIG, World};

const PEERS: usize = 4;

/// `peer` and `to` are indexes.
#[derive(Debug, Clone)]
enum Op {
    Say {
        peer: usize,
        to: Option<usize>,
        bytes: usize,
    },
    /// Acknowledges a part of what it has.
    Acknowledge {
        peer: usize,
        share: u8,
    },
    GoAway {
        peer: usize,
    },
    ComeBack {
        peer: usize,
    },
    Pass {
        ms: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let peer = 0..PEERS;
    let bytes = prop_oneof![Just(1), Just(5_000), Just(60_000)];
    prop_oneof![
        8 => (peer.clone(), prop::option::of(peer.clone()), bytes)
            .prop_map(|(peer, to, bytes)| Op::Say { peer, to, bytes }),
        4 => (peer.clone(), any::<u8>())
            .prop_map(|(peer, share)| Op::Acknowledge { peer, share }),
        1 => peer.clone().prop_map(|peer| Op::GoAway { peer }),
        2 => peer.prop_map(|peer| Op::ComeBack { peer }),
        // All of them together take less than a client may stall.
        2 => (0_u64..100).prop_map(|ms| Op::Pass { ms }),
    ]
}

struct Peer {
    /// `None` while it is away.
    connection: Option<ConnectionId>,
    welcome: Welcome,
    /// Highest `seq` that it has read, and that it has acknowledged.
    read: u64,
    acknowledged: u64,
    /// Whom each message was for; the first has the id 1.
    said: Vec<Option<usize>>,
    heard: Vec<(PeerId, u64)>,
    /// By id, whether it was delivered.
    outcomes: BTreeMap<u64, bool>,
}

struct Room {
    world: World,
    peers: Vec<Peer>,
}

impl Room {
    fn new() -> Self {
        let mut world = World::new(CONFIG);
        let welcomes = welcomed(&mut world, PEERS).into_iter();
        let peers = welcomes
            .enumerate()
            .map(|(at, (connection, welcome))| Peer {
                connection: Some(connection),
                welcome,
                // Of each who came later.
                read: (PEERS - 1 - at) as u64,
                acknowledged: 0,
                said: Vec::new(),
                heard: Vec::new(),
                outcomes: BTreeMap::new(),
            });
        Self {
            peers: peers.collect(),
            world,
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Say { peer, to, bytes } => self.say(peer, to, bytes),
            Op::Acknowledge { peer, share } => self.acknowledge(peer, share),
            Op::GoAway { peer } => {
                if let Some(connection) = self.peers[peer].connection.take() {
                    self.world.break_off(connection);
                }
            }
            Op::ComeBack { peer } => self.come_back(peer),
            Op::Pass { ms } => self.world.pass(Duration::from_millis(ms)),
        }
        for peer in &mut self.peers {
            peer.read(&mut self.world);
        }
    }

    fn say(&mut self, peer: usize, to: Option<usize>, bytes: usize) {
        let Some(connection) = self.peers[peer].connection.filter(|_| to != Some(peer)) else {
            return;
        };
        self.peers[peer].said.push(to);
        let id = self.peers[peer].said.len();
        let to = to.map_or_else(String::new, |to| {
            format!(r#","to":"{}""#, self.peers[to].welcome.peer)
        });
        let text = "x".repeat(bytes);
        let chat = format!(r#"{{"type":"chat","id":{id},"text":"{text}"{to}}}"#);
        self.world.say(connection, &chat);
    }

    fn acknowledge(&mut self, at: usize, share: u8) {
        let peer = &mut self.peers[at];
        let Some(connection) = peer.connection else {
            return;
        };
        peer.acknowledged += (peer.read - peer.acknowledged) * u64::from(share) / 255;
        let ack = format!(r#"{{"type":"ack","seq":{}}}"#, peer.acknowledged);
        self.world.say(connection, &ack);
    }

    fn come_back(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        if peer.connection.is_none() {
            let (connection, welcome) = self.world.resumed(&peer.welcome, peer.read, None);
            peer.acknowledged = peer.read;
            assert_eq!(welcome.received.0, peer.said.len() as u64);
            peer.connection = Some(connection);
            peer.welcome = welcome;
        }
    }

    /// Everybody is back and reads everything.
    fn settle(&mut self) {
        for peer in 0..PEERS {
            self.apply(&Op::ComeBack { peer });
        }
        // As often as messages may wait for each other.
        for _ in 0..200 {
            for peer in 0..PEERS {
                self.apply(&Op::Acknowledge { peer, share: 255 });
            }
        }
        let ms = u64::try_from(limits::DELIVERED_DELAY.as_millis()).unwrap();
        self.apply(&Op::Pass { ms });
        for (at, peer) in self.peers.iter().enumerate() {
            for (id, to) in (1..).zip(&peer.said) {
                let is_delivered = peer.outcomes.get(&id).expect("it has an outcome");
                let name = (peer.welcome.peer.clone(), id);
                for (other, reader) in self.peers.iter().enumerate() {
                    let is_meant = other != at && to.is_none_or(|to| to == other);
                    let is_heard = reader.heard.contains(&name);
                    assert_eq!(is_heard, is_meant && *is_delivered, "{name:?} at {other}");
                }
            }
        }
    }
}

impl Peer {
    fn read(&mut self, world: &mut World) {
        let Some(connection) = self.connection else {
            return;
        };
        assert!(!world.is_over(connection), "ended for what others sent");
        for message in world.take(connection) {
            if let Some(seq) = message.seq() {
                self.read += 1;
                assert_eq!(seq.0, self.read, "no gap and no repetition");
            }
            match message {
                ServerMessage::Chat(chat) => {
                    let mut before = self.heard.iter().rev();
                    let last = before.find(|(from, _)| *from == chat.from);
                    assert!(last.is_none_or(|(_, id)| *id < chat.id.0), "out of order");
                    self.heard.push((chat.from, chat.id.0));
                }
                ServerMessage::Delivered(delivered) => {
                    assert!(delivered.failed.is_empty(), "nobody leaves");
                    for id in delivered.ids {
                        self.settle(id.0, true);
                    }
                }
                ServerMessage::Error(error) => {
                    let id = error.id.expect("nobody's connection is refused");
                    self.settle(id.0, false);
                }
                ServerMessage::PeerUpdated(_) | ServerMessage::RoomUpdated(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// An outcome may be told again after an absence, but no other one.
    fn settle(&mut self, id: u64, is_delivered: bool) {
        let before = self.outcomes.insert(id, is_delivered);
        assert!(before.is_none_or(|it| it == is_delivered), "two outcomes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_session_ends_for_what_others_send(ops in prop::collection::vec(op(), 1..150)) {
        let mut room = Room::new();
        for op in &ops {
            room.apply(op);
        }
        room.settle();
    }
}
