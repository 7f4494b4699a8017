//! Accounts whose credentials are not good any more, although they have not expired.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::auth::credential;

/// Accounts, each with the Unix time until when nothing of theirs is good. Shared by all workers; asked for each
/// authenticated request, never for data.
#[derive(Default)]
pub struct Revoked(RwLock<HashMap<Box<[u8]>, u64>>);

impl std::fmt::Debug for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Revoked")
    }
}

impl Revoked {
    /// Adds an account until `until_s`, when its last credential has expired, or longer if it was to be longer. What is
    /// over by `unix_s` is forgotten.
    pub fn add(&self, account: &[u8], until_s: u64, unix_s: u64) {
        let mut accounts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, until_s| *until_s > unix_s);
        let until = accounts.entry(account.into()).or_default();
        *until = until_s.max(*until);
    }

    /// Whether the account of this user name is, or its first part.
    #[must_use]
    pub fn holds(&self, username: &[u8], unix_s: u64) -> bool {
        let accounts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let account = credential::account(username);
        let is_revoked = |account: &[u8]| {
            let until = accounts.get(account);
            until.is_some_and(|until| *until > unix_s)
        };
        is_revoked(account) || is_revoked(credential::first_part(account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_revoked_is_forgotten_when_its_time_is_over() {
        let revoked = Revoked::default();
        revoked.add(b"bob", 110, 100);
        revoked.add(b"bob", 105, 100);
        assert!(revoked.holds(b"9:bob", 109), "never made shorter");
        assert!(!revoked.holds(b"9:bob", 110));
        assert!(revoked.holds(b"9:bob:room", 109), "a part of it");
        assert!(!revoked.holds(b"9:bobby", 109) && !revoked.holds(b"9:room:bob", 109));
        revoked.add(b"carol", 160, 110);
        assert!(!revoked.holds(b"9:bob", 100), "forgotten");
        assert!(revoked.holds(b"9:carol", 159));
    }
}
