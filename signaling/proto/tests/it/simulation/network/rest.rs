//! How a run ends: everything comes to rest, and then it is looked at.

use std::time::Duration;

use signaling_proto::hub::{Arrival, ConnectionId, Output};
use signaling_proto::message::ClientMessage;
use signaling_proto::message::server::{Presence, Role};

use super::Network;
use crate::simulation::Random;
use crate::simulation::actor::Actor;

impl Network {
    /// Everybody comes to one server, because the others stop, with or without a word.
    pub(crate) fn gather(&mut self, random: &mut Random) {
        let last = random.below(self.servers.len());
        self.favour(Some(last));
        for at in (0..self.servers.len()).filter(|at| *at != last) {
            if random.below(2) == 0 {
                self.kill_server(at);
            } else {
                self.drain_server(at);
            }
        }
    }

    /// Everything that can still happen happens, and nothing breaks any more.
    pub(crate) fn settle(&mut self, random: &mut Random) {
        for link in 0..self.links.len() {
            if self.links[link].broken {
                self.close_at_server(link);
                if !self.links[link].closed_at_client {
                    self.close_at_client(link, None, random);
                }
            }
        }
        // Long enough for every wait, every absence and every reunion.
        self.pass(Duration::from_secs(150), true, random);
    }

    /// Each message has had its one outcome, and those who are on one server agree on who is there.
    /// Of those on another server they know nothing: these have left.
    pub(crate) fn check(&self) {
        self.history.check();
        for (server, running) in self.servers.iter().enumerate() {
            let actors = self.actors.iter().flatten();
            let actors: Vec<_> = actors
                .filter(|actor| self.server_of(actor) == server)
                .collect();
            for actor in &actors {
                check_view(actor, &actors);
            }
            let sessions = running.hub.snapshot().sessions;
            assert_eq!(sessions, actors.len(), "nobody else is there");
        }
    }

    /// Stolen tickets of sessions that ended with `bye`, tried after a restart of the server.
    pub(crate) fn steal(&mut self) {
        for at in 0..self.servers.len() {
            self.servers[at] = self.start_server(at);
            for ended in self.ended[at].clone() {
                let Some(welcome) = self.generations.newest(&ended.peer) else {
                    continue;
                };
                let (room, ticket) = (&welcome.room.name, &welcome.ticket);
                let hello = format!(
                    r#"{{"type":"hello","room":"{room}","resume":{{"ticket":"{ticket}","received":0}}}}"#
                );
                let hub = &mut self.servers[at].hub;
                let thief = ConnectionId(u64::MAX);
                hub.handle_open(self.now, thief, Arrival::default());
                hub.handle_message(self.now, thief, ClientMessage::parse(&hello));
                let Some(Output::Send { frame, .. }) = hub.poll_output() else {
                    panic!("it is answered")
                };
                let text = frame.to_text();
                assert!(text.contains(r#""code":"resume_failed""#), "{text}");
                while hub.poll_output().is_some() {}
                self.generations.moves.thefts += 1;
            }
        }
    }

    fn server_of(&self, actor: &Actor) -> usize {
        let link = actor.link.expect("somebody is not back");
        self.links[link].server
    }
}

/// What one of them sees of the others.
fn check_view(actor: &Actor, actors: &[&Actor]) {
    assert!(actor.open, "somebody is not back");
    let own = actor.peer.as_ref().expect("it is in the room");
    let others = actors.iter().filter(|other| other.room == actor.room);
    let others = others.filter(|other| other.process != actor.process);
    let mut expected: Vec<_> = others
        .clone()
        .filter_map(|other| other.peer.as_ref())
        .collect();
    expected.sort();
    let roster: Vec<_> = actor.roster.keys().collect();
    assert_eq!(roster, expected, "who is there");
    for other in others {
        let peer = other.peer.as_ref().expect("it is in the room");
        let (there, here) = (&actor.roster[peer], &other.roster[own]);
        assert_eq!(there.state, Presence::Here);
        assert_eq!(there.role, other.role);
        assert_ne!(
            there.polite, here.polite,
            "of each pair exactly one is polite"
        );
    }
    let roles = actor.roster.values().map(|peer| peer.role);
    let hosts = roles.chain([actor.role]).filter(|role| *role == Role::Host);
    assert_eq!(hosts.count(), 1, "a room has one host");
}
