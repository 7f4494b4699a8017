//! Relayed ports: reserved ones, how they are chosen, and how many one may have.

use std::net::SocketAddr;

use super::bad;
use crate::case::{Case, Outcome, fail, not_applicable};
use crate::client::{Client, expect_error, expect_success};
use crate::codec::{Builder, Class, attribute};
use crate::context::Context;

use attribute::{
    ADDITIONAL_ADDRESS_FAMILY, EVEN_PORT, REQUESTED_ADDRESS_FAMILY, RESERVATION_TOKEN,
};

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    let token = ["RFC 8656 §7.2 (5)", "RESERVATION-TOKEN with \"EVEN-PORT or REQUESTED-ADDRESS-FAMILY or ADDITIONAL-ADDRESS-FAMILY … 400 … token is not valid … 508\""];
    let even = ["RFC 8656 §7.2", "\"a pair of port numbers N and N+1 on the same IP address, where N is even\"; N+1 is reserved for 30 seconds"];
    let quota = ["RFC 8656 §7.2 (10)", "\"486 (Allocation Quota Reached)\""];
    vec![
        Case::rfc("A-09.3", token, "RESERVATION-TOKEN with ADDITIONAL-ADDRESS-FAMILY: 400", |cx| bad(cx, with_token().family(ADDITIONAL_ADDRESS_FAMILY, 2))),
        Case::rfc("A-09.4", token, "RESERVATION-TOKEN with EVEN-PORT: 400", |cx| bad(cx, with_token().attribute(EVEN_PORT, &[0]))),
        Case::rfc("A-09.5", token, "RESERVATION-TOKEN with REQUESTED-ADDRESS-FAMILY: 400", |cx| bad(cx, with_token().family(REQUESTED_ADDRESS_FAMILY, 1))),
        Case::rfc("A-09.6", ["RFC 8656 §7.2 (8)", "\"EVEN-PORT attribute with the R bit set to 1 … ADDITIONAL-ADDRESS-FAMILY attribute … 400\""],
            "EVEN-PORT that reserves with ADDITIONAL-ADDRESS-FAMILY: 400", even_and_additional),
        Case::rfc("A-11.1", even, "EVEN-PORT that reserves: an even port, and the token brings the next one", reservation),
        Case::rfc("A-11.2", token, "A token is good once: then 508", token_used_twice),
        Case::rfc("A-11.3", token, "A token that nobody gave: 508", invented_token),
        Case::hardening("A-11.4", ["RFC 8656 §7.2", "what one user reserved, another must not take"], "Another user's token: 508", foreign_token),
        Case::rfc("A-11.5", ["RFC 8656 §7.2", "\"EVEN-PORT attribute with the R bit set to 0 … an even port number\""],
            "EVEN-PORT that reserves nothing: an even port, no token", even_port),
        Case::rfc("A-13", quota, "Beyond a user's quota: 486; one deleted, one more made", user_quota),
        Case::hardening("A-14", ["RFC 8656 §7.2 (10)", "one address with many stolen names must not take all ports"],
            "Beyond a source's quota: 486, and other sources are served", source_quota).slow(),
        Case::hardening("A-20", ["CVE-2025-69217", "whoever guesses relayed ports can race for them"],
            "Relayed ports are not handed out in sequence", ports_not_in_sequence),
        Case::rfc("A-57", ["RFC 8656 §7.2", "\"the TURN server SHOULD NOT allocate ports in the range 0 - 1023\""],
            "Relayed ports are above 1023", no_well_known_ports),
    ]
}

fn with_token() -> Builder {
    Builder::allocate().attribute(RESERVATION_TOKEN, b"any token"[..8].as_ref())
}

fn even_and_additional(cx: &Context<'_>) -> Outcome {
    let request = Builder::allocate().attribute(EVEN_PORT, &[0x80]);
    bad(cx, request.family(ADDITIONAL_ADDRESS_FAMILY, 2))
}

fn reserve(client: &mut Client) -> Outcome<(SocketAddr, Vec<u8>)> {
    let request = Builder::allocate().attribute(EVEN_PORT, &[0x80]);
    let response = client.succeed(&request)?;
    client.remember_allocation(true);
    let relayed = response.addresses(attribute::XOR_RELAYED_ADDRESS);
    match (&relayed[..], response.get(RESERVATION_TOKEN)) {
        ([relayed], Some(token)) if relayed.port() % 2 == 0 && token.len() == 8 => {
            Ok((*relayed, token.to_vec()))
        }
        _ => fail(
            "an even port and a token of 8 bytes",
            format_args!("{relayed:?} in {response}"),
        ),
    }
}

