//! Browsers that may use nothing but the relay.

use tests::browser::Kind;
use tests::stage::{self, Stage};

use super::{MESSAGES, meet, pair};

const SECRET: &str = "north";

/// A call in which both browsers can reach nothing but the relay at `url`, and that only `over` this transport, as
/// getStats says of the selected pair.
async fn call_over(stage: &Stage, url: String, over: &str) -> anyhow::Result<()> {
    let service = stage.external(SECRET, &[url]).await?;
    let browsers = tokio::try_join!(
        stage.browser_of(Kind::TRUSTING, "ann"),
        stage.browser_of(Kind::TRUSTING, "bob")
    )?;
    for (browser, peer) in meet(browsers, &service, "&relay=1").await? {
        assert_eq!(peer.path(), "relay");
        assert_eq!(peer.protocol(), over);
        browser.echo(&peer, MESSAGES).await?;
        browser.sees_and_hears(&peer).await?;
    }
    Ok(())
}

#[test]
fn two_browsers_reach_the_relay_over_tcp_alone() {
    stage::run(async |stage| {
        let options = ["--auth-secret", SECRET, "--allow-peer", "127.0.0.0/8"];
        let relay = stage.relay(&options).await?;
        let url = format!("turn:{}?transport=tcp", relay.tcp);
        call_over(stage, url, "tcp").await
    });
}

#[test]
fn two_browsers_reach_the_relay_over_tls_alone() {
    stage::run(async |stage| {
        let options = ["--auth-secret", SECRET, "--allow-peer", "127.0.0.0/8"];
        let (_relay, address) = stage.tls_relay(&options).await?;
        // As RFC 7065 has it, `turns:` alone means TLS over TCP.
        call_over(stage, format!("turns:{address}"), "tls").await
    });
}

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
            let marker = "[data-testid=path][data-way=relayed]";
            browser.says(marker, &["Relayed"]).await?;
            browser.screenshot("relayed").await?;
            // And more on demand: by which server, how well, and how it is encrypted.
            browser.click("[data-testid=path]").await?;
            // Codecs and ciphers come with the statistics, once a second.
            // Over UDP or TCP: a busy machine may answer the later question first.
            let words = [
                "Through the relay turn:127.0.0.1:",
                "opus",
                "VP8",
                "DTLS 1.",
            ];
            browser.says("[data-testid=connection]", &words).await?;
            browser.screenshot("connection").await?;
        }
        Ok(())
    });
}
