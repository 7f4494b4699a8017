//! Group C: CreatePermission and ChannelBind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::case::{Case, Outcome, fail};
use crate::client::{bind_request, expect_error, expect_success, permission_request};
use crate::codec::{Builder, Class, attribute, method};
use crate::context::Context;

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let peer = ["RFC 8656 §10.2", "at least one XOR-PEER-ADDRESS; \"if any of these attributes are invalid, then a 400\""];
    let family = ["RFC 8656 §10.2, §12.2", "XOR-PEER-ADDRESS of a family other than the relayed address's: \"443 (Peer Address Family Mismatch)\""];
    let bind = ["RFC 8656 §12.2", "\"The request contains both a CHANNEL-NUMBER and an XOR-PEER-ADDRESS attribute\" … \"400\""];
    let range = ["RFC 8656 §12.2", "\"The channel number is in the range 0x4000 through 0x4FFF (inclusive)\" … \"400\""];
    let pairs = ["RFC 8656 §12.2", "\"not currently bound to a different transport address (same transport address is OK)\" … \"400\""];
    let address = ["RFC 8656 §9", "\"only addresses are compared and port numbers are not considered\""];
    vec![
        Case::rfc("C-01", peer, "CreatePermission without XOR-PEER-ADDRESS: 400", permission_without_peer),
        Case::rfc("C-50", ["RFC 8656 §10.2", "\"a permission for the IP address contained in each XOR-PEER-ADDRESS\""],
            "One CreatePermission permits several peers", several_peers),
        Case::hardening("C-02", ["RFC 8656 §10.2", "a request that is refused must not have half an effect"],
            "CreatePermission with a forbidden address among good ones permits none", all_or_none),
        Case::rfc("C-51", ["RFC 8656 §10.2", "\"The port portion of each attribute is ignored and may be any arbitrary value\""],
            "CreatePermission ignores the port, 0 too", any_port),
        Case::rfc("C-52", address, "A permission is for every port of its address", every_port_of_the_address),
        Case::rfc("C-53", ["RFC 8656 §9", "\"If no match is found, relaying is not permitted and the server silently discards the UDP datagram\""],
            "What an unpermitted peer sends does not reach the client", unpermitted_peer),
        Case::rfc("C-54", ["RFC 8656 §9", "\"The permissions for one allocation are totally unrelated to the permissions for a different allocation\""],
            "A permission of one allocation is none of another", permissions_are_apart),
        Case::rfc("C-03", family, "IPv6 peers of an IPv4 allocation: 443", ipv6_peer_of_ipv4),
        Case::rfc("C-04", family, "IPv4 peers of an IPv6 allocation: 443", ipv4_peer_of_ipv6),
        Case::rfc("C-55", bind, "ChannelBind without a number or without a peer: 400", half_a_binding),
        Case::rfc("C-05", range, "Channel numbers outside of 0x4000 to 0x4FFF: 400", numbers_out_of_range),
        Case::rfc("C-56", range, "Channel numbers 0x4000 and 0x4FFF are good", first_and_last_number),
        Case::rfc("C-06", pairs, "A bound number for another peer, a bound peer for another number: 400", rules_of_pairing),
        Case::rfc("C-07", ["RFC 8656 §12.2", "\"same transport address is OK\""], "The same number for the same peer again: success", same_pair_again),
        Case::rfc("C-57", ["RFC 8656 §12.1", "\"A ChannelBind transaction also creates or refreshes a permission towards the peer\""],
            "ChannelBind permits its peer's address", channel_permits),
        Case::rfc("C-58", ["RFC 8656 §12", "\"Channel bindings are specific to an allocation\""],
            "Two allocations use the same number for different peers", numbers_are_apart),
        Case::rfc("C-59", ["RFC 8656 §12.2", "\"RFFU … MUST be ignored on reception\" (§18.1)"],
            "The reserved bytes of CHANNEL-NUMBER are ignored", reserved_bytes),
        Case::hardening("C-70", ["coturn 5ca467e7", "permissions are memory that a guest can take"],
            "One allocation can't have 2,000 permissions", too_many_permissions),
        Case::hardening("C-71", ["RFC 8656 §12.2", "channels are memory that a guest can take"],
            "One allocation can't have 2,000 channels", too_many_channels),
    ]
}

