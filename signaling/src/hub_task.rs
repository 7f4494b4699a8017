//! The one task that owns the hub.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use signaling_proto::hub::{
    Arrival, ConnectionId, Ended, Environment, Fault, Hub, Output, RoomSummary, Snapshot,
};
use signaling_proto::id::PeerId;
use signaling_proto::message::server::IceServersReason;
use signaling_proto::message::{ClientMessage, ParseError};
use tokio::sync::{mpsc, oneshot};

use crate::outbox::Outbox;

/// Inputs that may wait for the hub. Each connection waits with at most one message, so that none can
/// crowd out the others.
const QUEUE: usize = 1024;
/// Inputs taken at once.
const BATCH: usize = 64;
/// Panics of the hub without anything that worked between, after which the process ends.
const PANICS_IN_A_ROW: u32 = 100;

enum Input {
    Open(ConnectionId, Arrival, Arc<Outbox>),
    Message(ConnectionId, Result<ClientMessage, ParseError>),
    Fault(ConnectionId, Fault),
    Close(ConnectionId),
    RelayChange(IceServersReason),
    Drain(oneshot::Sender<()>),
    Snapshot(oneshot::Sender<Snapshot>),
    Rooms(oneshot::Sender<Vec<RoomSummary>>),
}

impl Input {
    /// Whose it is.
    const fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Open(connection, ..)
            | Self::Message(connection, _)
            | Self::Fault(connection, _)
            | Self::Close(connection) => Some(*connection),
            Self::RelayChange(_) | Self::Drain(_) | Self::Snapshot(_) | Self::Rooms(_) => None,
        }
    }
}

/// The way to the hub. When the hub's task is gone the process is ending, and what is said to it is
/// lost.
#[derive(Clone)]
pub(crate) struct HubHandle {
    inputs: mpsc::Sender<Input>,
    next_connection: Arc<AtomicU64>,
    panics: Arc<AtomicU64>,
    refused_pages: Arc<AtomicU64>,
}

impl HubHandle {
    /// Starts the task; it ends when all handles are gone.
    ///
    /// `revoke` is called for each peer that was put out, `keep` for each session that has ended for
    /// good; neither may block.
    pub(crate) fn start<E: Environment + Send + 'static>(
        hub: Hub<E>,
        revoke: impl Fn(&PeerId) + Send + 'static,
        keep: impl Fn(Ended) + Send + 'static,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (inputs, queue) = mpsc::channel(QUEUE);
        let task = HubTask {
            hub,
            outboxes: FxHashMap::default(),
            panics_in_a_row: 0,
            revoke: Box::new(revoke),
            keep: Box::new(keep),
        };
        let handle = Self {
            inputs,
            next_connection: Arc::default(),
            panics: Arc::default(),
            refused_pages: Arc::default(),
        };
        (handle, tokio::spawn(task.run(queue)))
    }

    async fn send(&self, input: Input) {
        // Fails only when the process is ending. In two steps, as the future of `send` has room for three
        // inputs, which each connection would keep.
        if let Ok(place) = self.inputs.reserve().await {
            place.send(input);
        }
    }

    /// A connection is there.
    pub(crate) async fn open(&self, arrival: Arrival, outbox: Arc<Outbox>) -> ConnectionId {
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        self.send(Input::Open(id, arrival, outbox)).await;
        id
    }

    pub(crate) async fn message(
        &self,
        connection: ConnectionId,
        message: Result<ClientMessage, ParseError>,
    ) {
        self.send(Input::Message(connection, message)).await;
    }

    pub(crate) async fn fault(&self, connection: ConnectionId, fault: Fault) {
        self.send(Input::Fault(connection, fault)).await;
    }

    pub(crate) async fn close(&self, connection: ConnectionId) {
        self.send(Input::Close(connection)).await;
    }

    /// What clients are told of relays has changed.
    pub(crate) async fn relay_changed(&self, reason: IceServersReason) {
        self.send(Input::RelayChange(reason)).await;
    }

    /// A connection has failed by a mistake of ours.
    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// A page of an origin that may not connect was refused.
    pub(crate) fn count_refused_page(&self) {
        self.refused_pages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused_pages(&self) -> u64 {
        self.refused_pages.load(Ordering::Relaxed)
    }

    /// How many connections have failed.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Tells everybody to go; returns when every outbox has its close.
    pub(crate) async fn drain(&self) {
        let (done, wait) = oneshot::channel();
        self.send(Input::Drain(done)).await;
        let _ = wait.await;
    }

    /// `None` when the process is ending.
    pub(crate) async fn snapshot(&self) -> Option<Snapshot> {
        let (answer, wait) = oneshot::channel();
        self.send(Input::Snapshot(answer)).await;
        wait.await.ok()
    }

    /// `None` when the process is ending.
    pub(crate) async fn rooms(&self) -> Option<Vec<RoomSummary>> {
        let (answer, wait) = oneshot::channel();
        self.send(Input::Rooms(answer)).await;
        wait.await.ok()
    }
}

