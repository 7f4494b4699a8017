//! What a call shows of itself: who speaks, how the connections do, with which codec.

use std::fs;

use serde_json::{Value, json};
use tests::browser::Kind;
use tests::poll::{self, Look};
use tests::stage;

use super::pair;

/// Somebody who sings one note: the beeps of fake microphones are shorter than what a page looks at.
const SINGS: &str = "(() => {
  const { mediaDevices } = navigator;
  const ask = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (wish) => {
    if (!wish.audio) return ask(wish);
    const context = new AudioContext();
    const note = context.createOscillator();
    const microphone = context.createMediaStreamDestination();
    note.connect(microphone);
    note.start();
    return microphone.stream;
  };
})()";

#[test]
fn who_speaks_is_marked_and_large_for_those_who_like() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob, cyd) = tokio::try_join!(
            stage.browser_of(Kind::CALM, "ann"),
            stage.browser_of(Kind::CALM, "bob"),
            stage.browser_of(Kind::CALM, "cyd")
        )?;
        // Only ann can be heard.
        ann.before_each_page(SINGS).await?;
        ann.enter(&service.room("tea", "ann", "")).await?;
        for (browser, name) in [(&bob, "bob"), (&cyd, "cyd")] {
            let room = service.room("tea", name, "&audio=0&video=0");
            browser.enter(&room).await?;
        }
        let peers = bob.peers(2).await?;
        let ann_there = peers.iter().find(|peer| peer.name() == "ann").expect("ann");
        let tile = format!(
            "document.querySelector('[data-tile=\"peer:{}\"]').dataset",
            ann_there.id()
        );
        bob.holds("a mark", &format!("{tile}.speaking === 'true'"))
            .await?;
        let layout = "document.querySelector('.stage').dataset.kind";
        assert_eq!(bob.value(layout, Value::Null).await?, "grid");
        bob.click("[data-testid=layout]").await?;
        let large = "[...document.querySelectorAll('.tile')]
            .filter(({dataset}) => dataset.size === 'large')
            .map(({dataset}) => dataset.tile).join()";
        let ann_alone = format!("({large}) === 'peer:{}'", ann_there.id());
        bob.holds("one large picture", &ann_alone).await?;
        bob.screenshot("speaker").await?;
        bob.click("[data-testid=layout]").await?;
        bob.holds("a grid", &format!("{layout} === 'grid'")).await
    });
}

#[test]
fn another_language_leaves_a_call_as_it_was_arranged() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, bob_there), (bob, _)] = pair(stage, &service, "").await?;
        ann.click(".tile-peer [data-testid=pin]").await?;
        ann.click("[data-testid=toggle-chat]").await?;
        let write = "document.querySelector('[data-testid=chat-input]').value = 'half a sent'";
        ann.value(write, Value::Null).await?;
        ann.choose("[data-testid=language]", "ko").await?;
        ann.says("[data-testid=invite]", &["초대"]).await?;
        let as_before = "document.querySelector('[data-testid=chat-input]').value === 'half a sent'
            && document.querySelector('[data-testid=toggle-chat]').ariaExpanded === 'true'
            && document.querySelector('.tile-peer [data-testid=pin]').ariaPressed === 'true'";
        ann.holds("everything as before", as_before).await?;
        ann.media_advances(&bob_there).await?;
        bob.peers(1).await?;
        Ok(())
    });
}

#[test]
fn how_a_connection_does_is_shown_and_saved() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, ann_there)] = pair(stage, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        bob.click("[data-testid=path]").await?;
        let panel = "[data-testid=connection]";
        bob.says(panel, &["ann", "opus", "UDP", "DTLS"]).await?;

        // The one who sends chooses.
        ann.click("[data-testid=toggle-settings]").await?;
        ann.choose("[data-testid=codec]", "VP9").await?;
        bob.says(panel, &["VP9"]).await?;
        bob.media_advances(&ann_there).await?;
        bob.screenshot("connection").await?;

        bob.click("[data-testid=connection-save]").await?;
        let saved = poll::until("a report", async || {
            let files: Vec<_> = fs::read_dir(bob.downloads())
                .map(|files| files.flatten().map(|file| file.path()).collect())
                .unwrap_or_default();
            let report = files
                .iter()
                .find(|file| file.extension().is_some_and(|it| it == "json"));
            let report = report.and_then(|file| serde_json::from_slice(&fs::read(file).ok()?).ok());
            Ok(report.map_or_else(|| Look::NotYet(format!("{files:?}")), Look::There))
        })
        .await?;
        let report: Value = saved;
        assert!(report.to_string().contains("VP9"), "{report}");
        Ok(())
    });
}

#[test]
fn a_picture_floats_over_other_windows() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(_ann, _), (bob, ann_there)] = pair(stage, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        bob.click(".tile-peer [data-testid=float]").await?;
        let floats = "document.pictureInPictureElement?.dataset.peer === arg";
        poll::until("a picture in picture", async || {
            let floats = bob.value(floats, json!(ann_there.id())).await?;
            Ok(match floats == true {
                true => Look::There(()),
                false => Look::NotYet(floats.to_string()),
            })
        })
        .await?;
        bob.media_advances(&ann_there).await
    });
}
