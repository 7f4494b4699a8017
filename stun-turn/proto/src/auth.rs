//! Long-term credentials (RFC 8489 section 9.2), the whole scheme in one place.
//!
//! 1. A request without integrity is answered with 401, the realm, a nonce and the password
//!    algorithms. The nonce is computed, not stored ([`nonce`]): a stranger leaves nothing behind.
//! 2. The nonce is checked before anything else that costs or tells something: it proves that the
//!    client receives what is sent to its address. (The RFC lists this check last; here a forged
//!    nonce with a wrong password gets 438 first, and 401 on the next try.)
//! 3. What the nonce announced must not have been changed on the way (bid-down, section 9.2.1).
//! 4. The user is looked up: first among the static users, by name or by its hash, then by the TURN
//!    REST convention ([`credential`]). An unknown user is checked against a key that nobody knows,
//!    and a static user's wrong password also against the secrets, so that answer, size and time do
//!    not tell who exists.
//! 5. On an existing allocation the key of its creator is used, so that a credential which has
//!    expired or was rotated meanwhile never ends a call. Expiry gates only Allocate.

pub mod credential;
pub mod nonce;
mod password_algorithm;
mod users;

use crate::addr::FiveTuple;
use crate::attribute::{ErrorCode, kind};
use crate::integrity::{Hash, Key, Signer};
use crate::limits;
use crate::message::{Integrity, Message, Writer};
use crate::refusal::RefusalCause;
use nonce::{Features, NonceKeys};
use users::Users;

pub use password_algorithm::{PasswordAlgorithm, long_term_key};

/// Who may use the relay.
#[derive(Debug, Clone)]
pub struct Authenticator {
    realm: Box<str>,
    users: Users,
    secrets: Secrets,
    nonce_keys: NonceKeys,
    /// Key of the user that does not exist.
    nobody: Key,
}

/// Secrets of the TURN REST convention.
#[derive(Clone)]
struct Secrets(Vec<Box<[u8]>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hidden", self.0.len())
    }
}

/// What an authenticated request proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The user name, also where the request had only its hash.
    pub username: &'a [u8],
    /// Whom quotas count for: the user, whatever the expiry in front of a time-limited name.
    pub account: &'a [u8],
    /// Signs the reply.
    pub signer: Signer,
    /// A time-limited credential whose time is over: good for an existing allocation only.
    pub expired: bool,
    /// How many seconds ahead the expiry of a time-limited credential lies that makes an allocation; 0
    /// for others.
    pub ahead_s: u64,
}

/// The allocation that already stands on the request's five-tuple.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Creator's USERNAME.
    pub username: &'a [u8],
    /// Creator's key.
    pub key: Key,
}

/// A request's attributes of authentication, all of them present.
struct Claim<'m> {
    user: User<'m>,
    realm: &'m [u8],
    /// The nonce announced that a hash may stand for the name.
    may_be_anonymous: bool,
    algorithm: PasswordAlgorithm,
    hash: Hash,
}

