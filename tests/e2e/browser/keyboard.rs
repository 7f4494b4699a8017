//! Everything without a mouse.

use serde_json::Value;
use tests::browser::Key;
use tests::page::Peer;
use tests::stage;

/// Keys that end a composition of Hangul, and that give it up.
const COMPOSING: &str = "['Enter', 'Escape'].forEach((key) => document.querySelector('[data-testid=chat-input]')
    .dispatchEvent(new KeyboardEvent('keydown', {key, keyCode: 229, bubbles: true, cancelable: true})))";
const WRITTEN: &str = "(({value}) => value === 'hello, no mouse here' && document.querySelector('.chat').checkVisibility())(
    document.querySelector('[data-testid=chat-input]'))";

#[test]
fn a_whole_call_by_keyboard_alone() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        ann.open(&format!("{}/?lang=en", service.page)).await?;
        ann.text_of("h1").await?;
        ann.tab_to("[data-testid=create-room]").await?;
        ann.press(Key::Enter).await?;
        ann.text_of("[data-testid=join]").await?;
        ann.tab_to("[data-testid=name-input]").await?;
        ann.press("Ann").await?;
        ann.tab_to("[data-testid=join]").await?;
        ann.press(Key::Enter).await?;
        ann.is_in_the_room().await?;
        let path = ann.value("location.pathname", Value::Null).await?;
        let path = path.as_str().unwrap_or_default();
        bob.enter(&format!(
            "{}{path}?name=bob&lang=en&autojoin=1&audio=0&video=0",
            service.page
        ))
        .await?;
        let [ann_there] = <[Peer; 1]>::try_from(bob.peers(1).await?).expect("one peer");
        assert_eq!(ann_there.name(), "Ann");
        let id = ann_there.id();
        bob.peer_until(id, "a microphone that is on", Peer::sends_audio)
            .await?;
        ann.tab_to("[data-testid=toggle-microphone]").await?;
        ann.press(" ").await?;
        bob.peer_until(id, "a microphone that is off", |ann| !ann.sends_audio())
            .await?;
        // The chat takes the focus, and gives it back.
        ann.tab_to("[data-testid=toggle-chat]").await?;
        ann.press(Key::Enter).await?;
        ann.focus_is_on("[data-testid=chat-input]").await?;
        ann.press("hello, no mouse here").await?;
        // An input method takes these: Safari says so by the code alone.
        ann.value(COMPOSING, Value::Null).await?;
        ann.holds("a chat that is open, with what is written", WRITTEN)
            .await?;
        ann.press(Key::Enter).await?;
        bob.peer_until(id, "chat", |ann| ann.chat() == ["hello, no mouse here"])
            .await?;
        ann.press(Key::Escape).await?;
        ann.focus_is_on("[data-testid=toggle-chat]").await?;
        ann.tab_to("[data-testid=share-screen]").await?;
        ann.press(Key::Enter).await?;
        bob.text_of(".tile-screen").await?;
        ann.screenshot("by-keyboard").await?;
        ann.tab_to("[data-testid=leave]").await?;
        ann.press(Key::Enter).await?;
        ann.focus_is_on("[data-testid=end-title]").await?;
        bob.peers(0).await?;
        Ok(())
    });
}
