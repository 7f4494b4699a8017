//! How what opens and passes in a call looks: files on their way, a connection's figures, reactions, what is told.

use std::fs::{self, File};

use serde_json::{Value, json};
use tests::browser::Browser;
use tests::stage;

use super::files::{NO_DIALOG, open_chat, state};
use super::looks::{LOOKS, look};
use super::meet;

/// The same person in another language, at the same place.
async fn speaks(browser: &Browser, language: &str) -> anyhow::Result<()> {
    browser.choose("[data-testid=language]", language).await?;
    browser
        .holds(
            "another language",
            &format!("document.documentElement.lang === '{language}'"),
        )
        .await
}

/// Presses the first button with this id that is there to be pressed, also where something lies over it.
async fn press(browser: &Browser, id: &str) -> anyhow::Result<()> {
    let press = "[...document.querySelectorAll(`[data-testid=${arg}]`)]
        .find((element) => !element.hidden).click()";
    browser.value(press, json!(id)).await?;
    Ok(())
}

#[test]
fn files_in_each_state_fit_every_window() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("a"), stage.browser("b"))?;
        browsers.1.before_each_page(NO_DIALOG).await?;
        let [(ann, _), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
        for browser in [&ann, &bob] {
            open_chat(browser).await?;
        }
        let [short, long] = [
            "보고서-및-의사록-2026년-11월-최종-수정본-진짜-최종.pdf",
            "long.bin",
        ]
        .map(|name| stage.folder().join(name));
        fs::write(&short, "short")?;
        File::create(&long)?.set_len(2_000_000_000)?;
        for answer in ["file-accept", "file-refuse"] {
            ann.send_file(&short).await?;
            state(&bob, "offered").await?;
            press(&bob, answer).await?;
            bob.holds(
                "an answer",
                "document.querySelector('[data-state=offered]') === null",
            )
            .await?;
        }
        ann.send_file(&long).await?;
        state(&bob, "offered").await?;
        press(&bob, "file-accept").await?;
        state(&bob, "running").await?;
        for style @ (theme, language) in [LOOKS[0], LOOKS[1]] {
            for (browser, name) in [(&ann, "sending"), (&bob, "receiving")] {
                browser.theme(theme).await?;
                speaks(browser, language).await?;
                look(browser, name, style).await?;
            }
            press(&bob, "file-pause").await?;
            look(&bob, "paused", style).await?;
            press(&bob, "file-pause").await?;
        }
        ann.send_file(&short).await?;
        state(&bob, "offered").await?;
        look(&bob, "asked", LOOKS[1]).await?;
        press(&ann, "leave").await?;
        bob.holds(
            "files that failed",
            "document.querySelectorAll('[data-state=failed]').length === 2",
        )
        .await?;
        look(&bob, "failed", LOOKS[1]).await
    });
}

/// What most people want next is in sight, and nothing lies over it.
const NEXT_IS_SEEN: &str = "(() => {
    const next = document.querySelector('[data-testid=join], [data-testid=enter-again], [data-testid=create-room]');
    const {left, top, right, bottom} = next.getBoundingClientRect();
    const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return top >= 0 && bottom <= innerHeight && next.contains(there);
})()";

#[test]
fn whoever_only_wants_in_need_not_scroll() {
    stage::run(async |stage| {
        let service = stage.signaling(&["--max-room=1"]).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("a"), stage.browser("b"))?;
        bob.enter(&service.room("full", "bob", "&audio=0&video=0"))
            .await?;
        for (path, there) in [
            ("/", "h1"),
            ("/room/tea", "[data-testid=join]"),
            ("/room/full?autojoin=1&audio=0&video=0", "[role=alert]"),
        ] {
            ann.open(&format!("{}{path}", service.page)).await?;
            ann.text_of(there).await?;
            for (width, height) in [(360, 740), (740, 360), (844, 390), (768, 1024), (1280, 800)] {
                ann.window(width, height).await?;
                let what = format!("what is next on {path} at {width} × {height}");
                ann.holds(&what, NEXT_IS_SEEN).await?;
            }
        }
        Ok(())
    });
}

/// The newest that is in the chat can be seen whole.
const NEWEST_IS_SEEN: &str = "(() => {
    const log = document.querySelector('[data-testid=chat-log]');
    const [room, newest] = [log, log.lastElementChild].map((element) => element.getBoundingClientRect());
    return log.scrollHeight > log.clientHeight && newest.top >= room.top - 1 && newest.bottom <= room.bottom + 1;
})()";

/// At least two messages are seen, and the whole field and its button below them. (18 pixels were left for what was said.)
const CAN_READ_AND_WRITE: &str = "(() => {
    const [log, field, send, controls] = ['[data-testid=chat-log]', '[data-testid=chat-input]', '[data-testid=chat-send]', '.controls']
        .map((name) => document.querySelector(name).getBoundingClientRect());
    return log.height >= 110 && log.bottom <= field.top && field.bottom <= controls.top && send.bottom <= controls.top;
})()";

/// What looks the same switched on and off, or open and closed, in a contrast theme.
const LOOKS_THE_SAME: &str = "(() => {
    const look = (element) => {
        const {backgroundColor, borderColor, color} = getComputedStyle(element);
        return [backgroundColor, borderColor, color].join();
    };
    const named = (id) => document.querySelector(`[data-testid=${id}]`);
    const switches = [...document.querySelectorAll('[data-testid=settings] [role=switch]')].filter((element) => {
        const before = look(element);
        element.click();
        const same = before === look(element);
        element.click();
        return same;
    });
    const buttons = ['raise-hand', 'toggle-chat'].map(named).filter((element) => look(element) === look(named('toggle-people')));
    return [...switches, ...buttons].map(({dataset}) => dataset.testid);
})()";

