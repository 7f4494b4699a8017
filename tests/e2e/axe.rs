//! Accessibility: axe-core finds nothing, on any screen, in light and in dark.

pub(crate) mod states;

use std::fs;

use serde_json::json;
use tests::axe::Theme;
use tests::browser::Kind;
use tests::stage;

/// Everything on both sides of a call that can be open at the same time.
const CALL: [&str; 2] = ["[data-testid=toggle-chat]", "[data-testid=path]"];

/// What opens over a call, each in the other's place.
const PANELS: [(&str, &str); 3] = [
    ("[data-testid=toggle-people]", "[data-testid=people]"),
    ("[data-testid=toggle-settings]", "[data-testid=settings]"),
    ("[data-testid=react]", "#reactions"),
];

#[test]
fn screens_besides_the_call() {
    stage::run(async |stage| {
        let service = stage.signaling(&["--max-room", "1"]).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        for (theme, language) in [(Theme::Light, "en"), (Theme::Dark, "ko")] {
            ann.theme(theme).await?;
            ann.open(&format!("{}/?lang={language}", service.page))
                .await?;
            ann.finds_axe_nothing("the start page").await?;
            ann.click("[data-testid=create-room]").await?;
            ann.text_of("[data-testid=join]").await?;
            ann.finds_axe_nothing("the preview").await?;
            ann.open(&format!(
                "{}/room/tea?lang={language}&watch=1",
                service.page
            ))
            .await?;
            ann.text_of("[data-testid=join]").await?;
            ann.finds_axe_nothing("the preview of a viewer").await?;
            ann.check(&service.check(language)).await?;
            ann.finds_axe_nothing("the check").await?;
            ann.enter(&service.room("tea", "ann", "")).await?;
            ann.finds_axe_nothing("an empty room").await?;
            ann.click_when_there("[data-testid=alone] [data-testid=qr-link]")
                .await?;
            ann.text_of("[data-testid=qr] + .hint").await?;
            ann.finds_axe_nothing("a QR code").await?;
            bob.theme(theme).await?;
            bob.open(&service.room("tea", "bob", "")).await?;
            bob.text_of("[role=alert]").await?;
            bob.finds_axe_nothing("a full room").await?;
            ann.click("[data-testid=leave]").await?;
            ann.text_of("[data-testid=end-title]").await?;
            ann.finds_axe_nothing("the end").await?;
        }
        Ok(())
    });
}

#[test]
fn a_check_that_finds_trouble() {
    stage::run(async |stage| {
        let service = stage.external("none", &["turn:127.0.0.1:9".into()]).await?;
        let browser = stage.browser_of(Kind::REFUSING, "ann").await?;
        for theme in [Theme::Light, Theme::Dark] {
            browser.theme(theme).await?;
            browser.check(&service.check("en")).await?;
            browser.click("[data-testid=check-camera]").await?;
            browser.finding("camera", "failed").await?;
            browser.click("[data-testid=check-speaker]").await?;
            browser.finds_axe_nothing("a check with trouble").await?;
        }
        Ok(())
    });
}

#[test]
fn a_call_with_everything_open() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        ann.theme(Theme::Light).await?;
        bob.theme(Theme::Dark).await?;
        ann.enter(&service.room("tea", "ann", "&video=0")).await?;
        bob.enter(&service.room("tea", "bob", "&audio=0&video=0"))
            .await?;
        ann.peers(1).await?;
        bob.peers(1).await?;
        for text in ["안녕하세요", "hello"] {
            ann.send_chat(text).await?;
            bob.send_chat(text).await?;
        }
        let file = stage.folder().join("notes.txt");
        fs::write(&file, "notes")?;
        ann.send_file(&file).await?;
        for (browser, name) in [(&ann, "sending"), (&bob, "being asked")] {
            for control in CALL {
                let open = json!(control);
                let press = "document.querySelector(arg).getAttribute('aria-expanded') === 'true'
                    || document.querySelector(arg).click()";
                browser.value(press, open).await?;
            }
            browser.text_of("[data-testid=file]").await?;
            browser.text_of("[data-testid=connection]").await?;
            browser.finds_axe_nothing(name).await?;
            browser.screenshot("everything-open").await?;
            for (control, panel) in PANELS {
                browser
                    .value("document.querySelector(arg).click()", json!(control))
                    .await?;
                browser.text_of(panel).await?;
                browser
                    .finds_axe_nothing(&format!("{name}, with {panel}"))
                    .await?;
            }
        }
        Ok(())
    });
}
