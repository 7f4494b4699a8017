//! Browsers that may use nothing but the relay.

use tests::stage;

use super::{MESSAGES, pair};

#[test]
fn two_browsers_call_each_other_through_the_bundled_relay() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let pair = pair(stage, &service, "&relay=1").await?;
        for (browser, peer) in &pair {
            assert_eq!(peer.path(), "relay");
            browser.echo(peer, MESSAGES).await?;
            browser.sees_and_hears(peer).await?;
            // The page says so, too.
            let marker = browser
                .text_of("[data-testid=path][data-way=relayed]")
                .await?;
            assert_eq!(marker, "Relayed");
            browser.screenshot("relayed").await?;
            // And more on demand: by which server, how well, and how it is encrypted.
            browser.click("[data-testid=path]").await?;
            let details = browser.text_of("[data-testid=connection]").await?;
            let relay = format!(
                "turn:{}, which we reach over UDP",
                service.turn_address().await?
            );
            for words in [&relay, "opus", "VP8", "DTLS 1."] {
                assert!(details.contains(words), "{words:?} in {details:?}");
            }
            browser.screenshot("connection").await?;
        }
        Ok(())
    });
}
