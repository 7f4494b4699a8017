//! What can be done in a call besides talking: show a hand, react, choose how it looks and sounds, watch only.

use anyhow::Context as _;
use serde_json::{Value, json};
use tests::browser::Browser;
use tests::page::Peer;
use tests::stage;

use super::trouble::KEEP_CONNECTIONS;
use super::{meet, pair};

/// Presses or releases a key, wherever the focus is.
async fn key(browser: &Browser, event: &str, key: &str, code: &str) -> anyhow::Result<()> {
    let dispatch = "document.activeElement.dispatchEvent(new KeyboardEvent(arg.event,
        {key: arg.key, code: arg.code, bubbles: true, cancelable: true}))";
    let arguments = json!({"event": event, "key": key, "code": code});
    browser.value(dispatch, arguments).await?;
    Ok(())
}

#[test]
fn hands_and_reactions_are_seen_by_the_others() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, _)] = pair(stage, &service, "&audio=0&video=0").await?;
        bob.click("[data-testid=raise-hand]").await?;
        ann.says("[data-testid=notices]", &["bob raises a hand"])
            .await?;
        let raised = "document.querySelector('.tile-peer [data-testid=hand]').checkVisibility()";
        ann.holds("raised hand", raised).await?;
        bob.click("[data-testid=react]").await?;
        bob.click_when_there("[data-testid=reaction-clap]").await?;
        ann.says(".tile-peer [data-testid=reaction]", &["👏"])
            .await?;
        ann.says("[data-testid=notices]", &["bob: Applause"])
            .await?;
        bob.click("[data-testid=raise-hand]").await?;
        ann.holds("lowered hand", &format!("!{raised}")).await
    });
}

#[test]
fn the_microphone_follows_the_keys() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, ann_there)] = pair(stage, &service, "&video=0").await?;
        let on = |peer: &Peer| peer.sends_audio();
        let off = |peer: &Peer| !peer.sends_audio();
        let id = ann_there.id();
        bob.peer_until(id, "a microphone that is on", on).await?;
        key(&ann, "keydown", "m", "KeyM").await?;
        bob.peer_until(id, "a microphone that is off", off).await?;
        // Hangul keyboards give no Latin letters; the place of the key counts.
        key(&ann, "keydown", "ㅡ", "KeyM").await?;
        bob.peer_until(id, "a microphone that is on", on).await?;
        ann.click("[data-testid=toggle-settings]").await?;
        ann.click_when_there("[data-testid=settings] label[for=push-to-talk]")
            .await?;
        bob.peer_until(id, "a microphone that waits", off).await?;
        ann.value("document.activeElement.blur()", Value::Null)
            .await?;
        key(&ann, "keydown", " ", "Space").await?;
        bob.peer_until(id, "a microphone while the bar is held", on)
            .await?;
        key(&ann, "keyup", " ", "Space").await?;
        bob.peer_until(id, "a microphone that waits again", off)
            .await?;
        // Who turns single keys off can type at ease.
        ann.click("[data-testid=settings] label[for=shortcuts]")
            .await?;
        ann.value("document.activeElement.blur()", Value::Null)
            .await?;
        key(&ann, "keydown", "h", "KeyH").await?;
        let lowered = "document.querySelector('[data-testid=raise-hand]').ariaPressed === 'false'";
        ann.holds("hand that stays down", lowered).await?;
        ann.screenshot("settings").await
    });
}

#[test]
fn another_microphone_and_other_settings_do_not_interrupt() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, ann_there)] = pair(stage, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        ann.click("[data-testid=toggle-settings]").await?;
        ann.text_of("[data-testid=settings]").await?;
        ann.holds("several microphones", "document.querySelectorAll('[data-testid=settings] #select-microphone option').length > 1").await?;
        let list = "[data-testid=settings] #select-microphone";
        let last = format!("[...document.querySelector('{list}').options].at(-1).value");
        let last = ann.value(&last, Value::Null).await?;
        ann.choose(list, last.as_str().context("a microphone")?)
            .await?;
        ann.click("[data-testid=settings] label[for=noise-suppression]")
            .await?;
        ann.click("[data-testid=settings] label[for=low-bandwidth]")
            .await?;
        bob.sees_and_hears(&ann_there).await?;
        let small = "document.querySelector('video[data-peer]').videoWidth <= 320";
        bob.holds("a small picture", small).await?;
        assert_eq!(bob.peers(1).await?[0].id(), ann_there.id());
        Ok(())
    });
}

