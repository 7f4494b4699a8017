//! Places for connections that are not WebSockets yet: so many are served at a time, and one source never has all of them,
//! nor keeps the others from being accepted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signaling_proto::source::Source;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many places there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections that are served at a time.
    pub(crate) served: usize,
    /// The same of one source.
    pub(crate) served_of_source: usize,
    /// Connections of one source, those included that wait for a place.
    pub(crate) accepted_of_source: usize,
    /// How long a connection may have a place.
    pub(crate) time: Duration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Places {
    limits: Limits,
    served: Arc<Semaphore>,
    sources: Mutex<HashMap<Source, Share>>,
}

#[derive(Debug)]
struct Share {
    served: Arc<Semaphore>,
    accepted: usize,
}

/// One that is accepted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    places: Arc<Places>,
    /// `None` for proxies, behind which are many.
    source: Option<Source>,
}

/// The place of one that is served.
#[derive(Debug)]
pub(crate) struct Place {
    /// For how long.
    pub(crate) time: Duration,
    _of_all: OwnedSemaphorePermit,
    _of_source: Option<OwnedSemaphorePermit>,
    _guest: Guest,
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            served: Arc::new(Semaphore::new(limits.served)),
            sources: Mutex::default(),
        })
    }

    /// Lets one in to wait for a place, unless its source has too many already.
    pub(crate) fn enter(self: &Arc<Self>, source: Option<Source>) -> Option<Guest> {
        if let Some(source) = source {
            let mut sources = self.sources();
            let share = sources.entry(source).or_insert_with(|| Share {
                served: Arc::new(Semaphore::new(self.limits.served_of_source)),
                accepted: 0,
            });
            if share.accepted >= self.limits.accepted_of_source {
                return None;
            }
            share.accepted += 1;
        }
        Some(Guest {
            places: Arc::clone(self),
            source,
        })
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<Source, Share>> {
        // Every change is complete before anything can panic.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// Waits for a place.
    pub(crate) async fn place(self) -> Option<Place> {
        let of_source = match self.share() {
            Some(share) => Some(share.acquire_owned().await.ok()?),
            None => None,
        };
        let all = Arc::clone(&self.places.served);
        Some(Place {
            time: self.places.limits.time,
            _of_all: all.acquire_owned().await.ok()?,
            _of_source: of_source,
            _guest: self,
        })
    }

    fn share(&self) -> Option<Arc<Semaphore>> {
        let sources = self.places.sources();
        Some(Arc::clone(&sources.get(&self.source?)?.served))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some(source) = self.source else { return };
        if let Entry::Occupied(mut share) = self.places.sources().entry(source) {
            share.get_mut().accepted -= 1;
            if share.get().accepted == 0 {
                share.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LIMITS: Limits = Limits {
        served: 4,
        served_of_source: 3,
        accepted_of_source: 5,
        time: Duration::MAX,
    };

    /// The place, if there is one now.
    fn at_once(guest: Guest) -> Option<Place> {
        match pin!(guest.place()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => place,
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_source_leaves_places_to_others() {
        let places = Places::new(LIMITS);
        let (greedy, other) = (Some(Source(1)), Some(Source(2)));
        let served: Vec<_> = (0..3)
            .map(|_| at_once(places.enter(greedy).unwrap()).unwrap())
            .collect();
        let waiting = [places.enter(greedy).unwrap(), places.enter(greedy).unwrap()];
        assert!(places.enter(greedy).is_none(), "as many as may wait");
        for guest in waiting {
            assert!(at_once(guest).is_none());
        }
        assert!(at_once(places.enter(other).unwrap()).is_some());
        drop(served);
        assert!(at_once(places.enter(greedy).unwrap()).is_some());
        assert!(places.sources().is_empty(), "nobody is left");
    }

    #[test]
    fn behind_a_proxy_are_many() {
        let places = Places::new(LIMITS);
        let served: Vec<_> = (0..4)
            .map_while(|_| at_once(places.enter(None).unwrap()))
            .collect();
        assert_eq!(served.len(), 4);
        assert!(at_once(places.enter(None).unwrap()).is_none());
    }
}
