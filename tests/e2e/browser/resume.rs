//! Sessions that outlive connections and servers, as the page has them.

use rustix::process::Signal;
use serde_json::Value;
use tests::browser::Kind;
use tests::stage::{self, Stage};

use super::{MESSAGES, meet, pair};

/// Without a relay of its own, the server's death is nothing to the media. The secret is what the next server knows of
/// the sessions.
const OPTIONS: [&str; 3] = [
    "--turn-mode=none",
    "--session-secret",
    "0123456789abcdef0123456789abcdef",
];
/// Watches the picture of the other: how long the longest time between two pictures was, in milliseconds.
const WATCH: &str = "(() => {
  const video = document.querySelector('video[data-peer]');
  let last = performance.now();
  window.longestGap = 0;
  const look = () => {
    const now = performance.now();
    window.longestGap = Math.max(window.longestGap, now - last);
    last = now;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
})()";
/// What nobody notices in a picture ten times a second on a machine that is busy with two browsers and a server that starts.
const GAP_MS: f64 = 2000.0;

#[test]
fn a_call_does_not_notice_that_the_server_was_killed_and_started_again() {
    stage::run(async |stage| server_dies(stage, Kind::CHROMIUM).await);
}

/// The server is killed under a call of a browser of this kind with another one, and started again.
pub(crate) async fn server_dies(stage: &Stage, kind: Kind) -> anyhow::Result<()> {
    let service = stage.signaling_without_relay(&OPTIONS).await?;
    let browsers = tokio::try_join!(stage.browser_of(kind, "ann"), stage.browser("bob"))?;
    let [(ann, bob_there), (bob, ann_there)] = meet(browsers, &service, "").await?;
    for (browser, peer) in [(&ann, &bob_there), (&bob, &ann_there)] {
        browser.sees_and_hears(peer).await?;
        browser.value(WATCH, Value::Null).await?;
    }
    service.process.signal(Signal::KILL)?;
    service.process.exit().await?;
    let banner = "[data-testid=signaling-banner]";
    bob.says(banner, &["The call goes on"]).await?;
    bob.screenshot("server-away").await?;
    // Said while there is no server: a raised hand goes through it, chat does not.
    ann.click("[data-testid=raise-hand]").await?;
    ann.send_chat("anybody?").await?;
    bob.peer_until(ann_there.id(), "chat", |ann| ann.chat() == ["anybody?"])
        .await?;
    let again = stage.signaling_at(service.address(), &OPTIONS).await?;
    for browser in [&ann, &bob] {
        browser.is_in_the_room().await?;
    }
    bob.says("[data-testid=notices]", &["ann raises a hand"])
        .await?;
    for (browser, peer) in [(&ann, &bob_there), (&bob, &ann_there)] {
        // The same people under the same ids, over the same connection.
        let here = |peer: &tests::page::Peer| !peer.is_away();
        browser
            .peer_until(peer.id(), "the peer, here", here)
            .await?;
        browser.echo(peer, MESSAGES).await?;
        browser.media_advances(peer).await?;
        let gap = browser.value("window.longestGap", Value::Null).await?;
        let gap = gap.as_f64().unwrap_or(f64::INFINITY);
        assert!(gap < GAP_MS, "the picture stood still for {gap} ms");
    }
    // And once more, as a server is updated: it says when to come back.
    again.process.signal(Signal::TERM)?;
    again.process.exit().await?;
    let _updated = stage.signaling_at(service.address(), &OPTIONS).await?;
    ann.is_in_the_room().await?;
    bob.is_in_the_room().await?;
    ann.click("[data-testid=raise-hand]").await?;
    let lowered = |ann: &tests::page::Peer| !ann.is_away();
    bob.peer_until(ann_there.id(), "the peer, here", lowered)
        .await?;
    ann.peer_until(bob_there.id(), "the peer, here", lowered)
        .await?;
    Ok(())
}

#[test]
fn whoever_vanishes_is_away_first_and_gone_later() {
    stage::run(async |stage| {
        let options = ["--turn-mode=none", "--resume-window", "3"];
        let service = stage.signaling_without_relay(&options).await?;
        let [(ann, _), (bob, ann_there)] = pair(stage, &service, "&audio=0").await?;
        // Nothing of it says good-bye.
        ann.crash().await;
        bob.peer_until(ann_there.id(), "the absence", tests::page::Peer::is_away)
            .await?;
        bob.screenshot("away").await?;
        bob.says("[data-testid=notices]", &["ann has left"]).await?;
        bob.peers(0).await?;
        Ok(())
    });
}

/// A server that is its own relay, and knows the sessions of the one before it.
pub(super) const WITH_RELAY: [&str; 4] = [
    "--turn-listen=udp:127.0.0.1:0",
    "--turn-listen=tcp:127.0.0.1:0",
    "--session-secret",
    "0123456789abcdef0123456789abcdef",
];

#[test]
fn a_call_whose_relay_died_goes_on_over_the_next_one() {
    stage::run(async |stage| relay_dies(stage, Kind::CHROMIUM).await);
}

/// Server and relay die together under a call of a browser of this kind with another one, and others take their place.
pub(crate) async fn relay_dies(stage: &Stage, kind: Kind) -> anyhow::Result<()> {
    let service = stage.signaling_without_relay(&WITH_RELAY).await?;
    let browsers = tokio::try_join!(stage.browser_of(kind, "ann"), stage.browser("bob"))?;
    let [(ann, bob_there), (bob, ann_there)] = meet(browsers, &service, "&relay=1").await?;
    bob.sees_and_hears(&ann_there).await?;
    // With it goes the relay, and everything that was on its way.
    service.process.signal(Signal::KILL)?;
    service.process.exit().await?;
    let _next = stage.signaling_at(service.address(), &WITH_RELAY).await?;
    for (browser, peer) in [(&ann, &bob_there), (&bob, &ann_there)] {
        browser.is_in_the_room().await?;
        browser.sees_and_hears(peer).await?;
        browser.echo(peer, MESSAGES).await?;
        let relayed = browser.peers(1).await?;
        assert_eq!(relayed[0].id(), peer.id(), "it is the same session");
        assert_eq!(relayed[0].path(), "relay");
    }
    Ok(())
}
