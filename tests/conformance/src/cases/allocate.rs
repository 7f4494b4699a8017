//! Group A: Allocate and Refresh.

use std::net::SocketAddr;

use crate::case::{Case, Outcome, fail, not_applicable};
use crate::client::{
    Client, bind_request, expect_error, expect_error_of, expect_success, permission_request,
    refresh_request,
};
use crate::codec::{Builder, Class, Message, attribute, error_code, method};
use crate::context::Context;

use attribute::{
    ADDITIONAL_ADDRESS_FAMILY, EVEN_PORT, REQUESTED_ADDRESS_FAMILY, RESERVATION_TOKEN,
};

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let transport = ["RFC 8656 §7.2 (3)", "REQUESTED-TRANSPORT \"is not included or is malformed … 400 …; specifies a protocol that is not supported by the server … 442\""];
    let lifetime = ["RFC 8656 §7.2", "\"the minimum of the client's proposed lifetime and the server's maximum allowed lifetime. If this computed value is greater than the default lifetime … Otherwise, the server uses the default lifetime\""];
    let token = ["RFC 8656 §7.2 (5)", "RESERVATION-TOKEN with \"EVEN-PORT or REQUESTED-ADDRESS-FAMILY or ADDITIONAL-ADDRESS-FAMILY … 400 … token is not valid … 508\""];
    let families = ["RFC 8656 §7.2 (6)", "\"both REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY … 400\""];
    let family = ["RFC 8656 §7.2 (7)", "\"does not support the address family … MUST include … 440\""];
    let additional = ["RFC 8656 §7.2 (9)", "ADDITIONAL-ADDRESS-FAMILY 0x01: 400; \"two XOR-RELAYED-ADDRESS attributes\", or one and ADDRESS-ERROR-CODE 440 or 508"];
    let even = ["RFC 8656 §7.2", "\"a pair of port numbers N and N+1 on the same IP address, where N is even\"; N+1 is reserved for 30 seconds"];
    let unassociated = ["RFC 8656 §5", "\"if the 5-tuple does not identify an existing allocation … 437 … (if it is a request) or be silently ignored\""];
    let taken = ["RFC 8656 §7.2 (2)", "\"if the 5-tuple is currently in use by an existing allocation … 437\""];
    let quota = ["RFC 8656 §7.2 (10)", "\"486 (Allocation Quota Reached)\""];
    vec![
        Case::rfc("A-50", ["RFC 8656 §7.2", "\"XOR-RELAYED-ADDRESS … LIFETIME … XOR-MAPPED-ADDRESS\""],
            "A success tells the relayed address, the lifetime and the client's address", success).over_every(),
        Case::rfc("A-01", transport, "No REQUESTED-TRANSPORT: 400", no_transport),
        Case::rfc("A-02", transport, "REQUESTED-TRANSPORT TCP over UDP: 442, or 400 where RFC 6062 is spoken", tcp_over_udp),
        Case::rfc("A-03", transport, "REQUESTED-TRANSPORT 0, 1, 132, 255: 442", unknown_transports),
        Case::rfc("A-51", ["RFC 8656 §18.8", "\"The RFFU field … MUST be ignored on reception\""],
            "The reserved bytes of REQUESTED-TRANSPORT are ignored", reserved_bytes),
        Case::hardening("A-52", transport, "REQUESTED-TRANSPORT of 1 or 8 bytes: 400", malformed_transport),
        Case::rfc("A-04", taken, "A second Allocate on the same 5-tuple: 437, and the first stays", second_allocate),
        Case::rfc("A-05", ["RFC 8656 §5", "\"treat the request as idempotent\""],
            "A retransmitted Allocate gets the same success", retransmission),
        Case::rfc("A-06", lifetime, "LIFETIME absent, 0, 1, 600: 600; beyond the maximum: the maximum", lifetimes),
        Case::rfc("A-53", lifetime, "Refresh clamps LIFETIME the same way", refreshed_lifetimes),
        Case::hardening("A-07", ["RFC 8656 §18.2", "LIFETIME \"is 4 bytes long\""], "LIFETIME of 3 or 8 bytes: 400", malformed_lifetime),
        Case::rfc("A-08", family, "REQUESTED-ADDRESS-FAMILY 0x03: 440", unknown_family),
        Case::rfc("A-54", family, "REQUESTED-ADDRESS-FAMILY IPv4: a relayed IPv4 address", ipv4_on_request),
        Case::rfc("A-55", family, "REQUESTED-ADDRESS-FAMILY IPv6: a relayed IPv6 address, or 440", ipv6_on_request),
        Case::rfc("A-09.1", families, "REQUESTED- with ADDITIONAL-ADDRESS-FAMILY: 400", both_families),
        Case::rfc("A-09.2", additional, "ADDITIONAL-ADDRESS-FAMILY IPv4: 400", additional_ipv4),
        Case::rfc("A-09.3", token, "RESERVATION-TOKEN with ADDITIONAL-ADDRESS-FAMILY: 400", |cx| bad(cx, with_token().family(ADDITIONAL_ADDRESS_FAMILY, 2))),
        Case::rfc("A-09.4", token, "RESERVATION-TOKEN with EVEN-PORT: 400", |cx| bad(cx, with_token().attribute(EVEN_PORT, &[0]))),
        Case::rfc("A-09.5", token, "RESERVATION-TOKEN with REQUESTED-ADDRESS-FAMILY: 400", |cx| bad(cx, with_token().family(REQUESTED_ADDRESS_FAMILY, 1))),
        Case::rfc("A-09.6", ["RFC 8656 §7.2 (8)", "\"EVEN-PORT attribute with the R bit set to 1 … ADDITIONAL-ADDRESS-FAMILY attribute … 400\""],
            "EVEN-PORT that reserves with ADDITIONAL-ADDRESS-FAMILY: 400", even_and_additional),
        Case::rfc("A-10", additional, "ADDITIONAL-ADDRESS-FAMILY IPv6: two relayed addresses, or one and ADDRESS-ERROR-CODE", dual),
        Case::rfc("A-56", ["RFC 8656 §8.1", "REQUESTED-ADDRESS-FAMILY in a Refresh names the half of a dual allocation that it is about"],
            "Refresh deletes the IPv6 half of a dual allocation, and the IPv4 half stays", half_of_a_dual_allocation),
        Case::rfc("A-59", ["RFC 8656 §8.1", "without REQUESTED-ADDRESS-FAMILY a Refresh applies to both halves of a dual allocation"],
            "Refresh with LIFETIME 0 deletes both halves of a dual allocation", both_halves),
        Case::rfc("A-11.1", even, "EVEN-PORT that reserves: an even port, and the token brings the next one", reservation),
        Case::rfc("A-11.2", token, "A token is good once: then 508", token_used_twice),
        Case::rfc("A-11.3", token, "A token that nobody gave: 508", invented_token),
        Case::hardening("A-11.4", ["RFC 8656 §7.2", "what one user reserved, another must not take"], "Another user's token: 508", foreign_token),
        Case::rfc("A-11.5", ["RFC 8656 §7.2", "\"EVEN-PORT attribute with the R bit set to 0 … an even port number\""],
            "EVEN-PORT that reserves nothing: an even port, no token", even_port),
        Case::rfc("A-12", ["RFC 8656 §7.2 (4)", "\"treats the DONT-FRAGMENT attribute … as an unknown comprehension-required attribute\" unless it can set DF"],
            "DONT-FRAGMENT: success, or 420 that names it", dont_fragment),
        Case::rfc("A-13", quota, "Beyond a user's quota: 486; one deleted, one more made", user_quota),
        Case::hardening("A-14", ["RFC 8656 §7.2 (10)", "one address with many stolen names must not take all ports"],
            "Beyond a source's quota: 486, and other sources are served", source_quota).slow(),
        Case::hardening("A-20", ["CVE-2025-69217", "whoever guesses relayed ports can race for them"],
            "Relayed ports are not handed out in sequence", ports_not_in_sequence),
        Case::rfc("A-57", ["RFC 8656 §7.2", "\"the TURN server SHOULD NOT allocate ports in the range 0 - 1023\""],
            "Relayed ports are above 1023", no_well_known_ports),
        Case::rfc("A-22", ["RFC 8656 §8.2", "\"If the \"desired lifetime\" is zero, then the request succeeds and the allocation is deleted\""],
            "Refresh with LIFETIME 0: success, then silence, then 437", deletion).over_every(),
        Case::rfc("A-23.1", unassociated, "Refresh, CreatePermission and ChannelBind without an allocation: 437", requests_without_allocation),
        Case::rfc("A-23.2", unassociated, "Send and ChannelData without an allocation: silence", data_without_allocation),
        Case::rfc("A-24", ["RFC 8656 §8.2", "REQUESTED-ADDRESS-FAMILY that does not match the allocation: \"443 (Peer Address Family Mismatch)\""],
            "Refresh for a family that the allocation has not: 443", refresh_of_the_other_family),
    ]
}

