//! Long-term credentials (RFC 8489 section 9.2), the whole scheme in one place.
//!
//! 1. A request without integrity is answered with 401, the realm and a nonce. The nonce is
//!    computed, not stored ([`nonce`]): a stranger leaves nothing behind.
//! 2. The nonce is checked before anything else that costs or tells something: it proves that the
//!    client receives what is sent to its address. (The RFC lists this check last; here a forged
//!    nonce with a wrong password gets 438 first, and 401 on the next try.)
//! 3. The user is looked up: first among the static users, then by the TURN REST convention
//!    ([`credential`]). An unknown user is checked against a key that nobody knows, so that answer,
//!    size and time are those of a wrong password.
//! 4. On an existing allocation the key of its creator is used, so that a credential which has
//!    expired or was rotated meanwhile never ends a call. Expiry gates only Allocate.

pub mod credential;
pub mod nonce;

use std::collections::HashMap;

use md5::{Digest, Md5};

use crate::addr::FiveTuple;
use crate::attribute::{ErrorCode, kind};
use crate::message::Message;
use crate::{integrity, limits};
use nonce::NonceKey;

/// MD5 of `username:realm:password` (RFC 8489 section 9.2.2).
pub type Key = [u8; 16];

/// Computes the long-term key.
#[must_use]
pub fn long_term_key(username: &[u8], realm: &[u8], password: &[u8]) -> Key {
    let mut md5 = Md5::new();
    for part in [username, b":", realm, b":", password] {
        md5.update(part);
    }
    md5.finalize().into()
}

/// Who may use the relay.
pub struct Authenticator {
    realm: Box<str>,
    users: HashMap<Box<[u8]>, Key>,
    secrets: Vec<Box<[u8]>>,
    nonce_key: NonceKey,
    /// Key of the user that does not exist.
    nobody: Key,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("realm", &self.realm)
            .field("users", &self.users.len())
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

/// What an authenticated request proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'m> {
    /// As sent in USERNAME.
    pub username: &'m [u8],
    /// Signs the reply.
    pub key: Key,
    /// A time-limited credential whose time is over: good for an existing allocation only.
    pub expired: bool,
}

/// The allocation that already stands on the request's five-tuple.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Creator's USERNAME.
    pub username: &'a [u8],
    /// Creator's key.
    pub key: Key,
}

impl Authenticator {
    /// `users` are pairs of name and password, `secrets` those of the TURN REST convention.
    /// `seed` makes nonces unguessable; give all workers, and all servers of a fleet, the same.
    #[must_use]
    pub fn new(
        realm: &str,
        users: impl IntoIterator<Item = (String, String)>,
        secrets: impl IntoIterator<Item = String>,
        seed: &[u8; 32],
    ) -> Self {
        let key_of = |(name, password): (String, String)| {
            let key = long_term_key(name.as_bytes(), realm.as_bytes(), password.as_bytes());
            (name.into_bytes().into_boxed_slice(), key)
        };
        let [n0, rest @ ..] = integrity::hmac_sha256(seed, &[b"the user that does not exist"]);
        let mut nobody = [n0; 16];
        nobody
            .iter_mut()
            .zip(rest)
            .for_each(|(to, from)| *to = from);
        Self {
            realm: realm.into(),
            users: users.into_iter().map(key_of).collect(),
            secrets: secrets
                .into_iter()
                .map(|secret| secret.into_bytes().into_boxed_slice())
                .collect(),
            nonce_key: NonceKey::new(seed),
            nobody,
        }
    }

    /// The realm to announce.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// A nonce that is good for this five-tuple from now on.
    #[must_use]
    pub fn nonce(&self, client: &FiveTuple, unix_s: u64) -> [u8; nonce::LEN] {
        self.nonce_key.mint(client, &self.realm, unix_s)
    }

    /// Checks a request in the order given in this module's head.
    ///
    /// # Errors
    /// 400, 401 or 438; the reply to the last two carries realm and nonce.
    pub fn verify<'m>(
        &self,
        request: &Message<'m>,
        client: &FiveTuple,
        owner: Option<Owner<'_>>,
        unix_s: u64,
    ) -> Result<Identity<'m>, ErrorCode> {
        if request.integrity().is_none() {
            return Err(ErrorCode::Unauthenticated);
        }
        let (Some(username), Some(realm), Some(nonce)) = (
            request.first(kind::USERNAME),
            request.first(kind::REALM),
            request.first(kind::NONCE),
        ) else {
            return Err(ErrorCode::BadRequest);
        };
        if username.len() > limits::MAX_USERNAME_BYTES {
            return Err(ErrorCode::BadRequest);
        }
        if !self.nonce_key.verify(nonce, client, &self.realm, unix_s) {
            return Err(ErrorCode::StaleNonce);
        }
        if let Some(owner) = owner.filter(|owner| owner.username == username)
            && realm == self.realm.as_bytes()
            && request.is_signed_with(&owner.key)
        {
            let expired = credential::expires_at(username).is_some_and(|at| at <= unix_s);
            return Ok(Identity {
                username,
                key: owner.key,
                expired,
            });
        }
        self.verify_user(request, username, realm, unix_s)
    }

    fn verify_user<'m>(
        &self,
        request: &Message<'m>,
        username: &'m [u8],
        realm: &[u8],
        unix_s: u64,
    ) -> Result<Identity<'m>, ErrorCode> {
        if let Some(key) = self.users.get(username) {
            let good = request.is_signed_with(key) && realm == self.realm.as_bytes();
            return good
                .then_some(Identity {
                    username,
                    key: *key,
                    expired: false,
                })
                .ok_or(ErrorCode::Unauthenticated);
        }
        let expires_at = credential::expires_at(username);
        let mut verified = None;
        for secret in &self.secrets {
            let password = credential::password(secret, username);
            let key = long_term_key(username, self.realm.as_bytes(), password.as_bytes());
            if request.is_signed_with(&key) && expires_at.is_some() {
                verified = verified.or(Some(key));
            }
        }
        if self.secrets.is_empty() {
            // The same work as for a user that exists.
            let _ = request.is_signed_with(&self.nobody);
        }
        match (verified, expires_at) {
            (Some(key), Some(at)) if realm == self.realm.as_bytes() => Ok(Identity {
                username,
                key,
                expired: at <= unix_s,
            }),
            _ => Err(ErrorCode::Unauthenticated),
        }
    }
}

#[cfg(test)]
mod tests;