/// The button that tells of news takes no room from what is read.
const NEWS_LIES_OVER_THE_LOG: &str = "(() => {
    const [log, news, room] = ['chat-log', 'chat-news', 'chat-input']
        .map((name) => document.querySelector(`[data-testid=${name}]`).getBoundingClientRect());
    const chat = document.querySelector('.chat').getBoundingClientRect();
    return log.width > chat.width - 2 && news.left > log.left && news.right < log.right && news.bottom <= room.top;
})()";

#[test]
fn the_chat_opens_at_its_end_and_stays_there_unless_somebody_reads_above() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        let [(ann, bob_there), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
        for n in 1..=30 {
            bob.send_chat(&format!("line {n}")).await?;
        }
        ann.peer_until(bob_there.id(), "chat", |bob| bob.chat().len() == 30)
            .await?;
        open_chat(&ann).await?;
        ann.holds("the newest line", NEWEST_IS_SEEN).await?;
        // A phone that is turned, and a keyboard that comes up.
        // The last window is that of 1280 by 1024 pixels at 400 % (WCAG 1.4.10).
        for (width, height) in [(740, 360), (360, 740), (360, 420), (320, 256)] {
            ann.window(width, height).await?;
            ann.holds("the newest line", NEWEST_IS_SEEN).await?;
            ann.holds("room to read and to write", CAN_READ_AND_WRITE)
                .await?;
        }
        speaks(&ann, "ko").await?;
        ann.holds("the newest line", NEWEST_IS_SEEN).await?;
        // Who reads what was said before stays there.
        let up = "new Promise((done) => {
            const log = document.querySelector('[data-testid=chat-log]');
            log.addEventListener('scroll', () => done(), {once: true});
            log.scrollTop = 100;
        })";
        ann.value(up, Value::Null).await?;
        ann.window(360, 740).await?;
        ann.value(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))",
            Value::Null,
        )
        .await?;
        let place = "document.querySelector('[data-testid=chat-log]').scrollTop";
        assert_eq!(ann.value(place, Value::Null).await?, 100);
        // Also when others write, of which one is told.
        bob.send_chat("and this").await?;
        ann.says("[data-testid=chat-log]", &["and this"]).await?;
        ann.text_of("[data-testid=chat-news]").await?;
        ann.holds("it lies over what is read", NEWS_LIES_OVER_THE_LOG)
            .await?;
        ann.screenshot("news-below").await?;
        ann.finds_axe_nothing("news below").await?;
        assert_eq!(ann.value(place, Value::Null).await?, 100);
        ann.click("[data-testid=chat-news]").await?;
        ann.holds("what is new", NEWEST_IS_SEEN).await?;
        let gone = "document.querySelector('[data-testid=chat-news]').hidden";
        ann.holds("nothing new below any more", gone).await?;
        // One's own words are always seen.
        ann.value(up, Value::Null).await?;
        ann.send_chat("I see").await?;
        ann.says("[data-testid=chat-log]", &["I see"]).await?;
        ann.holds("what I said", NEWEST_IS_SEEN).await?;
        // A window in which everything fits has no news below.
        ann.value(up, Value::Null).await?;
        bob.send_chat("and that").await?;
        ann.text_of("[data-testid=chat-news]").await?;
        ann.window(1280, 4000).await?;
        ann.holds("everything fits", gone).await?;
        // In a contrast theme what is on and open is told apart.
        ann.contrast_theme().await?;
        press(&ann, "raise-hand").await?;
        press(&ann, "toggle-settings").await?;
        ann.text_of("[data-testid=settings]").await?;
        ann.screenshot("contrast-theme").await?;
        let same = ann.value(LOOKS_THE_SAME, Value::Null).await?;
        assert_eq!(same, json!([]));
        Ok(())
    });
}

#[test]
fn what_opens_in_a_call_fits_every_window() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("a"), stage.browser("b"))?;
        let [(ann, _), (bob, ann_there)] = meet(browsers, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        press(&bob, "raise-hand").await?;
        let menu = "(() => {
            const [more, react] = ['more', 'react'].map((id) => document.querySelector(`[data-testid=${id}]`));
            if (more.checkVisibility() && more.ariaExpanded !== 'true') more.click();
            if (react.ariaExpanded !== 'true') react.click();
        })()";
        for style @ (theme, language) in [LOOKS[0], LOOKS[1]] {
            ann.theme(theme).await?;
            speaks(&ann, language).await?;
            press(&ann, "path").await?;
            ann.says("[data-testid=connection]", &["DTLS"]).await?;
            look(&ann, "connection", style).await?;
            press(&ann, "path").await?;
            let close = "document.querySelector('[data-testid=connection] button').click()";
            ann.value(close, Value::Null).await?;
            // In the narrowest and the lowest window first the menu that holds it.
            for (width, height) in [(360, 740), (740, 360), (1280, 800)] {
                ann.window(width, height).await?;
                ann.value(menu, Value::Null).await?;
                press(&bob, "react").await?;
                press(&bob, "reaction-clap").await?;
                ann.text_of("#reactions").await?;
                ann.text_of(".tile-peer [data-testid=reaction]").await?;
                let within = "[...document.querySelectorAll('.reaction')].every((element) => {
                    const {top, left, right, bottom} = element.getBoundingClientRect();
                    return top >= 0 && left >= 0 && right <= innerWidth && bottom <= innerHeight;
                })";
                ann.holds("reactions within the window", within).await?;
                ann.screenshot(&format!("reactions-{width}-{language}"))
                    .await?;
            }
        }
        Ok(())
    });
}
