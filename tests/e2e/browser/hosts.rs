//! What a host may do with a room, and nobody else.

use std::process::Command;

use anyhow::ensure;
use serde_json::Value;
use tests::page::Peer;
use tests::programs::{Signaling, program};
use tests::stage;

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

        ann.click("[data-testid=kick]").await?;
        bob.says("[role=alert]", &["A host has taken you out of the call"])
            .await?;
        ann.peers(0).await?;
        Ok(())
    });
}
