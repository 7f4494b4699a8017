//! Who the suite's clients are: names, passwords and the keys made of them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

/// A user and the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl User {
    pub(crate) fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        let (name, password) = (name.into(), password.into());
        Self { name, password }
    }

    /// The password of any name by the TURN REST convention.
    pub(crate) fn by_secret(name: impl Into<String>, secret: &str) -> Self {
        let name = name.into();
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(name.as_bytes());
        let password = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        Self { name, password }
    }

    /// A name by the TURN REST convention that expires `ttl` from `now` on.
    pub(crate) fn expiring(id: &str, now: SystemTime, ttl: Duration, secret: &str) -> Self {
        let now = now.duration_since(SystemTime::UNIX_EPOCH);
        let expiry = now.unwrap_or_default() + ttl;
        Self::by_secret(format!("{}:{id}", expiry.as_secs()), secret)
    }

    /// USERHASH, RFC 8489 §14.4.
    pub(crate) fn hash(&self, realm: &[u8]) -> Vec<u8> {
        let text = [self.name.as_bytes(), b":", realm].concat();
        Sha256::digest(text).to_vec()
    }
}

/// The long-term key of RFC 8489 §9.2.2.
pub(crate) fn md5_key(name: &str, realm: &[u8], password: &str) -> Vec<u8> {
    let text = [name.as_bytes(), b":", realm, b":", password.as_bytes()].concat();
    Md5::digest(text).to_vec()
}

/// The long-term key of RFC 8489 §18.5.1.2.
pub(crate) fn sha256_key(name: &str, realm: &[u8], password: &str) -> Vec<u8> {
    let text = [name.as_bytes(), b":", realm, b":", password.as_bytes()].concat();
    Sha256::digest(text).to_vec()
}
