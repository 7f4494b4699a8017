//! What is no message for a TURN server: dropped without a word.

use crate::case::{Case, Outcome, fail};
use crate::client::{SILENCE, expect_error, expect_success};
use crate::codec::{Builder, Class, attribute, message_type, method};
use crate::context::Context;
use crate::link::Frame;

const CHECKS: [&str; 2] = [
    "RFC 8489 §6.3",
    "\"the message length is sensible … If any errors are detected, the message is silently discarded\"",
];

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::rfc("P-01", CHECKS, "Datagrams shorter than a header get no answer", short_datagrams),
        Case::rfc("P-02", ["RFC 8489 §5", "\"the last 2 bits of this field are always zero\""],
            "A length that is no multiple of four gets no answer", odd_lengths),
        Case::rfc("P-03", CHECKS, "A length beyond the datagram gets no answer", length_beyond_the_datagram),
        Case::hardening("P-04", ["RFC 8489 §6.3", "one datagram is one message; a second one behind it was never framed"],
            "A second message behind the first in one datagram is never answered", second_message_in_one_datagram),
        Case::rfc("P-05", ["RFC 8656 §12", "first bytes other than those of STUN and channels are \"Reserved; MUST be dropped\""],
            "RTP, DTLS, QUIC and reserved first bytes get no answer", other_protocols),
        Case::rfc("P-06", ["RFC 8656 §5", "TURN does not use the backwards-compatibility mechanisms of STUN"],
            "An Allocate request with another cookie gets no answer", allocate_without_cookie),
        Case::hardening("P-51", ["RFC 8489 §6.3", "a classic STUN server (RFC 3489) answers strangers with more bytes than it gets"],
            "A Binding request with another cookie gets no answer", binding_without_cookie),
        Case::rfc("P-15", ["RFC 8489 §6.3.2", "no response is generated for an indication"],
            "Indications of every method are never answered", indications),
        Case::rfc("P-16", ["RFC 8489 §6.3.3", "a response without its transaction is silently discarded"],
            "Responses of every method are never answered", responses),
        Case::rfc("P-17", ["RFC 8489 §6.3", "\"the method value is a supported method … If any errors are detected, the message is silently discarded\""],
            "Requests of unknown methods get no answer", unknown_methods),
        Case::rfc("P-53", ["RFC 8489 §6.3", "\"the message class is allowed for the particular method … If any errors are detected, the message is silently discarded\""],
            "Send and Data as requests get no answer", class_of_the_method),
        Case::hardening("P-20", ["RFC 8489 §6.3", "a wrong FINGERPRINT tells that this is not STUN"],
            "A wrong FINGERPRINT gets no answer", wrong_fingerprint),
        Case::hardening("P-54", ["RFC 8489 §14.7", "FINGERPRINT \"MUST be the last attribute\": what follows it is not covered by anything"],
            "FINGERPRINT that is not last gets no answer, or is not believed", fingerprint_not_last),
        Case::hardening("P-32", ["firezone c52d88f421", "one undecodable datagram must not spoil the next one"],
            "A good request right behind a broken one is answered, 200 times", broken_before_good),
    ]
}

/// Sends datagrams, one behind the other, and expects no answer; then the server must still work.
fn dropped(cx: &Context<'_>, datagrams: impl IntoIterator<Item = Vec<u8>>) -> Outcome {
    let mut client = cx.stranger()?;
    for bytes in datagrams {
        client.link.send(&bytes)?;
    }
    client.expect_silence()?;
    cx.alive()
}

/// Error 400 or nothing: the RFC leaves it open where a message is broken inside.
fn refused_or_dropped(cx: &Context<'_>, message: Builder) -> Outcome {
    if let Some(response) = cx.stranger()?.ask_or_silence(message)? {
        expect_error(&response, 400)?;
    }
    cx.alive()
}

fn short_datagrams(cx: &Context<'_>) -> Outcome {
    let whole = Builder::request(method::BINDING).bytes();
    let lengths = [0, 1, 2, 3, 4, 8, 19];
    dropped(cx, lengths.map(|length| whole[..length].to_vec()))
}

