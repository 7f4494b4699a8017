//! What a host may do with a room, and nobody else.

use std::process::Command;

use anyhow::ensure;
use serde_json::{Value, json};
use tests::browser::Browser;
use tests::page::Peer;
use tests::poll::{self, Look};
use tests::programs::{Signaling, program};
use tests::stage;

use super::MESSAGES;

const SECRET: [&str; 2] = ["--token-secret", "0123456789abcdef0123456789abcdef"];

/// The URL that enters a room as somebody invited in a role.
fn invited(service: &Signaling, name: &str, role: &str) -> anyhow::Result<String> {
    let mut command = Command::new(program("signaling")?);
    command.arg("token").args(SECRET);
    let output = command.args(["--room", "tea", "--role", role]).output()?;
    ensure!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout)?;
    Ok(service.room("tea", name, &format!("#token={}", token.trim())))
}

#[test]
fn a_host_mutes_locks_and_kicks_and_others_cannot() {
    stage::run(async |stage| {
        let service = stage.signaling(&SECRET).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        ann.enter(&invited(&service, "ann", "host")?).await?;
        bob.enter(&invited(&service, "bob", "participant")?).await?;
        let [there] = <[Peer; 1]>::try_from(ann.peers(1).await?).expect("one peer");
        bob.peers(1).await?;
        for browser in [&ann, &bob] {
            browser.click("[data-testid=toggle-people]").await?;
            let panel = "[data-testid=people]";
            browser.says(panel, &["ann", "bob"]).await?;
        }
        let powers = "[...document.querySelectorAll('[data-testid=mute], [data-testid=kick], [data-testid=lock]')]
            .filter((element) => element.checkVisibility()).length";
        assert_eq!(bob.value(powers, Value::Null).await?, 0);
        ann.screenshot("host").await?;

        let notices = "[data-testid=notices]";
        ann.click("[data-testid=mute]").await?;
        bob.says(notices, &["A host has muted you"]).await?;
        ann.peer_until(there.id(), "silence", |bob| !bob.sends_audio())
            .await?;

        ann.click("[data-testid=lock]").await?;
        bob.says(notices, &["The room is locked"]).await?;
        let cyd = stage.browser("cyd").await?;
        cyd.open(&invited(&service, "cyd", "participant")?).await?;
        cyd.says("[role=alert]", &["The room is locked"]).await?;

        // Who loads the page anew is the same person in the same place, and nobody is locked out of it.
        for (browser, other) in [(&ann, &bob), (&bob, &ann)] {
            let before = browser.value("callbox.self()", Value::Null).await?;
            browser.reload().await?;
            browser.is_in_the_room().await?;
            assert_eq!(browser.value("callbox.self()", Value::Null).await?, before);
            for (one, who) in [(browser, "other"), (other, "one")] {
                let [there] = <[Peer; 1]>::try_from(one.peers(1).await?).expect(who);
                one.sees_and_hears(&there).await?;
            }
        }
        ann.click("[data-testid=toggle-people]").await?;
        ann.text_of("[data-testid=people]").await?;
        hosts(&ann, &["ann (You)"]).await?;

        ann.click("[data-testid=kick]").await?;
        bob.says("[role=alert]", &["A host has taken you out of the call"])
            .await?;
        ann.peers(0).await?;
        Ok(())
    });
}

/// Everybody's role in the room, as somebody's list of people says.
async fn hosts(browser: &Browser, names: &[&str]) -> anyhow::Result<()> {
    let hosts = "[...document.querySelectorAll('[data-testid=people] .person')]
        .filter((person) => person.querySelector('.person-role')?.textContent === 'Host')
        .map((person) => person.querySelector('.person-name').textContent)";
    poll::until(&format!("hosts: {names:?}"), async || {
        let now = browser.value(hosts, Value::Null).await?;
        Ok(if now == json!(names) {
            Look::There(())
        } else {
            Look::NotYet(now.to_string())
        })
    })
    .await
}

#[test]
fn whoever_was_refused_by_a_lock_gets_in_when_it_is_open_again() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, cyd) = tokio::try_join!(stage.browser("ann"), stage.browser("cyd"))?;
        ann.enter(&service.room("tea", "ann", "&audio=0&video=0"))
            .await?;
        ann.click("[data-testid=toggle-people]").await?;
        ann.text_of("[data-testid=people]").await?;
        ann.click("[data-testid=lock]").await?;
        ann.says("[data-testid=notices]", &["The room is locked"])
            .await?;
        cyd.open(&service.room("tea", "cyd", "&audio=0&video=0"))
            .await?;
        cyd.says("[role=alert]", &["The room is locked", "Ask the host"])
            .await?;
        ann.click("[data-testid=lock]").await?;
        ann.says("[data-testid=notices]", &["The room is open again"])
            .await?;
        ann.holds(
            "a switch that is off",
            "!document.querySelector('[data-testid=lock]').checked",
        )
        .await?;
        // The page leads in again, without being loaded anew.
        cyd.click("[data-testid=enter-again]").await?;
        cyd.click_when_there("[data-testid=join]").await?;
        cyd.is_in_the_room().await?;
        let [ann_there] = <[Peer; 1]>::try_from(cyd.peers(1).await?).expect("one peer");
        cyd.echo(&ann_there, MESSAGES).await
    });
}

#[test]
fn when_the_host_has_left_whoever_has_been_there_longest_is_the_host() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob, cyd) = tokio::try_join!(
            stage.browser("ann"),
            stage.browser("bob"),
            stage.browser("cyd")
        )?;
        for (browser, name) in [(&ann, "ann"), (&bob, "bob"), (&cyd, "cyd")] {
            browser
                .enter(&service.room("tea", name, "&audio=0&video=0"))
                .await?;
            browser.click("[data-testid=toggle-people]").await?;
            browser.text_of("[data-testid=people]").await?;
        }
        hosts(&cyd, &["ann"]).await?;
        let powers = "document.querySelectorAll('[data-testid=kick]').length > 0
            && document.querySelector('[data-testid=lock]').checkVisibility()";
        assert_eq!(bob.value(powers, Value::Null).await?, false);
        ann.click("[data-testid=leave]").await?;
        bob.says("[data-testid=notices]", &["You are the host now"])
            .await?;
        hosts(&bob, &["bob (You)"]).await?;
        hosts(&cyd, &["bob"]).await?;
        bob.holds("what a host may do", powers).await?;
        assert_eq!(cyd.value(powers, Value::Null).await?, false);
        bob.screenshot("host-by-inheritance").await?;
        // And it is more than a word.
        bob.click("[data-testid=kick]").await?;
        cyd.says("[role=alert]", &["A host has taken you out of the call"])
            .await
    });
}