/// The signed request must be a bad one.
fn bad(cx: &Context<'_>, request: Builder) -> Outcome {
    cx.client()?.refuse(&request, 400).map(drop)
}

fn with_token() -> Builder {
    Builder::allocate().attribute(RESERVATION_TOKEN, b"any token"[..8].as_ref())
}

fn success(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    let response = client.succeed(&Builder::allocate())?;
    client.remember_allocation(true);
    let relayed = response.addresses(attribute::XOR_RELAYED_ADDRESS);
    let mapped = response.addresses(attribute::XOR_MAPPED_ADDRESS);
    let own = client.link.address()?;
    match (&relayed[..], &mapped[..]) {
        ([relayed], [mapped]) if relayed.is_ipv4() && *mapped == own => {}
        _ => {
            let got = format!("relayed {relayed:?}, mapped {mapped:?}");
            return fail(format_args!("a relayed IPv4 address, mapped {own}"), got);
        }
    }
    expect_lifetime(&response, 600..=600)
}

fn expect_lifetime(response: &Message, range: std::ops::RangeInclusive<u32>) -> Outcome {
    expect_success(response)?;
    match response.number(attribute::LIFETIME) {
        Some(lifetime) if range.contains(&lifetime) => Ok(()),
        got => fail(format_args!("LIFETIME {range:?}"), format_args!("{got:?}")),
    }
}

