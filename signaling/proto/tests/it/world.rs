//! A hub under virtual time, with clients that only collect what they are sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use signaling_proto::hub::{
    Arrival, Config, ConnectionId, Ended, Environment, Grant, Hub, Output, SourceLimits,
    Unauthorized,
};
use signaling_proto::id::PeerId;
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::{Error, ErrorCode, IceServer, Role, Welcome};
use signaling_proto::message::{ClientMessage, ServerMessage};
use signaling_proto::pace::Rate;
use signaling_proto::source::Source;
use signaling_proto::ticket::TicketKey;

/// What the token `planted` comes to.
pub(crate) const PLANTED: &str = "a planted mistake";

/// Randomness that repeats itself from test to test.
pub(crate) struct TestEnvironment {
    state: u64,
    /// When it began, since 1970,
    began: Duration,
    /// and how long ago that is by the calendar, in milliseconds.
    calendar: Arc<AtomicU64>,
}

impl Environment for TestEnvironment {
    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            // Numerical Recipes' linear congruence: enough to be different each time.
            self.state = self
                .state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.state >> 56) as u8;
        }
    }

    fn unix_time(&mut self) -> Duration {
        self.began + Duration::from_millis(self.calendar.load(Ordering::Relaxed))
    }

    fn permits(&mut self, namespace: &str, page: &str) -> bool {
        page == format!("https://{namespace}.example")
    }

    fn authorize(&mut self, hello: &Hello) -> Result<Grant, Unauthorized> {
        let role = match hello.token.as_deref() {
            None => None,
            Some("host") => Some(Role::Host),
            Some("participant") => Some(Role::Participant),
            Some("viewer") => Some(Role::Viewer),
            Some("planted") => panic!("{PLANTED}"),
            Some(_) => return Err(Unauthorized),
        };
        let name = role.map(|role| format!("{role:?}"));
        let in_an_hour = self.unix_time().as_secs() + 3600;
        Ok(Grant {
            role,
            name,
            expires_at: role.map(|_| in_an_hour),
        })
    }

    fn ice_servers(
        &mut self,
        account: &str,
        reached_as: &str,
        until: Option<u64>,
    ) -> Vec<IceServer> {
        let now = self.unix_time().as_secs();
        let expires_at = (now + 600).min(until.unwrap_or(u64::MAX));
        if expires_at <= now {
            return Vec::new();
        }
        vec![IceServer {
            urls: vec![format!("turn:{reached_as}")],
            username: Some(account.to_owned()),
            credential: Some("secret".into()),
            expires_at: Some(expires_at),
        }]
    }
}

pub(crate) struct World {
    pub(crate) hub: Hub<TestEnvironment>,
    pub(crate) now: Instant,
    opened: u64,
    inboxes: BTreeMap<ConnectionId, Vec<ServerMessage>>,
    closed: BTreeMap<ConnectionId, u16>,
    gone: BTreeSet<ConnectionId>,
    /// Who was put out.
    pub(crate) revoked: Vec<PeerId>,
    /// Whose tickets are worth nothing in later processes.
    pub(crate) ended: Vec<Ended>,
    /// The newest ticket of each connection that was given another one than its welcome's.
    pub(crate) tickets: BTreeMap<ConnectionId, String>,
    pub(crate) calendar: Arc<AtomicU64>,
    config: Config,
    processes: u64,
}

pub(crate) const CONFIG: Config = Config {
    max_room: 4,
    max_rooms: 100,
    max_sessions: 100,
    namespaces: BTreeMap::new(),
    max_greeting: 100,
    source: SourceLimits {
        sessions: 5,
        hellos: Rate {
            per_second: 1,
            burst: 20,
        },
    },
    resume_window: Duration::from_secs(60),
    ping_interval: signaling_proto::liveness::PING_INTERVAL,
    renew_ice_servers_after: Duration::from_secs(300),
};

/// What the clocks say when a test begins, since 1970.
const BEGINNING: Duration = Duration::from_secs(1_795_000_000);

