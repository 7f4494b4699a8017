//! Firefox, with others of its kind and with those of other kinds.

mod calls;

use std::sync::Arc;

use serde_json::{Value, json};
use tests::browser::{Browser, Kind};
use tests::page::Peer;
use tests::stage::{self, Stage};

use crate::axe::states;
use crate::browser::{MESSAGES, files, meet};

/// Sees, hears, exchanges messages and chats: everything that a call is, both ways.
async fn call_each_other(pair: &[(Arc<Browser>, Peer); 2]) -> anyhow::Result<()> {
    for (browser, peer) in pair {
        browser.echo(peer, MESSAGES).await?;
        browser.sees_and_hears(peer).await?;
        browser.screenshot("in-the-call").await?;
    }
    let [(ann, _), (bob, ann_there)] = pair;
    ann.send_chat("안녕하세요").await?;
    let said = |ann: &Peer| ann.chat() == ["안녕하세요"];
    bob.peer_until(ann_there.id(), "chat", said).await?;
    Ok(())
}

/// Browsers of these kinds call each other; the first one is there first.
async fn call(stage: &Stage, kinds: [Kind; 2], query: &str) -> anyhow::Result<[Peer; 2]> {
    let service = stage.signaling(&[]).await?;
    let browsers = tokio::try_join!(
        stage.browser_of(kinds[0], "ann"),
        stage.browser_of(kinds[1], "bob")
    )?;
    let pair = meet(browsers, &service, query).await?;
    call_each_other(&pair).await?;
    Ok(pair.map(|(_, peer)| peer))
}

#[test]
fn firefox_and_chromium_call_each_other_whoever_is_there_first() {
    stage::run(async |stage| {
        call(stage, [Kind::Firefox, Kind::CHROMIUM], "").await?;
        call(stage, [Kind::CHROMIUM, Kind::Firefox], "").await?;
        Ok(())
    });
}

#[test]
fn two_firefoxes_call_each_other() {
    stage::run(async |stage| {
        call(stage, [Kind::Firefox; 2], "").await?;
        Ok(())
    });
}

#[test]
fn firefox_and_chromium_call_each_other_through_the_bundled_relay() {
    stage::run(async |stage| {
        let peers = call(stage, [Kind::Firefox, Kind::CHROMIUM], "&relay=1").await?;
        assert_eq!(peers.map(|peer| peer.path().to_owned()), ["relay", "relay"]);
        Ok(())
    });
}

#[test]
fn files_travel_between_firefox_and_chromium() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(
            stage.browser_of(Kind::Firefox, "ann"),
            stage.browser_of(Kind::CHROMIUM, "bob")
        )?;
        let [(ann, _), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
        files::travel(stage, &ann, &bob, &[0, 3_000_000]).await?;
        files::travel(stage, &bob, &ann, &[1, 3_000_001]).await
    });
}

#[test]
fn firefox_and_a_headless_peer_call_each_other() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser_of(Kind::Firefox, "ann").await?;
        browser.enter(&service.room("tea", "ann", "")).await?;
        let headless = stage.peer_demo("robot", &service, "tea", &["--duration", "20"])?;
        let [peer] = <[Peer; 1]>::try_from(browser.peers(1).await?).expect("one peer");
        browser.sees_the_test_picture(&peer).await?;
        browser.echo(&peer, MESSAGES).await?;
        headless.report().await?.verified(1)
    });
}

#[test]
fn firefox_has_the_controls_of_a_call() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(
            stage.browser_of(Kind::Firefox, "ann"),
            stage.browser_of(Kind::CHROMIUM, "bob")
        )?;
        let [(ann, _), (bob, ann_there)] = meet(browsers, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        let id = ann_there.id();
        ann.click("[data-testid=toggle-microphone]").await?;
        bob.peer_until(id, "a microphone that is off", |ann| !ann.sends_audio())
            .await?;
        ann.click("[data-testid=toggle-camera]").await?;
        bob.peer_until(id, "a camera that is off", |ann| !ann.sends_video())
            .await?;
        ann.click("[data-testid=toggle-microphone]").await?;
        ann.click("[data-testid=toggle-camera]").await?;
        let on = |ann: &Peer| ann.sends_audio() && ann.sends_video();
        bob.peer_until(id, "both on again", on).await?;
        bob.sees_and_hears(&ann_there).await?;
        ann.click("[data-testid=raise-hand]").await?;
        bob.says("[data-testid=notices]", &["ann raises a hand"])
            .await?;
        ann.click("[data-testid=path]").await?;
        ann.says("[data-testid=connection]", &["opus"]).await?;
        ann.screenshot("connection").await?;
        ann.click("[data-testid=leave]").await?;
        bob.says("[data-testid=notices]", &["ann has left"]).await
    });
}

#[test]
fn the_check_finds_nothing_wrong_in_firefox() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser_of(Kind::Firefox, "ann").await?;
        browser.check(&service.check("en")).await?;
        browser.screenshot("check").await?;
        for id in ["socket", "loopback"] {
            browser.finding(id, "ok").await?;
        }
        Ok(())
    });
}

#[test]
fn axe_finds_nothing_in_firefox() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser_of(Kind::Firefox, "ann").await?;
        browser.open(&service.page).await?;
        browser.text_of("h1").await?;
        browser.finds_axe_nothing("the start page").await?;
        browser.enter(&service.room("tea", "ann", "")).await?;
        browser.finds_axe_nothing("an empty room").await?;
        browser
            .value("callbox.sendChat(arg)", json!("hello"))
            .await?;
        let open = "document.querySelector('[data-testid=toggle-chat]').click()";
        browser.value(open, Value::Null).await?;
        browser.finds_axe_nothing("the chat").await
    });
}

#[test]
fn axe_finds_nothing_in_firefox_when_ways_break_and_calls_end() {
    stage::run(async |stage| {
        states::ways_break(stage, Kind::Firefox).await?;
        states::calls_end(stage, Kind::Firefox).await
    });
}

#[test]
fn what_goes_wrong_in_a_page_does_not_go_unseen() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser_of(Kind::Firefox, "ann").await?;
        let words = [
            "nobody catches this",
            "img-src",
            "https://elsewhere.invalid/spy.png",
        ];
        crate::browser::page::trouble_is_seen(&browser, &service.page, &words).await
    });
}
