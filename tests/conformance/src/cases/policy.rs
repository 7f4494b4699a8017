//! Group D: which peers nobody may reach through the relay, and how it reaches itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::case::{Case, Outcome, fail, not_applicable};
use crate::client::{Client, bind_request, expect_error_of, permission_request};
use crate::codec::{Builder, Class, method};
use crate::context::Context;

mod prefix;

use prefix::{PREFIXES, Prefix, is_public};

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let inside = ["ASVS 17.1.1", "a relay stands inside of what its clients are kept out of"];
    let mut cases: Vec<_> = PREFIXES.iter().map(|prefix| {
        let id = format!("D-01 {}/{}", prefix.address, prefix.length);
        let requirement = format!("{}: 403 for its first, a middle and its last address", prefix.what);
        Case::hardening(&id, inside, &requirement, move |cx| refused(cx, *prefix))
    }).collect();
    cases.extend([
        Case::rfc("D-50", ["RFC 8656 §21.4", "channel-binding requests: \"a TURN server MUST NOT accept Teredo or 6to4 addresses in these requests\""],
            "ChannelBind to a Teredo or a 6to4 address is refused", tunnels),
        Case::hardening("D-02 IPv4", ["no over-block", "a relay that refuses public addresses loses calls"],
            "IPv4 addresses just outside of the forbidden prefixes are permitted", |cx| neighbours(cx, true)),
        Case::hardening("D-02 IPv6", ["no over-block", "a relay that refuses public addresses loses calls"],
            "IPv6 addresses just outside of the forbidden prefixes are permitted", |cx| neighbours(cx, false)),
        Case::hardening("D-03", ["CVE-2026-27624", "::ffff:127.0.0.1 is 127.0.0.1 to the system's sockets"],
            "IPv4-mapped, -compatible, 6to4 and NAT64 forms of inner addresses: 403", embedded_ipv4),
        Case::hardening("D-04", ["CVE-2020-26262", "0.0.0.0 and :: reach the host itself"],
            "Unspecified addresses: 403", |cx| all_refused(cx, &["0.0.0.0", "0.1.2.3", "::"])),
        Case::hardening("D-05", ["RFC 8656 §21", "one packet in, many out"],
            "Broadcast and multicast: 403", |cx| all_refused(cx, &["255.255.255.255", "224.0.0.1", "239.255.255.255", "ff02::1"])),
        Case::hardening("D-06", ["CVE-2026-100251", "instance metadata hands out the keys of the house"],
            "Metadata services of clouds: 403", |cx| all_refused(cx, &["169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"])),
        Case::hardening("D-11", ["coturn#584", "two clients behind NATs may have no other way"],
            "Two allocations of this server reach each other", hairpin),
        Case::hardening("D-12", ["loops", "a port of the range that is nobody's"],
            "Send to a relayed port that is not allocated: no harm", unused_relayed_port),
        Case::hardening("D-13", ["restund CVE-2021-21382", "a server that talks to itself loops, or obeys"],
            "The server's own listener is out of a relay's reach", own_listener),
        Case::hardening("D-20", ["RFC 8656 §10.2", "peers have ports"],
            "ChannelBind to port 0 binds nothing that harms", port_zero),
    ]);
    cases
}

/// A client whose allocation is of the address's family.
fn client_for(cx: &Context<'_>, ip: IpAddr) -> Outcome<Client> {
    let mut client = cx.client()?;
    if ip.is_ipv4() {
        client.allocate()?;
    } else {
        client.allocate_ipv6()?;
    }
    Ok(client)
}

/// CreatePermission and ChannelBind for this address are refused.
fn expect_forbidden(client: &mut Client, ip: IpAddr) -> Outcome {
    let peer = SocketAddr::new(ip, 9);
    for request in [permission_request(peer), bind_request(0x4000, peer)] {
        let response = client.call(&request)?;
        if response.error() != Some(403) {
            return fail(format_args!("error 403 for {ip}"), response);
        }
    }
    Ok(())
}

fn refused(cx: &Context<'_>, prefix: Prefix) -> Outcome {
    let mut client = client_for(cx, prefix.address)?;
    let own = [Some(cx.options.peer_ip), cx.options.peer_ip6];
    let mut is_asked = false;
    for ip in prefix.probes() {
        // The suite's own peers have to be permitted.
        if !own.contains(&Some(ip)) {
            expect_forbidden(&mut client, ip)?;
            is_asked = true;
        }
    }
    if is_asked {
        return Ok(());
    }
    not_applicable("it is the suite's own peer")
}