fn with_transport(value: &[u8]) -> Builder {
    let request = Builder::request(method::ALLOCATE);
    request.attribute(attribute::REQUESTED_TRANSPORT, value)
}

fn no_transport(cx: &Context<'_>) -> Outcome {
    bad(cx, Builder::request(method::ALLOCATE))
}

fn tcp_over_udp(cx: &Context<'_>) -> Outcome {
    let response = cx.client()?.call(&with_transport(&[6, 0, 0, 0]))?;
    expect_error_of(&response, &[442, 400])
}

fn unknown_transports(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    for protocol in [0, 1, 132, 255] {
        client.refuse(&with_transport(&[protocol, 0, 0, 0]), 442)?;
    }
    Ok(())
}

fn reserved_bytes(cx: &Context<'_>) -> Outcome {
    let request = with_transport(&[17, 1, 2, 3]);
    cx.client()?.allocate_with(&request).map(drop)
}

fn malformed_transport(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    for value in [&[17][..], &[17, 0, 0, 0, 0, 0, 0, 0]] {
        client.refuse(&with_transport(value), 400)?;
    }
    Ok(())
}

fn second_allocate(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    client.refuse(&Builder::allocate(), 437)?;
    expect_success(&client.refresh(600)?)
}

fn retransmission(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    let request = client.signed(Builder::allocate())?;
    let first = client.ask(request.clone())?;
    expect_success(&first)?;
    client.remember_allocation(true);
    for _ in 0..3 {
        let again = client.ask(request.clone())?;
        expect_success(&again)?;
        let relayed = |m: &Message| m.addresses(attribute::XOR_RELAYED_ADDRESS);
        if relayed(&again) != relayed(&first) {
            return fail(
                format_args!("{:?}", relayed(&first)),
                format_args!("{:?}", relayed(&again)),
            );
        }
    }
    Ok(())
}

fn lifetimes(cx: &Context<'_>) -> Outcome {
    let wanted = [
        (None, 600..=600),
        (Some(0), 600..=600),
        (Some(1), 600..=600),
        (Some(600), 600..=600),
        (Some(3601), 600..=3600),
        (Some(u32::MAX), 600..=3600),
    ];
    for (lifetime, range) in wanted {
        let mut client = cx.client()?;
        let mut request = Builder::allocate();
        if let Some(lifetime) = lifetime {
            request = request.number(attribute::LIFETIME, lifetime);
        }
        let response = client.call(&request)?;
        client.remember_allocation(response.class() == Class::Success);
        expect_lifetime(&response, range)?;
    }
    Ok(())
}

fn refreshed_lifetimes(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let default = client.succeed(&Builder::request(method::REFRESH))?;
    expect_lifetime(&default, 600..=600)?;
    for (lifetime, range) in [(1, 600..=600), (601, 601..=601), (u32::MAX, 600..=3600)] {
        expect_lifetime(&client.refresh(lifetime)?, range)?;
    }
    Ok(())
}

fn malformed_lifetime(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    for value in [&[0, 2, 88][..], &[0, 0, 2, 88, 0, 0, 2, 88]] {
        client.refuse(
            &Builder::allocate().attribute(attribute::LIFETIME, value),
            400,
        )?;
    }
    Ok(())
}

fn unknown_family(cx: &Context<'_>) -> Outcome {
    let request = Builder::allocate().family(REQUESTED_ADDRESS_FAMILY, 3);
    cx.client()?.refuse(&request, 440).map(drop)
}