/// USERNAME or USERHASH.
#[derive(Clone, Copy)]
enum User<'m> {
    Name(&'m [u8]),
    Hash(&'m [u8]),
}

impl Authenticator {
    /// `users` are pairs of name and password, `secrets` those of the TURN REST convention. Give
    /// all workers, and all servers of a fleet, the same `nonce_keys`.
    #[must_use]
    pub fn new(
        realm: &str,
        users: impl IntoIterator<Item = (String, String)>,
        secrets: impl IntoIterator<Item = String>,
        nonce_keys: NonceKeys,
    ) -> Self {
        // An empty secret would let everybody in; the options refuse it with a word.
        let secrets = secrets
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .map(|secret| secret.into_bytes().into_boxed_slice());
        Self {
            realm: realm.into(),
            users: Users::new(realm, users),
            secrets: Secrets(secrets.collect()),
            nobody: Key::Sha256(nonce_keys.derive(b"the user that does not exist")),
            nonce_keys,
        }
    }

    /// Appends REALM, NONCE and PASSWORD-ALGORITHMS for a client that has to try (again). A request
    /// too small to be a real client's first one gets less, so that nobody gains by reflecting it.
    pub fn challenge(
        &self,
        writer: &mut Writer<'_>,
        request_len: usize,
        client: &FiveTuple,
        unix_s: u64,
    ) {
        let announced = if request_len < limits::MIN_REAL_REQUEST_BYTES {
            Features::NONE
        } else {
            self.features()
        };
        writer.attribute(kind::REALM, self.realm.as_bytes());
        let nonce = self.nonce_keys.mint(client, &self.realm, announced, unix_s);
        writer.attribute(kind::NONCE, &nonce);
        if announced.password_algorithms {
            writer.attribute(kind::PASSWORD_ALGORITHMS, &password_algorithm::OFFERED);
        }
    }

    /// Anonymity needs a list of users: a hash says nothing about a time-limited credential.
    fn features(&self) -> Features {
        Features {
            password_algorithms: true,
            username_anonymity: self.secrets.0.is_empty(),
        }
    }

    /// Checks a request in the order given in this module's head.
    ///
    /// # Errors
    /// 400, 401 or 438; the reply to the last two carries a [challenge](Self::challenge).
    pub fn verify<'a>(
        &'a self,
        request: &Message<'a>,
        client: &FiveTuple,
        owner: Option<Owner<'_>>,
        unix_s: u64,
    ) -> Result<Identity<'a>, ErrorCode> {
        if request.integrity().is_none() {
            return Err(ErrorCode::Unauthenticated);
        }
        let claim = self.read_claim(request, client, unix_s)?;
        let is_ours = claim.realm == self.realm.as_bytes();
        let found = match claim.user {
            User::Hash(hash) if claim.may_be_anonymous => self.users.by_hash(hash),
            User::Hash(_) => None,
            User::Name(name) => Some(name),
        };
        let username = found.unwrap_or_default();
        let expires_at = credential::expires_at(username);
        let expired = expires_at.is_some_and(|at| at <= unix_s);
        let signer = |key| Signer {
            key,
            hash: claim.hash,
        };
        if let Some(owner) = owner.filter(|owner| owner.username == username)
            && claim.algorithm.made(&owner.key)
            && request.is_signed_with(&owner.key)
        {
            let identity = Identity {
                username,
                account: username,
                signer: signer(owner.key),
                expired,
                ahead_s: 0,
            };
            return is_ours
                .then_some(identity)
                .ok_or(ErrorCode::Unauthenticated);
        }
        // Every way to fail does the same work, so that time does not tell who exists.
        let (is_static, static_key) = self.static_key(request, username, claim.algorithm);
        if let (Some(key), true) = (static_key, is_ours) {
            return Ok(Identity {
                username,
                account: username,
                signer: signer(key),
                expired: false,
                ahead_s: 0,
            });
        }
        match self.key_by_secret(request, username, claim.algorithm) {
            Some(key) if is_ours && !is_static && expires_at.is_some() => Ok(Identity {
                username,
                account: credential::account(username),
                signer: signer(key),
                expired,
                ahead_s: expires_at.unwrap_or_default().saturating_sub(unix_s),
            }),
            _ => Err(ErrorCode::Unauthenticated),
        }
    }

    /// What is wrong with a request that [`Authenticator::verify`] has answered with 401.
    pub(crate) fn why_unknown(&self, request: &Message<'_>) -> RefusalCause {
        if request.first(kind::REALM) != Some(self.realm.as_bytes()) {
            return RefusalCause::WrongRealm;
        }
        let by_hash = request.first(kind::USERHASH);
        let by_hash = by_hash.and_then(|hash| self.users.by_hash(hash));
        let name = request.first(kind::USERNAME).or(by_hash);
        let name = name.unwrap_or_default();
        let mut keys = self.users.keys(name, PasswordAlgorithm::Md5);
        if keys.next().is_some() {
            RefusalCause::WrongPassword
        } else if credential::expires_at(name).is_some() && !self.secrets.0.is_empty() {
            RefusalCause::WrongSecret
        } else {
            RefusalCause::UnknownUser
        }
    }

    /// Steps 2 and 3: everything is there, the nonce is good and nothing was bid down.
    fn read_claim<'m>(
        &self,
        request: &Message<'m>,
        client: &FiveTuple,
        unix_s: u64,
    ) -> Result<Claim<'m>, ErrorCode> {
        let user = match (request.first(kind::USERNAME), request.first(kind::USERHASH)) {
            (Some(name), None) if name.len() <= limits::MAX_USERNAME_BYTES => User::Name(name),
            (None, Some(hash)) if hash.len() == 32 => User::Hash(hash),
            _ => return Err(ErrorCode::BadRequest),
        };
        let realm = request.first(kind::REALM).ok_or(ErrorCode::BadRequest)?;
        let nonce = request.first(kind::NONCE).ok_or(ErrorCode::BadRequest)?;
        let announced = self
            .nonce_keys
            .verify(nonce, client, &self.realm, unix_s)
            .ok_or(ErrorCode::StaleNonce)?;
        let algorithm = PasswordAlgorithm::of(request, announced.password_algorithms)?;
        // A request that was processed as if nothing had been offered gets the old attribute. And so
        // does one that chose MD5 under the old attribute, which section 9.2.5 forbids: its client
        // knows no other, and could not check the reply.
        let knows_no_other = algorithm.algorithm == PasswordAlgorithm::Md5
            && matches!(request.integrity(), Some(Integrity::Sha1(_)));
        let hash = if algorithm.is_explicit && !knows_no_other {
            Hash::Sha256
        } else {
            Hash::Sha1
        };
        Ok(Claim {
            user,
            realm,
            may_be_anonymous: announced.username_anonymity,
            algorithm: algorithm.algorithm,
            hash,
        })
    }

    /// Whether a static user has this name, and the one of its keys that the request is signed with. An
    /// unknown name costs one check, as a user does whose name and password have one form: all in ASCII.
    fn static_key(
        &self,
        request: &Message<'_>,
        username: &[u8],
        algorithm: PasswordAlgorithm,
    ) -> (bool, Option<Key>) {
        let (mut is_static, mut signed) = (false, None);
        for key in self.users.keys(username, algorithm) {
            is_static = true;
            if request.is_signed_with(&key) {
                signed = signed.or(Some(key));
            }
        }
        let is_nobody = !is_static && request.is_signed_with(&self.nobody);
        (is_static, signed.filter(|_| !is_nobody))
    }

    /// The key that a time-limited credential has under the secret which made it.
    fn key_by_secret(
        &self,
        request: &Message<'_>,
        username: &[u8],
        algorithm: PasswordAlgorithm,
    ) -> Option<Key> {
        let mut verified = None;
        for secret in &self.secrets.0 {
            let password = credential::password(secret, username);
            let key = algorithm.key(username, self.realm.as_bytes(), password.as_bytes());
            if request.is_signed_with(&key) {
                verified = verified.or(Some(key));
            }
        }
        verified
    }
}

#[cfg(test)]
mod tests;
