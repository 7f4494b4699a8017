//! Group P: what is STUN, and what is dropped.

use std::net::SocketAddr;

use crate::case::{Case, Outcome, fail};
use crate::client::{
    SILENCE, expect_error, expect_error_of, expect_success, permission_request, refresh_request,
};
use crate::codec::{Builder, Class, Integrity, Message, attribute, method};
use crate::context::Context;
use crate::link::Frame;

mod dropped;

const WALK: [&str; 2] = [
    "RFC 8489 §14",
    "what lies behind the message's end is somebody else's memory",
];

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::rfc("P-50", ["RFC 8489 §6.3.1.1", "the response to a Binding request carries XOR-MAPPED-ADDRESS: the source address and port"],
            "Binding tells the client its own address", binding).over_every(),
        Case::hardening("P-07", WALK, "An attribute length of 0xFFFF never makes a success", attribute_beyond_the_message),
        Case::hardening("P-08", WALK, "A last attribute that ends behind the message never makes a success", last_attribute_cut),
        Case::rfc("P-09", ["RFC 8656 §10.2", "if any of the XOR-PEER-ADDRESS attributes are invalid, a 400 error is returned"],
            "XOR-PEER-ADDRESS of a wrong length or an unknown family: 400", malformed_peer_addresses),
        Case::rfc("P-11", ["RFC 8489 §6.3.1", "\"420 (Unknown Attribute) and includes an UNKNOWN-ATTRIBUTES attribute in the response that lists the unknown comprehension-required attributes\""],
            "An unknown comprehension-required attribute: 420 that names it", unknown_required),
        Case::rfc("P-52", ["RFC 8489 §6.3", "\"Once the authentication checks are done, the STUN agent checks for unknown attributes\""],
            "An unsigned Allocate with an unknown attribute: 401, not 420", authentication_comes_first),
        Case::rfc("P-12", ["RFC 8489 §6.3", "\"Unknown comprehension-optional attributes MUST be ignored\""],
            "An unknown comprehension-optional attribute is ignored", unknown_optional),
        Case::hardening("P-13", ["amplification", "the reply to 300 unknown attributes must not be a reflector's dream"],
            "300 unknown attributes: 420 no longer than the request", many_unknown),
        Case::rfc("P-14", ["RFC 8489 §6.3.2", "an indication with unknown comprehension-required attributes is discarded"],
            "A Send indication with an unknown required attribute is not relayed", unknown_in_an_indication),
        Case::hardening("P-19", ["RFC 8489 §14, coturn#2016", "\"only the first occurrence needs to be processed\": whoever filters in front of the server has judged the first"],
            "The first of two LIFETIMEs counts", first_of_duplicates),
        Case::hardening("P-21", ["RFC 8656 §5", "FINGERPRINT is 8 bytes that a client that uses none has no need of"],
            "FINGERPRINT is in the reply exactly when it is in the request", fingerprint_mirrored),
        Case::hardening("P-30", ["GHSA-4g7c-p5wg-j4hp", "text of strangers is data: no format string, no terminal escape, no end of a C string"],
            "Strange user names, realms and nonces: an error, and the server lives", strange_texts),
        Case::rfc("P-57", ["RFC 8489 §14.8", "class 3 to 6, number 0 to 99, a reason phrase of UTF-8; the other bits 0"],
            "ERROR-CODE is well-formed in every error", error_codes),
        Case::rfc("P-58", ["RFC 8489 §14.7", "FINGERPRINT \"MUST be the last attribute in the message\""],
            "In a signed answer FINGERPRINT follows the integrity and covers it", fingerprint_behind_integrity),
        Case::hardening("P-59", ["RFC 5780 §7.2", "CHANGE-REQUEST reflects to other ports; NAT discovery is for those who ask for it"],
            "CHANGE-REQUEST and RESPONSE-PORT do not turn the answer elsewhere", change_request),
    ];
    cases.extend(dropped::cases());
    cases
}

fn binding(cx: &Context<'_>) -> Outcome {
    let mut client = cx.stranger()?;
    let response = client.ask(Builder::request(method::BINDING))?;
    if !response.is(method::BINDING, Class::Success) {
        return fail("a Binding success response", response);
    }
    let own = client.link.address()?;
    let told = response.addresses(attribute::XOR_MAPPED_ADDRESS);
    if told.first() == Some(&own) {
        return Ok(());
    }
    fail(
        format_args!("XOR-MAPPED-ADDRESS {own}"),
        format_args!("{told:?}"),
    )
}

