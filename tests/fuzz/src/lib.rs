//! Each target takes any bytes and panics when something that must always hold does not.
//!
//! The same functions run under libFuzzer (`tests/fuzz/run`) and, over the committed corpora, in
//! every test run (`tests/replay.rs`). An input that once broke something stays in the corpus.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a broken promise is reported by panicking"
)]

mod authenticated;
mod codec;
mod envelope;
mod framing;
mod hub;
mod nonce;
mod peer_policy;
mod proxy_header;
mod rest_username;
mod ticket;
mod unauthenticated;
mod world;

/// A target: its name, which is also that of its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 11] = [
    ("codec", codec::run),
    ("framing", framing::run),
    ("unauthenticated", unauthenticated::run),
    ("authenticated", authenticated::run),
    ("nonce", nonce::run),
    ("rest_username", rest_username::run),
    ("peer_policy", peer_policy::run),
    ("proxy_header", proxy_header::run),
    ("envelope", envelope::run),
    ("ticket", ticket::run),
    ("hub", hub::run),
];

/// Runs one target, for libFuzzer.
///
/// # Panics
/// When there is no target of this name, and when the target fails.
pub fn run(name: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    target(input);
}
