//! TCP and TLS: framing, deadlines, and the end of connections.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::case::{Case, Outcome, fail, not_applicable};
use crate::client::{SILENCE, expect_success, refresh_request};
use crate::codec::{Builder, Class, attribute, channel_data, method};
use crate::context::Context;
use crate::link::{Frame, Link};
use crate::tls::{Agreed, Offer};

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let framing = ["RFC 8489 §6.2.2", "a stream has no message boundaries but the length fields"];
    let padding = ["RFC 8656 §12.5", "\"Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple of four bytes\""];
    let deadline = ["slow-loris", "a connection costs the server more than the client"];
    let versions = ["RFC 8446, RFC 9325", "implementations \"MUST support TLS 1.2\" and \"SHOULD support TLS 1.3\""];
    vec![
        Case::rfc("P-24.1", framing, "A request that arrives byte by byte is answered", byte_by_byte).over_streams(),
        Case::rfc("P-24.2", framing, "50 requests in one segment get 50 answers in order", many_at_once).over_streams(),
        Case::rfc("P-26", padding, "A request inside of ChannelData is payload, not a request", request_as_payload).over_streams(),
        Case::rfc("P-28.1", padding, "ChannelData from the client: padding is skipped and not relayed", padding_from_the_client).over_streams(),
        Case::rfc("P-28.2", padding, "ChannelData from the server is padded", |cx| from_the_server(cx, false)).over_streams(),
        Case::hardening("P-31.2", ["coturn 2352228d", "uninitialised padding is other clients' memory"],
            "ChannelData from the server is padded with zeros", |cx| from_the_server(cx, true)).over_streams(),
        Case::hardening("P-18", ["DoS", "attributes cost the sender four bytes and must not cost more than linear time"],
            "A message of 16,000 attributes does not stop the server", many_attributes).over_streams(),
        Case::hardening("P-27", ["port scanners", "what is not STUN gets no byte and no time"],
            "HTTP and SSH on the port: closed within a second, without a byte", other_protocols).over_streams(),
        Case::hardening("P-56", framing, "Noise behind a good request ends that connection alone", noise_after_a_request).over_streams(),
        Case::hardening("F-09.1", deadline, "A connection that says nothing is closed within 15 s", nothing_said).over_streams().slow(),
        Case::hardening("F-09.2", deadline, "A connection that never ends its first message is closed within 15 s", half_a_message).over_streams().slow(),
        Case::hardening("F-09.3", deadline, "100 silent connections do not keep others out", silent_crowd).over_streams(),
        Case::hardening("C-16", ["slow reader", "what a client does not read must neither fill memory nor break the framing of what it reads later"],
            "A client that stops reading for a while gets whole messages and its answer", slow_reader).over_streams(),
        Case::hardening("A-15", ["CVE-2026-73216", "what ended with the connection must not count against its user"],
            "30 times allocate and reset the connection: always admitted", allocate_and_reset).over_streams().slow(),
        Case::rfc("A-58", ["RFC 8656 §6", "the 5-tuple has the transport protocol in it: another connection is another 5-tuple"],
            "Two connections have two allocations", two_connections).over_streams(),
        Case::hardening("T-01", ["RFC 8489 §6.3", "a TLS record in clear, or clear text in TLS, must not wedge the listener"],
            "Clear text on the TLS port: no STUN answer, and the server lives", clear_text).over_tls(),
        Case::rfc("T-02", versions, "TLS 1.2", |cx| version(cx, &Offer { versions: &[&TLS12], protocols: &[] }, ProtocolVersion::TLSv1_2)).over_tls(),
        Case::hardening("T-03", versions, "TLS 1.3", |cx| version(cx, &Offer { versions: &[&TLS13], protocols: &[] }, ProtocolVersion::TLSv1_3)).over_tls(),
        Case::rfc("T-04", ["RFC 7443", "the application protocol \"stun.turn\""],
            "ALPN stun.turn is chosen", application_protocol).over_tls(),
        Case::hardening("F-11", ["CVE-2024-32650", "a handshake that stops half-way must not stop others"],
            "50 handshakes that stop half-way do not keep others out", half_handshakes).over_tls(),
    ]
}

fn byte_by_byte(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    let request = client.signed(Builder::allocate())?;
    let transaction = request.transaction();
    let bytes = request.bytes();
    let (last, first) = bytes.split_last().unwrap_or((&0, &[]));
    for byte in first {
        client.link.send(&[*byte])?;
    }
    client.remember_allocation(true);
    expect_success(&client.exchange(&[*last], transaction)?)
}

