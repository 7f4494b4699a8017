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
/// Panics in a row that no client's input has caused, after which all rooms are closed: closing those
/// that look broken has not ended them.
const PANICS_BEFORE_ALL: u32 = 3;
/// After so many the process ends.
const PANICS_BEFORE_END: u32 = 100;

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
            own_panics: 0,
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
    /// Panics in a row that no client's input has caused.
    own_panics: u32,
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
            // Apart from each other: a panic in one must not keep frames from anybody.
            let has_passed = self.contain(now, None, |task| task.hub.handle_timeout(now));
            let has_sent = self.contain(now, None, |task| task.carry_out(now));
            if has_passed && has_sent {
                self.own_panics = 0;
            }
        }
    }

    /// Does one thing, and returns whether it worked. A panic, which is a mistake of ours, closes the
    /// rooms that it has touched.
    fn contain(
        &mut self,
        now: Instant,
        connection: Option<ConnectionId>,
        act: impl FnOnce(&mut Self),
    ) -> bool {
        // What is half done is looked for and closed.
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| act(self))) else {
            return true;
        };
        // A client's input is over with its room; what the hub does by itself would come again.
        self.own_panics += u32::from(connection.is_none());
        if self.own_panics > PANICS_BEFORE_END {
            resume_unwind(panic);
        }
        let rooms = match connection.is_none() && self.own_panics >= PANICS_BEFORE_ALL {
            true => self.hub.handle_panics(now),
            false => self.hub.handle_panic(now, connection),
        };
        tracing::error!(
            ?connection,
            ?rooms,
            "the signaling core has failed and these rooms are closed; please report this"
        );
        false
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
pub(crate) mod tests;
