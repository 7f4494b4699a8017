//! How each screen looks, from a phone to a large monitor, in both themes and languages: pictures for people, kept as
//! artefacts, and what no screen may do.

use serde_json::{Value, json};
use tests::axe::Theme;
use tests::browser::{Browser, Kind};
use tests::stage;

/// Widths and heights of windows, in CSS pixels.
const SIZES: [(u32, u32); 5] = [
    (360, 740),
    (740, 360),
    (768, 1024),
    (1280, 800),
    (1920, 1080),
];
pub(super) const LOOKS: [(Theme, &str); 4] = [
    (Theme::Light, "en"),
    (Theme::Dark, "ko"),
    (Theme::Dark, "en"),
    (Theme::Light, "ko"),
];

/// What is wider than the window, or reaches out of it at a side without being cut: empty when all is well.
const TOO_WIDE: &str = "(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll('body *')]
    .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > width + 1)
    .map((element) => `${element.tagName}.${element.className} to ${element.getBoundingClientRect().right} of ${width}`);
})()";

/// Buttons and fields that the window's edge cuts off. (In a call nothing scrolls, so that nothing would be too wide.)
const CUT_OFF: &str = "(() => {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll('button, select, input, textarea, a[href]')]
    .filter((element) => element.checkVisibility({visibilityProperty: true, opacityProperty: true}))
    .map((element) => [element, element.getBoundingClientRect()])
    .filter(([, {left, right}]) => right > 0 && left < width && (left < -1 || right > width + 1))
    .map(([element, {left, right}]) => `${element.dataset.testid ?? element.tagName}: ${left} to ${right} of ${width}`);
})()";

/// Buttons and fields of a call that are out of sight above or below, where nothing can be scrolled to them.
const OUT_OF_SIGHT: &str = "(() => {
  const height = document.documentElement.clientHeight;
  const scrolls = (element) => element !== null
    && (['auto', 'scroll'].includes(getComputedStyle(element).overflowY) || scrolls(element.parentElement));
  return [...document.querySelectorAll('.call :is(button, select, input, textarea, a[href])')]
    .filter((element) => element.checkVisibility({visibilityProperty: true, opacityProperty: true}) && !scrolls(element))
    .map((element) => [element, element.getBoundingClientRect()])
    .filter(([, {top, bottom}]) => top < -1 || bottom > height + 1)
    .map(([element, {top, bottom}]) => `${element.dataset.testid ?? element.className}: ${top} to ${bottom} of ${height}`);
})()";

/// What scrolls sideways inside of the page.
const SCROLLS_SIDEWAYS: &str = "[...document.querySelectorAll('body *')]
  .filter((element) => element.checkVisibility() && element.scrollWidth > element.clientWidth + 1)
  .filter((element) => ['auto', 'scroll'].includes(getComputedStyle(element).overflowX))
  .map((element) => `${element.tagName}.${element.className}: ${element.scrollWidth} in ${element.clientWidth}`)";

/// Buttons and links too small for fingers (WCAG 2.2, 2.5.8: 24 pixels), but links within a text.
const TOO_SMALL: &str = "[...document.querySelectorAll('button, select, input:not([type=file]), a.button')]
  .filter((element) => element.checkVisibility())
  .map((element) => [element, element.getBoundingClientRect()])
  .filter(([element, {width, height}]) => width > 0 && (width < 24 || height < 24) && !element.labels?.length)
  .map(([element, {width, height}]) => `${element.dataset.testid ?? element.tagName}: ${width} × ${height}`)";

/// Two frames, so that what is laid out by a script has followed, and the end of what moves there.
const SETTLED: &str = "(async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame();
  await frame();
  const moving = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
  await Promise.allSettled(moving.map(({finished}) => finished));
})()";

pub(super) async fn look(
    browser: &Browser,
    screen: &str,
    (theme, language): (Theme, &str),
) -> anyhow::Result<()> {
    for (width, height) in SIZES {
        browser.window(width, height).await?;
        browser.value(SETTLED, Value::Null).await?;
        let wrong = [TOO_WIDE, CUT_OFF, OUT_OF_SIGHT, SCROLLS_SIDEWAYS, TOO_SMALL];
        let all = format!("[{}].flat()", wrong.join(","));
        let found = browser.value(&all, Value::Null).await?;
        assert_eq!(found, json!([]), "{screen} at {width}");
        let theme = format!("{theme:?}").to_lowercase();
        browser
            .screenshot(&format!("{screen}-{width}-{theme}-{language}"))
            .await?;
    }
    Ok(())
}

