//! Follows the addresses of the host: what is relayed from, and whether listeners are reached.

use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::control::Handle;
use crate::host;

/// Changes that come together are looked at together.
const PAUSE: Duration = Duration::from_millis(20);
/// When to look again at addresses that could not be looked at.
const RETRY: Duration = Duration::from_millis(500);
const CHANGES: Token = Token(0);
/// To stop, or to look again.
const WAKE: Token = Token(1);

/// The thread that follows.
#[derive(Debug)]
pub(super) struct Watch {
    thread: JoinHandle<()>,
    stop: Arc<Stop>,
}

#[derive(Debug)]
struct Stop {
    is_asked: AtomicBool,
    waker: Arc<Waker>,
}

impl Watch {
    /// Follows from now on; where that is not possible, a reload looks at the addresses.
    pub(super) fn start(relay: Handle) -> Option<Self> {
        let started = Self::try_start(relay);
        if let Err(error) = &started {
            tracing::warn!(%error, "changes of the host's addresses are seen by a reload only");
        }
        started.ok()
    }

    fn try_start(relay: Handle) -> io::Result<Self> {
        let mut poll = Poll::new()?;
        let changes = host::subscribe()?;
        let socket = changes.as_raw_fd();
        let mut source = SourceFd(&socket);
        let registry = poll.registry();
        registry.register(&mut source, CHANGES, Interest::READABLE)?;
        let stop = Arc::new(Stop {
            is_asked: AtomicBool::new(false),
            waker: Arc::new(Waker::new(registry, WAKE)?),
        });
        relay.watched_by(Arc::clone(&stop.waker));
        let asked = Arc::clone(&stop);
        let run = move || {
            let mut events = Events::with_capacity(4);
            let mut is_behind = false;
            while !asked.is_asked.load(Ordering::Acquire) {
                // First what there is: it may have changed before anything was followed.
                host::drain(&changes);
                let followed = relay.follow_host();
                if let (Err(error), false) = (&followed, is_behind) {
                    tracing::warn!(%error, "the addresses to relay from stay as they are; trying again");
                }
                is_behind = followed.is_err();
                std::thread::sleep(PAUSE);
                if let Err(error) = poll.poll(&mut events, is_behind.then_some(RETRY))
                    && error.kind() != io::ErrorKind::Interrupted
                {
                    tracing::error!(%error, "the host's addresses are followed no more");
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("addresses".to_owned());
        let thread = thread.spawn(run)?;
        Ok(Self { thread, stop })
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        self.stop.is_asked.store(true, Ordering::Release);
        if self.stop.waker.wake().is_ok() {
            // One that has panicked has ended.
            let _ = self.thread.join();
        }
    }
}
