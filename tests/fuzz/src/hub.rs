//! Clients of the signaling service that write anything, break off, come back and wait: nobody who was
//! closed is sent anything, and in the end nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use signaling_proto::hub::{
    Arrival, Config, ConnectionId, Environment, Grant, Hub, Output, SourceLimits, Unauthorized,
};
use signaling_proto::id::PeerId;
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::IceServer;
use signaling_proto::message::{ClientMessage, ServerMessage};
use signaling_proto::pace::Rate;
use signaling_proto::ticket::TicketKey;

/// How long what may be resumed waits.
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Arbitrary)]
enum Step {
    Open,
    Hello {
        client: u8,
        room: u8,
        resumes: Option<u8>,
    },
    Chat {
        client: u8,
        id: u8,
        to: Option<u8>,
    },
    Event {
        client: u8,
        id: u8,
        to: Vec<u8>,
    },
    Moderate {
        client: u8,
        id: u8,
        action: u8,
        peer: u8,
    },
    Ack {
        client: u8,
        seq: u8,
    },
    Bye(u8),
    Raw {
        client: u8,
        text: String,
    },
    Break(u8),
    Pass(u16),
}

struct Machine(u8);

impl Environment for Machine {
    fn random(&mut self, bytes: &mut [u8]) {
        // Different each time, and the same in each run.
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
    }

    fn unix_time(&mut self) -> Duration {
        Duration::from_secs(1_795_000_000)
    }

    fn permits(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn authorize(&mut self, _: &Hello) -> Result<Grant, Unauthorized> {
        Ok(Grant::default())
    }

    fn ice_servers(&mut self, _: &PeerId, _: &str) -> Vec<IceServer> {
        Vec::new()
    }
}

struct World {
    hub: Hub<Machine>,
    now: Instant,
    opened: u64,
    open: BTreeSet<ConnectionId>,
    /// Peers and tickets of all welcomes.
    welcomed: Vec<(String, String)>,
}

impl World {
    fn of(&self, number: u8) -> ConnectionId {
        ConnectionId(u64::from(number) % self.opened.max(1))
    }

    fn peer(&self, number: u8) -> &str {
        let place = usize::from(number) % self.welcomed.len().max(1);
        self.welcomed.get(place).map_or("nobody", |(peer, _)| peer)
    }

    fn say(&mut self, client: u8, text: &str) {
        let connection = self.of(client);
        if self.open.contains(&connection) {
            let message = ClientMessage::parse(text);
            self.hub.handle_message(self.now, connection, message);
            self.collect();
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { connection, frame } => {
                    assert!(self.open.contains(&connection), "{frame:?} after the end");
                    let message = ServerMessage::parse(&frame.to_text()).unwrap();
                    if let ServerMessage::Welcome(welcome) = message {
                        let peer = welcome.peer.to_string();
                        self.welcomed.push((peer, welcome.ticket));
                    }
                }
                Output::Close { connection, .. } => {
                    assert!(self.open.remove(&connection), "closed twice");
                }
                Output::Revoke { .. } => {}
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.hub.poll_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.hub.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    fn break_off(&mut self, connection: ConnectionId) {
        if self.open.remove(&connection) {
            self.hub.handle_close(self.now, connection);
            self.collect();
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Open => {
                let connection = ConnectionId(self.opened);
                self.opened += 1;
                self.open.insert(connection);
                self.hub
                    .handle_open(self.now, connection, Arrival::default());
                self.collect();
            }
            Step::Hello {
                client,
                room,
                resumes,
            } => {
                let ticket = resumes.and_then(|number| {
                    let place = usize::from(number) % self.welcomed.len().max(1);
                    self.welcomed.get(place).map(|(_, ticket)| ticket)
                });
                let resume = ticket.map_or_else(String::new, |ticket| {
                    format!(r#","resume":{{"ticket":"{ticket}","received":0}}"#)
                });
                let room = room % 3;
                self.say(
                    client,
                    &format!(r#"{{"type":"hello","room":"r{room}"{resume}}}"#),
                );
            }
            Step::Chat { client, id, to } => {
                let to = to.map(|to| format!(r#","to":"{}""#, self.peer(to)));
                let to = to.unwrap_or_default();
                self.say(
                    client,
                    &format!(r#"{{"type":"chat","id":{id},"text":"x"{to}}}"#),
                );
            }
            Step::Event { client, id, to } => {
                let to: Vec<_> = to.iter().map(|to| self.peer(*to).to_owned()).collect();
                self.say(
                    client,
                    &format!(r#"{{"type":"event","id":{id},"name":"e","to":{to:?}}}"#),
                );
            }
            Step::Moderate {
                client,
                id,
                action,
                peer,
            } => {
                let actions = ["kick", "lock", "unlock", "mute"];
                let action = actions[usize::from(action) % actions.len()];
                let peer = self.peer(peer);
                let text = format!(
                    r#"{{"type":"moderate","id":{id},"action":"{action}","peer":"{peer}"}}"#
                );
                self.say(client, &text);
            }
            Step::Ack { client, seq } => {
                self.say(client, &format!(r#"{{"type":"ack","seq":{seq}}}"#));
            }
            Step::Bye(client) => self.say(client, r#"{"type":"bye"}"#),
            Step::Raw { client, text } => self.say(client, &text),
            Step::Break(client) => self.break_off(self.of(client)),
            Step::Pass(milliseconds) => self.pass(Duration::from_millis(milliseconds.into())),
        }
    }
}

pub(crate) fn run(input: &[u8]) {
    let rate = Rate::with_burst_of_ten_seconds(1000);
    let config = Config {
        max_room: 3,
        max_rooms: 2,
        max_sessions: 5,
        namespaces: BTreeMap::new(),
        max_greeting: 4,
        source: SourceLimits {
            sessions: 5,
            hellos: rate,
        },
        resume_window: WINDOW,
        renew_ice_servers_after: Duration::from_secs(300),
    };
    let mut world = World {
        hub: Hub::new(config.clone(), TicketKey::new(b"north"), Machine(0)),
        now: Instant::now(),
        opened: 0,
        open: BTreeSet::new(),
        welcomed: Vec::new(),
    };
    let mut source = Unstructured::new(input);
    for _ in 0..200 {
        match Step::arbitrary(&mut source) {
            Ok(step) if !source.is_empty() => world.apply(step),
            _ => break,
        }
        let snapshot = world.hub.snapshot();
        assert_eq!(snapshot.connections, world.open.len());
        assert!(snapshot.sessions <= config.max_sessions && snapshot.rooms <= config.max_rooms);
    }
    for connection in world.open.clone() {
        world.break_off(connection);
    }
    world.pass(WINDOW * 2);
    let left = world.hub.snapshot();
    assert_eq!((left.connections, left.sessions, left.rooms), (0, 0, 0));
}