fn attribute_beyond_the_message(cx: &Context<'_>) -> Outcome {
    let mut bytes = Builder::request(method::BINDING)
        .attribute(attribute::SOFTWARE, b"test")
        .bytes();
    bytes[22..24].copy_from_slice(&[0xFF, 0xFF]);
    broken_inside(cx, &bytes)
}

fn last_attribute_cut(cx: &Context<'_>) -> Outcome {
    let mut bytes = Builder::request(method::BINDING)
        .attribute(attribute::SOFTWARE, b"eight by")
        .bytes();
    bytes[22..24].copy_from_slice(&[0, 9]);
    broken_inside(cx, &bytes)
}

fn broken_inside(cx: &Context<'_>, bytes: &[u8]) -> Outcome {
    let mut client = cx.stranger()?;
    client.link.send(bytes)?;
    match client.receive(SILENCE)? {
        Some(Frame::Stun(response)) if response.error() == Some(400) => {}
        Some(other) => return fail("error 400 or nothing", other),
        None => {}
    }
    cx.alive()
}

fn malformed_peer_addresses(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let ipv4 = [0, 1, 0x21, 0x12, 0x20, 0x13, 0xA5, 0x43];
    let mut no_family = ipv4;
    no_family[1] = 0;
    let mut third_family = ipv4;
    third_family[1] = 3;
    let mut short_ipv6 = ipv4;
    short_ipv6[1] = 2;
    let long_ipv4 = [&ipv4[..], &[0; 12]].concat();
    let values: [&[u8]; 6] = [
        &no_family,
        &third_family,
        &short_ipv6,
        &long_ipv4,
        &ipv4[..4],
        &[],
    ];
    for value in values {
        let request = Builder::request(method::CREATE_PERMISSION);
        let response = client.call(&request.attribute(attribute::XOR_PEER_ADDRESS, value))?;
        // A family that nobody knows may also count as the wrong one.
        let codes: &[u16] = if value == third_family {
            &[400, 443]
        } else {
            &[400]
        };
        expect_error_of(&response, codes)?;
    }
    client.permit(cx.options.peer_ip)
}

