//! What a call tells those who cannot see it, or have not looked: messages that a screen reader says, and the count of what is
//! unread. And what does not move for those who asked that nothing does.

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::axe::Motion;
use tests::browser::Browser;
use tests::poll::{self, Look};
use tests::stage;

use super::meet;

/// Keeps what a screen reader would say (`said`): text that comes into a live region which was there before. A region
/// that appears together with its text says nothing, unless it is an alert.
const LISTEN: &str = "(() => {
  const LIVE = '[aria-live=polite], [aria-live=assertive], [role=status], [role=alert], [role=log]';
  const SILENT = '[hidden], [aria-hidden=true], [aria-live=off]';
  const regions = new Map();
  window.said = [];
  const parts = (element) => [...element.childNodes].flatMap((node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data.trim() || [];
    return node.nodeType !== Node.ELEMENT_NODE || node.matches(SILENT) ? [] : parts(node);
  });
  const listen = () => {
    const live = [...document.querySelectorAll(LIVE)].filter((region) => region.checkVisibility() && !region.closest(SILENT));
    for (const region of live) {
      const now = parts(region);
      const before = regions.get(region) ?? (region.role === 'alert' ? [] : now);
      const known = [...before];
      for (const part of now) {
        const at = known.indexOf(part);
        if (at === -1) window.said.push(part);
        else known.splice(at, 1);
      }
      regions.set(region, now);
    }
    for (const region of regions.keys()) if (!live.includes(region)) regions.delete(region);
    requestAnimationFrame(listen);
  };
  addEventListener('DOMContentLoaded', listen);
})()";

/// Waits until a screen reader has said this, and once.
async fn hears(browser: &Browser, text: &str) -> anyhow::Result<()> {
    let (times, said) = poll::until(&format!("{text:?}, said"), async || {
        let said = browser.value("said", Value::Null).await?;
        let all = said.as_array().into_iter().flatten();
        let times = all
            .filter_map(Value::as_str)
            .filter(|said| said.contains(text));
        Ok(match times.count() {
            0 => Look::NotYet(said.to_string()),
            times => Look::There((times, said)),
        })
    })
    .await?;
    assert_eq!(times, 1, "{text:?} in {said}");
    Ok(())
}

/// The chat's button counts so many that are unread; none is said by there being no number.
async fn unread(browser: &Browser, count: usize) -> anyhow::Result<()> {
    let (badge, label) = match count {
        0 => (String::new(), "Chat".to_owned()),
        count => (count.to_string(), format!("Chat, {count} unread")),
    };
    let shown = "(() => {
        const button = document.querySelector('[data-testid=toggle-chat]');
        const badge = button.querySelector('.badge');
        return [badge.checkVisibility() ? badge.textContent : '', button.ariaLabel];
    })()";
    let what = format!("{count} unread");
    poll::until(&what, async || {
        let now = browser.value(shown, Value::Null).await?;
        Ok(if now == json!([badge, label]) {
            Look::There(())
        } else {
            Look::NotYet(now.to_string())
        })
    })
    .await
}

#[test]
fn a_screen_reader_says_who_comes_and_goes_and_what_is_written() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        browsers.0.before_each_page(LISTEN).await?;
        let [(ann, _), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
        hears(&ann, "bob has joined").await?;
        unread(&ann, 0).await?;
        bob.send_chat("tea is ready").await?;
        hears(&ann, "bob: tea is ready").await?;
        unread(&ann, 1).await?;
        bob.send_chat("and cake").await?;
        hears(&ann, "bob: and cake").await?;
        unread(&ann, 2).await?;
        ann.screenshot("unread").await?;
        // A file that waits for an answer counts, too.
        let file = stage.folder().join("recipe.txt");
        std::fs::write(&file, "flour")?;
        bob.send_file(&file).await?;
        hears(&ann, "bob wants to send you recipe.txt").await?;
        unread(&ann, 3).await?;

        // What is there to be read is read, and what comes then is said by the chat itself. The file still waits.
        ann.click("[data-testid=toggle-chat]").await?;
        ann.text_of("[data-testid=chat-log]").await?;
        unread(&ann, 1).await?;
        bob.send_chat("still warm").await?;
        hears(&ann, "still warm").await?;
        unread(&ann, 1).await?;
        ann.click("[data-testid=file-refuse]").await?;
        unread(&ann, 0).await?;
        ann.click("[data-testid=toggle-chat]").await?;
        bob.send_chat("all gone").await?;
        unread(&ann, 1).await?;

        bob.click("[data-testid=leave]").await?;
        hears(&ann, "bob has left").await
    });
}