fn tunnels(cx: &Context<'_>) -> Outcome {
    let mut client = client_for(cx, Ipv6Addr::UNSPECIFIED.into())?;
    for text in ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "2002:808:808::1"] {
        let ip = text.parse().map_err(anyhow::Error::from)?;
        let response = client.call(&bind_request(0x4000, SocketAddr::new(ip, 9)))?;
        if response.class() != Class::Error {
            return fail(format_args!("an error for {ip}"), response);
        }
    }
    Ok(())
}

fn all_refused(cx: &Context<'_>, addresses: &[&str]) -> Outcome {
    let mut ipv4 = client_for(cx, Ipv4Addr::UNSPECIFIED.into())?;
    let mut ipv6 = client_for(cx, Ipv6Addr::UNSPECIFIED.into()).ok();
    for text in addresses {
        let ip: IpAddr = text.parse().map_err(anyhow::Error::from)?;
        match (ip, &mut ipv6) {
            (IpAddr::V4(_), _) => expect_forbidden(&mut ipv4, ip)?,
            (IpAddr::V6(_), Some(client)) => expect_forbidden(client, ip)?,
            (IpAddr::V6(_), None) => cx.note(format!("{ip} not asked: no IPv6 relayed")),
        }
    }
    Ok(())
}

fn neighbours(cx: &Context<'_>, is_ipv4: bool) -> Outcome {
    let of_family = PREFIXES.iter().filter(|p| p.address.is_ipv4() == is_ipv4);
    let all: Vec<IpAddr> = of_family
        .flat_map(Prefix::neighbours)
        .filter(|ip| is_public(*ip))
        .collect();
    // Few for each allocation: permissions may be capped.
    for some in all.chunks(20) {
        let mut client = client_for(cx, some[0])?;
        for ip in some {
            let response = client.call(&permission_request(SocketAddr::new(*ip, 9)))?;
            if response.class() != Class::Success {
                return fail(format_args!("success for {ip}"), response);
            }
        }
    }
    cx.note(format!("{} addresses", all.len()));
    Ok(())
}

fn embedded_ipv4(cx: &Context<'_>) -> Outcome {
    let addresses = [
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "2002:7f00:1::1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
    ];
    // Of an IPv4 allocation they are of the wrong family, whatever is inside.
    let mut ipv4 = client_for(cx, Ipv4Addr::UNSPECIFIED.into())?;
    for text in addresses {
        let ip: IpAddr = text.parse().map_err(anyhow::Error::from)?;
        let response = ipv4.call(&permission_request(SocketAddr::new(ip, 9)))?;
        expect_error_of(&response, &[443, 403])?;
    }
    all_refused(cx, &addresses)
}

fn hairpin(cx: &Context<'_>) -> Outcome {
    let (mut one, mut two) = (cx.client()?, cx.client()?);
    let (first, second) = (one.allocate()?.relayed, two.allocate()?.relayed);
    one.permit(second.ip())?;
    two.bind(0x4001, first)?;
    one.send_to(second, b"there")?;
    match two.expect_channel_data(0x4001)? {
        data if data == b"there" => {}
        data => return fail("what was sent", String::from_utf8_lossy(&data)),
    }
    two.send_on(0x4001, b"back")?;
    match one.expect_data()? {
        (from, data) if from == second && data == b"back" => Ok(()),
        (from, _) => fail(
            format_args!("data of {second}"),
            format_args!("data of {from}"),
        ),
    }
}

fn unused_relayed_port(cx: &Context<'_>) -> Outcome {
    let (mut one, mut two) = (cx.client()?, cx.client()?);
    one.allocate()?;
    let unused = two.allocate()?.relayed;
    two.refresh(0)?;
    let response = one.call(&permission_request(unused))?;
    if response.class() == Class::Success {
        for _ in 0..20 {
            one.send_to(unused, b"nobody there")?;
        }
    } else {
        cx.note(format!("no permission: {response}"));
    }
    two.expect_silence()?;
    cx.alive()
}

fn own_listener(cx: &Context<'_>) -> Outcome {
    let (mut client, server) = (cx.client()?, cx.server()?);
    client.allocate()?;
    let bound = client.call(&bind_request(0x4001, server))?;
    let permitted = client.call(&permission_request(server))?;
    cx.note(format!(
        "ChannelBind: {bound}, CreatePermission: {permitted}"
    ));
    let binding = Builder::request(method::BINDING).bytes();
    client.send_to(server, &binding)?;
    client.send_on(0x4001, &binding)?;
    client.expect_silence()?;
    cx.alive()
}

fn port_zero(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    let nowhere = SocketAddr::new(peer.address.ip(), 0);
    let response = client.call(&bind_request(0x4001, nowhere))?;
    cx.note(response.to_string());
    for _ in 0..20 {
        client.send_on(0x4001, b"nowhere")?;
    }
    client.permit(peer.address.ip())?;
    client.send_to(peer.address, b"somewhere")?;
    peer.expect(relayed, b"somewhere")
}
