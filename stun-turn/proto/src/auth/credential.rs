//! Time-limited credentials by the TURN REST convention: the user name is `EXPIRY[:ID]` with the
//! expiry in Unix seconds (`ID:EXPIRY` is taken too), the password
//! base64(HMAC-SHA1(secret, user name)).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::integrity::hmac_sha1;

/// base64 of 20 bytes.
const PASSWORD_LEN: usize = 28;

/// A user name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// `EXPIRY:ID`, or `EXPIRY` when there is no id.
    pub username: String,
    /// base64, 28 characters.
    pub password: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Makes a credential for `id` (may be empty) that allocates until `expires_at_unix_s`.
#[must_use]
pub fn mint(secret: &[u8], id: &str, expires_at_unix_s: u64) -> Credential {
    let username = match id {
        "" => expires_at_unix_s.to_string(),
        id => format!("{expires_at_unix_s}:{id}"),
    };
    let password = password(secret, username.as_bytes()).as_str().to_owned();
    Credential { username, password }
}

/// A password without heap.
pub(crate) struct Password([u8; PASSWORD_LEN]);

impl Password {
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

/// The password that belongs to a user name.
pub(crate) fn password(secret: &[u8], username: &[u8]) -> Password {
    let mut text = [0; PASSWORD_LEN];
    STANDARD
        .encode_slice(hmac_sha1(secret, &[username]), &mut text)
        .expect("20 bytes are 28 characters of base64");
    Password(text)
}

/// Reads the expiry out of a user name: `EXPIRY`, `EXPIRY:ID` or, as coturn takes it too, `ID:EXPIRY`
/// with an id that has no colon and is no number. An expiry is one to nineteen plain digits: no sign,
/// no space, nothing that two parsers read differently.
#[must_use]
pub fn expires_at(username: &[u8]) -> Option<u64> {
    split(username).map(|(expiry, _)| expiry)
}

/// Whom a user name is for: what stands beside the expiry, or all of it where nothing does.
#[must_use]
pub fn account(username: &[u8]) -> &[u8] {
    match split(username) {
        Some((_, id)) if !id.is_empty() => id,
        _ => username,
    }
}

/// Expiry and id.
fn split(username: &[u8]) -> Option<(u64, &[u8])> {
    let colon = username.iter().position(|byte| *byte == b':');
    let (first, rest) = match colon.and_then(|colon| username.split_at_checked(colon)) {
        Some((first, rest)) => (first, rest.get(1..).unwrap_or_default()),
        None => (username, &[][..]),
    };
    // What is all digits is an expiry or nothing: it is nobody's id.
    if first.is_empty() || first.iter().all(u8::is_ascii_digit) {
        return Some((number(first)?, rest));
    }
    Some((number(rest)?, first))
}

/// One to nineteen digits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first part of an account, where parts are separated by colons: what is revoked of it is revoked of the whole.
#[must_use]
pub fn first_part(account: &[u8]) -> &[u8] {
    account
        .split(|byte| *byte == b':')
        .next()
        .unwrap_or(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_credential_is_what_other_implementations_compute() {
        // printf 1700000000:alice | openssl dgst -sha1 -hmac north -binary | base64
        let credential = mint(b"north", "alice", 1_700_000_000);
        assert_eq!(credential.username, "1700000000:alice");
        assert_eq!(credential.password, "Cd/49soE35ICqcJF/bCTn8Z4OyE=");
        assert_eq!(mint(b"north", "", 5).username, "5");
    }

    #[test]
    fn expiry_is_read_strictly() {
        assert_eq!(expires_at(b"1700000000:alice"), Some(1_700_000_000));
        assert_eq!(expires_at(b"1700000000"), Some(1_700_000_000));
        assert_eq!(expires_at(b"7:"), Some(7));
        for wrong in [
            &b"alice"[..],
            b"",
            b":",
            b"-1:a",
            b"+1:a",
            b" 1:a",
            b"1 :a",
            b"1x",
            b"18446744073709551616",
        ] {
            assert_eq!(expires_at(wrong), None, "{wrong:?}");
        }
        assert_eq!(expires_at(&[b'9'; 400]), None);
    }

    #[test]
    fn renewed_credentials_are_of_one_account() {
        assert_eq!(account(b"1700000000:alice"), b"alice");
        assert_eq!(account(b"1700000600:alice"), b"alice");
        assert_eq!(account(b"1700000600:a:b"), b"a:b");
        for whole in [
            &b"1700000600"[..],
            b"1700000600:",
            b"alice",
            b"alice:one",
            b":1",
            b"",
        ] {
            assert_eq!(account(whole), whole);
        }
    }

    /// coturn takes both orders.
    #[test]
    fn the_expiry_may_stand_behind_the_id() {
        assert_eq!(expires_at(b"alice:1796057771"), Some(1_796_057_771));
        assert_eq!(account(b"alice:1796057771"), b"alice");
        for wrong in [
            &b"alice:"[..],
            b"alice:room:1796057771",
            b"alice:-1",
            b"alice:1 ",
            b":1796057771",
            b"99999999999999999999:5",
        ] {
            assert_eq!(expires_at(wrong), None, "{wrong:?}");
        }
        assert_eq!(
            expires_at(b"5:1796057771"),
            Some(5),
            "the first number counts"
        );
    }

    #[test]
    fn debug_output_hides_the_password() {
        let credential = mint(b"north", "alice", 1);
        assert!(!format!("{credential:?}").contains(&credential.password));
    }
}
