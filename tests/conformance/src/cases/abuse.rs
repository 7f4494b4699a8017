//! Group F: floods, reflection, and what answers give away.

use std::time::{Duration, Instant};

use rand::{Rng as _, RngCore as _};

use crate::case::{Case, Outcome, fail};
use crate::client::{Client, bind_request, expect_success, permission_request, refresh_request};
use crate::codec::{Builder, Message, attribute, method};
use crate::context::Context;
use crate::link::Frame;

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let reflection = ["RFC 9000 §8.1 as a yardstick", "whoever spoofs a source has the server send there"];
    let padding = ["CVE-2020-4067", "uninitialised padding is other clients' memory"];
    vec![
        Case::hardening("F-07.1", reflection, "A Binding answer is at most 1.25 times its request, on the wire", binding_factor),
        Case::hardening("F-07.2", reflection, "An answer to an unsigned Allocate is at most 2.2 times its request, to any stranger 3 times", factors),
        Case::hardening("F-05", reflection, "200 unsigned Allocates at once from one source: at most 80 answers", error_budget),
        Case::hardening("F-18", reflection, "A source that used up its budget takes nothing from others", budget_of_others),
        Case::hardening("F-08", reflection, "A user who is signed in has answers left for a hundred mistakes", mistakes_of_users),
        Case::hardening("F-01", ["robustness", "the internet is noisy"], "5,000 datagrams of noise, and the server lives", noise),
        Case::hardening("F-51", ["robustness", "good messages with one thing wrong reach deeper"],
            "5,000 mutated requests, and the server lives", mutations),
        Case::hardening("P-31", padding, "Padding of all answers is zero", zero_padding),
        Case::hardening("A-26", ["RFC 8489 §16.1.2", "SOFTWARE tells which exploit to take, in bytes that reflect; the RFC's SHOULD gives way"],
            "No answer names the software", no_software),
    ]
}

/// The factor of a client's first request.
const ALLOCATE: f64 = 2.2;
/// The factor of requests that no client sends, shorter than they make sense.
const ANY: f64 = 3.0;
/// IP and UDP headers.
const HEADERS: usize = 28;

/// A stranger's request and the factor of its answer: 0 without one.
fn factor(cx: &Context<'_>, request: Builder) -> Outcome<f64> {
    let length = request.clone().bytes().len();
    let response = cx.stranger()?.ask_or_silence(request)?;
    let answer = response.map_or(0, |message| message.bytes().len() + HEADERS);
    #[expect(clippy::cast_precision_loss, reason = "lengths of datagrams")]
    let factor = answer as f64 / (length + HEADERS) as f64;
    Ok(factor)
}

fn at_most(cx: &Context<'_>, limit: f64, request: Builder, name: &str) -> Outcome {
    let factor = factor(cx, request)?;
    cx.note(format!("{name}: {factor:.2}"));
    if factor > limit {
        return fail(
            format_args!("{limit} at most for {name}"),
            format_args!("{factor:.2}"),
        );
    }
    Ok(())
}

fn binding_factor(cx: &Context<'_>) -> Outcome {
    at_most(cx, 1.25, Builder::request(method::BINDING), "Binding")
}

fn factors(cx: &Context<'_>) -> Outcome {
    let methods = [
        (method::ALLOCATE, "bare Allocate"),
        (method::REFRESH, "bare Refresh"),
        (method::CREATE_PERMISSION, "bare CreatePermission"),
        (method::CHANNEL_BIND, "bare ChannelBind"),
        (0x00A, "Connect"),
        (0x0FF, "unknown method"),
    ];
    for (method, name) in methods {
        at_most(cx, ANY, Builder::request(method), name)?;
    }
    at_most(cx, ALLOCATE, Builder::allocate(), "Allocate")?;
    let unknown = Builder::request(method::BINDING).attribute(attribute::UNKNOWN_REQUIRED, &[]);
    at_most(cx, ANY, unknown, "Binding with an unknown attribute")?;
    let mut client = cx.client()?;
    let forged = client.identified(Builder::allocate())?;
    let forged = forged.attribute(attribute::MESSAGE_INTEGRITY, &[0; 20]);
    at_most(cx, ANY, forged, "Allocate with another's nonce")?;
    let lacking = Builder::allocate().attribute(attribute::MESSAGE_INTEGRITY, &[0; 20]);
    at_most(cx, ANY, lacking, "Allocate with integrity alone")
}

