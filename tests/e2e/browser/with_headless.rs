//! A browser and a headless peer, each as the one who offers.

use tests::stage;

use super::MESSAGES;

/// The browser looks at the peer while its call lasts.
const DURATION: [&str; 2] = ["--duration", "20"];

fn call(options: &[&str], query: &str, path: Option<&str>) {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        browser.enter(&service.room("tea", "ann", query)).await?;
        let options = [&DURATION[..], options].concat();
        let headless = stage.peer_demo("robot", &service, "tea", &options)?;
        let peers = browser.peers(1).await?;
        let peer = &peers[0];
        assert_eq!(peer.name(), "robot");
        browser.sees_the_test_picture(peer).await?;
        browser.echo(peer, MESSAGES).await?;
        browser.screenshot("in-the-call").await?;
        // What the browser sends is verified by the headless peer: decoded sound and picture.
        let report = headless.report().await?;
        report.verified(1)?;
        if let Some(path) = path {
            assert_eq!(peer.path(), path);
            assert_eq!(report.paths()?, [path]);
        }
        Ok(())
    });
}

#[test]
fn the_headless_peer_offers() {
    call(&["--role", "offerer"], "", None);
}

#[test]
fn the_browser_offers() {
    call(&["--role", "answerer"], "", None);
}

#[test]
fn through_the_bundled_relay() {
    call(&["--relay-only"], "&relay=1", Some("relay"));
}
