//! Files from one browser to another.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::browser::Browser;
use tests::poll::{self, Look};
use tests::stage::{self, Stage};

use super::pair;
use super::resume::WITH_RELAY;

/// Without this the browser would ask with a dialog of its own where to put a file.
pub(crate) const NO_DIALOG: &str = "delete window.showSaveFilePicker";
/// Where the newest file's card is in its life.
const STATE: &str = "[...document.querySelectorAll('[data-testid=file]')].at(-1)?.dataset.state";
/// How far the newest file is.
const PROGRESS: &str =
    "[...document.querySelectorAll('[data-testid=file] progress')].at(-1)?.value";
/// Enough for many chunks, windows and readings.
const MANY_BYTES: usize = 10_000_000;

/// Bytes that do not repeat soon.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(super) fn file(stage: &Stage, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
    let path = stage.folder().join(name);
    fs::write(&path, content)?;
    Ok(path)
}

/// One that is on its way for a good while, wherever it is sent. Its zeros need no room on the disk.
pub(super) fn endless_file(stage: &Stage) -> anyhow::Result<PathBuf> {
    let path = stage.folder().join("long.bin");
    fs::File::create(&path)?.set_len(2_000_000_000)?;
    Ok(path)
}

pub(crate) async fn state(browser: &Browser, wanted: &str) -> anyhow::Result<()> {
    poll::until(&format!("a file that is {wanted}"), async || {
        let state = browser.value(STATE, json!(null)).await?;
        Ok(if state == wanted {
            Look::There(())
        } else {
            Look::NotYet(state.to_string())
        })
    })
    .await
}

pub(super) async fn arrives(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let what = format!("{} bytes on the disk", content.len());
    poll::until(&what, async || match fs::read(path) {
        Ok(saved) if saved == content => Ok(Look::There(())),
        seen => Ok(Look::NotYet(format!("{:?}", seen.map(|file| file.len())))),
    })
    .await
}

/// Files of these lengths arrive as they were sent.
pub(crate) async fn travel(
    stage: &Stage,
    from: &Browser,
    to: &Browser,
    lengths: &[usize],
) -> anyhow::Result<()> {
    to.value(NO_DIALOG, json!(null)).await?;
    open_chat(to).await?;
    for length in lengths {
        let content = noise(*length);
        let name = format!("보고서 {length}.bin");
        let path = file(stage, &name, &content)?;
        from.send_file(&path).await?;
        state(to, "offered").await?;
        to.click("[data-state=offered] [data-testid=file-accept]")
            .await?;
        state(to, "done").await?;
        state(from, "done").await?;
        arrives(&to.downloads().join(&name), &content).await?;
    }
    Ok(())
}

pub(crate) async fn open_chat(browser: &Browser) -> anyhow::Result<()> {
    let open = "document.querySelector('[data-testid=toggle-chat]').ariaExpanded === 'true'
        || document.querySelector('[data-testid=toggle-chat]').click()";
    browser.value(open, json!(null)).await?;
    Ok(())
}

#[test]
fn files_of_any_size_arrive_as_they_were_sent() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, _)] = pair(stage, &service, "&audio=0&video=0").await?;
        travel(stage, &ann, &bob, &[0, 1, MANY_BYTES]).await?;
        bob.screenshot("files-arrived").await?;
        ann.screenshot("files-sent").await?;
        Ok(())
    });
}

#[test]
fn a_file_stands_still_while_it_is_paused_and_can_be_cancelled_by_either_side() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, _)] = pair(stage, &service, "&audio=0&video=0").await?;
        pauses_and_cancels(stage, [&ann, &bob]).await
    });
}

/// Both can pause and cancel what one sends to the other.
pub(crate) async fn pauses_and_cancels(
    stage: &Stage,
    [ann, bob]: [&Browser; 2],
) -> anyhow::Result<()> {
    bob.value(NO_DIALOG, json!(null)).await?;
    for browser in [ann, bob] {
        open_chat(browser).await?;
    }
    let path = endless_file(stage)?;
    for (pauses, cancels) in [(ann, bob), (bob, ann)] {
        ann.send_file(&path).await?;
        state(bob, "offered").await?;
        bob.click("[data-state=offered] [data-testid=file-accept]")
            .await?;
        state(pauses, "running").await?;
        pauses
            .click("[data-state=running] [data-testid=file-pause]")
            .await?;
        // What was on its way arrives, and then nothing more.
        let still = stands_still(bob).await?;
        pauses
            .click("[data-state=running] [data-testid=file-pause]")
            .await?;
        poll::until("progress", async || {
            let now = bob.value(PROGRESS, json!(null)).await?;
            Ok(if now == still {
                Look::NotYet(now.to_string())
            } else {
                Look::There(())
            })
        })
        .await?;
        cancels
            .click("[data-state=running] [data-testid=file-cancel]")
            .await?;
        state(ann, "cancelled").await?;
        state(bob, "cancelled").await?;
    }
    assert!(
        !bob.downloads().join("long.bin").exists(),
        "nothing is left of it"
    );
    Ok(())
}

/// Waits until two looks, with a turn of the page's own progress reports between them, are the same.
async fn stands_still(browser: &Browser) -> anyhow::Result<Value> {
    let mut before = Value::Null;
    poll::until("a file that stands still", async || {
        // Progress is told at most four times a second.
        let later = format!("new Promise((look) => setTimeout(() => look({PROGRESS}), 600))");
        let now = browser.value(&later, json!(null)).await?;
        let same = now == before;
        before = now.clone();
        Ok(if same && !now.is_null() {
            Look::There(now)
        } else {
            Look::NotYet(now.to_string())
        })
    })
    .await
}