fn odd_lengths(cx: &Context<'_>) -> Outcome {
    let datagrams = [1, 2, 3].map(|length| {
        let mut message = Builder::request(method::BINDING);
        message.set_length(length);
        let mut bytes = message.bytes();
        bytes.resize(20 + length, 0);
        bytes
    });
    dropped(cx, datagrams)
}

fn length_beyond_the_datagram(cx: &Context<'_>) -> Outcome {
    let datagrams = [4, 65_000].map(|length| {
        let mut message = Builder::request(method::BINDING);
        message.set_length(length);
        message.bytes()
    });
    dropped(cx, datagrams)
}

fn second_message_in_one_datagram(cx: &Context<'_>) -> Outcome {
    let mut client = cx.stranger()?;
    let first = Builder::request(method::BINDING);
    let second = Builder::request(method::BINDING);
    let transaction = first.transaction();
    client
        .link
        .send(&[first.bytes(), second.bytes()].concat())?;
    match client.receive(SILENCE)? {
        Some(Frame::Stun(message)) if message.transaction() == transaction => {}
        Some(other) => return fail("nothing, or the answer to the first", other),
        None => {}
    }
    client.expect_silence()?;
    cx.alive()
}

fn other_protocols(cx: &Context<'_>) -> Outcome {
    // All that makes a Binding request, but the first byte.
    let datagrams = (0x50..=0xFF).map(|first| {
        let mut bytes = Builder::request(method::BINDING).bytes();
        bytes[0] = first;
        bytes
    });
    dropped(cx, datagrams)
}

fn with_other_cookie(message: Builder) -> Vec<u8> {
    let mut bytes = message.bytes();
    bytes[7] ^= 1;
    bytes
}

fn allocate_without_cookie(cx: &Context<'_>) -> Outcome {
    dropped(cx, [with_other_cookie(Builder::allocate())])
}

fn binding_without_cookie(cx: &Context<'_>) -> Outcome {
    let binding = Builder::request(method::BINDING);
    dropped(cx, [with_other_cookie(binding)])
}

const METHODS: [u16; 5] = [
    method::BINDING,
    method::ALLOCATE,
    method::REFRESH,
    method::CREATE_PERMISSION,
    method::CHANNEL_BIND,
];

fn indications(cx: &Context<'_>) -> Outcome {
    let others = [method::SEND, method::DATA, 0x0FF];
    let all = METHODS.into_iter().chain(others);
    dropped(cx, all.map(|method| Builder::indication(method).bytes()))
}

fn responses(cx: &Context<'_>) -> Outcome {
    let all = METHODS.into_iter().flat_map(|method| {
        let error = Builder::new(method, Class::Error);
        let error = error.attribute(attribute::ERROR_CODE, &[0, 0, 4, 1]);
        [Builder::new(method, Class::Success).bytes(), error.bytes()]
    });
    dropped(cx, all)
}

fn unknown_methods(cx: &Context<'_>) -> Outcome {
    let methods = [0x000, 0x002, 0x0FF, 0xFFF];
    dropped(cx, methods.map(|method| Builder::request(method).bytes()))
}

fn class_of_the_method(cx: &Context<'_>) -> Outcome {
    let methods = [method::SEND, method::DATA];
    dropped(cx, methods.map(|method| Builder::request(method).bytes()))
}

fn wrong_fingerprint(cx: &Context<'_>) -> Outcome {
    let mut bytes = Builder::request(method::BINDING).fingerprint().bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    dropped(cx, [bytes])
}

fn fingerprint_not_last(cx: &Context<'_>) -> Outcome {
    let request = Builder::request(method::BINDING)
        .fingerprint()
        .attribute(attribute::SOFTWARE, b"behind");
    refused_or_dropped(cx, request)
}

fn broken_before_good(cx: &Context<'_>) -> Outcome {
    let mut client = cx.stranger()?;
    for round in 0..200_u16 {
        let mut broken = Builder::request(method::BINDING).bytes();
        let kind = message_type(round, Class::Request).to_be_bytes();
        broken[..2].copy_from_slice(&kind);
        broken.truncate(usize::from(round % 20));
        client.link.send(&broken)?;
        let good = client.ask(Builder::request(method::BINDING))?;
        expect_success(&good)?;
    }
    Ok(())
}
