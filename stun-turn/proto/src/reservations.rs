//! Ports that EVEN-PORT reserved for a second allocation (RFC 8656 section 7.2).
//!
//! The two allocations of a client may live on different workers, so all workers share these. Only
//! Allocate requests that name a reservation come here, never a packet.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
}

impl Reservations {
    fn lock(&self) -> MutexGuard<'_, HashMap<Token, Reserved>> {
        // Every change is a single insertion or removal, so a panic elsewhere left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an address, whose socket is bound, for this user.
    pub(crate) fn insert(&self, token: Token, username: Box<[u8]>, address: SocketAddr) {
        self.lock().insert(token, Reserved { username, address });
    }

    /// Hands a reserved address to its user, once. `None` for a token that is unknown, used,
    /// expired or another user's.
    pub(crate) fn claim(&self, token: &Token, username: &[u8]) -> Option<SocketAddr> {
        let mut all = self.lock();
        all.get(token)
            .filter(|reserved| *reserved.username == *username)?;
        all.remove(token).map(|reserved| reserved.address)
    }

    /// Forgets a reservation whose time is over; `None` when it was claimed before.
    pub(crate) fn expire(&self, token: &Token) -> Option<SocketAddr> {
        self.lock().remove(token).map(|reserved| reserved.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_and_for_its_user_only() {
        let reservations = Reservations::default();
        let address = "192.0.2.1:50001".parse().unwrap();
        reservations.insert([1; 8], b"alice"[..].into(), address);
        assert_eq!(reservations.claim(&[1; 8], b"bob"), None);
        assert_eq!(reservations.claim(&[2; 8], b"alice"), None);
        assert_eq!(reservations.claim(&[1; 8], b"alice"), Some(address));
        assert_eq!(reservations.claim(&[1; 8], b"alice"), None);
        assert_eq!(reservations.expire(&[1; 8]), None);
        reservations.insert([3; 8], b"alice"[..].into(), address);
        assert_eq!(reservations.expire(&[3; 8]), Some(address));
    }
}
