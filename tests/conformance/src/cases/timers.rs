//! What runs out, in real time: only with `--long`.

use std::time::{Duration, Instant};

use crate::case::{Case, Outcome, fail, not_applicable};
use crate::client::{Client, expect_success, refresh_request};
use crate::codec::{Builder, attribute};
use crate::context::Context;

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::rfc("A-25", ["RFC 8656 §6", "\"default lifetime value of 600 seconds\"; \"sending data to a peer does not refresh an allocation\""],
            "An allocation lasts 600 s, and no longer, whatever is sent", allocation).slow(),
        Case::rfc("C-12", ["RFC 8656 §9", "\"The Permission Lifetime MUST be 300 seconds\""],
            "A permission lasts 300 s, and no longer, whatever is sent", permission).slow(),
        Case::rfc("C-13", ["RFC 8656 §12", "\"A channel binding lasts for 10 minutes unless refreshed\""],
            "A channel lasts 600 s, and no longer, whatever is sent", channel).slow(),
        Case::rfc("C-73", ["RFC 8656 §9", "the time-to-expiry of a permission \"is reset to Permission Lifetime\""],
            "A permission that is refreshed lasts 300 s from then on", refreshed_permission).slow(),
        Case::rfc("A-11.6", ["RFC 8656 §7.2", "\"The server MUST hold this reservation for at least 30 seconds\""],
            "A reservation holds for 28 s at least", reservation).slow(),
    ]
}

/// The time since a case's start: what must be before and behind a deadline is asked a little before and behind it.
struct Clock(Instant);

impl Clock {
    fn start(cx: &Context<'_>) -> Outcome<Self> {
        if cx.options.long {
            return Ok(Self(Instant::now()));
        }
        not_applicable("takes minutes: --long")
    }

    /// Waits, dropping whatever arrives meanwhile.
    fn until(&self, seconds: u64, client: &mut Client) -> Outcome {
        let end = self.0 + Duration::from_secs(seconds);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // Short waits: the kernel rounds long timeouts up by seconds.
            client.receive(left.min(Duration::from_millis(500)))?;
        }
    }
}

fn allocation(cx: &Context<'_>) -> Outcome {
    let clock = Clock::start(cx)?;
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    clock.until(590, &mut client)?;
    client.permit(peer.address.ip())?;
    client.send_to(peer.address, b"in time")?;
    peer.expect(relayed, b"in time")?;
    clock.until(605, &mut client)?;
    client.send_to(peer.address, b"too late")?;
    peer.expect_silence()?;
    client.refuse(&refresh_request(600), 437).map(drop)
}

fn permission(cx: &Context<'_>) -> Outcome {
    let clock = Clock::start(cx)?;
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.permit(peer.address.ip())?;
    for seconds in (20..=280).step_by(20).chain([294]) {
        clock.until(seconds, &mut client)?;
        client.send_to(peer.address, b"in time")?;
        peer.expect(relayed, b"in time")?;
        peer.send(relayed, b"in time")?;
        client.expect_data()?;
    }
    clock.until(305, &mut client)?;
    client.send_to(peer.address, b"too late")?;
    peer.send(relayed, b"too late")?;
    peer.expect_silence()?;
    client.expect_silence()
}

fn channel(cx: &Context<'_>) -> Outcome {
    let clock = Clock::start(cx)?;
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let request = Builder::allocate().number(attribute::LIFETIME, 900);
    let relayed = client.allocate_with(&request)?.relayed;
    client.bind(0x4001, peer.address)?;
    for seconds in (100..=500).step_by(100).chain([594]) {
        clock.until(seconds, &mut client)?;
        // Permissions run out earlier; this refreshes them alone.
        client.permit(peer.address.ip())?;
        expect_success(&client.refresh(900)?)?;
        client.send_on(0x4001, b"in time")?;
        peer.expect(relayed, b"in time")?;
    }
    clock.until(605, &mut client)?;
    client.send_on(0x4001, b"too late")?;
    peer.expect_silence()?;
    peer.send(relayed, b"no channel")?;
    match client.expect_data()? {
        (_, data) if data == b"no channel" => Ok(()),
        (_, data) => fail("a Data indication", String::from_utf8_lossy(&data)),
    }
}

fn refreshed_permission(cx: &Context<'_>) -> Outcome {
    let clock = Clock::start(cx)?;
    let (mut client, peer) = (cx.client()?, cx.peer()?);
    let relayed = client.allocate()?.relayed;
    client.permit(peer.address.ip())?;
    clock.until(150, &mut client)?;
    client.permit(peer.address.ip())?;
    clock.until(310, &mut client)?;
    peer.send(relayed, b"in time")?;
    client.expect_data()?;
    clock.until(455, &mut client)?;
    peer.send(relayed, b"too late")?;
    client.expect_silence()
}

fn reservation(cx: &Context<'_>) -> Outcome {
    let clock = Clock::start(cx)?;
    let mut first = cx.client()?;
    let response = first.succeed(&Builder::allocate().attribute(attribute::EVEN_PORT, &[0x80]))?;
    first.remember_allocation(true);
    let Some(token) = response.get(attribute::RESERVATION_TOKEN) else {
        return fail("RESERVATION-TOKEN", response);
    };
    clock.until(28, &mut first)?;
    let request = Builder::allocate().attribute(attribute::RESERVATION_TOKEN, token);
    cx.client()?.allocate_with(&request).map(drop)
}
