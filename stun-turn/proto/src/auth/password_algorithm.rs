//! Password algorithms and the protection against bidding them down (RFC 8489 sections 9.2.1,
//! 14.11, 14.12 and 18.5).

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::attribute::{ErrorCode, kind};
use crate::integrity::Key;
use crate::message::Message;

/// How a password becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordAlgorithm {
    /// 1
    Md5,
    /// 2
    Sha256,
}

/// PASSWORD-ALGORITHMS as this server sends it: SHA-256, then MD5, both without parameters.
pub(super) const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

/// What a request chose.
pub(super) struct Choice {
    pub(super) algorithm: PasswordAlgorithm,
    /// It knew that there was a choice.
    pub(super) is_explicit: bool,
}

impl PasswordAlgorithm {
    /// Reads PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM. Once they were offered, either both are
    /// missing, or the list must be the one that was sent and the choice one of it.
    pub(super) fn of(request: &Message<'_>, was_offered: bool) -> Result<Choice, ErrorCode> {
        let list = request.first(kind::PASSWORD_ALGORITHMS);
        let choice = request.first(kind::PASSWORD_ALGORITHM);
        if !was_offered || (list.is_none() && choice.is_none()) {
            return Ok(Choice {
                algorithm: Self::Md5,
                is_explicit: false,
            });
        }
        let algorithm = match choice {
            Some([0, 1, 0, 0]) => Self::Md5,
            Some([0, 2, 0, 0]) => Self::Sha256,
            Some(_) | None => return Err(ErrorCode::BadRequest),
        };
        let is_unchanged = list == Some(&OFFERED[..]);
        let choice = Choice {
            algorithm,
            is_explicit: true,
        };
        is_unchanged.then_some(choice).ok_or(ErrorCode::BadRequest)
    }

    /// The long-term key (RFC 8489 sections 9.2.2 and 18.5.1).
    #[must_use]
    pub fn key(self, username: &[u8], realm: &[u8], password: &[u8]) -> Key {
        let parts = [username, b":", realm, b":", password];
        match self {
            Self::Md5 => {
                let mut md5 = Md5::new();
                parts.iter().for_each(|part| md5.update(part));
                Key::Md5(md5.finalize().into())
            }
            Self::Sha256 => {
                let mut sha256 = Sha256::new();
                parts.iter().for_each(|part| sha256.update(part));
                Key::Sha256(sha256.finalize().into())
            }
        }
    }

    /// Whether a key is of this algorithm.
    pub(super) const fn made(self, key: &Key) -> bool {
        matches!(
            (self, key),
            (Self::Md5, Key::Md5(_)) | (Self::Sha256, Key::Sha256(_))
        )
    }
}

/// The key of a client that knows no password algorithms.
#[must_use]
pub fn long_term_key(username: &[u8], realm: &[u8], password: &[u8]) -> Key {
    PasswordAlgorithm::Md5.key(username, realm, password)
}