fn ipv4_on_request(cx: &Context<'_>) -> Outcome {
    let request = Builder::allocate().family(REQUESTED_ADDRESS_FAMILY, 1);
    let relayed = cx.client()?.allocate_with(&request)?.relayed;
    if relayed.is_ipv4() {
        return Ok(());
    }
    fail("an IPv4 address", relayed)
}

fn ipv6_on_request(cx: &Context<'_>) -> Outcome {
    cx.client()?.allocate_ipv6().map(drop)
}

fn both_families(cx: &Context<'_>) -> Outcome {
    let request = Builder::allocate().family(REQUESTED_ADDRESS_FAMILY, 1);
    bad(cx, request.family(ADDITIONAL_ADDRESS_FAMILY, 2))
}

fn additional_ipv4(cx: &Context<'_>) -> Outcome {
    bad(cx, Builder::allocate().family(ADDITIONAL_ADDRESS_FAMILY, 1))
}

fn even_and_additional(cx: &Context<'_>) -> Outcome {
    let request = Builder::allocate().attribute(EVEN_PORT, &[0x80]);
    bad(cx, request.family(ADDITIONAL_ADDRESS_FAMILY, 2))
}

/// A dual allocation's addresses; not applicable where the server has only one family.
pub(super) fn allocate_dual(client: &mut Client) -> Outcome<(SocketAddr, SocketAddr)> {
    let request = Builder::allocate().family(ADDITIONAL_ADDRESS_FAMILY, 2);
    let response = client.succeed(&request)?;
    client.remember_allocation(true);
    let relayed = response.addresses(attribute::XOR_RELAYED_ADDRESS);
    let reason = response.get(attribute::ADDRESS_ERROR_CODE);
    let family = reason.and_then(|value| value.first().copied());
    match (&relayed[..], reason.and_then(error_code)) {
        ([a, b], None) if a.is_ipv4() && b.is_ipv6() => Ok((*a, *b)),
        ([a, b], None) if a.is_ipv6() && b.is_ipv4() => Ok((*b, *a)),
        ([_], Some(code @ (440 | 508))) if family == Some(2) => {
            not_applicable(format_args!("one address, ADDRESS-ERROR-CODE {code}"))
        }
        _ => fail("both addresses, or one and ADDRESS-ERROR-CODE", response),
    }
}

fn dual(cx: &Context<'_>) -> Outcome {
    use crate::case::Stop;
    match allocate_dual(&mut cx.client()?) {
        Err(Stop::NotApplicable(reason)) => {
            cx.note(reason);
            Ok(())
        }
        other => other.map(drop),
    }
}

fn half_of_a_dual_allocation(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    allocate_dual(&mut client)?;
    let ipv6 = |lifetime| refresh_request(lifetime).family(REQUESTED_ADDRESS_FAMILY, 2);
    client.succeed(&ipv6(0))?;
    client.refuse(&ipv6(600), 443)?;
    client.permit(cx.options.peer_ip)?;
    expect_success(&client.refresh(600)?)
}

fn both_halves(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    allocate_dual(&mut client)?;
    expect_lifetime(&client.refresh(0)?, 0..=0)?;
    client.refuse(&refresh_request(600), 437)?;
    client.allocate().map(drop)
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

fn dont_fragment(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    let response = client.call(&Builder::allocate().attribute(attribute::DONT_FRAGMENT, &[]))?;
    if response.class() == Class::Success {
        client.remember_allocation(true);
        return Ok(());
    }
    expect_error(&response, 420)?;
    cx.note("the server does not set DF");
    match response.get(attribute::UNKNOWN_ATTRIBUTES) {
        Some([0x00, 0x1A]) => Ok(()),
        other => fail("UNKNOWN-ATTRIBUTES with 001a", format_args!("{other:02x?}")),
    }
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

fn deletion(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.permit(peer.address.ip())?;
    expect_lifetime(&client.refresh(0)?, 0..=0)?;
    peer.send(relayed, b"too late")?;
    client.expect_silence()?;
    client.send_to(peer.address, b"too late")?;
    peer.expect_silence()?;
    client.refuse(&refresh_request(600), 437).map(drop)
}

fn requests_without_allocation(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    let peer = SocketAddr::new(cx.options.peer_ip, 9);
    for request in [
        refresh_request(600),
        permission_request(peer),
        bind_request(0x4000, peer),
    ] {
        client.refuse(&request, 437)?;
    }
    Ok(())
}

fn data_without_allocation(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    client.send_to(peer.address, b"nobody's")?;
    client.send_on(0x4000, b"nobody's")?;
    client.expect_silence()?;
    peer.expect_silence()
}

fn refresh_of_the_other_family(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let request = refresh_request(600).family(REQUESTED_ADDRESS_FAMILY, 2);
    client.refuse(&request, 443)?;
    expect_success(&client.refresh(600)?)
}