#[test]
fn a_screen_reader_says_that_the_server_is_lost_and_back() {
    stage::run(async |stage| {
        let options = ["--turn-mode=none"];
        let service = stage.signaling_without_relay(&options).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        browsers.0.before_each_page(LISTEN).await?;
        let [(ann, _), _bob] = meet(browsers, &service, "&audio=0&video=0").await?;
        service.process.signal(Signal::KILL)?;
        service.process.exit().await?;
        hears(&ann, "The server is out of reach. The call goes on").await?;
        let _next = stage.signaling_at(service.address(), &options).await?;
        hears(&ann, "The server is back").await?;
        let is_gone = "!document.querySelector('[data-testid=signaling-banner]').checkVisibility()";
        ann.holds("no banner", is_gone).await
    });
}

/// What moves, or would, for longer than a blink (50 ms): transitions and animations that styles ask for, and what runs.
const MOVES: &str = "(() => {
  const seconds = (list) => Math.max(...list.split(',').map(parseFloat));
  const asked = [...document.querySelectorAll('*')].flatMap((element) => ['', '::before', '::after'].flatMap((part) => {
    const {transitionDuration, transitionDelay, animationName, animationDuration, scrollBehavior} = getComputedStyle(element, part || null);
    const name = `${element.tagName}.${element.getAttribute('class')}${part}`;
    return [
      ...(seconds(transitionDuration) + Math.max(0, seconds(transitionDelay)) > 0.05 ? [`${name}: transition of ${transitionDuration}`] : []),
      ...(animationName !== 'none' && seconds(animationDuration) > 0.05 ? [`${name}: ${animationName} of ${animationDuration}`] : []),
      ...(scrollBehavior === 'smooth' ? [`${name}: scrolls smoothly`] : []),
    ];
  }));
  const running = document.getAnimations().filter(({playState}) => playState === 'running')
    .filter(({effect}) => effect.getComputedTiming().endTime > 50)
    .map(({animationName, transitionProperty, effect: {target}}) => `${animationName ?? transitionProperty} of ${target.className} runs`);
  return [...new Set([...asked, ...running])];
})()";

/// As many as wanted move: none, or some.
async fn moves(browser: &Browser, screen: &str, motion: Motion) -> anyhow::Result<()> {
    let found = browser.value(MOVES, Value::Null).await?;
    let nothing = found == json!([]);
    assert_eq!(nothing, motion == Motion::Reduced, "{screen}: {found:#}");
    Ok(())
}

#[test]
fn nothing_moves_for_those_who_asked_for_it() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        bob.enter(&service.room("tea", "bob", "&audio=0")).await?;
        // The first time shows that what moves would be found.
        for motion in [Motion::Any, Motion::Reduced] {
            ann.motion(motion).await?;
            ann.open(&format!("{}/?lang=en", service.page)).await?;
            ann.text_of("h1").await?;
            moves(&ann, "start page", motion).await?;
            ann.open(&format!("{}/room/tea?lang=en", service.page))
                .await?;
            ann.text_of("[data-testid=join]").await?;
            moves(&ann, "preview", motion).await?;
            ann.enter(&service.room("tea", "ann", "&video=0")).await?;
            ann.peers(1).await?;
            bob.click("[data-testid=react]").await?;
            bob.click_when_there("[data-testid=reaction-wow]").await?;
            ann.text_of(".tile-peer [data-testid=reaction]").await?;
            ann.click("[data-testid=toggle-chat]").await?;
            ann.click("[data-testid=toggle-settings]").await?;
            ann.text_of("[data-testid=settings]").await?;
            moves(&ann, "call", motion).await?;
            ann.open(&service.check("en")).await?;
            ann.text_of("h1").await?;
            moves(&ann, "check", motion).await?;
        }
        Ok(())
    });
}