struct HubTask<E> {
    hub: Hub<E>,
    outboxes: FxHashMap<ConnectionId, Arc<Outbox>>,
    panics_in_a_row: u32,
    revoke: Box<dyn Fn(&PeerId) + Send>,
    keep: Box<dyn Fn(Ended) + Send>,
}

impl<E: Environment> HubTask<E> {
    async fn run(mut self, mut queue: mpsc::Receiver<Input>) {
        let mut batch = Vec::with_capacity(BATCH);
        // Set anew when something else is due first, which most inputs do not change.
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        let mut due = None;
        loop {
            let deadline = self.hub.poll_deadline();
            if due != deadline
                && let Some(deadline) = deadline
            {
                timer.as_mut().reset(deadline.into());
            }
            due = deadline;
            tokio::select! {
                taken = queue.recv_many(&mut batch, BATCH) => if taken == 0 { return },
                () = timer.as_mut(), if due.is_some() => due = None,
            }
            let now = Instant::now();
            for input in batch.drain(..) {
                let connection = input.connection();
                self.contain(now, connection, |task| task.handle(now, input));
            }
            self.contain(now, None, |task| {
                task.hub.handle_timeout(now);
                task.carry_out(now);
            });
        }
    }

    /// Does one thing; a panic in it, which is a mistake of ours, ends the rooms that it has touched.
    fn contain(
        &mut self,
        now: Instant,
        connection: Option<ConnectionId>,
        act: impl FnOnce(&mut Self),
    ) {
        // What is half done is looked for and closed.
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| act(self))) else {
            self.panics_in_a_row = 0;
            return;
        };
        self.panics_in_a_row += 1;
        if self.panics_in_a_row > PANICS_IN_A_ROW {
            resume_unwind(panic);
        }
        let rooms = self.hub.handle_panic(now, connection);
        tracing::error!(
            ?connection,
            ?rooms,
            "the signaling core has failed and these rooms are closed; please report this"
        );
    }

    fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Open(connection, arrival, outbox) => {
                self.outboxes.insert(connection, outbox);
                self.hub.handle_open(now, connection, arrival);
            }
            Input::Message(connection, message) => {
                self.hub.handle_message(now, connection, message);
            }
            Input::Fault(connection, fault) => self.hub.handle_fault(now, connection, fault),
            Input::Close(connection) => {
                self.outboxes.remove(&connection);
                self.hub.handle_close(now, connection);
            }
            Input::RelayChange(reason) => self.hub.handle_relay_change(now, reason),
            Input::Drain(done) => {
                self.hub.handle_drain(now);
                self.carry_out(now);
                let _ = done.send(());
            }
            Input::Snapshot(answer) => {
                let _ = answer.send(self.hub.snapshot());
            }
            Input::Rooms(answer) => {
                let _ = answer.send(self.hub.rooms());
            }
        }
    }

    fn carry_out(&mut self, now: Instant) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { connection, frame } => {
                    let Some(outbox) = self.outboxes.get(&connection) else {
                        continue;
                    };
                    if outbox.push(frame).is_err() {
                        tracing::debug!(?connection, "a client reads too slowly");
                        // What waits is lost to this client anyway, and makes room for the reason.
                        outbox.clear();
                        self.hub.handle_fault(now, connection, Fault::SlowReader);
                    }
                }
                Output::Close {
                    connection,
                    code,
                    reason,
                } => {
                    if let Some(outbox) = self.outboxes.remove(&connection) {
                        tracing::debug!(?connection, code, reason, "closing");
                        outbox.close(code, reason);
                    }
                }
                Output::Revoke { peer } => (self.revoke)(&peer),
                Output::Ended(ended) => (self.keep)(ended),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use signaling_proto::hub::{Config, Grant, SourceLimits, Unauthorized};
    use signaling_proto::liveness::PING_INTERVAL;
    use signaling_proto::message::client::Hello;
    use signaling_proto::message::server::IceServer;
    use signaling_proto::pace::Rate;
    use signaling_proto::ticket::TicketKey;

    use super::*;
    use crate::ice_servers::{HubEnvironment, Relay, Told};
    use crate::outbox::Item;
    use crate::room_token::Gates;

    /// A hub without anybody in it.
    pub(crate) fn hub() -> HubHandle {
        let environment = HubEnvironment {
            relay: Told::new(Relay::Nowhere),
            credential_ttl: Duration::from_secs(600),
            gates: Gates::default(),
            pages: Arc::default(),
        };
        let hub = Hub::new(config(), TicketKey::new(b"north"), environment);
        HubHandle::start(hub, |_| (), |_| ()).0
    }

    fn config() -> Config {
        Config {
            max_room: 2,
            max_rooms: 2,
            max_sessions: 2,
            namespaces: BTreeMap::new(),
            max_greeting: 2,
            source: SourceLimits {
                sessions: 2,
                hellos: Rate::with_burst_of_ten_seconds(1),
            },
            resume_window: Duration::ZERO,
            ping_interval: PING_INTERVAL,
            renew_ice_servers_after: Duration::from_secs(300),
        }
    }

    /// Fails where it is told to, in the middle of a welcome.
    struct Planted;

    impl Environment for Planted {
        fn random(&mut self, bytes: &mut [u8]) {
            getrandom::fill(bytes).unwrap();
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

        fn ice_servers(&mut self, _: &str, reached_as: &str, _: Option<u64>) -> Vec<IceServer> {
            assert_ne!(reached_as, "planted");
            Vec::new()
        }
    }

    #[tokio::test]
    async fn a_panic_in_the_hub_costs_its_room_and_not_the_process() {
        let config = Config {
            max_sessions: 9,
            max_rooms: 9,
            max_greeting: 9,
            resume_window: Duration::from_secs(60),
            ..config()
        };
        let hub = Hub::new(config, TicketKey::new(b"north"), Planted);
        let (handle, _task) = HubHandle::start(hub, |_| (), |_| ());
        let enter = async |room: &str, reached_as: &str| {
            let outbox = Arc::new(Outbox::default());
            let arrival = Arrival {
                reached_as: reached_as.into(),
                ..Arrival::default()
            };
            let connection = handle.open(arrival, outbox.clone()).await;
            let hello = format!(r#"{{"type":"hello","room":"{room}"}}"#);
            handle
                .message(connection, ClientMessage::parse(&hello))
                .await;
            outbox
        };
        assert!(enter("other", "").await.next().await.is_frame());
        let roommate = enter("r", "").await;
        assert!(roommate.next().await.is_frame());
        let _failing = enter("r", "planted").await;
        let text = match roommate.next().await {
            Item::Frame(frame) => frame.to_text(),
            _ => panic!("an error first"),
        };
        assert!(text.contains(r#""code":"internal""#), "{text}");
        assert!(!roommate.next().await.is_frame());
        // The others do not notice.
        assert!(enter("other", "").await.next().await.is_frame());
        let snapshot = handle.snapshot().await.unwrap();
        assert_eq!((snapshot.sessions, snapshot.rooms), (2, 1));
        assert_eq!(snapshot.totals.panics, 1);
    }
}
