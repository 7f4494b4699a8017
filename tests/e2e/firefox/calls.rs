//! What is asked of Chromium elsewhere, asked of Firefox: viewers, screens, files that are stopped, devices that are refused, and
//! servers that die.

use serde_json::Value;
use tests::browser::Kind;
use tests::page::Peer;
use tests::stage;

use crate::browser::{devices, files, meet, resume, trouble};

#[test]
fn a_viewer_in_firefox_sees_everybody_and_sends_nothing() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob, vic) = tokio::try_join!(
            stage.browser_of(Kind::Firefox, "ann"),
            stage.browser_of(Kind::CALM, "bob"),
            stage.browser_of(Kind::Firefox, "vic")
        )?;
        ann.enter(&service.room("tea", "ann", "")).await?;
        bob.enter(&service.room("tea", "bob", "")).await?;
        vic.enter(&service.room("tea", "vic", "&watch=1")).await?;
        for peer in vic.peers(2).await? {
            vic.sees_and_hears(&peer).await?;
        }
        for browser in [&ann, &bob] {
            let peers = browser.peers(2).await?;
            let vic_there = peers.iter().find(|peer| peer.name() == "vic");
            let vic_there = vic_there.expect("vic");
            assert!(!vic_there.sends_audio() && !vic_there.sends_video());
            browser.says("[data-testid=audience]", &["1"]).await?;
        }
        vic.send_chat("hello from vic").await?;
        let said = |peer: &Peer| peer.chat() == ["hello from vic"];
        let peers = ann.everybody().await?;
        let vic_there = peers.iter().find(|peer| peer.name() == "vic");
        let id = vic_there.expect("vic").id().to_owned();
        ann.peer_until(&id, "chat", said).await?;
        vic.screenshot("watching").await?;
        Ok(())
    });
}

/// Without a display Firefox has no screen to choose. A picture that changes is chosen in its place; the rest is as ever.
const A_SCREEN: &str = "(() => {
  navigator.mediaDevices.getDisplayMedia = async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 400 });
    const context = canvas.getContext('2d');
    const draw = () => {
      context.fillStyle = `hsl(${performance.now() / 10} 80% 50%)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
      requestAnimationFrame(draw);
    };
    draw();
    return canvas.captureStream(10);
  };
})()";

#[test]
fn a_screen_that_firefox_shares_is_seen_and_can_be_ended() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers =
            tokio::try_join!(stage.browser_of(Kind::Firefox, "ann"), stage.browser("bob"))?;
        let [(ann, _), (bob, ann_there)] = meet(browsers, &service, "&audio=0").await?;
        ann.value(A_SCREEN, Value::Null).await?;
        for _ in 0..2 {
            ann.click("[data-testid=share-screen]").await?;
            let seen = format!(
                "document.querySelector('video[data-screen-of=\"{}\"]')?.videoWidth > 0
                    && document.querySelector('.tile-screen').dataset.size === 'large'",
                ann_there.id()
            );
            bob.holds("a picture of the screen", &seen).await?;
            bob.screenshot("screen").await?;
            ann.click("[data-testid=share-screen]").await?;
            let gone = "document.querySelector('.tile-screen') === null";
            bob.holds("no screen", gone).await?;
        }
        // The same the other way: Firefox sees what Chromium shares.
        bob.click("[data-testid=share-screen]").await?;
        let seen = "document.querySelector('video[data-screen-of]')?.videoWidth > 0";
        ann.holds("a picture of the other's screen", seen).await?;
        let camera = ann.value("callbox.peers().length", Value::Null).await?;
        assert_eq!(camera, 1);
        Ok(())
    });
}

#[test]
fn files_to_and_from_firefox_can_be_paused_and_cancelled() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers =
            tokio::try_join!(stage.browser_of(Kind::Firefox, "ann"), stage.browser("bob"))?;
        let [(ann, _), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
        files::pauses_and_cancels(stage, [&ann, &bob]).await?;
        files::pauses_and_cancels(stage, [&bob, &ann]).await
    });
}

#[test]
fn who_refuses_devices_in_firefox_is_told_and_joins() {
    stage::run(async |stage| {
        let words = [
            "The camera is blocked",
            "The microphone is blocked",
            "join all the same",
        ];
        devices::join_without(stage, Kind::RefusingFirefox, false, &words).await
    });
}

#[test]
fn a_call_of_firefox_does_not_notice_that_the_server_was_killed() {
    stage::run(async |stage| resume::server_dies(stage, Kind::Firefox).await);
}

#[test]
fn a_call_of_firefox_goes_on_over_the_next_relay() {
    stage::run(async |stage| resume::relay_dies(stage, Kind::Firefox).await);
}

#[test]
fn when_firefox_looks_for_another_way_at_once_with_the_other_the_call_goes_on() {
    stage::run(async |stage| trouble::searches_cross(stage, Kind::Firefox).await);
}
