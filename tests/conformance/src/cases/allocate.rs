//! Group A: Allocate and Refresh.

use std::net::SocketAddr;

use crate::case::{Case, Outcome, fail};
use crate::client::{
    bind_request, expect_error, expect_error_of, expect_success, permission_request,
    refresh_request,
};
use crate::codec::{Builder, Class, Message, attribute, method};
use crate::context::Context;

pub(super) mod families;
mod ports;

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let transport = ["RFC 8656 §7.2 (3)", "REQUESTED-TRANSPORT \"is not included or is malformed … 400 …; specifies a protocol that is not supported by the server … 442\""];
    let lifetime = ["RFC 8656 §7.2", "\"the minimum of the client's proposed lifetime and the server's maximum allowed lifetime. If this computed value is greater than the default lifetime … Otherwise, the server uses the default lifetime\""];
    let unassociated = ["RFC 8656 §5", "\"if the 5-tuple does not identify an existing allocation … 437 … (if it is a request) or be silently ignored\""];
    let taken = ["RFC 8656 §7.2 (2)", "\"if the 5-tuple is currently in use by an existing allocation … 437\""];
    let mut cases = vec![
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
        Case::rfc("A-12", ["RFC 8656 §7.2 (4)", "\"treats the DONT-FRAGMENT attribute … as an unknown comprehension-required attribute\" unless it can set DF"],
            "DONT-FRAGMENT: success, or 420 that names it", dont_fragment),
        Case::rfc("A-22", ["RFC 8656 §8.2", "\"If the \"desired lifetime\" is zero, then the request succeeds and the allocation is deleted\""],
            "Refresh with LIFETIME 0: success, then silence, then 437", deletion).over_every(),
        Case::rfc("A-23.1", unassociated, "Refresh, CreatePermission and ChannelBind without an allocation: 437", requests_without_allocation),
        Case::rfc("A-23.2", unassociated, "Send and ChannelData without an allocation: silence", data_without_allocation),
    ];
    cases.extend(families::cases());
    cases.extend(ports::cases());
    cases
}

/// The signed request must be a bad one.
fn bad(cx: &Context<'_>, request: Builder) -> Outcome {
    cx.client()?.refuse(&request, 400).map(drop)
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
