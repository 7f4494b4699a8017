//! Which camera, microphone and speaker are used: what was chosen holds at once, is remembered, and interrupts nothing.

use std::sync::Arc;

use serde_json::{Value, json};
use tests::browser::{Browser, Kind};
use tests::page::Peer;
use tests::poll::{self, Look};
use tests::stage;

use super::meet;
use super::trouble::KEEP_CONNECTIONS;

/// The microphone's meter, as it is told to those who cannot see it.
const METER: &str = "Number(document.querySelector('[data-testid=level]').ariaValueNow)";

/// Waits until the meter shows what is wanted.
async fn meter(browser: &Browser, what: &str, wanted: impl Fn(f64) -> bool) -> anyhow::Result<()> {
    poll::until(what, async || {
        let level = browser.value(METER, Value::Null).await?;
        Ok(match level.as_f64() {
            Some(level) if wanted(level) => Look::There(()),
            _ => Look::NotYet(level.to_string()),
        })
    })
    .await
}

#[test]
fn the_meter_moves_with_the_microphone() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        browser
            .open(&format!("{}/room/tea?lang=en", service.page))
            .await?;
        // Chromium's fake microphone beeps once a second, and is silent in between.
        for _ in 0..2 {
            meter(&browser, "a beep", |level| level > 40.0).await?;
            meter(&browser, "silence after it", |level| level < 10.0).await?;
        }
        // The bar is drawn as the number says.
        let drawn = "new DOMMatrix(getComputedStyle(document.querySelector('[data-testid=level] .level-bar')).transform).a > 0.4";
        browser.holds("a long bar", drawn).await?;
        browser.click("[data-testid=toggle-microphone]").await?;
        meter(&browser, "nothing while muted", |level| level == 0.0).await?;
        Ok(())
    });
}

/// Devices of a kind that a list offers, by their ids.
async fn offered(browser: &Browser, list: &str) -> anyhow::Result<Vec<String>> {
    let options = "[...document.querySelectorAll(`${arg} option`)].map(({value}) => value)";
    poll::until("several to choose from", async || {
        let ids = browser.value(options, json!(list)).await?;
        let ids: Vec<String> = serde_json::from_value(ids)?;
        Ok(match ids.len() > 1 && !ids.contains(&String::new()) {
            true => Look::There(ids),
            false => Look::NotYet(format!("{ids:?}")),
        })
    })
    .await
}

/// The one of several devices that is not chosen at first.
async fn another(browser: &Browser, list: &str) -> anyhow::Result<String> {
    let ids = offered(browser, list).await?;
    let now = format!("document.querySelector('{list}').value");
    let now = browser.value(&now, Value::Null).await?;
    let other = ids.into_iter().rev().find(|id| now != id.as_str());
    Ok(other.expect("several differ"))
}

#[test]
fn chosen_devices_are_used_and_remembered() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers =
            tokio::try_join!(stage.browser_of(Kind::CAMERAS, "ann"), stage.browser("bob"))?;
        let (ann, bob) = browsers;
        let preview = format!("{}/room/tea?lang=en&name=ann", service.page);
        ann.open(&preview).await?;
        let mut chosen = Vec::new();
        for kind in ["camera", "microphone", "speaker"] {
            let list = format!("[data-testid=select-{kind}]");
            let id = another(&ann, &list).await?;
            ann.choose(&list, &id).await?;
            chosen.push((list, id));
        }
        let used = |kind: &str, id: &str| {
            format!(
                "document.querySelector('.mirror video').srcObject?.get{kind}Tracks()[0]?.getSettings().deviceId === '{id}'"
            )
        };
        let is_used = format!(
            "{} && {}",
            used("Video", &chosen[0].1),
            used("Audio", &chosen[1].1)
        );
        ann.holds("what was chosen in use", &is_used).await?;

        // Another visit.
        ann.open(&preview).await?;
        ann.holds("what was remembered in use", &is_used).await?;
        for (list, id) in &chosen {
            offered(&ann, list).await?;
            let shown = format!("document.querySelector('{list}').value === '{id}'");
            ann.holds("what was remembered shown", &shown).await?;
        }
        ann.click("[data-testid=join]").await?;
        ann.is_in_the_room().await?;
        bob.enter(&service.room("tea", "bob", "")).await?;
        let [bob_there] = <[Peer; 1]>::try_from(ann.peers(1).await?).expect("one peer");
        ann.sees_and_hears(&bob_there).await?;
        let sink = format!(
            "document.querySelector('video[data-peer]').sinkId === '{}'",
            chosen[2].1
        );
        ann.holds("the chosen speaker", &sink).await?;

        // In the call, too.
        ann.click("[data-testid=toggle-settings]").await?;
        ann.text_of("[data-testid=settings]").await?;
        let list = "[data-testid=settings] #select-speaker";
        let id = another(&ann, list).await?;
        ann.choose(list, &id).await?;
        let sink = format!("document.querySelector('video[data-peer]').sinkId === '{id}'");
        ann.holds("another speaker", &sink).await?;
        ann.media_advances(&bob_there).await
    });
}

/// What was agreed on and how: another offer or answer, or another ICE session, changes it.
async fn agreement(browser: &Browser) -> anyhow::Result<Value> {
    let agreement = "connections.map(({currentLocalDescription, currentRemoteDescription}) =>
        [currentLocalDescription.sdp, currentRemoteDescription.sdp])";
    browser.value(agreement, Value::Null).await
}

#[test]
fn another_camera_in_a_call_is_seen_without_a_new_agreement() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers =
            tokio::try_join!(stage.browser_of(Kind::CAMERAS, "ann"), stage.browser("bob"))?;
        for browser in [&browsers.0, &browsers.1] {
            browser.before_each_page(KEEP_CONNECTIONS).await?;
        }
        let [(ann, bob_there), (bob, ann_there)] = meet(browsers, &service, "").await?;
        ann.sees_and_hears(&bob_there).await?;
        bob.sees_and_hears(&ann_there).await?;
        let pair: [&Arc<Browser>; 2] = [&ann, &bob];
        let mut before = Vec::new();
        for browser in pair {
            before.push(agreement(browser).await?);
        }
        ann.click("[data-testid=toggle-settings]").await?;
        ann.text_of("[data-testid=settings]").await?;
        let list = "[data-testid=settings] #select-camera";
        let cameras = offered(&ann, list).await?;
        let (first, last) = (&cameras[0], &cameras[cameras.len() - 1]);
        for id in [last, first] {
            ann.choose(list, id).await?;
            let used = format!(
                "document.querySelector('.tile-self video').srcObject.getVideoTracks()[0]?.getSettings().deviceId === '{id}'"
            );
            ann.holds("another camera", &used).await?;
            bob.sees_and_hears(&ann_there).await?;
            assert!(bob.peers(1).await?[0].sends_video());
        }
        for (browser, before) in pair.into_iter().zip(before) {
            assert_eq!(agreement(browser).await?, before);
        }
        bob.echo(&ann_there, super::MESSAGES).await
    });
}
