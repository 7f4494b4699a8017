//! Places for connections that are not WebSockets yet: so many are served at a time, and one source never has all of them,
//! nor keeps the others from being accepted. The same holds for the IPv6 /48 around a source.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signaling_proto::source::{Key, Source};
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
    /// The same two of the widest network around a source.
    pub(crate) of_network: (usize, usize),
    /// How long a connection may have a place.
    pub(crate) time: Duration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Places {
    limits: Limits,
    served: Arc<Semaphore>,
    shares: Mutex<HashMap<Key, Share>>,
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
    /// Where it counts; empty for proxies, behind which are many.
    keys: Vec<Key>,
}

/// The place of one that is served.
#[derive(Debug)]
pub(crate) struct Place {
    /// For how long.
    pub(crate) time: Duration,
    _of_all: OwnedSemaphorePermit,
    _of_shares: Vec<OwnedSemaphorePermit>,
    _guest: Guest,
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            served: Arc::new(Semaphore::new(limits.served)),
            shares: Mutex::default(),
        })
    }

    /// Lets one in to wait for a place, unless its source or the network around it has too many already.
    pub(crate) fn enter(self: &Arc<Self>, source: Option<Source>) -> Option<Guest> {
        let mut guest = Guest {
            places: Arc::clone(self),
            keys: Vec::new(),
        };
        let limits = self.limits;
        let of_source = (limits.served_of_source, limits.accepted_of_source);
        let own = source.map(|source| (source.own(), of_source));
        let widest = source.and_then(Source::widest);
        let widest = widest.map(|widest| (widest, limits.of_network));
        for (key, (served, accepted)) in own.into_iter().chain(widest) {
            let mut shares = self.shares();
            let share = shares.entry(key).or_insert_with(|| Share {
                served: Arc::new(Semaphore::new(served)),
                accepted: 0,
            });
            if share.accepted >= accepted {
                // What was counted already is given back with the guest, which locks.
                drop(shares);
                return None;
            }
            share.accepted += 1;
            guest.keys.push(key);
        }
        Some(guest)
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<Key, Share>> {
        // Every change is complete before anything can panic.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// Waits for a place.
    pub(crate) async fn place(self) -> Option<Place> {
        let mut of_shares = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let share = self.served(*key)?;
            of_shares.push(share.acquire_owned().await.ok()?);
        }
        let all = Arc::clone(&self.places.served);
        Some(Place {
            time: self.places.limits.time,
            _of_all: all.acquire_owned().await.ok()?,
            _of_shares: of_shares,
            _guest: self,
        })
    }

    fn served(&self, key: Key) -> Option<Arc<Semaphore>> {
        let shares = self.places.shares();
        Some(Arc::clone(&shares.get(&key)?.served))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut shares = self.places.shares();
        for key in self.keys.drain(..) {
            if let Entry::Occupied(mut share) = shares.entry(key) {
                share.get_mut().accepted -= 1;
                if share.get().accepted == 0 {
                    share.remove();
                }
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
        of_network: (3, 7),
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
        let (greedy, other) = (Some(Source::alone(1)), Some(Source::alone(2)));
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
        assert!(places.shares().is_empty(), "nobody is left");
    }

    /// A host's /48 has 65,536 sources.
    #[test]
    fn one_network_leaves_places_to_others() {
        let places = Places::new(LIMITS);
        let network = Key {
            prefix: 48,
            bits: 7,
        };
        let source = |number| Some(Source::within(number, [(network, 64)]));
        let served: Vec<_> = (0..3)
            .map(|number| at_once(places.enter(source(number)).unwrap()).unwrap())
            .collect();
        let waiting: Vec<_> = (3..9).filter_map(|it| places.enter(source(it))).collect();
        assert_eq!(waiting.len(), 4, "as many as may wait");
        for guest in waiting {
            assert!(at_once(guest).is_none());
        }
        assert!(at_once(places.enter(Some(Source::alone(1))).unwrap()).is_some());
        drop(served);
        assert!(places.shares().is_empty(), "nobody is left");
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