fn many_at_once(cx: &Context<'_>) -> Outcome {
    let mut client = cx.stranger()?;
    let requests: Vec<_> = (0..50).map(|_| Builder::request(method::BINDING)).collect();
    let transactions: Vec<_> = requests.iter().map(Builder::transaction).collect();
    let bytes: Vec<u8> = requests.into_iter().flat_map(Builder::bytes).collect();
    client.link.send(&bytes)?;
    for transaction in transactions {
        match client.expect("50 answers")? {
            Frame::Stun(message) if message.transaction() == transaction => {
                expect_success(&message)?
            }
            other => return fail("the answer to the next request", other),
        }
    }
    Ok(())
}

fn request_as_payload(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.bind(0x4001, peer.address)?;
    let inside = Builder::request(method::BINDING).bytes();
    client.link.send(&channel_data(0x4001, &inside))?;
    peer.expect(relayed, &inside)?;
    // On a number that is bound to nobody it is payload all the same.
    client.link.send(&channel_data(0x4002, &inside))?;
    client.expect_silence()?;
    expect_success(&client.ask(Builder::request(method::BINDING))?)
}

fn padding_from_the_client(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.bind(0x4001, peer.address)?;
    for data in [&b"1"[..], b"22", b"333", b"4444"] {
        let mut bytes = channel_data(0x4001, data);
        bytes.resize(bytes.len().next_multiple_of(4), 0xEE);
        bytes.extend(Builder::request(method::BINDING).bytes());
        client.link.send(&bytes)?;
        peer.expect(relayed, data)?;
        match client.expect("the answer to the request behind")? {
            Frame::Stun(message) => expect_success(&message)?,
            other => return fail("the answer to the request behind", other),
        }
    }
    Ok(())
}

fn from_the_server(cx: &Context<'_>, with_zeros: bool) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.bind(0x4001, peer.address)?;
    for size in [1, 2, 3, 4, 5, 1001, 1002, 1003] {
        peer.send(relayed, &vec![0xEE; size])?;
        match client.expect("ChannelData")? {
            Frame::ChannelData {
                payload, padding, ..
            } if payload.len() == size => {
                if with_zeros && padding.iter().any(|byte| *byte != 0) {
                    return fail("zeros", format_args!("{padding:02x?}"));
                }
            }
            other => return fail(format_args!("{size} bytes"), other),
        }
    }
    // Had padding been missing, this would no longer be in step.
    expect_success(&client.ask(Builder::request(method::BINDING))?)
}

fn many_attributes(cx: &Context<'_>) -> Outcome {
    let mut request = Builder::request(method::BINDING);
    for _ in 0..16_000 {
        request = request.attribute(attribute::UNKNOWN_OPTIONAL, &[]);
    }
    let mut client = cx.stranger()?;
    let start = Instant::now();
    client.link.send(&request.bytes())?;
    match client.receive(Duration::from_secs(4))? {
        Some(frame @ (Frame::Stun(_) | Frame::Closed)) => {
            cx.note(format!("{frame} after {} ms", start.elapsed().as_millis()));
        }
        Some(other) => return fail("an answer or the end", other),
        None => return fail("an answer or the end", "nothing"),
    }
    cx.alive()
}

/// The connection ends within this time, without a byte to read.
fn expect_end(link: &mut Link, limit: Duration) -> Outcome {
    match link.receive(limit)? {
        Some(Frame::Closed) => Ok(()),
        Some(frame) => fail("the end of the connection", frame),
        None => fail(
            "the end of the connection",
            format_args!("nothing for {} s", limit.as_secs()),
        ),
    }
}

fn other_protocols(cx: &Context<'_>) -> Outcome {
    for greeting in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
    ] {
        let mut link = cx.link()?;
        link.send(greeting.as_bytes())?;
        expect_end(&mut link, Duration::from_secs(2))?;
    }
    cx.alive()
}

fn noise_after_a_request(cx: &Context<'_>) -> Outcome {
    let mut other = cx.client()?;
    other.allocate()?;
    let mut client = cx.stranger()?;
    expect_success(&client.ask(Builder::request(method::BINDING))?)?;
    client.link.send(&[0xFF; 100])?;
    expect_end(&mut client.link, Duration::from_secs(2))?;
    expect_success(&other.refresh(600)?)
}

const DEADLINE: Duration = Duration::from_secs(15);

fn nothing_said(cx: &Context<'_>) -> Outcome {
    expect_end(&mut cx.link()?, DEADLINE)
}

fn half_a_message(cx: &Context<'_>) -> Outcome {
    let mut link = cx.link()?;
    link.send(&Builder::request(method::BINDING).bytes()[..10])?;
    expect_end(&mut link, DEADLINE)
}

