//! More than two.

use tests::stage;

use super::MESSAGES;

#[test]
fn three_browsers_see_and_hear_each_other() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let names = ["ann", "bob", "cyd"];
        let (ann, bob, cyd) = tokio::try_join!(
            stage.browser(names[0]),
            stage.browser(names[1]),
            stage.browser(names[2])
        )?;
        let browsers = [ann, bob, cyd];
        for (browser, name) in browsers.iter().zip(names) {
            browser.enter(&service.room("tea", name, "")).await?;
        }
        for (browser, own_name) in browsers.iter().zip(names) {
            let peers = browser.peers(2).await?;
            let mut met: Vec<_> = peers.iter().map(|peer| peer.name()).collect();
            met.sort_unstable();
            let others: Vec<_> = names.into_iter().filter(|name| *name != own_name).collect();
            assert_eq!(met, others);
            for peer in &peers {
                browser.echo(peer, MESSAGES).await?;
                browser.sees_and_hears(peer).await?;
            }
            browser.screenshot("in-the-call").await?;
        }
        Ok(())
    });
}
