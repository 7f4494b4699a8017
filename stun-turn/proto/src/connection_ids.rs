//! CONNECTION-IDs (RFC 6062 section 6.2.1). A client's ConnectionBind may come to another worker than
//! its allocation's, so all workers share these. Only Connect, ConnectionBind and peers that connect
//! come here, never a byte of data.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::Rng;

/// Names a peer's connection for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// Reads the value of CONNECTION-ID.
    #[must_use]
    pub fn of_bytes(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(u32::from_be_bytes).map(Self)
    }

    /// The value of CONNECTION-ID.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// The connections of a server and the worker that has each.
#[derive(Debug, Default)]
pub struct ConnectionIds(Mutex<HashMap<ConnectionId, usize>>);

impl ConnectionIds {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, usize>> {
        // Every change is a single insertion or removal, so a panic elsewhere left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id that nobody has and nobody can guess.
    pub(crate) fn draw(&self, worker: usize, random: &mut impl Rng) -> ConnectionId {
        let mut all = self.lock();
        loop {
            let id = ConnectionId(random.random());
            if let Entry::Vacant(place) = all.entry(id) {
                place.insert(worker);
                return id;
            }
        }
    }

    pub(crate) fn worker_of(&self, id: ConnectionId) -> Option<usize> {
        self.lock().get(&id).copied()
    }

    pub(crate) fn release(&self, id: ConnectionId) {
        self.lock().remove(&id);
    }

    /// How many connections there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }
}