#[test]
fn a_viewer_watches_and_chats_and_sends_nothing() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let names = ["ann", "vic", "wim"];
        let (ann, vic, wim) = tokio::try_join!(
            stage.browser(names[0]),
            stage.browser(names[1]),
            stage.browser(names[2])
        )?;
        ann.enter(&service.room("tea", "ann", "")).await?;
        vic.enter(&service.room("tea", "vic", "&watch=1")).await?;
        wim.enter(&service.room("tea", "wim", "&watch=1")).await?;
        ann.peers(2).await?;
        for viewer in [&vic, &wim] {
            let [host] = <[Peer; 1]>::try_from(viewer.peers(1).await?).expect("one peer");
            assert_eq!(host.name(), "ann");
            viewer.sees_and_hears(&host).await?;
        }
        ann.says("[data-testid=audience]", &["2"]).await?;
        // Viewers have no connection to each other; the server carries their words.
        vic.send_chat("hello from vic").await?;
        wim.click("[data-testid=toggle-chat]").await?;
        wim.says("[data-testid=chat-log]", &["vic", "hello from vic"])
            .await?;
        let buttons = "['toggle-microphone', 'toggle-camera', 'share-screen']
            .some((id) => document.querySelector(`[data-testid=${id}]`).checkVisibility())";
        assert_eq!(vic.value(buttons, Value::Null).await?, false);
        ann.click("[data-testid=audience]").await?;
        ann.says("[data-testid=people]", &["vic", "wim", "Watches"])
            .await?;
        ann.screenshot("audience").await?;
        vic.screenshot("watching").await?;
        Ok(())
    });
}

#[test]
fn the_sound_of_a_shared_screen_is_heard() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        browsers.1.before_each_page(KEEP_CONNECTIONS).await?;
        // Nothing but the screen has any.
        let [(ann, _), (bob, ann_there)] = meet(browsers, &service, "&audio=0").await?;
        let music = "(() => {
            window.music = new AudioContext();
            const tone = window.music.createOscillator();
            tone.connect(window.music.destination);
            tone.start();
        })()";
        ann.value(music, Value::Null).await?;
        ann.click("[data-testid=share-screen]").await?;
        let plays = format!(
            "(() => {{
                const video = document.querySelector('video[data-screen-of=\"{}\"]');
                const [sound] = video?.srcObject.getAudioTracks() ?? [];
                return sound !== undefined && !sound.muted && !video.muted && !video.paused;
            }})()",
            ann_there.id()
        );
        bob.holds("sound of the screen", &plays).await?;
        let is_loud = "connections.at(-1).getStats().then((statistics) => [...statistics.values()]
            .some(({type, kind, audioLevel}) => type === 'inbound-rtp' && kind === 'audio' && audioLevel > 0.01))";
        bob.holds("a tone", is_loud).await?;
        ann.click("[data-testid=share-screen]").await?;
        let is_silent = "document.querySelector('.tile-screen') === null";
        bob.holds("no screen", is_silent).await
    });
}

#[test]
fn a_shared_screen_is_large_and_whom_one_pins_too() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, ann_there)] = pair(stage, &service, "&audio=0").await?;
        ann.click("[data-testid=share-screen]").await?;
        let large = |tile: &str| {
            format!(
                "document.querySelector('.tile-{tile}')?.dataset.size === 'large' && document.querySelector('.tile-{tile}').clientWidth > 600"
            )
        };
        bob.holds("large screen", &large("screen")).await?;
        let video = format!(
            "document.querySelector('video[data-screen-of=\"{}\"]').videoWidth > 0",
            ann_there.id()
        );
        bob.holds("picture of the screen", &video).await?;
        bob.screenshot("screen").await?;
        bob.value(
            "document.querySelector('.tile-peer [data-testid=pin]').click()",
            Value::Null,
        )
        .await?;
        bob.holds("pinned person", &large("peer")).await?;
        ann.click("[data-testid=share-screen]").await?;
        bob.holds(
            "no screen",
            "document.querySelector('.tile-screen') === null",
        )
        .await
    });
}