fn hub(config: Config, process: u64, calendar: &Arc<AtomicU64>) -> Hub<TestEnvironment> {
    let environment = TestEnvironment {
        state: 7 + process,
        began: BEGINNING + Duration::from_secs(process),
        calendar: calendar.clone(),
    };
    Hub::new(
        config,
        TicketKey::new(b"the same for all processes"),
        environment,
    )
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let calendar = Arc::default();
        Self {
            hub: hub(config.clone(), 0, &calendar),
            now: Instant::now(),
            opened: 0,
            inboxes: BTreeMap::new(),
            closed: BTreeMap::new(),
            gone: BTreeSet::new(),
            revoked: Vec::new(),
            ended: Vec::new(),
            tickets: BTreeMap::new(),
            calendar,
            config,
            processes: 1,
        }
    }

    /// The process dies without a word, and another one with the same secret takes its place, which knows
    /// what the state directory has kept.
    pub(crate) fn restart(&mut self) {
        self.crash();
        self.hub.handle_ended(self.now, self.ended.iter().cloned());
    }

    /// The same without a state directory.
    pub(crate) fn crash(&mut self) {
        self.hub = hub(self.config.clone(), self.processes, &self.calendar);
        self.processes += 1;
        let open: Vec<_> = self.inboxes.keys().copied().collect();
        self.gone.extend(open);
    }

    /// Another process with the same secret, beside this one.
    pub(crate) fn another(&mut self) -> Hub<TestEnvironment> {
        self.processes += 1;
        hub(self.config.clone(), self.processes - 1, &self.calendar)
    }

    pub(crate) fn open(&mut self) -> ConnectionId {
        self.open_from(None)
    }

    pub(crate) fn open_from(&mut self, source: Option<Source>) -> ConnectionId {
        self.arrive(Arrival {
            source,
            ..Arrival::default()
        })
    }

    pub(crate) fn arrive(&mut self, arrival: Arrival) -> ConnectionId {
        self.opened += 1;
        let connection = ConnectionId(self.opened);
        self.inboxes.insert(connection, Vec::new());
        let reached_as = "host.example".into();
        let arrival = Arrival {
            reached_as,
            ..arrival
        };
        self.hub.handle_open(self.now, connection, arrival);
        self.collect();
        connection
    }

    /// A frame as its sender wrote it.
    pub(crate) fn say(&mut self, connection: ConnectionId, text: &str) {
        self.hub
            .handle_message(self.now, connection, ClientMessage::parse(text));
        self.collect();
    }

    /// The connection breaks.
    pub(crate) fn break_off(&mut self, connection: ConnectionId) {
        self.hub.handle_close(self.now, connection);
        self.gone.insert(connection);
        self.collect();
    }

    /// Lets time pass, stopping at every deadline.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.hub.poll_deadline().filter(|due| *due <= end) {
            self.set_time(deadline.max(self.now));
            self.hub.handle_timeout(self.now);
            self.collect();
        }
        self.set_time(end);
    }

    fn set_time(&mut self, now: Instant) {
        let passed = u64::try_from((now - self.now).as_millis()).unwrap();
        self.calendar.fetch_add(passed, Ordering::Relaxed);
        self.now = now;
    }

    pub(crate) fn collect(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { connection, frame } => {
                    assert!(
                        !self.is_over(connection),
                        "{frame:?} to a closed {connection:?}"
                    );
                    let message = ServerMessage::parse(&frame.to_text()).unwrap();
                    if let ServerMessage::Ticket(new) = message {
                        self.tickets.insert(connection, new.ticket);
                        continue;
                    }
                    self.inboxes.get_mut(&connection).unwrap().push(message);
                }
                Output::Close {
                    connection, code, ..
                } => {
                    assert!(!self.is_over(connection), "{connection:?} closed twice");
                    self.closed.insert(connection, code);
                }
                Output::Revoke { peer } => self.revoked.push(peer),
                Output::Ended(ended) => self.ended.push(ended),
            }
        }
    }

    pub(crate) fn is_over(&self, connection: ConnectionId) -> bool {
        self.closed.contains_key(&connection) || self.gone.contains(&connection)
    }

    /// What has come since the last call.
    pub(crate) fn take(&mut self, connection: ConnectionId) -> Vec<ServerMessage> {
        std::mem::take(self.inboxes.get_mut(&connection).unwrap())
    }

    pub(crate) fn close_code(&self, connection: ConnectionId) -> Option<u16> {
        self.closed.get(&connection).copied()
    }

    /// Opens a connection, says `hello` with `fields` and expects a welcome.
    pub(crate) fn enter(&mut self, fields: &str) -> (ConnectionId, Welcome) {
        let connection = self.open();
        self.say(connection, &format!(r#"{{"type":"hello",{fields}}}"#));
        match self.take(connection).as_slice() {
            [ServerMessage::Welcome(welcome)] => (connection, (**welcome).clone()),
            other => panic!("expected a welcome: {other:?}"),
        }
    }

    /// The welcome with the newest ticket that its client has.
    pub(crate) fn with_newest_ticket(
        &self,
        connection: ConnectionId,
        welcome: &Welcome,
    ) -> Welcome {
        let newest = self.tickets.get(&connection);
        Welcome {
            ticket: newest.unwrap_or(&welcome.ticket).clone(),
            ..welcome.clone()
        }
    }

    /// Opens a connection and goes on with the session of `welcome` in the room `r`.
    pub(crate) fn resume(
        &mut self,
        welcome: &Welcome,
        received: u64,
        peers: Option<&[&PeerId]>,
    ) -> ConnectionId {
        let connection = self.open();
        let peers = peers.map_or_else(String::new, |peers| {
            format!(r#","peers":{}"#, serde_json::to_string(peers).unwrap())
        });
        let room = &welcome.room.name;
        let ticket = &welcome.ticket;
        let hello = format!(
            r#"{{"type":"hello","room":"{room}","resume":{{"ticket":"{ticket}","received":{received}{peers}}}}}"#
        );
        self.say(connection, &hello);
        connection
    }

    /// As [`Self::resume`], and expects a welcome; what follows it is left in the inbox.
    pub(crate) fn resumed(
        &mut self,
        welcome: &Welcome,
        received: u64,
        peers: Option<&[&PeerId]>,
    ) -> (ConnectionId, Welcome) {
        let connection = self.resume(welcome, received, peers);
        let inbox = self.inboxes.get_mut(&connection).unwrap();
        match inbox.first().cloned() {
            Some(ServerMessage::Welcome(welcome)) if welcome.resumed => {
                inbox.remove(0);
                (connection, *welcome)
            }
            other => panic!("expected a welcome: {other:?}"),
        }
    }

    /// What has come since the last call is one error.
    pub(crate) fn take_error(&mut self, connection: ConnectionId) -> Error {
        match self.take(connection).as_slice() {
            [ServerMessage::Error(error)] => error.clone(),
            other => panic!("expected an error: {other:?}"),
        }
    }

    /// What has come since the last call is this error, and the connection was closed with its code.
    pub(crate) fn assert_refused(&mut self, connection: ConnectionId, code: ErrorCode) {
        assert_eq!(self.take_error(connection).code, code);
        assert_eq!(self.close_code(connection), code.close_code());
    }
}
