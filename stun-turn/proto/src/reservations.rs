//! Ports that EVEN-PORT reserved for a second allocation (RFC 8656 section 7.2).
//!
//! The two allocations of a client may live on different workers, so all workers share these. Only
//! Allocate requests that name a reservation come here, never a packet.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::quotas::Place;

/// Proof of a reserved port (RFC 8656 section 18.8).
pub type Token = [u8; 8];

/// All reservations of a server.
#[derive(Debug, Default)]
pub struct Reservations(Mutex<HashMap<Token, Reserved>>);

/// A port that waits for its token.
#[derive(Debug)]
struct Reserved {
    username: Box<[u8]>,
    address: SocketAddr,
    /// Becomes the allocation's.
    place: Place,
}

impl Reservations {
    fn lock(&self) -> MutexGuard<'_, HashMap<Token, Reserved>> {
        // Every change is a single insertion or removal, so a panic elsewhere left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many ports wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Keeps an address, whose socket is bound, for this user.
    pub(crate) fn insert(
        &self,
        token: Token,
        username: Box<[u8]>,
        address: SocketAddr,
        place: Place,
    ) {
        let reserved = Reserved {
            username,
            address,
            place,
        };
        self.lock().insert(token, reserved);
    }

    /// Hands a reserved address and the place taken for it to its user, once. `None` for a token that is unknown, used,
    /// expired or another user's.
    pub(crate) fn claim(&self, token: &Token, username: &[u8]) -> Option<(SocketAddr, Place)> {
        let mut all = self.lock();
        all.get(token)
            .filter(|reserved| *reserved.username == *username)?;
        all.remove(token)
            .map(|reserved| (reserved.address, reserved.place))
    }

    /// Forgets a reservation whose time is over; `None` when it was claimed before.
    pub(crate) fn expire(&self, token: &Token) -> Option<SocketAddr> {
        self.lock().remove(token).map(|reserved| reserved.address)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::quotas::{QuotaLimits, Quotas};

    #[test]
    fn a_token_is_good_once_and_for_its_user_only() {
        let quotas = Arc::new(Quotas::default());
        let place = || {
            quotas
                .take(
                    QuotaLimits::NONE,
                    b"alice",
                    [192, 0, 2, 9].into(),
                    Duration::ZERO,
                )
                .unwrap()
        };
        let reservations = Reservations::default();
        let address = "192.0.2.1:50001".parse().unwrap();
        let claim = |token, user| reservations.claim(&token, user).map(|(address, _)| address);
        reservations.insert([1; 8], b"alice"[..].into(), address, place());
        assert_eq!(claim([1; 8], b"bob"), None);
        assert_eq!(claim([2; 8], b"alice"), None);
        assert_eq!(quotas.total(), 1);
        assert_eq!(claim([1; 8], b"alice"), Some(address));
        assert_eq!(quotas.total(), 0, "the claimer dropped it");
        assert_eq!(claim([1; 8], b"alice"), None);
        assert_eq!(reservations.expire(&[1; 8]), None);
        reservations.insert([3; 8], b"alice"[..].into(), address, place());
        assert_eq!(reservations.expire(&[3; 8]), Some(address));
        assert_eq!(quotas.total(), 0);
    }
}
