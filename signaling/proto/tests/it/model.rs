//! Random operations on the hub against a small model of what must have happened.
//!
//! The model knows only who is in which room and who has acknowledged what; it is checked after each
//! operation. proptest prints the operations that fail, shortened, and keeps their seed.

mod client;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use signaling_proto::hub::{Config, ConnectionId, limits};
use signaling_proto::id::{MessageId, PeerId};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Role};

use self::client::{Client, Outcome};
use crate::world::{CONFIG, World};

const CLIENTS: usize = 6;
const ROOMS: usize = 2;
const MAX_ROOM: usize = 3;

/// `client` and `to` are indexes into the clients.
#[derive(Debug, Clone)]
enum Op {
    Enter {
        client: usize,
        room: usize,
        viewer: bool,
    },
    Broadcast {
        client: usize,
    },
    Direct {
        client: usize,
        to: usize,
    },
    Update {
        client: usize,
        audio: bool,
    },
    Acknowledge {
        client: usize,
        share: u8,
    },
    Bye {
        client: usize,
    },
    BreakOff {
        client: usize,
    },
    SayNonsense {
        client: usize,
    },
    Pass {
        ms: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    prop_oneof![
        4 => (client.clone(), 0..ROOMS, prop::bool::weighted(0.2))
            .prop_map(|(client, room, viewer)| Op::Enter { client, room, viewer }),
        6 => client.clone().prop_map(|client| Op::Broadcast { client }),
        6 => (client.clone(), 0..CLIENTS).prop_map(|(client, to)| Op::Direct { client, to }),
        2 => (client.clone(), any::<bool>())
            .prop_map(|(client, audio)| Op::Update { client, audio }),
        6 => (client.clone(), any::<u8>())
            .prop_map(|(client, share)| Op::Acknowledge { client, share }),
        1 => client.clone().prop_map(|client| Op::Bye { client }),
        1 => client.clone().prop_map(|client| Op::BreakOff { client }),
        1 => client.prop_map(|client| Op::SayNonsense { client }),
        3 => (0_u64..80).prop_map(|ms| Op::Pass { ms }),
    ]
}

/// What must come of a message.
#[derive(Debug, Default)]
struct Expected {
    waiting: Vec<PeerId>,
    failed: Vec<PeerId>,
    refused: bool,
}

struct Model {
    world: World,
    clients: Vec<Option<Client>>,
    /// Those who are in a room, in the order of their entering.
    rooms: [Vec<usize>; ROOMS],
    expected: BTreeMap<(PeerId, MessageId), Expected>,
    /// What each peer must have been sent by others, in order.
    mail: BTreeMap<PeerId, Vec<(PeerId, MessageId)>>,
}

impl Model {
    fn new() -> Self {
        Self {
            world: World::new(Config {
                max_room: MAX_ROOM,
                max_rooms: ROOMS,
                max_sessions: CLIENTS - 1,
                resume_window: Duration::ZERO,
                ..CONFIG
            }),
            clients: (0..CLIENTS).map(|_| None).collect(),
            rooms: Default::default(),
            expected: BTreeMap::new(),
            mail: BTreeMap::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Enter {
                client,
                room,
                viewer,
            } => self.enter(client, room, viewer),
            Op::Broadcast { client } => self.send(client, None, r#""type":"chat","text":"x""#),
            Op::Direct { client, to } => {
                self.send(client, Some(to), r#""type":"event","name":"x""#)
            }
            Op::Update { client, audio } => {
                let Some(sender) = &mut self.clients[client] else {
                    return;
                };
                if sender.viewer {
                    return;
                }
                sender.audio = audio;
                self.send(
                    client,
                    None,
                    &format!(r#""type":"update","media":{{"audio":{audio}}}"#),
                );
            }
            Op::Acknowledge { client, share } => self.acknowledge(client, share),
            Op::Bye { client } => self.end(client, |world, connection| {
                world.say(connection, r#"{"type":"bye"}"#);
            }),
            Op::BreakOff { client } => self.end(client, World::break_off),
            Op::SayNonsense { client } => self.end(client, |world, connection| {
                world.say(connection, r#"{"type":"chat","id":1"#);
                assert_eq!(world.close_code(connection), Some(4400));
            }),
            Op::Pass { ms } => self.world.pass(Duration::from_millis(ms)),
        }
        self.read_all();
        self.check();
    }

    fn enter(&mut self, client: usize, room: usize, viewer: bool) {
        if self.clients[client].is_some() {
            return;
        }
        let connection = self.world.open();
        let role = if viewer { "viewer" } else { "participant" };
        let hello = format!(r#"{{"type":"hello","room":"{room}","role":"{role}"}}"#);
        self.world.say(connection, &hello);
        let inside: usize = self.rooms.iter().map(Vec::len).sum();
        if inside >= CLIENTS - 1 {
            return self
                .world
                .assert_refused(connection, ErrorCode::RateLimited);
        }
        if self.rooms[room].len() >= MAX_ROOM {
            return self.world.assert_refused(connection, ErrorCode::RoomFull);
        }
        let messages = self.world.take(connection);
        let [ServerMessage::Welcome(welcome)] = messages.as_slice() else {
            panic!("{messages:?}")
        };
        let roster = welcome
            .room
            .peers
            .iter()
            .map(|peer| (peer.peer.clone(), peer.clone()));
        self.clients[client] = Some(Client {
            connection,
            peer: welcome.peer.clone(),
            room,
            viewer,
            audio: false,
            roster: roster.collect(),
            next_id: 1,
            seq: 0,
            acknowledged: 0,
            seen: Vec::new(),
            outcomes: BTreeMap::new(),
        });
        self.rooms[room].push(client);
    }

    fn peer(&self, client: usize) -> PeerId {
        self.clients[client].as_ref().unwrap().peer.clone()
    }

    fn send(&mut self, client: usize, to: Option<usize>, fields: &str) {
        let Some(sender) = &mut self.clients[client] else {
            return;
        };
        let (id, connection, room) = (sender.next_id, sender.connection, sender.room);
        let from = sender.peer.clone();
        sender.next_id += 1;
        let others: Vec<_> = self.rooms[room]
            .iter()
            .copied()
            .filter(|other| *other != client)
            .collect();
        let recipients: Vec<_> = match to {
            None => others,
            Some(to) => others.into_iter().filter(|other| *other == to).collect(),
        };
        let expected = Expected {
            waiting: recipients
                .iter()
                .map(|recipient| self.peer(*recipient))
                .collect(),
            failed: Vec::new(),
            refused: to.is_some() && recipients.is_empty(),
        };
        for recipient in &expected.waiting {
            let mail = self.mail.entry(recipient.clone()).or_default();
            mail.push((from.clone(), MessageId(id)));
        }
        self.expected.insert((from, MessageId(id)), expected);
        let to = to.map_or_else(String::new, |to| {
            let peer = self.clients[to]
                .as_ref()
                .map_or("nobody".into(), |to| to.peer.to_string());
            format!(r#","to":"{peer}""#)
        });
        self.world
            .say(connection, &format!(r#"{{{fields},"id":{id}{to}}}"#));
    }

    fn acknowledge(&mut self, client: usize, share: u8) {
        let Some(reader) = &mut self.clients[client] else {
            return;
        };
        let open = reader.seq - reader.acknowledged;
        let seq = reader.acknowledged + open * u64::from(share) / 255;
        let newly = &reader.seen[reader.acknowledged as usize..seq as usize];
        for message in newly.iter().flatten() {
            let expected = self.expected.get_mut(message).unwrap();
            expected.waiting.retain(|peer| *peer != reader.peer);
        }
        reader.acknowledged = seq;
        let connection = reader.connection;
        self.world
            .say(connection, &format!(r#"{{"type":"ack","seq":{seq}}}"#));
    }

    fn end(&mut self, client: usize, how: impl FnOnce(&mut World, ConnectionId)) {
        let Some(leaver) = self.clients[client].take() else {
            return;
        };
        self.rooms[leaver.room].retain(|member| *member != client);
        for expected in self.expected.values_mut() {
            if expected.waiting.contains(&leaver.peer) {
                expected.waiting.retain(|peer| *peer != leaver.peer);
                expected.failed.push(leaver.peer.clone());
            }
        }
        how(&mut self.world, leaver.connection);
    }

    fn read_all(&mut self) {
        for client in self.clients.iter_mut().flatten() {
            let mail = self.mail.get(&client.peer).map_or(&[][..], Vec::as_slice);
            for message in self.world.take(client.connection) {
                client.read(message, mail);
            }
        }
    }

    fn check(&self) {
        for (room, members) in self.rooms.iter().enumerate() {
            let clients: Vec<_> = members
                .iter()
                .map(|at| self.clients[*at].as_ref().unwrap())
                .collect();
            for (position, client) in clients.iter().enumerate() {
                let others = clients.iter().enumerate().filter(|(at, _)| *at != position);
                let mut names: Vec<_> = others.clone().map(|(_, other)| &other.peer).collect();
                names.sort();
                assert_eq!(
                    client.roster.keys().collect::<Vec<_>>(),
                    names,
                    "roster in room {room}"
                );
                for (at, other) in others {
                    let entry = &client.roster[&other.peer];
                    assert_eq!(
                        entry.polite,
                        at < position,
                        "of each pair, who came later is polite"
                    );
                    assert_eq!(entry.media.audio, other.audio);
                    assert_eq!(entry.role == Role::Viewer, other.viewer);
                }
                let mail = self.mail.get(&client.peer).map_or(0, Vec::len);
                assert_eq!(client.arrivals(), mail, "everything has arrived");
            }
            // Everybody sees one host, if somebody else can be one.
            if let [observer, others @ ..] = clients.as_slice() {
                let hosts = observer
                    .roster
                    .values()
                    .filter(|peer| peer.role == Role::Host)
                    .count();
                let somebody = others.iter().any(|other| !other.viewer);
                assert!(hosts <= 1 && (hosts == 1 || !observer.viewer || !somebody));
            }
        }
    }

    /// Everybody acknowledges everything: then each message has its one outcome.
    fn settle(&mut self) {
        for client in 0..CLIENTS {
            self.apply(&Op::Acknowledge { client, share: 255 });
        }
        self.apply(&Op::Pass {
            ms: limits::DELIVERED_DELAY.as_millis() as u64,
        });
        for client in self.clients.iter().flatten() {
            for id in (1..client.next_id).map(MessageId) {
                let expected = &self.expected[&(client.peer.clone(), id)];
                assert_eq!(expected.waiting, []);
                let mut outcome = client.outcomes.get(&id).cloned();
                let mut failed = expected.failed.clone();
                failed.sort();
                if let Some(Outcome::Delivered { failed }) = &mut outcome {
                    failed.sort();
                }
                let expected = if expected.refused {
                    Outcome::Refused
                } else {
                    Outcome::Delivered { failed }
                };
                assert_eq!(outcome, Some(expected), "message {id}");
            }
            assert_eq!(client.outcomes.len() as u64, client.next_id - 1);
        }
        let snapshot = self.world.hub.snapshot();
        assert_eq!(snapshot.sessions, self.clients.iter().flatten().count());
        assert_eq!(
            snapshot.rooms,
            self.rooms.iter().filter(|room| !room.is_empty()).count()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn messages_arrive_once_and_in_order_rosters_agree_and_caps_hold(
        ops in prop::collection::vec(op(), 1..150)
    ) {
        let mut model = Model::new();
        for op in &ops {
            model.apply(op);
        }
        model.settle();
    }
}
