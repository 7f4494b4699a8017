//! Static users, found by name or by its hash.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::PasswordAlgorithm;
use crate::integrity::Key;

/// Names and keys; passwords are not kept.
#[derive(Clone)]
pub(super) struct Users {
    /// By name; a name that is given several times has each of its passwords.
    keys: HashMap<Box<[u8]>, Vec<(Key, Key)>>,
    names: HashMap<[u8; 32], Box<[u8]>>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hidden", self.keys.len())
    }
}

impl Users {
    pub(super) fn new(realm: &str, users: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut keys: HashMap<Box<[u8]>, Vec<(Key, Key)>> = HashMap::new();
        let mut names = HashMap::new();
        for (name, password) in users {
            let name: Box<[u8]> = name.into_bytes().into();
            let key = |algorithm: PasswordAlgorithm| {
                algorithm.key(&name, realm.as_bytes(), password.as_bytes())
            };
            let pair = (key(PasswordAlgorithm::Md5), key(PasswordAlgorithm::Sha256));
            names.insert(userhash(&name, realm), name.clone());
            keys.entry(name).or_default().push(pair);
        }
        Self { keys, names }
    }

    /// The keys of a user; none for an unknown one.
    pub(super) fn keys(
        &self,
        name: &[u8],
        algorithm: PasswordAlgorithm,
    ) -> impl Iterator<Item = Key> {
        let pairs = self.keys.get(name).into_iter().flatten();
        pairs.map(move |(md5, sha256)| match algorithm {
            PasswordAlgorithm::Md5 => *md5,
            PasswordAlgorithm::Sha256 => *sha256,
        })
    }

    /// The name behind a USERHASH.
    pub(super) fn by_hash(&self, hash: &[u8]) -> Option<&[u8]> {
        let hash: &[u8; 32] = hash.try_into().ok()?;
        self.names.get(hash).map(|name| &**name)
    }
}

/// SHA-256 of `username:realm` (RFC 8489 section 14.4).
fn userhash(name: &[u8], realm: &str) -> [u8; 32] {
    let mut sha256 = Sha256::new();
    for part in [name, b":", realm.as_bytes()] {
        sha256.update(part);
    }
    sha256.finalize().into()
}