fn unknown_attributes(response: &Message) -> Vec<u16> {
    let value = response
        .get(attribute::UNKNOWN_ATTRIBUTES)
        .unwrap_or_default();
    let pairs = value.chunks_exact(2);
    pairs
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

fn names_unknown(response: &Message) -> Outcome {
    expect_error(response, 420)?;
    let named = unknown_attributes(response);
    if named == [attribute::UNKNOWN_REQUIRED] {
        return Ok(());
    }
    fail(
        "UNKNOWN-ATTRIBUTES with 7fff",
        format_args!("{named:04x?} in {response}"),
    )
}

fn unknown_required(cx: &Context<'_>) -> Outcome {
    let with_unknown = |message: Builder| message.attribute(attribute::UNKNOWN_REQUIRED, b"?");
    let mut client = cx.client()?;
    let binding = Builder::request(method::BINDING);
    names_unknown(&client.ask(with_unknown(binding))?)?;
    names_unknown(&client.call(&with_unknown(Builder::allocate()))?)?;
    client.allocate()?;
    names_unknown(&client.call(&with_unknown(refresh_request(600)))?)?;
    let peer = SocketAddr::new(cx.options.peer_ip, 9);
    names_unknown(&client.call(&with_unknown(permission_request(peer)))?)
}

fn authentication_comes_first(cx: &Context<'_>) -> Outcome {
    let request = Builder::allocate().attribute(attribute::UNKNOWN_REQUIRED, b"?");
    expect_error(&cx.stranger()?.ask(request)?, 401)
}

fn unknown_optional(cx: &Context<'_>) -> Outcome {
    let with_unknown = |message: Builder| message.attribute(attribute::UNKNOWN_OPTIONAL, b"?");
    let mut client = cx.client()?;
    let response = client.ask(with_unknown(Builder::request(method::BINDING)))?;
    expect_success(&response)?;
    client
        .allocate_with(&with_unknown(Builder::allocate()))
        .map(drop)
}

fn many_unknown(cx: &Context<'_>) -> Outcome {
    let mut request = Builder::request(method::BINDING);
    for kind in 0x7000..0x7000 + 300 {
        request = request.attribute(kind, &[]);
    }
    let length = request.clone().bytes().len();
    let Some(response) = cx.stranger()?.ask_or_silence(request)? else {
        return cx.alive();
    };
    expect_error(&response, 420)?;
    let (named, got) = (unknown_attributes(&response).len(), response.bytes().len());
    cx.note(format!(
        "{named} of 300 are named, {got} bytes for {length}"
    ));
    if got > length {
        return fail(
            "no more bytes than were sent",
            format_args!("{got} for {length}"),
        );
    }
    cx.alive()
}

fn unknown_in_an_indication(cx: &Context<'_>) -> Outcome {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.permit(peer.address.ip())?;
    let indication = Builder::indication(method::SEND)
        .peer(peer.address)
        .attribute(attribute::DATA, b"unknown")
        .attribute(attribute::UNKNOWN_REQUIRED, b"?");
    client.link.send(&indication.bytes())?;
    peer.expect_silence()?;
    client.expect_silence()?;
    client.send_to(peer.address, b"known")?;
    peer.expect(relayed, b"known")
}

fn first_of_duplicates(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    client.allocate()?;
    let request = refresh_request(1200).number(attribute::LIFETIME, 2400);
    let response = client.succeed(&request)?;
    match response.number(attribute::LIFETIME) {
        Some(1200) => Ok(()),
        other => fail("LIFETIME 1200", format_args!("{other:?}")),
    }
}

fn fingerprint_mirrored(cx: &Context<'_>) -> Outcome {
    let mut client = cx.stranger()?;
    for request in [Builder::request(method::BINDING), Builder::allocate()] {
        let without = client.ask(request.clone())?;
        if let Some(fingerprint) = without.fingerprint() {
            return fail("no FINGERPRINT", format_args!("one, right: {fingerprint}"));
        }
        let with = client.ask(request.fingerprint())?;
        if with.fingerprint() != Some(true) {
            return fail("a right FINGERPRINT at the end", with);
        }
    }
    Ok(())
}

fn error_codes(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    let unknown = Builder::request(method::BINDING).attribute(attribute::UNKNOWN_REQUIRED, &[]);
    let answers = [
        client.ask(unknown)?,
        client.ask(Builder::allocate())?,
        client.call(&Builder::request(method::ALLOCATE))?,
        client.call(&refresh_request(600))?,
    ];
    for answer in answers {
        let value = answer.get(attribute::ERROR_CODE).unwrap_or_default();
        let is_good =
            matches!(value, [0, 0, 3..=6, 0..=99, reason @ ..] if str::from_utf8(reason).is_ok());
        if !is_good {
            return fail(
                "a well-formed ERROR-CODE",
                format_args!("{value:02x?} in {answer}"),
            );
        }
    }
    Ok(())
}

fn fingerprint_behind_integrity(cx: &Context<'_>) -> Outcome {
    let mut client = cx.client()?;
    let request = client.signed(refresh_request(600))?.fingerprint();
    let response = client.ask(request)?;
    expect_error(&response, 437)?;
    let key = client.key()?;
    let integrity = response.integrity(Integrity::Sha1, &key);
    if (integrity, response.fingerprint()) == (Some(true), Some(true)) {
        return Ok(());
    }
    fail("right integrity, then a right FINGERPRINT", response)
}

fn change_request(cx: &Context<'_>) -> Outcome {
    const CHANGE_REQUEST: u16 = 0x0003;
    const RESPONSE_PORT: u16 = 0x0027;
    let mut client = cx.stranger()?;
    for (kind, value) in [(CHANGE_REQUEST, 0x06), (RESPONSE_PORT, 9 << 16)] {
        let request = Builder::request(method::BINDING).number(kind, value);
        // The socket is connected: what comes from elsewhere does not arrive.
        let Some(response) = client.ask_or_silence(request)? else {
            return fail("an answer from where the request was sent", "nothing");
        };
        cx.note(response.to_string());
    }
    Ok(())
}

fn strange_texts(cx: &Context<'_>) -> Outcome {
    let mut client = cx.stranger()?;
    let challenge = client.challenge()?;
    let long_name = vec![b'u'; 512];
    let names: [&[u8]; 6] = [
        &long_name,
        b"nul\0inside",
        b"\xFF\xFE not UTF-8 \xC3",
        b"%n%n%s%s%x",
        b"\x1B[2Jcleared\x07",
        b"two\r\nlines",
    ];
    let mut requests: Vec<_> = names
        .iter()
        .map(|name| [name, &challenge.realm[..], &challenge.nonce[..]])
        .collect();
    let long_text = vec![b'x'; 764];
    requests.push([b"user", &long_text, &challenge.nonce]);
    requests.push([b"user", &challenge.realm, &long_text]);
    for [name, realm, nonce] in requests {
        let request = Builder::allocate()
            .attribute(attribute::USERNAME, name)
            .attribute(attribute::REALM, realm)
            .attribute(attribute::NONCE, nonce)
            .integrity(Integrity::Sha1, b"whatever");
        if let Some(response) = client.ask_or_silence(request)?
            && response.class() != Class::Error
        {
            return fail("an error or nothing", response);
        }
    }
    cx.alive()
}
