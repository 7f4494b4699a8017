//! Two servers with one secret, and who is connected to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use signaling_proto::hub::{Arrival, ConnectionId, Hub, Output};
use signaling_proto::id::PeerId;
use signaling_proto::message::{ClientMessage, ServerMessage};

use super::actor::{Actor, Down, Wish};
use super::server::{Machine, WINDOW, hub};

/// More than one input can make a server send: a full replay to each of a room, twice.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What an input has made happen, so that a test can tell whether inputs still do.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) adopted: usize,
    /// Sessions that came back to a process that they had left for another one.
    pub(crate) returned: usize,
    /// Messages that waited for somebody to come back from another process.
    pub(crate) kept: usize,
    pub(crate) delivered: usize,
    /// Messages of which a sender was told who had left before.
    pub(crate) failed: usize,
    /// Messages of which a sender was told that one peer has them, which it has.
    pub(crate) proven: usize,
}

/// An open connection, as its server sees it.
#[derive(Default)]
struct Open {
    hub: usize,
    /// The last `seq` over it; it begins where its client says that it has got to.
    seq: u64,
    /// The ticket that it came with.
    ticket: Option<String>,
}

pub(super) struct World {
    pub(super) hubs: [Hub<Machine>; 2],
    /// Which processes these are,
    numbers: [u8; 2],
    /// of so many that have ever run.
    processes: u8,
    pub(super) now: Instant,
    /// Where those go who keep to the protocol.
    pub(super) favoured: usize,
    opened: u64,
    open: BTreeMap<ConnectionId, Open>,
    /// All connections of those who do not keep to the protocol.
    pub(super) others: Vec<ConnectionId>,
    /// Peers and tickets of all welcomes.
    welcomed: Vec<(String, String)>,
    pub(super) actors: Vec<Actor>,
    /// Whose tickets somebody else has used: what is said in their names says nothing.
    stolen: BTreeSet<String>,
    /// Which process has written which ticket, and where each peer has been.
    written: BTreeMap<String, u8>,
    been: BTreeSet<(u8, PeerId)>,
    pub(super) reached: Reached,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            hubs: [hub(1), hub(2)],
            numbers: [1, 2],
            processes: 2,
            now: Instant::now(),
            favoured: 0,
            opened: 0,
            open: BTreeMap::new(),
            others: Vec::new(),
            welcomed: Vec::new(),
            actors: Vec::new(),
            stolen: BTreeSet::new(),
            written: BTreeMap::new(),
            been: BTreeSet::new(),
            reached: Reached::default(),
        }
    }

    /// A connection of those who write anything.
    pub(super) fn of(&self, number: u8) -> ConnectionId {
        let place = usize::from(number).checked_rem(self.others.len());
        place.map_or(ConnectionId(u64::MAX), |place| self.others[place])
    }

    pub(super) fn peer(&self, number: u8) -> &str {
        let place = usize::from(number) % self.welcomed.len().max(1);
        self.welcomed.get(place).map_or("nobody", |(peer, _)| peer)
    }

    /// Somebody uses a ticket that may be another's.
    pub(super) fn steal(&mut self, number: u8) -> Option<String> {
        let place = usize::from(number) % self.welcomed.len().max(1);
        let (peer, ticket) = self.welcomed.get(place)?;
        self.stolen.insert(peer.clone());
        Some(ticket.clone())
    }

    pub(super) fn connections(&self, hub: usize) -> usize {
        self.open.values().filter(|open| open.hub == hub).count()
    }

    pub(super) fn open(&mut self, hub: usize) -> ConnectionId {
        let connection = ConnectionId(self.opened);
        self.opened += 1;
        let open = Open {
            hub,
            ..Open::default()
        };
        self.open.insert(connection, open);
        self.hubs[hub].handle_open(self.now, connection, Arrival::default());
        self.collect();
        connection
    }

    pub(super) fn say(&mut self, connection: ConnectionId, text: &str) {
        let Some(open) = self.open.get_mut(&connection) else {
            return;
        };
        let message = ClientMessage::parse(text);
        if let Ok(ClientMessage::Hello(hello)) = &message {
            let resume = hello.resume.as_ref();
            open.seq = resume.map_or(0, |resume| resume.received.0);
            open.ticket = resume.map(|resume| resume.ticket.clone());
        }
        self.hubs[open.hub].handle_message(self.now, connection, message);
        self.collect();
    }

    /// Takes what the servers say, until they have nothing more to say.
    fn collect(&mut self) {
        let mut bytes = 0;
        for hub in 0..self.hubs.len() {
            // Whether the last welcome was of somebody whom the process did not know: what follows at
            // once was kept for it.
            let mut adopted = None;
            while let Some(output) = self.hubs[hub].poll_output() {
                match output {
                    Output::Send { connection, frame } => {
                        let text = frame.to_text();
                        bytes += text.len();
                        self.take(hub, connection, &text, &mut adopted);
                        self.hand_down(connection, Down::Frame(text));
                    }
                    Output::Close {
                        connection, code, ..
                    } => {
                        assert!(self.open.remove(&connection).is_some(), "closed twice");
                        self.hand_down(connection, Down::Close(code));
                    }
                    Output::Revoke { .. } | Output::Ended(_) => {}
                }
            }
        }
        assert!(bytes <= MOST_BYTES, "{bytes} bytes at once");
    }

    /// A server sends a frame.
    fn take(
        &mut self,
        hub: usize,
        connection: ConnectionId,
        text: &str,
        adopted: &mut Option<ConnectionId>,
    ) {
        let open = self.open.get_mut(&connection);
        let open = open.expect("nothing is sent after the end");
        assert_eq!(open.hub, hub);
        let message = ServerMessage::parse(text).unwrap();
        if let Some(seq) = message.seq() {
            open.seq += 1;
            assert_eq!(seq.0, open.seq, "a gap or a repetition");
        }
        match message {
            ServerMessage::Welcome(welcome) => {
                let process = self.numbers[hub];
                let ticket = open.ticket.as_ref();
                let from = ticket.and_then(|ticket| self.written.get(ticket));
                let known = !self.been.insert((process, welcome.peer.clone()));
                if welcome.resumed && from.is_some_and(|from| *from != process) {
                    if known {
                        self.reached.returned += 1;
                    } else {
                        self.reached.adopted += 1;
                        *adopted = Some(connection);
                    }
                }
                self.written.insert(welcome.ticket.clone(), process);
                let peer = welcome.peer.to_string();
                self.welcomed.push((peer, welcome.ticket));
            }
            ServerMessage::Chat(_) | ServerMessage::Event(_) if *adopted == Some(connection) => {
                self.reached.kept += 1;
            }
            ServerMessage::Ticket(new) => {
                self.written.insert(new.ticket, self.numbers[hub]);
            }
            ServerMessage::Delivered(delivered) => {
                self.reached.delivered += delivered.ids.len();
                self.reached.failed += delivered.failed.len();
            }
            _ => {}
        }
    }

    fn hand_down(&mut self, connection: ConnectionId, down: Down) {
        let mut actors = self.actors.iter_mut();
        if let Some(actor) = actors.find(|actor| actor.connection == Some(connection)) {
            actor.down.push_back(down);
        }
    }

    /// Does what those who keep to the protocol want.
    pub(super) fn carry_out(&mut self) {
        let mut claims = Vec::new();
        for at in 0..self.actors.len() {
            while let Some(wish) = self.actors[at].poll(&mut claims) {
                match (wish, self.actors[at].connection) {
                    (Wish::Connect, _) => {
                        self.actors[at].down.clear();
                        let connection = ConnectionId(self.opened);
                        self.actors[at].connection = Some(connection);
                        self.open(self.favoured);
                        self.actors[at].client.handle_open();
                    }
                    (Wish::Send(text), Some(connection)) => self.say(connection, &text),
                    (Wish::Disconnect, Some(connection)) => {
                        self.actors[at].connection = None;
                        self.close(connection);
                    }
                    (Wish::Send(_) | Wish::Disconnect, None) => {}
                }
            }
        }
        for claim in claims {
            let mut actors = self.actors.iter();
            let names = [&claim.from, &claim.to];
            let stolen = names.iter().any(|name| self.stolen.contains(name.as_str()));
            // Others may be anybody, who acknowledge what they like.
            let to = actors.find(|actor| actor.names.contains(&claim.to));
            if let Some(to) = to.filter(|_| !stolen) {
                assert!(to.heard.contains(&(claim.from, claim.place)), "vanished");
                self.reached.proven += 1;
            }
        }
    }

    /// What is on its way to an actor arrives, up to so many frames.
    pub(super) fn carry_down(&mut self, at: usize, most: usize) {
        for _ in 0..most {
            let now = self.now;
            let Some(actor) = self.actors.get_mut(at) else {
                return;
            };
            match actor.down.pop_front() {
                None => return,
                Some(Down::Frame(text)) => actor.client.handle_text(now, &text),
                Some(Down::Close(code)) => {
                    actor.connection = None;
                    actor.client.handle_close(now, Some(code), 0.5);
                }
            }
            self.carry_out();
        }
    }

    /// The connection of an actor breaks; whether its server notices is another matter.
    pub(super) fn cut(&mut self, at: usize, noticed: bool) {
        let now = self.now;
        let Some(actor) = self.actors.get_mut(at) else {
            return;
        };
        actor.down.clear();
        if let Some(connection) = actor.connection.take() {
            actor.client.handle_close(now, None, 0.5);
            if noticed {
                self.close(connection);
            }
            self.carry_out();
        }
    }

    /// A server learns that a connection is gone.
    pub(super) fn close(&mut self, connection: ConnectionId) {
        if let Some(open) = self.open.remove(&connection) {
            self.hubs[open.hub].handle_close(self.now, connection);
            self.collect();
        }
    }

    /// A server dies without a word, and another process takes its place.
    pub(super) fn crash(&mut self, at: usize) {
        self.processes += 1;
        self.numbers[at] = self.processes;
        self.hubs[at] = hub(self.processes);
        let there = self.open.iter().filter(|(_, open)| open.hub == at);
        let gone: BTreeSet<_> = there.map(|(connection, _)| *connection).collect();
        self.open.retain(|_, open| open.hub != at);
        for actor in 0..self.actors.len() {
            let connection = self.actors[actor].connection;
            if connection.is_some_and(|connection| gone.contains(&connection)) {
                self.cut(actor, false);
            }
        }
    }

    /// Time passes; what is on its way to actors arrives meanwhile if the network is prompt.
    pub(super) fn pass(&mut self, time: Duration, prompt: bool) {
        let end = self.now + time;
        loop {
            for actor in 0..if prompt { self.actors.len() } else { 0 } {
                self.carry_down(actor, usize::MAX);
            }
            let hubs = self.hubs.iter().filter_map(Hub::poll_deadline);
            let actors = self.actors.iter();
            let actors = actors.filter_map(|actor| actor.client.poll_deadline());
            let Some(due) = hubs.chain(actors).min().filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            for hub in &mut self.hubs {
                hub.handle_timeout(self.now);
            }
            self.collect();
            for actor in &mut self.actors {
                actor.client.handle_timeout(self.now, 0.5);
            }
            self.carry_out();
        }
        self.now = end;
    }

    /// Everybody comes to rest, and at last goes.
    pub(super) fn end(&mut self) {
        let actors: Vec<_> = self.actors.iter().map(|actor| actor.connection).collect();
        let others: Vec<_> = self.open.keys().copied().collect();
        for connection in others.into_iter().filter(|it| !actors.contains(&Some(*it))) {
            self.close(connection);
        }
        self.pass(WINDOW * 3, true);
        for actor in &self.actors {
            let stolen = |peer: &PeerId| self.stolen.contains(peer.as_str());
            let is_theirs = actor.names.iter().any(stolen);
            assert!(actor.pending.is_empty() || is_theirs, "nobody told");
        }
        for actor in &mut self.actors {
            actor.client.leave();
        }
        self.carry_out();
        self.pass(WINDOW * 2, true);
        for hub in &self.hubs {
            let left = hub.snapshot();
            assert_eq!((left.connections, left.sessions, left.rooms), (0, 0, 0));
        }
    }
}
