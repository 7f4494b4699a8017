//! Clients of two signaling servers with one secret, in any order: some keep to the protocol, move, come
//! back and send again; others write anything, with anybody's tickets. Nobody who was closed is sent
//! anything, what clients are told is true, and in the end nothing is left.

mod actor;
mod server;
mod world;

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use signaling_proto::id::PeerId;

use self::actor::Actor;
use self::server::config;
use self::world::{Reached, World};

/// Those who keep to the protocol.
const ACTORS: usize = 3;

#[derive(Debug, Arbitrary)]
enum Step {
    /// Somebody who keeps to the protocol enters, or reconnects at once.
    Enter {
        favoured: bool,
    },
    /// It says something, to one peer or all.
    Say {
        actor: u8,
        to: Option<u8>,
    },
    /// What is on its way to it arrives.
    CarryDown {
        actor: u8,
        most: u8,
    },
    /// Its connection breaks, and it reconnects at once to this server.
    Move {
        actor: u8,
        to: bool,
        noticed: bool,
    },
    /// Its connection breaks.
    Cut {
        actor: u8,
        noticed: bool,
    },
    Crash(bool),
    Open(bool),
    Hello {
        client: u8,
        room: u8,
        resumes: Option<u8>,
        received: u8,
        peers: Option<Vec<u8>>,
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
    Pass {
        milliseconds: u16,
        prompt: bool,
    },
}

impl World {
    fn actor(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.actors.len())
    }

    fn named(&self, numbers: &[u8]) -> Vec<String> {
        let peers = numbers.iter().map(|number| self.peer(*number).to_owned());
        peers.collect()
    }

    fn hello(
        &mut self,
        room: u8,
        resumes: Option<u8>,
        received: u8,
        peers: Option<Vec<u8>>,
    ) -> String {
        let peers = peers.map_or_else(String::new, |peers| {
            format!(r#","peers":{:?}"#, self.named(&peers))
        });
        let ticket = resumes.and_then(|number| self.steal(number));
        let resume = ticket.map_or_else(String::new, |ticket| {
            format!(r#","resume":{{"ticket":"{ticket}","received":{received}{peers}}}"#)
        });
        format!(r#"{{"type":"hello","room":"r{}"{resume}}}"#, room % 3)
    }

    fn moderate(&self, id: u8, action: u8, peer: u8) -> String {
        let actions = ["kick", "lock", "unlock", "mute"];
        let action = actions[usize::from(action) % actions.len()];
        let peer = self.peer(peer);
        format!(r#"{{"type":"moderate","id":{id},"action":"{action}","peer":"{peer}"}}"#)
    }

    fn add_actor(&mut self) {
        self.actors
            .retain(|actor| !actor.is_over || !actor.pending.is_empty());
        if self.actors.len() < ACTORS {
            self.actors.push(Actor::new(self.now));
        }
    }

    fn move_actor(&mut self, number: u8, noticed: bool) {
        if let Some(actor) = self.actor(number) {
            self.cut(actor, noticed);
            self.actors[actor].client.handle_start(self.now);
            self.carry_out();
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Open(to) => {
                let connection = self.open(usize::from(to));
                self.others.push(connection);
            }
            Step::Hello {
                client,
                room,
                resumes,
                received,
                peers,
            } => {
                let hello = self.hello(room, resumes, received, peers);
                self.say(self.of(client), &hello);
            }
            Step::Chat { client, id, to } => {
                let to = to.map(|to| format!(r#","to":"{}""#, self.peer(to)));
                let to = to.unwrap_or_default();
                self.say(
                    self.of(client),
                    &format!(r#"{{"type":"chat","id":{id},"text":"x"{to}}}"#),
                );
            }
            Step::Event { client, id, to } => {
                let to = self.named(&to);
                self.say(
                    self.of(client),
                    &format!(r#"{{"type":"event","id":{id},"name":"e","to":{to:?}}}"#),
                );
            }
            Step::Moderate {
                client,
                id,
                action,
                peer,
            } => {
                let text = self.moderate(id, action, peer);
                self.say(self.of(client), &text);
            }
            Step::Ack { client, seq } => {
                self.say(self.of(client), &format!(r#"{{"type":"ack","seq":{seq}}}"#));
            }
            Step::Bye(client) => self.say(self.of(client), r#"{"type":"bye"}"#),
            Step::Raw { client, text } => self.say(self.of(client), &text),
            Step::Break(client) => self.close(self.of(client)),
            Step::Pass {
                milliseconds,
                prompt,
            } => self.pass(Duration::from_millis(milliseconds.into()), prompt),
            Step::Enter { favoured } => {
                self.favoured = usize::from(favoured);
                self.add_actor();
                self.carry_out();
            }
            Step::Say { actor, to } => {
                let to = to.map(|to| PeerId::new(self.peer(to)));
                if let Some(actor) = self.actor(actor) {
                    self.actors[actor].say(to);
                    self.carry_out();
                }
            }
            Step::CarryDown { actor, most } => {
                if let Some(actor) = self.actor(actor) {
                    self.carry_down(actor, most.into());
                }
            }
            Step::Move { actor, to, noticed } => {
                self.favoured = usize::from(to);
                self.move_actor(actor, noticed);
            }
            Step::Cut { actor, noticed } => {
                if let Some(actor) = self.actor(actor) {
                    self.cut(actor, noticed);
                }
            }
            Step::Crash(at) => self.crash(usize::from(at)),
        }
    }
}

/// Runs an input: what it has made happen.
pub(crate) fn explore(input: &[u8]) -> Reached {
    let mut world = World::new();
    let mut source = Unstructured::new(input);
    for _ in 0..200 {
        match Step::arbitrary(&mut source) {
            Ok(step) if !source.is_empty() => world.apply(step),
            _ => break,
        }
        for (at, hub) in world.hubs.iter().enumerate() {
            let (snapshot, limits) = (hub.snapshot(), config());
            assert_eq!(snapshot.connections, world.connections(at));
            assert!(snapshot.sessions <= limits.max_sessions && snapshot.rooms <= limits.max_rooms);
        }
    }
    world.end();
    world.reached
}

pub(crate) fn run(input: &[u8]) {
    explore(input);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Inputs are bytes to which a change of [`Step`] gives another meaning: they must still lead to
    /// what there is to break.
    #[test]
    fn the_corpus_reaches_adoption_return_and_reunion() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/hub");
        let mut all = Reached::default();
        for entry in std::fs::read_dir(corpus).unwrap() {
            let reached = explore(&std::fs::read(entry.unwrap().path()).unwrap());
            all.adopted += reached.adopted;
            all.returned += reached.returned;
            all.kept += reached.kept;
            all.delivered += reached.delivered;
            all.failed += reached.failed;
            all.proven += reached.proven;
        }
        println!("{all:?}");
        let Reached {
            adopted,
            returned,
            kept,
            delivered,
            failed,
            proven,
        } = all;
        for reached in [adopted, returned, kept, delivered, failed, proven] {
            assert!(reached >= 20, "{all:?}");
        }
    }
}
