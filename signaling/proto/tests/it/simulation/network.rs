//! Clients, servers with one secret, and what lies between them.

mod generations;
mod link;
mod rest;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use signaling_proto::hub::{Arrival, ConnectionId, Ended, Output, limits};
use signaling_proto::message::{ClientMessage, ServerMessage};

use self::generations::Generations;
pub(crate) use self::generations::Moves;
use self::link::{Down, Link, Up};
use self::server::Server;
use super::Random;
use super::actor::{Actor, Wish};
use super::history::History;

pub(crate) struct Network {
    now: Instant,
    calendar: Arc<AtomicU64>,
    servers: Vec<Server>,
    server_processes: u64,
    /// Chooses a server for each new connection,
    balancer: Random,
    /// unless all go to this one.
    favoured: Option<usize>,
    /// `None` where no process runs.
    actors: Vec<Option<Actor>>,
    processes: usize,
    links: Vec<Link>,
    history: History,
    generations: Generations,
    /// By server: the sessions that have ended, as its state directory keeps them.
    ended: Vec<Vec<Ended>>,
    /// How large messages are, in bytes.
    bytes: usize,
}

impl Network {
    pub(crate) fn new(actors: usize, servers: usize, bytes: usize, balancer: Random) -> Self {
        let calendar = Arc::new(AtomicU64::new(1_795_000_000_000));
        let mut network = Self {
            now: Instant::now(),
            calendar,
            servers: Vec::new(),
            server_processes: 0,
            balancer,
            favoured: None,
            actors: (0..actors).map(|_| None).collect(),
            processes: 0,
            links: Vec::new(),
            history: History::new(servers),
            bytes,
            generations: Generations::new(),
            ended: vec![Vec::new(); servers],
        };
        network.servers = (0..servers).map(|at| network.start_server(at)).collect();
        network
    }

    fn start_server(&mut self, at: usize) -> Server {
        self.server_processes += 1;
        let mut server = Server::new(self.server_processes, &self.calendar);
        server
            .hub
            .handle_ended(self.now, self.ended[at].iter().cloned());
        server
    }

    pub(crate) fn moves(&self) -> Moves {
        self.generations.moves
    }

