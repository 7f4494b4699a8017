//! Accounts whose credentials are not good any more, although they have not expired.

use std::collections::HashMap;
use std::sync::Arc;

use super::credential;

/// Accounts, each with the time until when nothing of theirs is good. Clones share what they hold.
#[derive(Clone, Default)]
pub struct Revoked(Arc<HashMap<Box<[u8]>, u64>>);

impl std::fmt::Debug for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hidden", self.0.len())
    }
}

impl Revoked {
    /// These accounts and one more, until the Unix time `until_s`, when its last credential has expired. What is over
    /// by `unix_s` is forgotten.
    #[must_use]
    pub fn with(&self, account: &[u8], until_s: u64, unix_s: u64) -> Self {
        let mut accounts = HashMap::clone(&self.0);
        accounts.retain(|_, until_s| *until_s > unix_s);
        let until = accounts.entry(account.into()).or_default();
        *until = until_s.max(*until);
        Self(Arc::new(accounts))
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the account of this user name is.
    #[must_use]
    pub fn holds(&self, username: &[u8], unix_s: u64) -> bool {
        let until = self.0.get(credential::account(username));
        until.is_some_and(|until| *until > unix_s)
    }
}