/// A public address: nothing is ever sent there.
fn public(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::new(Ipv4Addr::new(8, 8, high, low).into(), 9)
}

fn permission_without_peer(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let request = Builder::request(method::CREATE_PERMISSION);
    client.refuse(&request, 400).map(drop)
}

fn several_peers(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    let request = permission_request(public(1)).peer(public(2));
    client.succeed(&request.peer(peer.address))?;
    peer.send(relayed, b"the last of three")?;
    client.expect_data().map(drop)
}

fn all_or_none(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    let nobody = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 9);
    let response = client.call(&permission_request(peer.address).peer(nobody))?;
    expect_error(&response, 403)?;
    peer.send(relayed, b"not permitted")?;
    client.expect_silence()
}

fn any_port(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.succeed(&permission_request(SocketAddr::new(peer.address.ip(), 0)))?;
    peer.send(relayed, b"permitted")?;
    client.expect_data().map(drop)
}

fn every_port_of_the_address(cx: &Context<'_>) -> Outcome {
    let (mut client, peers) = (cx.client()?, [cx.peer()?, cx.peer()?]);
    let relayed = client.allocate()?.relayed;
    client.succeed(&permission_request(peers[0].address))?;
    for peer in peers {
        peer.send(relayed, b"permitted")?;
        let (from, _) = client.expect_data()?;
        if from != peer.address {
            return fail(peer.address, from);
        }
        client.send_to(peer.address, b"back")?;
        peer.expect(relayed, b"back")?;
    }
    Ok(())
}

fn unpermitted_peer(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    peer.send(relayed, b"before any permission")?;
    client.permit(public(1).ip())?;
    for _ in 0..100 {
        peer.send(relayed, b"with another's permission")?;
    }
    client.expect_silence()?;
    client.permit(peer.address.ip())?;
    peer.send(relayed, b"permitted")?;
    match client.expect_data()? {
        (_, data) if data == b"permitted" => Ok(()),
        (_, data) => fail("what was permitted", String::from_utf8_lossy(&data)),
    }
}

fn permissions_are_apart(cx: &Context<'_>) -> Outcome {
    let (mut one, mut two, peer) = (cx.client()?, cx.client()?, cx.peer()?);
    one.allocate()?;
    let relayed = two.allocate()?.relayed;
    one.permit(peer.address.ip())?;
    peer.send(relayed, b"not permitted")?;
    two.send_to(peer.address, b"not permitted")?;
    two.expect_silence()?;
    peer.expect_silence()
}

fn ipv6_peer_of_ipv4(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let peer = SocketAddr::new(
        "2606:4700::1111"
            .parse()
            .unwrap_or(Ipv6Addr::LOCALHOST)
            .into(),
        9,
    );
    client.refuse(&permission_request(peer), 443)?;
    client.refuse(&bind_request(0x4000, peer), 443).map(drop)
}

fn ipv4_peer_of_ipv6(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate_ipv6()?;
    client.refuse(&permission_request(public(1)), 443)?;
    client
        .refuse(&bind_request(0x4000, public(1)), 443)
        .map(drop)
}

fn half_a_binding(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let request = || Builder::request(method::CHANNEL_BIND);
    let halves = [
        request(),
        request().channel(0x4000),
        request().peer(public(1)),
    ];
    for half in halves {
        client.refuse(&half, 400)?;
    }
    Ok(())
}

