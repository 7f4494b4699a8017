//! The data channel `echo`: `{"type":"ping","n":1}` is answered by `{"type":"pong","n":1}`. Pure.
//!
//! Number 0 knocks at a side that has said nothing yet; numbers from 1 on are counted.
//! A headless peer introduces itself with `{"type":"headless"}`, which browsers ignore. Two headless peers also
//! tell each other `{"type":"verified"}`, so that neither hangs up while the other still needs it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::verify::EchoCheck;

/// Time between two knocks at a side that has said nothing yet.
///
/// The `webrtc` crate opens a negotiated channel only after it has handled everything that arrived together
/// with the end of the SCTP handshake, and loses what came for the channel in that burst: after an interruption
/// that may be everything that was said in seconds. So nothing that counts is said before the other side has said
/// something, which proves its channel open. Browsers say nothing first, but answer a knock.
const KNOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Number of the ping that only knocks: as it may get lost, its answer is not counted.
const KNOCK: u32 = 0;
/// Numbered messages that are sent to each peer.
pub const PINGS: u32 = 100;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message {
    Ping { n: u32 },
    Pong { n: u32 },
    Headless,
    Verified,
}

impl Message {
    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a number under a string key always encodes")
    }
}

/// What a message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Send this text back.
    Reply(String),
    /// Nothing.
    None,
}

/// One side of the channel.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// When to knock; `None` before the channel is open.
    knock_due: Option<Duration>,
    check: EchoCheck,
    heard_anything: bool,
    /// The other side is a headless peer as well.
    headless: bool,
    said_verified: bool,
    heard_verified: bool,
}

impl Echo {
    /// The channel can be used from `now` on (counted, as everywhere here, from any fixed moment). Returns the
    /// introduction; it may get lost, so that [`Self::ping`] repeats it.
    pub(super) fn open(&mut self, now: Duration) -> String {
        self.knock_due.get_or_insert(now);
        Message::Headless.to_text()
    }

    /// Whether [`Self::ping`] has something to say.
    pub(super) fn wants_to_ping(&self, now: Duration) -> bool {
        let is_due = self
            .knock_due
            .is_some_and(|due| self.heard_anything || now >= due);
        is_due && self.check.sent() < PINGS
    }

    /// What to say next: a knock, or when the other side was heard a numbered message; before the first of them the
    /// introduction.
    pub(super) fn ping(&mut self, now: Duration) -> Vec<String> {
        let mut texts = Vec::new();
        if self.check.sent() == 0 {
            texts.push(Message::Headless.to_text());
        }
        let n = if self.heard_anything {
            self.check.ping(now)
        } else {
            self.knock_due = Some(now + KNOCK_INTERVAL);
            KNOCK
        };
        texts.push(Message::Ping { n }.to_text());
        texts
    }

    /// A message of the other side. What is not understood is left alone: applications may say more.
    pub(super) fn on_text(&mut self, text: &[u8], now: Duration) -> Reaction {
        self.heard_anything = true;
        match serde_json::from_slice(text) {
            Ok(Message::Ping { n }) => return Reaction::Reply(Message::Pong { n }.to_text()),
            Ok(Message::Pong { n: KNOCK }) => {}
            Ok(Message::Pong { n }) => self.check.pong(n, now),
            Ok(Message::Headless) => self.headless = true,
            Ok(Message::Verified) => self.heard_verified = true,
            Err(error) => tracing::trace!("a message on `echo` that is no ping: {error}"),
        }
        Reaction::None
    }

    /// What to tell a headless peer once it is verified.
    pub(super) fn say_verified(&mut self) -> Reaction {
        if !self.headless || self.said_verified {
            return Reaction::None;
        }
        self.said_verified = true;
        Reaction::Reply(Message::Verified.to_text())
    }

    /// The other side is a headless peer that has not verified us yet.
    pub(super) fn is_needed(&self) -> bool {
        self.headless && !self.heard_verified
    }

    pub(super) fn check(&self) -> &EchoCheck {
        &self.check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(5);

    #[test]
    fn two_sides_verify_each_other() {
        let (mut a, mut b) = (Echo::default(), Echo::default());
        a.open(Duration::ZERO);
        b.open(Duration::ZERO);
        assert!(a.wants_to_ping(NOW), "to knock");
        a.on_text(b"{}", NOW);
        assert!(a.wants_to_ping(NOW), "the other side is open for certain");
        assert!(!a.is_needed() && a.say_verified() == Reaction::None);
        while a.wants_to_ping(NOW) {
            for text in a.ping(NOW) {
                if let Reaction::Reply(pong) = b.on_text(text.as_bytes(), NOW) {
                    assert_eq!(a.on_text(pong.as_bytes(), NOW), Reaction::None);
                }
            }
        }
        assert_eq!(a.check().missing(PINGS), None);
        assert!(
            b.is_needed(),
            "a is headless and has not said that it is content"
        );
        assert_eq!(a.say_verified(), Reaction::None, "a does not know b yet");
        let Reaction::Reply(verified) = b.say_verified() else {
            panic!("b knows a");
        };
        assert_eq!(b.say_verified(), Reaction::None, "once is enough");
        a.on_text(verified.as_bytes(), NOW);
        assert!(!a.is_needed());
    }

    #[test]
    fn nothing_that_counts_is_said_to_a_side_that_may_lose_it() {
        // A relay died before both channels were open. One side counted on its own being open for a second, said fifty
        // numbers until the next relay was there, and the other side lost them all in one burst.
        let mut echo = Echo::default();
        echo.open(Duration::ZERO);
        let knock = [r#"{"type":"headless"}"#, r#"{"type":"ping","n":0}"#];
        assert!(echo.wants_to_ping(Duration::ZERO));
        assert_eq!(echo.ping(Duration::ZERO), knock);
        for knocks in 1..=50 {
            let now = KNOCK_INTERVAL * knocks;
            assert!(!echo.wants_to_ping(now - NOW) && echo.wants_to_ping(now));
            assert_eq!(echo.ping(now), knock);
        }
        for _ in 0..2 {
            assert_eq!(
                echo.on_text(br#"{"type":"pong","n":0}"#, NOW),
                Reaction::None,
                "what was late, but not lost, is answered too"
            );
        }
        assert_eq!(echo.ping(NOW)[1], r#"{"type":"ping","n":1}"#);
        assert_eq!(
            echo.check().missing(1).as_deref(),
            Some("0 of 1 messages came back, 1 were planned")
        );
    }

    #[test]
    fn the_words_are_as_documented_and_others_are_left_alone() {
        let mut echo = Echo::default();
        assert_eq!(
            echo.on_text(br#"{"type":"ping","n":7,"more":true}"#, NOW),
            Reaction::Reply(r#"{"type":"pong","n":7}"#.into()),
            "and now the other side is known to be open"
        );
        assert_eq!(
            echo.ping(NOW),
            [r#"{"type":"headless"}"#, r#"{"type":"ping","n":1}"#]
        );
        assert_eq!(echo.ping(NOW), [r#"{"type":"ping","n":2}"#]);
        for other in [
            "",
            "{}",
            r#"{"type":"dance"}"#,
            r#"{"type":"ping","n":-1}"#,
            "\u{fffd}",
        ] {
            assert_eq!(
                echo.on_text(other.as_bytes(), NOW),
                Reaction::None,
                "{other}"
            );
        }
        assert_eq!(
            echo.check().missing(2).as_deref(),
            Some("0 of 2 messages came back, 2 were planned")
        );
    }
}