#[test]
fn screens_before_and_after_a_call_fit_every_window() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("a").await?;
        let page = &service.page;
        for style @ (theme, language) in LOOKS {
            browser.theme(theme).await?;
            browser.open(&format!("{page}/?lang={language}")).await?;
            browser.text_of("h1").await?;
            look(&browser, "landing", style).await?;
            browser
                .open(&format!("{page}/room/tea-and-cake?lang={language}"))
                .await?;
            browser.text_of("[data-testid=join]").await?;
            look(&browser, "preview", style).await?;
            browser.check(&service.check(language)).await?;
            look(&browser, "check", style).await?;
            browser
                .enter(&format!(
                    "{page}/room/tea-and-cake?name=Ann&lang={language}&autojoin=1"
                ))
                .await?;
            browser
                .click_when_there("[data-testid=alone] [data-testid=qr-link]")
                .await?;
            browser.text_of("[data-testid=qr] + .hint").await?;
            look(&browser, "alone", style).await?;
            browser.click("[data-testid=leave]").await?;
            browser.text_of("[data-testid=end-title]").await?;
            look(&browser, "end", style).await?;
        }
        Ok(())
    });
}

#[test]
fn a_call_fits_every_window() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob) = tokio::try_join!(
            stage.browser_of(Kind::CALM, "a"),
            stage.browser_of(Kind::CALM, "b")
        )?;
        bob.enter(&service.room("tea", "김민아", "")).await?;
        for style @ (theme, language) in LOOKS {
            ann.theme(theme).await?;
            ann.window(1280, 800).await?;
            ann.enter(&format!(
                "{}/room/tea?name=Ann&lang={language}&autojoin=1&audio=0",
                service.page
            ))
            .await?;
            let peers = ann.peers(1).await?;
            ann.media_advances(&peers[0]).await?;
            look(&ann, "call", style).await?;
            for text in [
                "안녕하세요",
                "https://example.org/a/long/link?with=much&more=of-it#and-an-end",
            ] {
                ann.send_chat(text).await?;
            }
            for (control, panel, name) in [
                ("toggle-chat", "[data-testid=chat-log]", "chat"),
                ("toggle-people", "[data-testid=people]", "people"),
                ("toggle-settings", "[data-testid=settings]", "settings"),
            ] {
                let press = "document.querySelector(`[data-testid=${arg}]`).click()";
                ann.value(press, json!(control)).await?;
                ann.text_of(panel).await?;
                look(&ann, name, style).await?;
                ann.value(press, json!(control)).await?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_full_stage_fits_every_window_and_axe_finds_nothing() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob, cyd, vic) = tokio::try_join!(
            stage.browser_of(Kind::CALM, "a"),
            stage.browser_of(Kind::CALM, "b"),
            stage.browser_of(Kind::CALM, "c"),
            stage.browser_of(Kind::CALM, "v")
        )?;
        cyd.enter(&service.room("tea", "cyd", "&audio=0&video=0"))
            .await?;
        vic.enter(&service.room("tea", "vic", "&watch=1")).await?;
        for style @ (theme, language) in [LOOKS[0], LOOKS[1]] {
            // With three on the stage and one who watches, everything is there that a header may have.
            for browser in [&ann, &vic] {
                browser.theme(theme).await?;
                browser.window(1280, 800).await?;
            }
            let room = service.room("tea", "Ann", "");
            ann.enter(&room.replace("lang=en", &format!("lang={language}")))
                .await?;
            bob.enter(&service.room("tea", "김민아", "&audio=0"))
                .await?;
            ann.peers(3).await?;
            vic.peers(3).await?;
            look(&ann, "three", style).await?;
            bob.click("[data-testid=share-screen]").await?;
            let shown = "document.querySelector('.tile-screen video')?.videoWidth > 0";
            for browser in [&ann, &vic] {
                browser.holds("a shared screen", shown).await?;
            }
            look(&ann, "screen", style).await?;
            ann.finds_axe_nothing("a shared screen").await?;
            look(&vic, "watching", style).await?;
            vic.finds_axe_nothing("watching").await?;
            // On a phone, the chat is over the pictures, and panels are over the chat.
            ann.window(360, 740).await?;
            bob.send_chat("안녕하세요").await?;
            for (control, panel) in [("chat", "chat-log"), ("people", "people")] {
                let press = "document.querySelector(`[data-testid=toggle-${arg}]`).click()";
                ann.value(press, json!(control)).await?;
                let panel = format!("[data-testid={panel}]");
                ann.text_of(&panel).await?;
                let height = format!("document.querySelector('{panel}').clientHeight > 200");
                ann.holds(&panel, &height).await?;
                ann.finds_axe_nothing(&format!("{control} on a phone"))
                    .await?;
                ann.screenshot(&format!("phone-{control}-{language}"))
                    .await?;
            }
            for browser in [&ann, &bob] {
                browser.click("[data-testid=leave]").await?;
                browser.text_of("[data-testid=end-title]").await?;
            }
            cyd.peers(1).await?;
        }
        Ok(())
    });
}
