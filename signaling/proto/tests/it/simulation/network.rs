//! Clients, servers, and what lies between them.

mod link;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use signaling_proto::hub::{Arrival, ConnectionId, Environment, Grant, Hub, Output, Unauthorized};
use signaling_proto::id::PeerId;
use signaling_proto::message::ClientMessage;
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::{IceServer, Presence, Role};
use signaling_proto::ticket::TicketKey;

use self::link::{Down, Link, Up};
use super::Random;
use super::actor::{Actor, Wish};
use super::history::History;
use crate::world::CONFIG;

/// A server's surroundings; all servers and their clocks share the calendar.
struct Machine {
    random: Random,
    calendar: Arc<AtomicU64>,
}

impl Environment for Machine {
    fn random(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.random.next().to_le_bytes()[..chunk.len()]);
        }
    }

    fn unix_time(&mut self) -> Duration {
        Duration::from_millis(self.calendar.load(Ordering::Relaxed))
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

pub(crate) struct Network {
    now: Instant,
    calendar: Arc<AtomicU64>,
    hub: Hub<Machine>,
    servers: u64,
    /// `None` where no process runs.
    actors: Vec<Option<Actor>>,
    processes: usize,
    links: Vec<Link>,
    history: History,
}

fn server(number: u64, calendar: &Arc<AtomicU64>) -> Hub<Machine> {
    let machine = Machine {
        random: Random(number),
        calendar: calendar.clone(),
    };
    let config = signaling_proto::hub::Config {
        max_room: 16,
        ..CONFIG
    };
    Hub::new(config, TicketKey::new(b"north"), machine)
}

impl Network {
    pub(crate) fn new(actors: usize) -> Self {
        let calendar = Arc::new(AtomicU64::new(1_795_000_000_000));
        Self {
            now: Instant::now(),
            hub: server(0, &calendar),
            calendar,
            servers: 1,
            actors: (0..actors).map(|_| None).collect(),
            processes: 0,
            links: Vec::new(),
            history: History::default(),
        }
    }

    pub(crate) fn actors(&self) -> usize {
        self.actors.len()
    }

    pub(crate) fn start(&mut self, at: usize, room: usize) {
        if self.actors[at].is_none() {
            self.actors[at] = Some(Actor::new(self.processes, room, self.now));
            self.processes += 1;
            self.carry_out();
        }
    }

    pub(crate) fn send(&mut self, at: usize, random: &mut Random) {
        if let Some(actor) = &mut self.actors[at] {
            actor.send(&mut self.history, random);
            self.carry_out();
        }
    }

    pub(crate) fn hurry(&mut self, at: usize) {
        if let Some(actor) = &mut self.actors[at] {
            actor.client.handle_start(self.now);
            self.carry_out();
        }
    }

    /// Says goodbye; the process ends.
    pub(crate) fn leave(&mut self, at: usize) {
        if let Some(actor) = &mut self.actors[at] {
            actor.client.leave();
            self.carry_out();
            self.end_process(at);
        }
    }

    pub(crate) fn kill_client(&mut self, at: usize) {
        self.break_link(at);
        self.end_process(at);
    }

    fn end_process(&mut self, at: usize) {
        if let Some(actor) = self.actors[at].take() {
            self.history.died(actor.process);
            if let Some(link) = actor.link {
                self.links[link].closed_at_client = true;
            }
        }
    }

    /// Nothing gets through any more, and nobody knows yet.
    pub(crate) fn break_link(&mut self, at: usize) {
        if let Some(link) = self.actors[at].as_ref().and_then(|actor| actor.link) {
            self.links[link].breaks();
        }
    }

    pub(crate) fn kill_server(&mut self) {
        for link in &mut self.links {
            link.breaks();
            link.closed_at_server = true;
        }
        self.hub = server(self.servers, &self.calendar);
        self.servers += 1;
    }

    pub(crate) fn drain_server(&mut self) {
        self.hub.handle_drain(self.now);
        self.carry_out();
        for link in &mut self.links {
            link.closed_at_server = true;
        }
        self.hub = server(self.servers, &self.calendar);
        self.servers += 1;
    }

    pub(crate) fn jump_clock(&mut self, random: &mut Random) {
        let hour = 3_600_000;
        let jump = u64::try_from(random.below(2 * 3_600_000)).unwrap();
        self.calendar.fetch_add(jump, Ordering::Relaxed);
        self.calendar.fetch_sub(hour, Ordering::Relaxed);
    }

    /// Some frames arrive at one end of some connection.
    pub(crate) fn carry_something(&mut self, random: &mut Random) {
        let Some(link) = self.some_link(random, |link| !link.broken) else {
            return;
        };
        for _ in 0..=random.below(4) {
            if random.below(2) == 0 {
                self.carry_up(link);
            } else {
                self.carry_down(link, random);
            }
        }
    }

    /// One end of a broken connection notices.
    pub(crate) fn notice_something(&mut self, random: &mut Random) {
        let over = |link: &Link| link.broken && !(link.closed_at_server && link.closed_at_client);
        if let Some(link) = self.some_link(random, over) {
            if random.below(2) == 0 {
                self.close_at_server(link);
            } else {
                self.close_at_client(link, None, random);
            }
        }
    }

    fn some_link(&self, random: &mut Random, which: impl Fn(&Link) -> bool) -> Option<usize> {
        let links = self.links.iter().enumerate();
        let links: Vec<_> = links.filter(|(_, link)| which(link)).collect();
        (!links.is_empty()).then(|| links[random.below(links.len())].0)
    }

    fn carry_up(&mut self, at: usize) {
        let link = &mut self.links[at];
        if link.closed_at_server {
            return link.up.clear();
        }
        match link.up.pop_front() {
            None => {}
            Some(Up::Frame(text)) => {
                let message = ClientMessage::parse(&text);
                self.hub.handle_message(self.now, link.connection, message);
                self.carry_out();
            }
            Some(Up::Close) => self.close_at_server(at),
        }
    }

    fn carry_down(&mut self, at: usize, random: &mut Random) {
        let Some(down) = self.links[at].down.pop_front() else {
            return;
        };
        match down {
            Down::Frame(text) => {
                let now = self.now;
                if let Some(actor) = self.actor_on(at) {
                    actor.client.handle_text(now, &text);
                    self.carry_out();
                }
            }
            Down::Close(code) => self.close_at_client(at, Some(code), random),
        }
    }

    fn actor_on(&mut self, link: usize) -> Option<&mut Actor> {
        let mut actors = self.actors.iter_mut().flatten();
        actors.find(|actor| actor.link == Some(link))
    }

    fn close_at_server(&mut self, at: usize) {
        let link = &mut self.links[at];
        if !std::mem::replace(&mut link.closed_at_server, true) {
            self.hub.handle_close(self.now, link.connection);
            self.carry_out();
        }
    }

    fn close_at_client(&mut self, at: usize, code: Option<u16>, random: &mut Random) {
        self.links[at].closed_at_client = true;
        let now = self.now;
        if let Some(actor) = self.actor_on(at) {
            actor.link = None;
            actor.client.handle_close(now, code, random.share());
            self.carry_out();
        }
    }

    /// Does what servers and clients ask for.
    fn carry_out(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            let (connection, down, closes) = match output {
                Output::Send { connection, frame } => {
                    (connection, Down::Frame(frame.to_text()), false)
                }
                Output::Close {
                    connection, code, ..
                } => (connection, Down::Close(code), true),
                Output::Revoke { peer } => panic!("nobody puts {peer} out"),
            };
            let mut links = self.links.iter_mut();
            let link = links.find(|link| link.connection == connection);
            let link = link.expect("connections are links");
            link.closed_at_server |= closes;
            if !link.broken {
                link.down.push_back(down);
            }
        }
        for at in 0..self.actors.len() {
            while let Some(actor) = &mut self.actors[at]
                && let Some(wish) = actor.poll(&mut self.history)
            {
                self.fulfil(at, wish);
            }
        }
    }

    fn fulfil(&mut self, at: usize, wish: Wish) {
        let actor = self.actors[at].as_mut().expect("it has just wished");
        match (wish, actor.link) {
            (Wish::Connect, _) => {
                let connection = ConnectionId(self.links.len() as u64);
                self.links.push(Link::new(connection));
                actor.link = Some(self.links.len() - 1);
                self.hub
                    .handle_open(self.now, connection, Arrival::default());
                actor.client.handle_open();
            }
            (Wish::Send(text), Some(link)) => {
                if !self.links[link].broken {
                    self.links[link].up.push_back(Up::Frame(text));
                }
            }
            (Wish::Disconnect, Some(link)) => {
                self.links[link].closed_at_client = true;
                self.links[link].up.push_back(Up::Close);
                actor.link = None;
            }
            (Wish::Send(_) | Wish::Disconnect, None) => {}
        }
    }

    /// Time passes, and everybody does what is due.
    pub(crate) fn pass(&mut self, duration: Duration, random: &mut Random) {
        let end = self.now + duration;
        loop {
            let actors = self.actors.iter().flatten();
            let deadlines = actors.filter_map(|actor| actor.client.poll_deadline());
            let next = deadlines.chain(self.hub.poll_deadline()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            let step = next.saturating_duration_since(self.now);
            self.now += step;
            let step = u64::try_from(step.as_millis()).unwrap();
            self.calendar.fetch_add(step, Ordering::Relaxed);
            self.hub.handle_timeout(self.now);
            for actor in self.actors.iter_mut().flatten() {
                actor.client.handle_timeout(self.now, random.share());
            }
            self.carry_out();
        }
        self.now = end;
    }

    /// Everything that can still happen happens, and nothing breaks any more.
    pub(crate) fn settle(&mut self, random: &mut Random) {
        // Long enough for every wait, every absence and every reunion.
        for _ in 0..150 {
            for link in 0..self.links.len() {
                if self.links[link].broken {
                    self.close_at_server(link);
                    if !self.links[link].closed_at_client {
                        self.close_at_client(link, None, random);
                    }
                }
                while !self.links[link].up.is_empty() || !self.links[link].down.is_empty() {
                    self.carry_up(link);
                    self.carry_down(link, random);
                }
            }
            self.pass(Duration::from_secs(1), random);
        }
    }

    /// Everybody agrees on who is there, and each message has had its one outcome.
    pub(crate) fn check(&self) {
        self.history.check();
        let actors: Vec<_> = self.actors.iter().flatten().collect();
        for actor in &actors {
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
            assert!(hosts.count() >= 1, "a room has a host");
        }
        let sessions = self.hub.snapshot().sessions;
        assert_eq!(sessions, actors.len(), "nobody else is there");
    }
}