/// What moves is missed: when a line of text more pushed the buttons down, whoever cancelled at that moment did not.
#[test]
fn the_buttons_of_a_file_stay_where_they_are_while_it_is_on_its_way() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, _)] = pair(stage, &service, "&audio=0&video=0").await?;
        bob.value(NO_DIALOG, json!(null)).await?;
        for browser in [&ann, &bob] {
            open_chat(browser).await?;
        }
        let path = endless_file(stage)?;
        for language in ["en", "ko"] {
            for browser in [&ann, &bob] {
                browser.choose("[data-testid=language]", language).await?;
            }
            ann.send_file(&path).await?;
            bob.click_when_there("[data-state=offered] [data-testid=file-accept]")
                .await?;
            for browser in [&ann, &bob] {
                browser.value(WATCH_BUTTONS, json!(null)).await?;
            }
            state(&bob, "running").await?;
            for pauses in [&ann, &bob] {
                let pause = "[data-state=running] [data-testid=file-pause]";
                pauses.holds("its speed", SPEED).await?;
                pauses.click(pause).await?;
                stands_still(&bob).await?;
                pauses.screenshot(&format!("file-{language}")).await?;
                pauses.click(pause).await?;
                pauses.holds("its speed again", SPEED).await?;
            }
            ann.click("[data-state=running] [data-testid=file-cancel]")
                .await?;
            state(&bob, "cancelled").await?;
            for browser in [&ann, &bob] {
                let places = browser.value("placesOfCancel()", json!(null)).await?;
                let places = places.as_array().map_or(0, Vec::len);
                assert_eq!(
                    places, 1,
                    "{language}: {places:?} places of the button to cancel"
                );
            }
        }
        Ok(())
    });
}

/// Whether the newest card tells how quickly the file comes.
const SPEED: &str = "[...document.querySelectorAll('[data-testid=file] .file-state')].at(-1).textContent.includes('·')";

/// Notes where the newest card has its button to cancel whenever something changes.
const WATCH_BUTTONS: &str = "(() => {
    const places = new Set();
    const card = [...document.querySelectorAll('[data-testid=file]')].at(-1);
    const look = () => {
        const button = card.querySelector('[data-testid=file-cancel]');
        if (card.dataset.state !== 'running' || button.hidden) return;
        const { left, top, width } = button.getBoundingClientRect();
        places.add([left, top, width].map(Math.round).join(' '));
    };
    new MutationObserver(look).observe(card, { subtree: true, childList: true, characterData: true, attributes: true });
    window.placesOfCancel = () => [...places];
})()";

#[test]
fn a_file_goes_on_over_another_relay_when_the_first_one_died() {
    stage::run(async |stage| {
        let service = stage.signaling_without_relay(&WITH_RELAY).await?;
        let [(ann, _), (bob, ann_there)] =
            pair(stage, &service, "&audio=0&video=0&relay=1").await?;
        bob.value(NO_DIALOG, json!(null)).await?;
        open_chat(&bob).await?;
        let content = noise(4 * MANY_BYTES);
        let path = file(stage, "long.bin", &content)?;
        ann.send_file(&path).await?;
        bob.click_when_there("[data-testid=file-accept]").await?;
        state(&bob, "running").await?;
        service.process.signal(Signal::KILL)?;
        service.process.exit().await?;
        let _next = stage.signaling_at(service.address(), &WITH_RELAY).await?;
        bob.is_in_the_room().await?;
        state(&bob, "done").await?;
        state(&ann, "done").await?;
        let [ann_still] = <[_; 1]>::try_from(bob.peers(1).await?).expect("one peer");
        assert_eq!(
            ann_still.id(),
            ann_there.id(),
            "ICE was restarted, not the session"
        );
        arrives(&bob.downloads().join("long.bin"), &content).await
    });
}

#[test]
fn a_file_goes_on_when_the_server_was_killed_and_everybody_entered_anew() {
    stage::run(async |stage| {
        let without_relay = ["--turn-mode=none"];
        let service = stage.signaling_without_relay(&without_relay).await?;
        let [(ann, _), (bob, ann_there)] = pair(stage, &service, "&audio=0&video=0").await?;
        bob.value(NO_DIALOG, json!(null)).await?;
        bob.click("[data-testid=toggle-chat]").await?;
        let content = noise(4 * MANY_BYTES);
        let path = file(stage, "long.bin", &content)?;
        ann.send_file(&path).await?;
        bob.click_when_there("[data-testid=file-accept]").await?;
        state(&bob, "running").await?;
        service.process.signal(Signal::KILL)?;
        service.process.exit().await?;
        let _again = stage
            .signaling_at(service.address(), &without_relay)
            .await?;
        bob.is_in_the_room().await?;
        state(&bob, "done").await?;
        let [ann_again] = <[_; 1]>::try_from(bob.peers(1).await?).expect("one peer");
        assert_ne!(ann_again.id(), ann_there.id(), "it was another session");
        arrives(&bob.downloads().join("long.bin"), &content).await
    });
}

#[test]
fn a_file_with_a_hostile_name_is_harmless_and_may_be_refused() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, _)] = pair(stage, &service, "&audio=0&video=0").await?;
        bob.value(NO_DIALOG, json!(null)).await?;
        bob.click("[data-testid=toggle-chat]").await?;
        let name = ".a\u{202e}gpj.<img src=x onerror=alert(1)>.html";
        let path = file(stage, name, b"<script>alert(1)</script>")?;
        ann.send_file(&path).await?;
        let shown = bob.text_of(".file-name").await?;
        assert_eq!(shown, "agpj._img src=x onerror=alert(1)_.html");
        bob.click("[data-testid=file-refuse]").await?;
        state(&bob, "refused").await?;
        state(&ann, "refused").await?;
        bob.screenshot("file-refused").await?;
        Ok(())
    });
}
