//! What the kernel delivers to this host, kept true by its own messages (rtnetlink).
//!
//! All workers wait for the messages of one socket together with their packets. The kernel queues
//! the message of a new address before packets are delivered to that address, so a worker that
//! handles messages first judges no packet by an older state than the packet met. `docs/decisions/
//! 0002-own-host.md` has the reasons.

mod netlink;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use stun_turn_proto::policy::LocalAddresses;

use netlink::Table;
pub(crate) use netlink::subscribe;

/// The addresses of this host, shared by all workers.
#[derive(Debug)]
pub(crate) struct Host {
    /// None where the system gives no such socket: what was found at the start stays.
    socket: Option<OwnedFd>,
    state: Mutex<State>,
    /// Changes before a message is taken from the socket: a worker that sees no change knows that
    /// whatever was queued is in [`State::local`] or is still to be announced to it.
    generation: AtomicU64,
    /// The table misses something, because it could not be read anew.
    is_stale: AtomicBool,
}

#[derive(Debug)]
struct State {
    table: Table,
    local: Arc<LocalAddresses>,
}

impl Host {
    /// Reads all addresses and local routes and follows them from then on.
    ///
    /// # Errors
    /// What the system says where it gives no netlink socket.
    pub(crate) fn watch() -> io::Result<Self> {
        // In this order: what changes while the table is read is in the socket.
        let socket = netlink::subscribe()?;
        let table = netlink::read_all()?;
        Ok(Self::new(Some(socket), table))
    }

    /// A host whose addresses are these and stay the same.
    pub(crate) fn fixed(addresses: Vec<IpAddr>) -> Self {
        Self::new(None, Table::of(addresses))
    }

    fn new(socket: Option<OwnedFd>, table: Table) -> Self {
        let local = Arc::new(table.local());
        Self {
            socket,
            state: Mutex::new(State { table, local }),
            generation: AtomicU64::new(0),
            is_stale: AtomicBool::new(false),
        }
    }

    /// The socket to wait for.
    pub(crate) fn socket(&self) -> Option<RawFd> {
        self.socket.as_ref().map(OwnedFd::as_raw_fd)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment after everything that can fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the messages that wait.
    pub(crate) fn read(&self) {
        let Some(socket) = &self.socket else { return };
        let mut state = self.state();
        self.generation.fetch_add(1, Ordering::SeqCst);
        let is_whole = netlink::take_messages(socket, &mut state.table);
        if !is_whole || self.is_stale.load(Ordering::SeqCst) {
            // Something has ended, or messages were lost: the table as a whole is right again.
            match netlink::read_all() {
                Ok(table) => {
                    state.table = table;
                    self.is_stale.store(false, Ordering::SeqCst);
                }
                Err(error) if self.is_stale.swap(true, Ordering::SeqCst) => {
                    tracing::debug!(%error, "reading the host's addresses failed again");
                }
                Err(error) => {
                    tracing::warn!(%error, "reading the host's addresses failed; the old ones stay until it succeeds");
                }
            }
        }
        let local = state.table.local();
        if local != *state.local {
            let addresses: Vec<IpAddr> = local.hosts().collect();
            tracing::debug!(?addresses, "the addresses of this host have changed");
            state.local = Arc::new(local);
        }
    }

    /// Reads the table again if that has failed before.
    pub(crate) fn catch_up(&self) {
        if self.is_stale.load(Ordering::SeqCst) {
            self.read();
        }
    }

    /// What the kernel delivers to this host, if it may have changed since `seen`.
    pub(crate) fn news(&self, seen: &mut Option<u64>) -> Option<Arc<LocalAddresses>> {
        if *seen == Some(self.generation.load(Ordering::SeqCst)) {
            return None;
        }
        // Waits for a worker that is reading.
        let state = self.state();
        *seen = Some(self.generation.load(Ordering::SeqCst));
        Some(Arc::clone(&state.local))
    }
}

/// Takes the messages of a socket that only wakes somebody.
pub(crate) fn drain(socket: &OwnedFd) {
    netlink::take_messages(socket, &mut Table::default());
}

impl Table {
    fn of(addresses: Vec<IpAddr>) -> Self {
        let mut table = Self::default();
        for ip in addresses {
            table.add_address(IpNet::from(ip));
        }
        table
    }
}
