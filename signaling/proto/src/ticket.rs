//! Tickets: a session on paper, signed by the server and kept by its client.
//!
//! Any process with the same secret reads them, so that a session outlives the process that it began
//! in, without a database.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::id::PeerId;
use crate::message::server::Role;

/// How often a connected client is given a ticket that is good for longer.
pub const REFRESH: Duration = Duration::from_secs(60);

/// How long a ticket is good that is written when sessions wait `resume_window` for their clients: as
/// long as its session could be waited for by any process. Its client loses its connection before the
/// next refresh, and notices within the time of another one.
#[must_use]
pub fn lifetime(resume_window: Duration) -> Duration {
    resume_window + REFRESH * 2
}

/// Signs and checks tickets.
#[derive(Clone)]
pub struct TicketKey(Hmac<Sha256>);

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketKey").finish_non_exhaustive()
    }
}

/// What a ticket says. A session has one peer id for all its life, so that id names the session too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Whose session.
    #[serde(rename = "p")]
    pub peer: PeerId,
    /// In which application's rooms.
    #[serde(rename = "n")]
    pub namespace: Box<str>,
    /// In which room.
    #[serde(rename = "r")]
    pub room: Box<str>,
    /// As what.
    #[serde(rename = "a")]
    pub role: Role,
    /// What it is called, where its token says so.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// How often the session had been resumed when this was written.
    #[serde(rename = "g")]
    pub generation: u32,
    /// Which process wrote it.
    #[serde(rename = "i")]
    pub instance: u64,
    /// When the session began, in milliseconds since 1970: the order of a room's peers.
    #[serde(rename = "b")]
    pub entered_ms: u64,
    /// Until when it is good, in seconds since 1970: no longer than the token that let its client in.
    #[serde(rename = "e")]
    pub expires_at: u64,
    /// Whether its role is a token's word; otherwise the room has made it host.
    #[serde(rename = "t", default, skip_serializing_if = "is_false")]
    pub is_granted: bool,
    /// Until when the token that let its client in is good, in seconds since 1970.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<u64>,
    /// Since when the room has it as its host, in milliseconds since 1970; 0 when it has not.
    #[serde(rename = "h", default, skip_serializing_if = "is_zero")]
    pub host_since_ms: u64,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Ticket {
    /// Whether its time is over; `now` is the time since 1970.
    #[must_use]
    pub fn is_expired(&self, now: Duration) -> bool {
        self.expires_at <= now.as_secs()
    }
}

/// A ticket that was not written with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ticket is not of this service")]
pub struct Forged;

impl TicketKey {
    /// A key made of the operator's secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        // The same secret may sign something else somewhere else.
        mac.update(b"signal.v1 ticket\0");
        Self(mac)
    }

    /// The ticket as its client keeps it.
    #[must_use]
    pub fn sign(&self, ticket: &Ticket) -> String {
        let content = serde_json::to_vec(ticket).expect("a ticket's fields always encode");
        let tag = self.0.clone().chain_update(&content).finalize();
        let mut text = URL_SAFE_NO_PAD.encode(content);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(tag.into_bytes(), &mut text);
        text
    }

    /// Reads a ticket, which may have expired: a session that is still there is worth more than the
    /// clock.
    ///
    /// # Errors
    /// When it was not written with this key.
    pub fn open(&self, text: &str) -> Result<Ticket, Forged> {
        let (content, tag) = text.split_once('.').ok_or(Forged)?;
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| Forged);
        let (content, tag) = (decode(content)?, decode(tag)?);
        let mac = self.0.clone().chain_update(&content);
        // Takes equally long wherever the difference is.
        mac.verify_slice(&tag).map_err(|_| Forged)?;
        serde_json::from_slice(&content).map_err(|_| Forged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            peer: PeerId::new("9f86d081884c7d659a2feaa0c55ad015"),
            namespace: "main".into(),
            room: "회의실 1".into(),
            role: Role::Host,
            name: Some("미나".into()),
            generation: 7,
            instance: u64::MAX,
            entered_ms: 1_795_238_400_123,
            expires_at: 1_000,
            is_granted: true,
            token_expires_at: Some(2_000),
            host_since_ms: 1_795_238_400_456,
        }
    }

    #[test]
    fn a_ticket_is_good_with_its_key_and_until_it_expires() {
        let key = TicketKey::new(b"north");
        let text = key.sign(&ticket());
        assert!(text.len() < 512, "{} bytes", text.len());
        assert_eq!(key.open(&text), Ok(ticket()));
        let second = Duration::from_secs(1);
        assert!(!ticket().is_expired(second * 999));
        assert!(ticket().is_expired(second * 1000));
        let other = TicketKey::new(b"south");
        assert_eq!(other.open(&text), Err(Forged));
    }

    #[test]
    fn tickets_of_the_version_before_are_read() {
        let key = TicketKey::new(b"north");
        let unnamed = Ticket {
            name: None,
            is_granted: false,
            token_expires_at: None,
            host_since_ms: 0,
            ..ticket()
        };
        let content = r#"{"p":"9f86d081884c7d659a2feaa0c55ad015","n":"main","r":"회의실 1","a":"host","g":7,"i":18446744073709551615,"b":1795238400123,"e":1000}"#;
        assert_eq!(serde_json::to_string(&unnamed).unwrap(), content);
        let read = key.open(&key.sign(&unnamed));
        assert_eq!(read, Ok(unnamed));
    }

    #[test]
    fn no_byte_of_a_ticket_can_be_changed() {
        let key = TicketKey::new(b"north");
        let text = key.sign(&ticket());
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'Q' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let opened = key.open(&changed);
            // The last character of a part has bits that mean nothing; strict decoding refuses them.
            assert_eq!(opened, Err(Forged), "byte {at}");
        }
        for bad in ["", ".", "x", "a.b.c", "eyJ9.", &text[..text.len() - 1]] {
            assert_eq!(key.open(bad), Err(Forged));
        }
    }
}
