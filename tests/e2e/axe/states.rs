//! The states that a call is in for a while only: ways that break, files on their way, and how a call can end.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::axe::Theme;
use tests::browser::{Browser, Kind};
use tests::poll::{self, Look};
use tests::stage::{self, Stage};

use crate::browser::files::{NO_DIALOG, open_chat, state};
use crate::browser::{meet, pair};

/// Firefox takes its theme from its preferences and has the tests' default alone.
fn themes(browser: &Browser) -> &'static [Option<Theme>] {
    if browser.kind().is_firefox() {
        return &[None];
    }
    &[Some(Theme::Light), Some(Theme::Dark)]
}

/// Nothing is found, in either theme.
async fn finds_nothing(browser: &Browser, screen: &str) -> anyhow::Result<()> {
    for theme in themes(browser) {
        if let Some(theme) = *theme {
            browser.theme(theme).await?;
        }
        browser
            .finds_axe_nothing(&format!("{screen}, {theme:?}"))
            .await?;
    }
    Ok(())
}

/// Nothing is found while what a CSS selector finds is there: it may go away meanwhile, and come again.
async fn finds_nothing_while(browser: &Browser, selector: &str) -> anyhow::Result<()> {
    let there = "document.querySelector(arg)?.checkVisibility() === true";
    for theme in themes(browser) {
        if let Some(theme) = *theme {
            browser.theme(theme).await?;
        }
        let screen = format!("{selector}, {theme:?}");
        poll::until(&screen, async || {
            browser.text_of(selector).await?;
            browser.finds_axe_nothing(&screen).await?;
            let is_there = browser.value(there, json!(selector)).await?;
            Ok(match is_there == true {
                true => Look::There(()),
                false => Look::NotYet("it went away while it was looked at".into()),
            })
        })
        .await?;
    }
    Ok(())
}

/// The same URL in Korean.
fn korean(url: &str) -> String {
    url.replace("lang=en", "lang=ko")
}

/// A call over a relay that dies: first the way is interrupted, and then there is none.
pub(crate) async fn ways_break(stage: &Stage, kind: Kind) -> anyhow::Result<()> {
    let relay = stage.relay(&["--auth-secret", "north", "--allow-peer", "127.0.0.0/8"]);
    let relay = relay.await?;
    let url = format!("turn:{}?transport=udp", relay.udp);
    let service = stage.external("north", &[url]).await?;
    let (ann, bob) = tokio::try_join!(stage.browser_of(kind, "ann"), stage.browser("bob"))?;
    // One shows a picture, and the other does not.
    ann.enter(&service.room("tea", "ann", "&relay=1&audio=0&video=0"))
        .await?;
    let room = korean(&service.room("tea", "bob", "&relay=1"));
    bob.enter(&room).await?;
    for browser in [&ann, &bob] {
        browser.peers(1).await?;
        open_chat(browser).await?;
    }
    relay.process.signal(Signal::KILL)?;
    relay.process.exit().await?;
    // Both at once: the way of one fails for good while the other is still looked at.
    tokio::try_join!(way_breaks(&ann), way_breaks(&bob))?;
    Ok(())
}

/// The way of one browser is interrupted for some seconds, which a busy machine may miss, and then it has failed for good.
async fn way_breaks(browser: &Browser) -> anyhow::Result<()> {
    let interrupted = ".tile-peer:is([data-state=interrupted], [data-state=failed])";
    for (broken, tile) in [
        ("broken", interrupted),
        ("failed", ".tile-peer[data-state=failed]"),
    ] {
        finds_nothing_while(browser, tile).await?;
        browser.screenshot(broken).await?;
    }
    Ok(())
}

#[test]
fn ways_that_break() {
    stage::run(async |stage| ways_break(stage, Kind::CHROMIUM).await);
}

/// Long enough to be looked at on its way.
const LONG_FILE: usize = 150_000_000;

