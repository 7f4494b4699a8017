//! ICMP errors of peers, as Data indications.

use std::net::{SocketAddr, UdpSocket};

use super::CHANNEL;
use crate::case::{Case, Outcome, fail, not_applicable};
use crate::codec::{Class, Message, attribute, method};
use crate::context::Context;
use crate::link::Frame;

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::rfc("C-17", ["RFC 8656 §11.5", "\"If relaying is permitted, then the server forms and sends a Data indication\" with XOR-PEER-ADDRESS and ICMP"],
            "A closed port of a peer: a Data indication with ICMP 3, 3", icmp),
        Case::rfc("C-66", ["RFC 8656 §11.5", "\"If no match is found … the server silently discards the ICMP packet\""],
            "An ICMP error comes once for each datagram at most, and no DATA with it", icmp_is_bounded),
        Case::rfc("C-69", ["RFC 8656 §11.5", "types 1, 2 and 3 of ICMPv6; \"the server forms and sends a Data indication\""],
            "A closed port of an IPv6 peer: a Data indication with ICMPv6 1, 4", icmpv6),
    ]
}

/// An address of the peers' host where nobody listens.
fn closed_port(cx: &Context<'_>) -> Outcome<SocketAddr> {
    Ok(UdpSocket::bind((cx.options.peer_ip, 0))?.local_addr()?)
}

/// Type and code of a Data indication with the ICMP attribute: seven and nine bits, as RFC 8656 §18.13 draws them.
fn as_icmp(message: &Message, peer: SocketAddr) -> Outcome<[u16; 2]> {
    let is_data = message.is(method::DATA, Class::Indication);
    let of_peer = message.addresses(attribute::XOR_PEER_ADDRESS) == [peer];
    match message.get(attribute::ICMP) {
        Some(&[0, 0, high, low, 0, 0, 0, 0])
            if is_data && of_peer && !message.has(attribute::DATA) =>
        {
            let bits = u16::from_be_bytes([high, low]);
            Ok([bits >> 9, bits & 0x1FF])
        }
        other => fail(
            format_args!("a Data indication of {peer} with ICMP and without DATA"),
            format_args!("{message}, ICMP {other:02x?}"),
        ),
    }
}

fn icmp(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let closed = closed_port(cx)?;
    client.permit(closed.ip())?;
    client.send_to(closed, b"anybody?")?;
    match client.expect("a Data indication with ICMP")? {
        Frame::Stun(message) => match as_icmp(&message, closed)? {
            [3, 3] => Ok(()),
            other => fail("ICMP type 3, code 3", format_args!("{other:?}")),
        },
        other => fail("a Data indication with ICMP", other),
    }
}

fn icmpv6(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    let closed = cx.peer_ipv6()?.address;
    client.allocate_ipv6()?;
    client.permit(closed.ip())?;
    client.send_to(closed, b"anybody?")?;
    match client.expect("a Data indication with ICMP")? {
        Frame::Stun(message) => match as_icmp(&message, closed)? {
            [1, 4] => Ok(()),
            other => fail("ICMPv6 type 1, code 4", format_args!("{other:?}")),
        },
        other => fail("a Data indication with ICMP", other),
    }
}

fn icmp_is_bounded(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let closed = closed_port(cx)?;
    client.bind(CHANNEL, closed)?;
    for _ in 0..20 {
        client.send_on(CHANNEL, b"anybody?")?;
    }
    let mut count = 0;
    while let Some(frame) = client.receive(crate::client::SILENCE)? {
        let Frame::Stun(message) = frame else {
            return fail("a Data indication with ICMP", frame);
        };
        as_icmp(&message, closed)?;
        count += 1;
    }
    match count {
        0 => not_applicable("ICMP is not relayed"),
        1..=20 => Ok(()),
        _ => fail("20 at most", count),
    }
}