fn numbers_out_of_range(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    client.allocate()?;
    for number in [0x0000, 0x3FFF, 0x8000, 0xFFFF] {
        client.refuse(&bind_request(number, peer.address), 400)?;
    }
    for number in [0x5000, 0x7FFF] {
        // Each with a peer of its own: a number that is accepted stays bound. Whoever signs as in RFC
        // 5389 may be taken for a client of RFC 5766.
        let request = bind_request(number, public(number));
        let knows_rfc8489 = client.challenge()?.has_password_algorithms();
        let response = if knows_rfc8489 {
            let request = client.signed_sha256(request)?;
            client.ask(request)?
        } else {
            client.call(&request)?
        };
        let may_be_rfc5766 = cx.options.rfc5766_channel_numbers && !knows_rfc8489;
        if may_be_rfc5766 && response.class() == Class::Success {
            cx.note(format!("{number:#06x} is accepted, as RFC 5766 had it"));
        } else {
            expect_error(&response, 400)?;
        }
    }
    Ok(())
}

fn first_and_last_number(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    client.bind(0x4000, public(1))?;
    client.bind(0x4FFF, public(2))
}

fn rules_of_pairing(cx: &Context<'_>) -> Outcome {
    let (mut client, peers) = (cx.client()?, [cx.peer()?, cx.peer()?]);
    let relayed = client.allocate()?.relayed;
    client.bind(0x4001, peers[0].address)?;
    client.refuse(&bind_request(0x4001, peers[1].address), 400)?;
    client.refuse(&bind_request(0x4002, peers[0].address), 400)?;
    client.send_on(0x4001, b"still bound")?;
    peers[0].expect(relayed, b"still bound")?;
    client.send_on(0x4002, b"not bound")?;
    peers[0].expect_silence()?;
    client.bind(0x4002, peers[1].address)
}

fn same_pair_again(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    client.allocate()?;
    client.bind(0x4001, peer.address)?;
    client.bind(0x4001, peer.address)
}

fn channel_permits(cx: &Context<'_>) -> Outcome {
    let (mut client, bound, other) = (cx.client()?, cx.peer()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.bind(0x4001, bound.address)?;
    bound.send(relayed, b"on the channel")?;
    client.expect_channel_data(0x4001)?;
    other.send(relayed, b"the same address")?;
    client.expect_data().map(drop)
}

fn numbers_are_apart(cx: &Context<'_>) -> Outcome {
    let (mut clients, peers) = ([cx.client()?, cx.client()?], [cx.peer()?, cx.peer()?]);
    for (client, peer) in clients.iter_mut().zip(&peers) {
        let relayed = client.allocate()?.relayed;
        client.bind(0x4001, peer.address)?;
        client.send_on(0x4001, b"own peer")?;
        peer.expect(relayed, b"own peer")?;
    }
    peers.iter().try_for_each(crate::peer::Peer::expect_silence)
}

fn reserved_bytes(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    client.allocate()?;
    let request = Builder::request(method::CHANNEL_BIND)
        .number(attribute::CHANNEL_NUMBER, 0x4001_ABCD)
        .peer(peer.address);
    expect_success(&client.call(&request)?)
}

const TOO_MANY: u16 = 2000;

fn too_many_permissions(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    for first in (0..TOO_MANY).step_by(40) {
        let mut request = Builder::request(method::CREATE_PERMISSION);
        for number in first..first + 40 {
            request = request.peer(public(number));
        }
        let response = client.call(&request)?;
        if response.class() == Class::Error {
            cx.note(format!("refused after {first} permissions"));
            return expect_error(&response, 508);
        }
    }
    fail("508", format_args!("{TOO_MANY} permissions"))
}

fn too_many_channels(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    // All of one address: it is about channels, not about permissions.
    let ip: IpAddr = public(1).ip();
    for number in 0..TOO_MANY {
        let peer = SocketAddr::new(ip, 1024 + number);
        let response = client.call(&bind_request(0x4000 + number, peer))?;
        if response.class() == Class::Error {
            cx.note(format!("refused after {number} channels"));
            return expect_error(&response, 508);
        }
    }
    fail("508", format_args!("{TOO_MANY} channels"))
}