fn reservation(cx: &Context<'_>) -> Outcome {
    let (mut first, mut second) = (cx.client()?, cx.client()?);
    let (even, token) = reserve(&mut first)?;
    let request = Builder::allocate().attribute(RESERVATION_TOKEN, &token);
    let odd = second.allocate_with(&request)?.relayed;
    if odd == SocketAddr::new(even.ip(), even.port() + 1) {
        return Ok(());
    }
    fail(format_args!("the port behind {even}"), odd)
}

fn token_used_twice(cx: &Context<'_>) -> Outcome {
    let mut clients = [cx.client()?, cx.client()?, cx.client()?];
    let (_, token) = reserve(&mut clients[0])?;
    let request = Builder::allocate().attribute(RESERVATION_TOKEN, &token);
    clients[1].allocate_with(&request)?;
    clients[2].refuse(&request, 508).map(drop)
}

fn invented_token(cx: &Context<'_>) -> Outcome {
    cx.client()?.refuse(&with_token(), 508).map(drop)
}

fn foreign_token(cx: &Context<'_>) -> Outcome {
    let (mut owner, mut other) = (cx.client()?, cx.client_of(cx.user(1)?)?);
    let (_, token) = reserve(&mut owner)?;
    let request = Builder::allocate().attribute(RESERVATION_TOKEN, &token);
    let response = other.call(&request)?;
    other.remember_allocation(response.class() == Class::Success);
    expect_error(&response, 508)
}

fn even_port(cx: &Context<'_>) -> Outcome {
    for _ in 0..5 {
        let mut client = cx.client()?;
        let response = client.succeed(&Builder::allocate().attribute(EVEN_PORT, &[0]))?;
        client.remember_allocation(true);
        let relayed = response.addresses(attribute::XOR_RELAYED_ADDRESS);
        let is_even = relayed.iter().all(|address| address.port() % 2 == 0);
        if !is_even || response.has(RESERVATION_TOKEN) {
            return fail(
                "an even port and no token",
                format_args!("{relayed:?} in {response}"),
            );
        }
    }
    Ok(())
}

fn user_quota(cx: &Context<'_>) -> Outcome {
    let Some(quota) = cx.options.user_quota else {
        return not_applicable("no --user-quota given");
    };
    cx.secret()?;
    let mut clients = Vec::new();
    for _ in 0..quota {
        let mut client = cx.client()?;
        client.allocate()?;
        clients.push(client);
    }
    let mut late = cx.client()?;
    late.refuse(&Builder::allocate(), 486)?;
    expect_success(&clients[0].refresh(0)?)?;
    late.allocate().map(drop)
}

fn source_quota(cx: &Context<'_>) -> Outcome {
    let Some(quota) = cx.options.source_quota else {
        return not_applicable("no --source-quota given");
    };
    cx.needs_sources()?;
    let (source, mut clients) = (cx.source(), Vec::new());
    for index in 0..quota {
        let mut client = cx.client_from(source)?;
        client.user = cx.user(u8::try_from(index).unwrap_or(u8::MAX))?;
        client.allocate()?;
        clients.push(client);
    }
    let mut late = cx.client_from(source)?;
    late.user = cx.user(200)?;
    late.refuse(&Builder::allocate(), 486)?;
    let mut elsewhere = cx.client()?;
    elsewhere.user = cx.user(201)?;
    elsewhere.allocate().map(drop)
}

fn relayed_ports(cx: &Context<'_>) -> Outcome<Vec<u16>> {
    let mut clients = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..8 {
        let mut client = cx.client()?;
        ports.push(client.allocate()?.relayed.port());
        clients.push(client);
    }
    Ok(ports)
}

fn ports_not_in_sequence(cx: &Context<'_>) -> Outcome {
    let ports = relayed_ports(cx)?;
    let near = ports
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) <= 8);
    if near.count() > 2 {
        return fail("ports spread over the range", format_args!("{ports:?}"));
    }
    Ok(())
}

fn no_well_known_ports(cx: &Context<'_>) -> Outcome {
    let ports = relayed_ports(cx)?;
    if ports.iter().all(|&port| port > 1023) {
        return Ok(());
    }
    fail("ports above 1023", format_args!("{ports:?}"))
}
