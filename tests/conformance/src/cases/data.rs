//! Group C, second half: what is relayed, and what is not.

use std::net::{Ipv4Addr, SocketAddr};

use super::allocate::families::allocate_dual;
use crate::case::{Case, Outcome, fail};
use crate::client::{Client, expect_success, permission_request, refresh_request};
use crate::codec::{Builder, Class, attribute, channel_data, method};
use crate::context::Context;
use crate::peer::Peer;

mod icmp;

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let send = ["RFC 8656 §11.2", "\"the data following the UDP header is the contents of the value field of the DATA attribute\"; from the relayed address"];
    let channel = ["RFC 8656 §12.6", "\"the data following the UDP header is the contents of the data field of the ChannelData message\""];
    let invalid = ["RFC 8656 §11.2", "the Send indication MUST contain both an XOR-PEER-ADDRESS and a DATA attribute, else it is discarded"];
    let opaque = ["RFC 8656 §11.3", "what a peer sends is data, whatever it looks like"];
    let mut cases = vec![
        Case::rfc("C-60", send, "Send and Data indications, both ways", indications).over_every(),
        Case::rfc("C-61", channel, "ChannelData, both ways", channels).over_every(),
        Case::rfc("C-62", ["RFC 8656 §12.5", "\"MUST use the ChannelData message if a channel has been bound to the peer\"; the client \"may freely intermix the two message types\""],
            "Send towards a bound peer works, its answer comes as ChannelData", send_beside_a_channel),
        Case::rfc("C-63", ["RFC 8656 §12.6", "\"0 is a valid length\"; \"the UDP datagram is still formed and sent\""],
            "Empty data is relayed, both ways and both forms", empty_data),
        Case::hardening("C-64", ["RFC 8656 §3", "media is of any size"], "Data of 1 to 60,000 bytes is relayed as it is", sizes),
        Case::hardening("C-65", ["WebRTC", "reordering costs calls"], "200 messages each way keep their order", order).over_every(),
        Case::rfc("C-08", ["RFC 8656 §12.6", "\"received on a channel that is not bound to any peer, then the message is silently discarded\""],
            "ChannelData on an unbound number: silence", unbound_channel),
        Case::rfc("P-29", ["RFC 8656 §12.6", "\"too short to contain the claimed length … silently discarded\"; the length field says what is relayed"],
            "ChannelData longer than its datagram is dropped, a padded one relayed without padding", channel_data_lengths),
        Case::rfc("P-55", ["RFC 8656 §12.6", "\"a value in the reserved range (0x5000 through 0xFFFF) … silently discarded\""],
            "ChannelData numbers of the reserved range: silence", reserved_numbers),
        Case::rfc("C-09.1", ["RFC 8656 §11.2", "\"checks that there is a permission installed … If no such permission exists, the message is discarded\""],
            "Send without a permission is not relayed", send_without_permission),
        Case::rfc("C-09.2", invalid, "Send without DATA or without a peer: silence", half_a_send),
        Case::hardening("C-10", ["coturn#2016", "what is checked must be what is used"],
            "Of two XOR-PEER-ADDRESSes in a Send the first counts", two_peers),
        Case::rfc("C-14", opaque, "STUN and ChannelData from a peer are relayed, not obeyed", looks_like_turn),
        Case::rfc("C-15", opaque, "The largest datagram of a peer does no harm", largest_datagram),
        Case::hardening("C-18", ["firezone 2ae728bcfc", "port 0 makes socket calls fail"],
            "Send to port 0 of a permitted peer does no harm", port_zero),
        Case::rfc("C-67", ["RFC 8656 §11.2", "DONT-FRAGMENT: DF is set, or the attribute counts as an unknown one and the indication is discarded"],
            "Send with DONT-FRAGMENT is relayed where Allocate took it, else dropped", dont_fragment),
        Case::rfc("C-72", ["RFC 8656 §9", "a dual allocation has \"a list of permissions for each relayed transport address\" (§6)"],
            "A dual allocation relays over both families", dual),
        Case::rfc("C-68", ["RFC 8656 §5", "TURN supports IPv6-to-IPv6 and IPv4-to-IPv6 relaying"],
            "An IPv6 allocation relays, both ways and both forms", ipv6),
    ];
    cases.extend(icmp::cases());
    cases
}

/// A client with a permitted peer, and the relayed address.
fn pair(cx: &Context<'_>) -> Outcome<(Client, Peer, SocketAddr)> {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.permit(peer.address.ip())?;
    Ok((client, peer, relayed))
}

/// A client with a channel to a peer, and the relayed address.
fn channel_pair(cx: &Context<'_>) -> Outcome<(Client, Peer, SocketAddr)> {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.bind(CHANNEL, peer.address)?;
    Ok((client, peer, relayed))
}

