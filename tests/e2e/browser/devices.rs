//! Cameras and microphones that are not there, not allowed, or go away: each is explained, and the call goes on.

use serde_json::Value;
use tests::browser::{Browser, Kind};
use tests::page::Peer;
use tests::stage::{self, Stage};

use super::{MESSAGES, meet};

/// The preview says what is the matter with both devices, and one can join all the same, see and hear.
pub(crate) async fn join_without(
    stage: &Stage,
    kind: Kind,
    insecurely: bool,
    words: &[&str],
) -> anyhow::Result<()> {
    let service = stage.signaling_by_name().await?;
    let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser_of(kind, "bob"))?;
    ann.enter(&service.room("tea", "ann", "")).await?;
    let mut url = format!("{}/room/tea?name=bob&lang=en", service.page);
    if insecurely {
        url = service.insecurely(&url);
    }
    bob.open(&url).await?;
    bob.says("[data-testid=device-problems]", words).await?;
    bob.screenshot("preview").await?;
    bob.click("[data-testid=join]").await?;
    bob.is_in_the_room().await?;
    let [ann_there] = <[Peer; 1]>::try_from(bob.peers(1).await?).expect("one peer");
    bob.sees_and_hears(&ann_there).await?;
    bob.echo(&ann_there, MESSAGES).await?;
    let [bob_there] = <[Peer; 1]>::try_from(ann.peers(1).await?).expect("one peer");
    assert!(!bob_there.sends_audio() && !bob_there.sends_video());
    Ok(())
}

#[test]
fn who_refuses_camera_and_microphone_is_told_how_to_allow_them_and_joins() {
    stage::run(async |stage| {
        let words = [
            "The camera is blocked",
            "The microphone is blocked",
            "join all the same",
        ];
        join_without(stage, Kind::REFUSING, false, &words).await
    });
}

#[test]
fn who_has_no_camera_and_no_microphone_is_told_and_joins() {
    stage::run(async |stage| {
        let words = [
            "No camera was found",
            "No microphone was found",
            "join all the same",
        ];
        join_without(stage, Kind::BARE, false, &words).await
    });
}

#[test]
fn a_page_without_encryption_says_why_there_is_no_camera() {
    stage::run(async |stage| {
        let words = [
            "No camera: browsers allow it only on secure pages",
            "https://",
        ];
        join_without(stage, Kind::CHROMIUM, true, &words).await
    });
}

/// Ends a device's track as pulling out its plug does: it stops, and `ended` is fired.
async fn unplug(browser: &Browser, kind: &str) -> anyhow::Result<()> {
    let script = "document.querySelector('.tile-self video').srcObject.getTracks()
        .filter((track) => track.kind === arg)
        .forEach((track) => { track.stop(); track.dispatchEvent(new Event('ended')); })";
    browser.value(script, Value::from(kind)).await?;
    Ok(())
}

#[test]
fn a_device_that_is_unplugged_is_told_and_the_next_one_takes_its_place() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        let [(ann, _), (bob, ann_there)] = meet(browsers, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        let id = ann_there.id();
        // There is one camera.
        unplug(&ann, "video").await?;
        let notices = "[data-testid=notices]";
        ann.says(
            notices,
            &["The camera was disconnected. The call goes on without it"],
        )
        .await?;
        bob.peer_until(id, "word of the lost camera", |ann| !ann.sends_video())
            .await?;
        ann.click("[data-testid=toggle-camera]").await?;
        bob.peer_until(id, "word of the camera", Peer::sends_video)
            .await?;
        bob.sees_and_hears(&ann_there).await?;
        // And there are several microphones.
        unplug(&ann, "audio").await?;
        let next =
            "The microphone was disconnected. The call goes on with another one: Fake Audio Input";
        ann.says(notices, &[next]).await?;
        bob.peer_until(id, "word of the microphone", Peer::sends_audio)
            .await?;
        bob.sees_and_hears(&ann_there).await?;
        Ok(())
    });
}
