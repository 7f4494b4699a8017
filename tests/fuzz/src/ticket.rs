//! Session tickets: only the very text that was signed is ever opened, with its key.

use std::time::Duration;

use signaling_proto::id::PeerId;
use signaling_proto::message::server::Role;
use signaling_proto::ticket::{Ticket, TicketKey};

pub(crate) fn run(input: &[u8]) {
    let key = TicketKey::new(b"north");
    let ticket = Ticket {
        peer: PeerId::new("60303ae22b998861bce3b28f33eec1be"),
        namespace: "main".into(),
        room: "stand-up".into(),
        role: Role::Participant,
        name: None,
        generation: 3,
        instance: 7,
        entered_ms: 1_795_000_000_000,
        expires_at: 1_795_086_400,
        is_granted: false,
        token_expires_at: None,
        host_since_ms: 1_795_000_000_000,
    };
    let signed = key.sign(&ticket);
    assert_eq!(key.open(&signed).as_ref(), Ok(&ticket));
    // Anything else, and the signed one with something changed.
    let mut changed = signed.clone().into_bytes();
    for pair in input.chunks_exact(2) {
        let place = usize::from(pair[0]) % changed.len();
        changed[place] = pair[1];
    }
    for text in [input, &changed] {
        if let Ok(text) = std::str::from_utf8(text) {
            assert_eq!(key.open(text).is_ok(), text == signed);
        }
    }
    // HMAC fills up short keys with zeros (RFC 2104).
    let zeros = |rest: &[u8]| input.len() <= 64 && rest.iter().all(|byte| *byte == 0);
    let is_same = input.strip_prefix(b"north").is_some_and(zeros);
    let other = TicketKey::new(input);
    assert_eq!(other.open(&signed).is_ok(), is_same);
    let seconds = input
        .iter()
        .fold(0_u64, |sum, byte| sum << 5 ^ u64::from(*byte))
        % (1 << 33);
    let is_over = ticket.is_expired(Duration::from_secs(seconds));
    assert_eq!(is_over, seconds >= ticket.expires_at);
}