const CHANNEL: u16 = 0x4001;

fn expect_data_of(client: &mut Client, peer: &Peer, data: &[u8]) -> Outcome {
    match client.expect_data()? {
        (from, got) if from == peer.address && got == data => Ok(()),
        (from, got) => fail(
            format_args!("{} bytes of {}", data.len(), peer.address),
            format_args!("{} bytes of {from}", got.len()),
        ),
    }
}

fn expect_on_channel(client: &mut Client, data: &[u8]) -> Outcome {
    let got = client.expect_channel_data(CHANNEL)?;
    if got == data {
        return Ok(());
    }
    fail(
        format_args!("the {} bytes sent", data.len()),
        format_args!("{} bytes", got.len()),
    )
}

fn indications(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = pair(cx)?;
    for data in [&b"1"[..], b"22", b"333", b"4444"] {
        client.send_to(peer.address, data)?;
        peer.expect(relayed, data)?;
        peer.send(relayed, data)?;
        expect_data_of(&mut client, &peer, data)?;
    }
    Ok(())
}

fn channels(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = channel_pair(cx)?;
    for data in [&b"1"[..], b"22", b"333", b"4444"] {
        client.send_on(CHANNEL, data)?;
        peer.expect(relayed, data)?;
        peer.send(relayed, data)?;
        expect_on_channel(&mut client, data)?;
    }
    Ok(())
}

fn send_beside_a_channel(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = channel_pair(cx)?;
    client.send_to(peer.address, b"indication")?;
    peer.expect(relayed, b"indication")?;
    peer.send(relayed, b"answer")?;
    expect_on_channel(&mut client, b"answer")
}

fn empty_data(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = pair(cx)?;
    client.send_to(peer.address, b"")?;
    peer.expect(relayed, b"")?;
    peer.send(relayed, b"")?;
    expect_data_of(&mut client, &peer, b"")?;
    client.bind(CHANNEL, peer.address)?;
    client.send_on(CHANNEL, b"")?;
    peer.expect(relayed, b"")?;
    peer.send(relayed, b"")?;
    expect_on_channel(&mut client, b"")
}

fn sizes(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = pair(cx)?;
    let mut channel = channel_pair(cx)?;
    for size in [1, 100, 1200, 1472, 1500, 9000, 60_000] {
        let data: Vec<u8> = (0..size).map(|at: usize| (at % 251) as u8).collect();
        client.send_to(peer.address, &data)?;
        peer.expect(relayed, &data)?;
        peer.send(relayed, &data)?;
        expect_data_of(&mut client, &peer, &data)?;
        let (client, peer, relayed) = &mut channel;
        client.send_on(CHANNEL, &data)?;
        peer.expect(*relayed, &data)?;
        peer.send(*relayed, &data)?;
        expect_on_channel(client, &data)?;
    }
    Ok(())
}

fn order(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = channel_pair(cx)?;
    let numbers: Vec<[u8; 2]> = (0..200_u16).map(u16::to_be_bytes).collect();
    // In handfuls: it is about order, not about the size of socket buffers.
    for some in numbers.chunks(20) {
        some.iter()
            .try_for_each(|data| client.send_on(CHANNEL, data))?;
        some.iter()
            .try_for_each(|data| peer.expect(relayed, data))?;
        some.iter().try_for_each(|data| peer.send(relayed, data))?;
        some.iter()
            .try_for_each(|data| expect_on_channel(&mut client, data))?;
    }
    Ok(())
}

fn unbound_channel(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, _) = channel_pair(cx)?;
    client.send_on(CHANNEL + 1, b"nobody's")?;
    client.expect_silence()?;
    peer.expect_silence()
}

fn channel_data_lengths(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = channel_pair(cx)?;
    let mut too_long = channel_data(CHANNEL, b"payload");
    too_long[3] += 1;
    client.link.send(&too_long)?;
    client.link.send(&too_long[..3])?;
    peer.expect_silence()?;
    client.expect_silence()?;
    let mut padded = channel_data(CHANNEL, b"payload");
    padded.push(0xAA);
    client.link.send(&padded)?;
    peer.expect(relayed, b"payload")
}

fn reserved_numbers(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, _) = channel_pair(cx)?;
    for number in [0x5001, 0x7001, 0x8001, 0xC001, 0xFFFF] {
        client.link.send(&channel_data(number, b"reserved"))?;
    }
    client.expect_silence()?;
    peer.expect_silence()
}

fn send_without_permission(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    client.allocate()?;
    client.send_to(peer.address, b"not permitted")?;
    peer.expect_silence()?;
    client.expect_silence()
}

