//! What a nonce is good for: one client, one transport, some time.

use std::collections::HashSet;
use std::net::SocketAddr;

use crate::case::{Case, Outcome, fail};
use crate::client::{Challenge, Client, expect_error, expect_success, refresh_request};
use crate::codec::{Builder, Class};
use crate::context::Context;
use crate::link::Link;

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    let stale = ["RFC 8489 §9.2.4", "\"If the NONCE is no longer valid … 438 … MUST include NONCE, REALM\""];
    vec![
        Case::rfc("M-51", ["RFC 8489 §9.2", "\"a server MUST prepend the NONCE attribute value with … obMatJos2\" and its security features"],
            "NONCE begins with the nonce cookie", nonce_cookie),
        Case::rfc("M-52", ["RFC 8489 §9.2.4", "\"If the server adds a PASSWORD-ALGORITHMS attribute, it MUST set the … bit\"; a client drops a 401 with the bit and without the attribute"],
            "PASSWORD-ALGORITHMS is there exactly when the cookie says so", feature_bit),
        Case::hardening("M-06", ["RFC 8489 §9.2.4", "a nonce that is good anywhere lets spoofed sources pass"],
            "A nonce from another address or port: 438 with a fresh one", borrowed_nonce),
        Case::hardening("M-62", ["RFC 8489 §9.2.4", "a nonce that is good anywhere lets spoofed sources pass"],
            "A nonce given over UDP is stale over TCP and TLS", nonce_of_another_transport).over_streams(),
        Case::rfc("M-07", ["RFC 8489 §9.2.4", "\"The server MUST NOT choose the same NONCE for two requests unless they have the same source IP address and port\""],
            "50 sources get 50 nonces", nonces_differ),
        Case::rfc("M-08", stale, "A nonce that never was: 438, and its NONCE works; the allocation stays", stale_nonce),
        Case::hardening("M-27", ["RFC 8489 §9.2", "a captured request must be worth nothing elsewhere"],
            "A captured Allocate sent from another port makes no allocation", replayed_elsewhere),
    ]
}

fn nonce_cookie(cx: &Context<'_>) -> Outcome {
    let challenge = cx.stranger()?.challenge()?;
    if challenge.features().is_some() {
        return Ok(());
    }
    let nonce = String::from_utf8_lossy(&challenge.nonce).into_owned();
    fail("obMatJos2 and four characters of base64", nonce)
}

fn feature_bit(cx: &Context<'_>) -> Outcome {
    let challenge = cx.stranger()?.challenge()?;
    if challenge.has_password_algorithms() == challenge.algorithms.is_some() {
        return Ok(());
    }
    let there = challenge.algorithms.is_some();
    fail(
        "bit and attribute together",
        format_args!("attribute: {there}, bit: {}", !there),
    )
}

fn borrowed_nonce(cx: &Context<'_>) -> Outcome {
    cx.needs_sources()?;
    let source = cx.source();
    let lender = cx.client_from(source)?.challenge()?;
    for source in [source, cx.source()] {
        let mut client = cx.client_from(source)?;
        client.set_challenge(lender.clone());
        let request = client.signed(Builder::allocate())?;
        let response = client.ask(request)?;
        client.remember_allocation(response.class() == Class::Success);
        expect_error(&response, 438)?;
        client.set_challenge(Challenge::of(&response)?);
        client.allocate()?;
    }
    Ok(())
}

fn nonce_of_another_transport(cx: &Context<'_>) -> Outcome {
    let source = cx.source();
    let lender = Link::udp(SocketAddr::new(source, 0), cx.options.server)?;
    // From the same port, so that nothing but the transport differs.
    let port = lender.address()?.port();
    let challenge = Client::new(lender, cx.user(0)?).challenge()?;
    let link = cx.link_from_port(source, port)?;
    let mut client = Client::new(link, cx.user(0)?);
    client.set_challenge(challenge);
    let request = client.signed(Builder::allocate())?;
    let response = client.ask(request)?;
    client.remember_allocation(response.class() == Class::Success);
    expect_error(&response, 438)
}

fn nonces_differ(cx: &Context<'_>) -> Outcome {
    let mut seen = HashSet::new();
    for _ in 0..50 {
        if !seen.insert(cx.stranger()?.challenge()?.nonce) {
            return fail("another nonce for another source", "the same twice");
        }
    }
    Ok(())
}

fn stale_nonce(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let good = client.challenge()?;
    let mut cut = good.nonce.clone();
    cut.truncate(cut.len() / 2);
    for nonce in [vec![b'g'; 128], cut] {
        let old = Challenge {
            nonce,
            ..good.clone()
        };
        client.set_challenge(old);
        let request = client.signed(refresh_request(600))?;
        let response = client.ask(request)?;
        expect_error(&response, 438)?;
        client.set_challenge(Challenge::of(&response)?);
        let request = client.signed(refresh_request(600))?;
        expect_success(&client.ask(request)?)?;
    }
    Ok(())
}

fn replayed_elsewhere(cx: &Context<'_>) -> Outcome {
    let source = cx.source();
    let mut victim = cx.client_from(source)?;
    let captured = victim.signed(Builder::allocate())?;
    expect_success(&victim.ask(captured.clone())?)?;
    victim.remember_allocation(true);
    let mut thief = cx.client_from(source)?;
    let response = thief.ask(captured)?;
    if response.class() == Class::Error {
        return Ok(());
    }
    fail("an error", response)
}
