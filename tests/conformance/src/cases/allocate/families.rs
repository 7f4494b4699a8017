//! IPv4, IPv6 and both: the families of relayed addresses.

use std::net::SocketAddr;

use super::{bad, expect_lifetime};
use crate::case::{Case, Outcome, fail, not_applicable};
use crate::client::{Client, expect_success, refresh_request};
use crate::codec::{Builder, attribute, error_code};
use crate::context::Context;

use attribute::{ADDITIONAL_ADDRESS_FAMILY, REQUESTED_ADDRESS_FAMILY};

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    let families = ["RFC 8656 §7.2 (6)", "\"both REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY … 400\""];
    let family = ["RFC 8656 §7.2 (7)", "\"does not support the address family … MUST include … 440\""];
    let additional = ["RFC 8656 §7.2 (9)", "ADDITIONAL-ADDRESS-FAMILY 0x01: 400; \"two XOR-RELAYED-ADDRESS attributes\", or one and ADDRESS-ERROR-CODE 440 or 508"];
    vec![
        Case::rfc("A-08", family, "REQUESTED-ADDRESS-FAMILY 0x03: 440", unknown_family),
        Case::rfc("A-54", family, "REQUESTED-ADDRESS-FAMILY IPv4: a relayed IPv4 address", ipv4_on_request),
        Case::rfc("A-55", family, "REQUESTED-ADDRESS-FAMILY IPv6: a relayed IPv6 address, or 440", ipv6_on_request),
        Case::rfc("A-09.1", families, "REQUESTED- with ADDITIONAL-ADDRESS-FAMILY: 400", both_families),
        Case::rfc("A-09.2", additional, "ADDITIONAL-ADDRESS-FAMILY IPv4: 400", additional_ipv4),
        Case::rfc("A-10", additional, "ADDITIONAL-ADDRESS-FAMILY IPv6: two relayed addresses, or one and ADDRESS-ERROR-CODE", dual),
        Case::rfc("A-56", ["RFC 8656 §8.1", "REQUESTED-ADDRESS-FAMILY in a Refresh names the half of a dual allocation that it is about"],
            "Refresh deletes the IPv6 half of a dual allocation, and the IPv4 half stays", half_of_a_dual_allocation),
        Case::rfc("A-59", ["RFC 8656 §8.1", "without REQUESTED-ADDRESS-FAMILY a Refresh applies to both halves of a dual allocation"],
            "Refresh with LIFETIME 0 deletes both halves of a dual allocation", both_halves),
        Case::rfc("A-24", ["RFC 8656 §8.2", "REQUESTED-ADDRESS-FAMILY that does not match the allocation: \"443 (Peer Address Family Mismatch)\""],
            "Refresh for a family that the allocation has not: 443", refresh_of_the_other_family),
    ]
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

/// A dual allocation's addresses; not applicable where the server has only one family.
pub(in crate::cases) fn allocate_dual(client: &mut Client) -> Outcome<(SocketAddr, SocketAddr)> {
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

fn refresh_of_the_other_family(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let request = refresh_request(600).family(REQUESTED_ADDRESS_FAMILY, 2);
    client.refuse(&request, 443)?;
    expect_success(&client.refresh(600)?)
}