/// Files in each state of their lives, on both sides.
async fn files_live(stage: &Stage, [ann, bob]: [&Browser; 2]) -> anyhow::Result<()> {
    bob.value(NO_DIALOG, Value::Null).await?;
    for browser in [ann, bob] {
        open_chat(browser).await?;
    }
    let [short, long] = ["short.txt", "long.bin"].map(|name| stage.folder().join(name));
    fs::write(&short, "short")?;
    fs::write(&long, vec![7; LONG_FILE])?;
    for (file, end) in [
        (&short, "done"),
        (&short, "refused"),
        (&long, "cancelled"),
        (&long, "failed"),
    ] {
        ann.send_file(file).await?;
        state(bob, "offered").await?;
        let answer = match end {
            "refused" => "file-refuse",
            _ => "file-accept",
        };
        bob.click(&format!("[data-state=offered] [data-testid={answer}]"))
            .await?;
        if file == &long {
            state(bob, "running").await?;
            bob.click("[data-state=running] [data-testid=file-pause]")
                .await?;
            for browser in [ann, bob] {
                state(browser, "running").await?;
                finds_nothing(browser, "a file that is paused").await?;
            }
        }
        match end {
            "cancelled" => {
                bob.click("[data-state=running] [data-testid=file-pause]")
                    .await?;
                finds_nothing_while(ann, ".file-card[data-state=running]").await?;
                ann.click("[data-state=running] [data-testid=file-cancel]")
                    .await?;
            }
            "failed" => ann.click("[data-testid=leave]").await?,
            _ => {}
        }
        state(bob, end).await?;
        finds_nothing(bob, &format!("a file that is {end}")).await?;
        if end != "failed" {
            state(ann, end).await?;
            finds_nothing(ann, &format!("a file that was sent and is {end}")).await?;
        }
        bob.screenshot(&format!("file-{end}")).await?;
    }
    fs::remove_file(&long)?;
    Ok(())
}

#[test]
fn files_on_their_way_and_at_their_end() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, _), (bob, _)] = pair(stage, &service, "&audio=0&video=0").await?;
        files_live(stage, [&ann, &bob]).await
    });
}

/// Taken out by a host, refused by a locked room, and left by oneself; and what stands in for a call that cannot be.
pub(crate) async fn calls_end(stage: &Stage, kind: Kind) -> anyhow::Result<()> {
    let service = stage.signaling(&[]).await?;
    let browsers = tokio::try_join!(stage.browser("ann"), stage.browser_of(kind, "bob"))?;
    let [(ann, _), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
    // What a tile may have besides its name.
    bob.click("[data-testid=raise-hand]").await?;
    bob.click("[data-testid=react]").await?;
    bob.click_when_there("[data-testid=reaction-heart]").await?;
    ann.says(".tile-peer [data-testid=reaction]", &["❤"])
        .await?;
    finds_nothing(&ann, "a raised hand").await?;

    ann.click("[data-testid=toggle-people]").await?;
    ann.text_of("[data-testid=people]").await?;
    ann.click("[data-testid=kick]").await?;
    bob.says("[role=alert]", &["A host has taken you out"])
        .await?;
    finds_nothing(&bob, "taken out").await?;
    ann.click("[data-testid=lock]").await?;
    ann.says("[data-testid=notices]", &["The room is locked"])
        .await?;
    bob.open(&korean(&service.room("tea", "bob", "&video=0")))
        .await?;
    bob.text_of("[role=alert]").await?;
    finds_nothing(&bob, "a locked room").await?;
    bob.screenshot("locked").await?;
    ann.click("[data-testid=leave]").await?;
    ann.text_of("[data-testid=end-title]").await?;
    finds_nothing(&ann, "left").await?;

    let installed = "navigator.serviceWorker.ready.then(({active}) => active.state)";
    bob.value(installed, Value::Null).await?;
    let page = service.page.clone();
    drop(service);
    bob.open(&page).await?;
    bob.says("main", &["The server is out of reach"]).await?;
    finds_nothing(&bob, "no server").await
}

#[test]
fn the_ends_of_calls() {
    stage::run(async |stage| calls_end(stage, Kind::CHROMIUM).await);
}