fn half_a_send(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = pair(cx)?;
    let send = || Builder::indication(method::SEND);
    for half in [
        send(),
        send().peer(peer.address),
        send().attribute(attribute::DATA, b"whose?"),
    ] {
        client.link.send(&half.bytes())?;
    }
    client.expect_silence()?;
    peer.expect_silence()?;
    client.send_to(peer.address, b"whole")?;
    peer.expect(relayed, b"whole")
}

fn two_peers(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = pair(cx)?;
    let denied = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), peer.address.port());
    let send = |first, second| {
        let indication = Builder::indication(method::SEND).peer(first).peer(second);
        indication.attribute(attribute::DATA, b"to whom?").bytes()
    };
    client.link.send(&send(denied, peer.address))?;
    peer.expect_silence()?;
    client.link.send(&send(peer.address, denied))?;
    peer.expect(relayed, b"to whom?")
}

fn looks_like_turn(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = pair(cx)?;
    let deletion = client.signed(refresh_request(0))?.bytes();
    let binding = Builder::request(method::BINDING).bytes();
    for data in [deletion, binding, channel_data(CHANNEL, b"inside")] {
        peer.send(relayed, &data)?;
        expect_data_of(&mut client, &peer, &data)?;
    }
    peer.expect_silence()?;
    expect_success(&client.refresh(600)?)
}

fn largest_datagram(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = pair(cx)?;
    // With a Data indication around it, it fits into no datagram.
    peer.send(relayed, &vec![7; 65_507])?;
    if let Some(frame) = client.receive(crate::client::SILENCE)? {
        cx.note(format!("delivered as {frame}"));
    }
    peer.send(relayed, b"small")?;
    expect_data_of(&mut client, &peer, b"small")
}

fn port_zero(cx: &Context<'_>) -> Outcome {
    let (mut client, peer, relayed) = pair(cx)?;
    for _ in 0..20 {
        client.send_to(SocketAddr::new(peer.address.ip(), 0), b"nowhere")?;
    }
    client.send_to(peer.address, b"somewhere")?;
    peer.expect(relayed, b"somewhere")
}

fn dont_fragment(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let with_it = Builder::allocate().attribute(attribute::DONT_FRAGMENT, &[]);
    let response = client.call(&with_it)?;
    let is_supported = response.class() == Class::Success;
    let relayed = if is_supported {
        client.remember_allocation(true);
        match response.addresses(attribute::XOR_RELAYED_ADDRESS)[..] {
            [relayed] => relayed,
            _ => return fail("one relayed address", response),
        }
    } else {
        client.allocate()?.relayed
    };
    client.permit(peer.address.ip())?;
    let indication = Builder::indication(method::SEND)
        .peer(peer.address)
        .attribute(attribute::DATA, b"in one piece")
        .attribute(attribute::DONT_FRAGMENT, &[]);
    client.link.send(&indication.bytes())?;
    if is_supported {
        peer.expect(relayed, b"in one piece")
    } else {
        cx.note("the server does not set DF");
        peer.expect_silence()
    }
}

fn ipv6(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer_ipv6()?);
    let relayed = client.allocate_ipv6()?.relayed;
    client.permit(peer.address.ip())?;
    client.send_to(peer.address, b"indication")?;
    peer.expect(relayed, b"indication")?;
    peer.send(relayed, b"indication")?;
    expect_data_of(&mut client, &peer, b"indication")?;
    client.bind(CHANNEL, peer.address)?;
    client.send_on(CHANNEL, b"channel")?;
    peer.expect(relayed, b"channel")?;
    peer.send(relayed, b"channel")?;
    expect_on_channel(&mut client, b"channel")
}

fn dual(cx: &Context<'_>) -> Outcome {
    let (mut client, peers) = (cx.client()?, [cx.peer()?, cx.peer_ipv6()?]);
    let (ipv4, ipv6) = allocate_dual(&mut client)?;
    let request = permission_request(peers[0].address).peer(peers[1].address);
    client.succeed(&request)?;
    for (peer, relayed) in peers.iter().zip([ipv4, ipv6]) {
        client.send_to(peer.address, b"indication")?;
        peer.expect(relayed, b"indication")?;
        peer.send(relayed, b"indication")?;
        expect_data_of(&mut client, peer, b"indication")?;
    }
    for (number, (peer, relayed)) in (CHANNEL..).zip(peers.iter().zip([ipv4, ipv6])) {
        client.bind(number, peer.address)?;
        client.send_on(number, b"channel")?;
        peer.expect(relayed, b"channel")?;
        peer.send(relayed, b"channel")?;
        client.expect_channel_data(number)?;
    }
    Ok(())
}