fn silent_crowd(cx: &Context<'_>) -> Outcome {
    cx.needs_sources()?;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(cx.link()?);
    }
    cx.alive()
}

fn slow_reader(cx: &Context<'_>) -> Outcome {
    const SIZE: usize = 1200;
    const ROUNDS: u16 = 20_000;
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.bind(0x4001, peer.address)?;
    for round in 0..ROUNDS {
        // As fast as the server takes them from its socket; more than all buffers on the way hold.
        if round % 50 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let mut data = [0; SIZE];
        data[..2].copy_from_slice(&round.to_be_bytes());
        data[SIZE - 2..].copy_from_slice(&round.to_be_bytes());
        peer.send(relayed, &data)?;
    }
    let request = client.signed(refresh_request(600))?;
    let transaction = request.transaction();
    client.link.send(&request.bytes())?;
    let mut count = 0;
    loop {
        match client.expect("messages, and the answer to Refresh")? {
            Frame::ChannelData { payload, .. }
                if payload.len() == SIZE && payload[..2] == payload[SIZE - 2..] =>
            {
                count += 1;
            }
            Frame::Stun(message) if message.transaction() == transaction => {
                cx.note(format!("{count} of {ROUNDS} messages before the answer"));
                return expect_success(&message);
            }
            other => return fail("whole messages of 1200 bytes", other),
        }
    }
}

fn allocate_and_reset(cx: &Context<'_>) -> Outcome {
    for round in 0..30 {
        let mut client = cx.client()?;
        let start = Instant::now();
        // The server may need a moment to learn of the end.
        loop {
            let response = client.call(&Builder::allocate())?;
            match response.error() {
                None => break,
                Some(486 | 508) if start.elapsed() < Duration::from_secs(2) => {
                    client.receive(SILENCE)?;
                }
                Some(_) => return fail(format_args!("success in round {round}"), response),
            }
        }
        client.reset()?;
    }
    Ok(())
}

fn two_connections(cx: &Context<'_>) -> Outcome {
    let source = cx.source();
    let (mut one, mut two) = (cx.client_from(source)?, cx.client_from(source)?);
    let (first, second) = (one.allocate()?.relayed, two.allocate()?.relayed);
    if first == second {
        return fail("two relayed addresses", first);
    }
    one.refresh(0)?;
    expect_success(&two.refresh(600)?)
}

fn clear_text(cx: &Context<'_>) -> Outcome {
    let mut link = Link::tcp(SocketAddr::new(cx.source(), 0), cx.server()?)?;
    link.send(&Builder::request(method::BINDING).bytes())?;
    match link.receive(Duration::from_secs(1))? {
        // A server may tell clear text and TLS apart on one port.
        Some(Frame::Stun(message)) if message.class() == Class::Success => {
            cx.note("clear text is served on the same port");
        }
        Some(Frame::Stun(message)) => return fail("an alert or the end", message),
        Some(Frame::Other(..) | Frame::ChannelData { .. } | Frame::Closed) | None => {}
    }
    cx.alive()
}

fn handshake(cx: &Context<'_>, offer: &Offer<'_>) -> Outcome<(Link, Agreed)> {
    Ok(Link::tls(
        SocketAddr::new(cx.source(), 0),
        cx.server()?,
        offer,
    )?)
}

fn version(cx: &Context<'_>, offer: &Offer<'_>, version: ProtocolVersion) -> Outcome {
    let (link, agreed) = handshake(cx, offer)?;
    if agreed.version != Some(version) {
        return fail(
            format_args!("{version:?}"),
            format_args!("{:?}", agreed.version),
        );
    }
    let mut client = cx.stranger()?;
    client.link = link;
    expect_success(&client.ask(Builder::request(method::BINDING))?)
}

fn application_protocol(cx: &Context<'_>) -> Outcome {
    let offer = Offer {
        protocols: &[b"stun.turn"],
        ..Offer::ANY
    };
    let (_, agreed) = handshake(cx, &offer)?;
    match agreed.protocol.as_deref() {
        Some(b"stun.turn") => Ok(()),
        None => not_applicable("the server chooses no application protocol"),
        Some(other) => fail("stun.turn", String::from_utf8_lossy(other)),
    }
}

fn half_handshakes(cx: &Context<'_>) -> Outcome {
    cx.needs_sources()?;
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut link = Link::tcp(SocketAddr::new(cx.source(), 0), cx.server()?)?;
        // A handshake record of 512 bytes of which only the beginning comes.
        link.send(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC])?;
        waiting.push(link);
    }
    cx.alive()
}