    pub(crate) fn servers(&self) -> usize {
        self.servers.len()
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
            let bytes = self.bytes * random.below(2);
            actor.send(&mut self.history, bytes, random);
            self.carry_out();
        }
    }

    pub(crate) fn hurry(&mut self, at: usize) {
        if let Some(actor) = &mut self.actors[at] {
            actor.client.handle_start(self.now);
            self.carry_out();
        }
    }

    /// A client notices that its connection is broken, and is in a hurry.
    pub(crate) fn reconnect(&mut self, at: usize, random: &mut Random) {
        if let Some(link) = self.actors[at].as_ref().and_then(|actor| actor.link) {
            self.links[link].breaks();
            self.close_at_client(link, None, random);
            self.hurry(at);
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

    /// Where new connections go: all to one server, or to any.
    pub(crate) fn favour(&mut self, server: Option<usize>) {
        self.favoured = server;
    }

    /// A server dies without a word, and is started again.
    pub(crate) fn kill_server(&mut self, at: usize) {
        self.history.is_simple = false;
        for link in self.links.iter_mut().filter(|link| link.server == at) {
            link.breaks();
            link.closed_at_server = true;
        }
        self.servers[at] = self.start_server(at);
    }

    pub(crate) fn drain_server(&mut self, at: usize) {
        self.history.is_simple = false;
        self.servers[at].hub.handle_drain(self.now);
        self.carry_out();
        for link in self.links.iter_mut().filter(|link| link.server == at) {
            link.closed_at_server = true;
        }
        self.servers[at] = self.start_server(at);
    }

    pub(crate) fn jump_clock(&mut self, random: &mut Random) {
        let hour = 3_600_000;
        let jump = u64::try_from(random.below(2 * 3_600_000)).unwrap();
        self.calendar.fetch_add(jump, Ordering::Relaxed);
        self.calendar.fetch_sub(hour, Ordering::Relaxed);
    }

    /// Some frames arrive at one end of some connection.
    pub(crate) fn carry_something(&mut self, random: &mut Random) {
        let Some(link) = self.some_link(random, Link::is_busy) else {
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
                let connection = link.connection;
                let server = &mut self.servers[link.server];
                match &message {
                    Ok(ClientMessage::Hello(hello)) => self.generations.offered(at, hello),
                    _ => self.generations.shown(server.process, at),
                }
                server.hub.handle_message(self.now, connection, message);
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
            let server = &mut self.servers[link.server];
            server.hub.handle_close(self.now, link.connection);
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
        for at in 0..self.servers.len() {
            while let Some(output) = self.servers[at].hub.poll_output() {
                self.send_down(at, output);
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

    fn send_down(&mut self, from: usize, output: Output) {
        let (connection, down, closes) = match output {
            Output::Send { connection, frame } => (connection, Down::Frame(frame.to_text()), false),
            Output::Close {
                connection, code, ..
            } => (connection, Down::Close(code), true),
            Output::Revoke { peer } => panic!("nobody puts {peer} out"),
            Output::Ended(ended) => return self.ended[from].push(ended),
        };
        let at = usize::try_from(connection.0).expect("connections are numbers of links");
        let link = &mut self.links[at];
        assert_eq!(link.server, from, "each server has its own connections");
        assert!(!link.closed_at_server, "{connection:?} is closed");
        link.closed_at_server |= closes;
        if let Down::Close(4430) = down {
            let age = self.now - link.opened;
            assert!(age >= limits::STALL, "ended for what others sent");
        }
        if let Down::Frame(text) = &down
            && text.starts_with(r#"{"type":"welcome""#)
            && let Ok(ServerMessage::Welcome(welcome)) = ServerMessage::parse(text)
        {
            let process = self.servers[from].process;
            let calendar = Duration::from_millis(self.calendar.load(Ordering::Relaxed));
            self.generations.welcomed(process, at, &welcome, calendar);
        }
        if !link.broken {
            link.down.push_back(down);
        }
    }

    fn fulfil(&mut self, at: usize, wish: Wish) {
        let actor = self.actors[at].as_mut().expect("it has just wished");
        match (wish, actor.link) {
            (Wish::Connect, _) => {
                let connection = ConnectionId(self.links.len() as u64);
                let any = self.balancer.below(self.servers.len());
                let server = self.favoured.unwrap_or(any);
                self.links.push(Link::new(connection, server, self.now));
                actor.link = Some(self.links.len() - 1);
                let hub = &mut self.servers[server].hub;
                hub.handle_open(self.now, connection, Arrival::default());
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

    /// Time passes, and everybody does what is due; a prompt network carries everything meanwhile, another
    /// one nothing.
    pub(crate) fn pass(&mut self, duration: Duration, prompt: bool, random: &mut Random) {
        let end = self.now + duration;
        loop {
            if prompt {
                self.carry_everything(random);
            }
            let actors = self.actors.iter().flatten();
            let deadlines = actors.filter_map(|actor| actor.client.poll_deadline());
            let servers = self.servers.iter();
            let due = servers.filter_map(|server| server.hub.poll_deadline());
            let next = deadlines.chain(due).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            let step = next.saturating_duration_since(self.now);
            self.now += step;
            let step = u64::try_from(step.as_millis()).unwrap();
            self.calendar.fetch_add(step, Ordering::Relaxed);
            for server in &mut self.servers {
                server.hub.handle_timeout(self.now);
            }
            for actor in self.actors.iter_mut().flatten() {
                actor.client.handle_timeout(self.now, random.share());
            }
            self.carry_out();
        }
        self.now = end;
    }

    pub(crate) fn carry_everything(&mut self, random: &mut Random) {
        while let Some(link) = self.links.iter().position(Link::is_busy) {
            while self.links[link].is_busy() {
                self.carry_up(link);
                self.carry_down(link, random);
            }
        }
    }
}
