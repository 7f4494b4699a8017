//! Static users, found by name or by its hash.

use std::collections::BTreeMap;
use std::hint::select_unpredictable;

use sha2::{Digest, Sha256};

use super::PasswordAlgorithm;
use crate::integrity::Key;

/// Names and keys; passwords are not kept.
#[derive(Clone)]
pub(super) struct Users {
    realm: Box<str>,
    /// Sorted by their hashes. The last one is the user that does not exist.
    entries: Vec<Entry>,
}

/// SHA-256 of `username:realm` (RFC 8489 section 14.4), as two numbers: comparing them takes the
/// same time wherever they differ.
type Userhash = [u128; 2];

/// Behind all others: no name has such a hash.
const NOBODY: Userhash = [u128::MAX; 2];

#[derive(Clone)]
struct Entry {
    hash: Userhash,
    name: Box<[u8]>,
    md5: Key,
    sha256: Key,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hidden", self.entries.len() - 1)
    }
}

impl Users {
    /// `secret` becomes the key of the user that does not exist.
    pub(super) fn new(
        realm: &str,
        users: impl IntoIterator<Item = (String, String)>,
        secret: [u8; 32],
    ) -> Self {
        // The last one of a name counts.
        let mut by_hash = BTreeMap::new();
        for (name, password) in users {
            let name: Box<[u8]> = name.into_bytes().into();
            let key = |algorithm: PasswordAlgorithm| {
                algorithm.key(&name, realm.as_bytes(), password.as_bytes())
            };
            let (md5, sha256) = (key(PasswordAlgorithm::Md5), key(PasswordAlgorithm::Sha256));
            let hash = userhash(&name, realm);
            let entry = Entry {
                hash,
                name,
                md5,
                sha256,
            };
            by_hash.insert(hash, entry);
        }
        let nobody = Entry {
            hash: NOBODY,
            name: Box::default(),
            md5: Key::Md5(*secret.first_chunk().expect("16 are less than 32")),
            sha256: Key::Sha256(secret),
        };
        by_hash.insert(NOBODY, nobody);
        Self {
            realm: realm.into(),
            entries: by_hash.into_values().collect(),
        }
    }

    /// The key to check a request with, and whether there is such a user. One that does not exist is
    /// found in as many steps as one that does.
    pub(super) fn key(&self, name: &[u8], algorithm: PasswordAlgorithm) -> (Key, bool) {
        let (entry, is_found) = self.find(userhash(name, &self.realm));
        let key = match algorithm {
            PasswordAlgorithm::Md5 => entry.md5,
            PasswordAlgorithm::Sha256 => entry.sha256,
        };
        (key, is_found)
    }

    /// The name behind a USERHASH.
    pub(super) fn by_hash(&self, hash: &[u8]) -> Option<&[u8]> {
        let (entry, is_found) = self.find(numbers(hash.try_into().ok()?));
        is_found.then_some(&entry.name)
    }

    /// The entry of this hash, else that of nobody.
    fn find(&self, hash: Userhash) -> (&Entry, bool) {
        let place = self.entries.partition_point(|entry| entry.hash < hash);
        let is_found = self.entries[place].hash == hash && hash != NOBODY;
        let last = self.entries.len() - 1;
        let place = select_unpredictable(is_found, place, last);
        (&self.entries[place], is_found)
    }
}

fn userhash(name: &[u8], realm: &str) -> Userhash {
    let mut sha256 = Sha256::new();
    for part in [name, b":", realm.as_bytes()] {
        sha256.update(part);
    }
    numbers(&sha256.finalize().into())
}

fn numbers(hash: &[u8; 32]) -> Userhash {
    let (halves, _) = hash.as_chunks::<16>();
    [0, 1].map(|half| u128::from_be_bytes(halves[half]))
}