/// Sends unsigned Allocates and counts their answers.
fn flood(client: &mut Client, count: usize) -> Outcome<usize> {
    for _ in 0..count {
        client.link.send(&Builder::allocate().bytes())?;
    }
    let mut answers = 0;
    while let Some(frame) = client.receive(Duration::from_millis(200))? {
        answers += usize::from(matches!(frame, Frame::Stun(_)));
    }
    Ok(answers)
}

fn error_budget(cx: &Context<'_>) -> Outcome {
    cx.needs_sources()?;
    let answers = flood(&mut cx.stranger()?, 200)?;
    cx.note(format!("{answers} answers to 200 requests"));
    if answers > 80 {
        return fail("80 answers at most", answers);
    }
    if answers == 0 {
        return fail("some answers", "none");
    }
    Ok(())
}

fn budget_of_others(cx: &Context<'_>) -> Outcome {
    cx.needs_sources()?;
    let mut greedy = cx.stranger()?;
    flood(&mut greedy, 500)?;
    cx.alive()
}

fn mistakes_of_users(cx: &Context<'_>) -> Outcome {
    cx.needs_sources()?;
    let mut client = cx.client()?;
    client.allocate()?;
    let start = Instant::now();
    for _ in 0..100 {
        client.refuse(&Builder::request(method::CREATE_PERMISSION), 400)?;
    }
    cx.note(format!("{} ms", start.elapsed().as_millis()));
    expect_success(&client.refresh(600)?)
}

fn noise(cx: &Context<'_>) -> Outcome {
    let mut rng = rand::rng();
    let mut client = cx.stranger()?;
    for _ in 0..5_000 {
        let mut bytes = vec![0; rng.random_range(0..1500)];
        rng.fill_bytes(&mut bytes);
        client.link.send(&bytes)?;
    }
    cx.alive()
}

fn mutations(cx: &Context<'_>) -> Outcome {
    let mut rng = rand::rng();
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    client.allocate()?;
    let requests = [
        Builder::request(method::BINDING),
        refresh_request(600),
        permission_request(peer.address),
        bind_request(0x4000, peer.address),
    ];
    for round in 0..5_000 {
        let request = client.signed(requests[round % requests.len()].clone())?;
        let mut bytes = request.bytes();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        bytes.truncate(rng.random_range(20..=bytes.len()));
        client.link.send(&bytes)?;
    }
    cx.alive()
}

/// Answers of every kind: to strangers, to users, errors and successes, data.
fn answers(cx: &Context<'_>) -> Outcome<Vec<Message>> {
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let mut all = vec![
        client.ask(Builder::request(method::BINDING))?,
        client
            .ask(Builder::request(method::BINDING).attribute(attribute::UNKNOWN_REQUIRED, &[]))?,
        client.ask(Builder::allocate())?,
        client.call(&refresh_request(600))?,
    ];
    let allocated = client.call(&Builder::allocate())?;
    client.remember_allocation(true);
    let relayed = allocated.addresses(attribute::XOR_RELAYED_ADDRESS);
    all.push(allocated);
    let requests = [
        Builder::allocate(),
        permission_request(peer.address),
        Builder::request(method::CREATE_PERMISSION),
        bind_request(0x3FFF, peer.address),
        refresh_request(600),
        refresh_request(600).attribute(attribute::UNKNOWN_REQUIRED, &[]),
    ];
    for request in requests {
        all.push(client.call(&request)?);
    }
    for size in 0..8 {
        for relayed in &relayed {
            peer.send(*relayed, &vec![0xEE; size])?;
        }
        match client.expect("a Data indication")? {
            Frame::Stun(message) => all.push(message),
            other => return fail("a Data indication", other),
        }
    }
    Ok(all)
}

fn zero_padding(cx: &Context<'_>) -> Outcome {
    for answer in answers(cx)? {
        if answer.padding().iter().any(|byte| *byte != 0) {
            return fail(
                "zeros",
                format_args!("{:02x?} in {answer}", answer.padding()),
            );
        }
    }
    Ok(())
}

fn no_software(cx: &Context<'_>) -> Outcome {
    for answer in answers(cx)? {
        if let Some(name) = answer.get(attribute::SOFTWARE) {
            return fail("no SOFTWARE", String::from_utf8_lossy(name));
        }
    }
    Ok(())
}
