//! A call that is carried from one network into another.

use serde_json::Value;
use tests::browser::Kind;
use tests::network::{self, Networks, Way};
use tests::poll::{self, Look};

use super::{MESSAGES, meet};
use crate::browser::trouble::{ICE_SESSION, KEEP_CONNECTIONS};

#[test]
fn a_call_goes_on_when_its_address_is_taken_away_and_another_one_comes() {
    network::run(async |stage, networks| {
        let service = stage.signaling_at_home(networks).await?;
        let browsers = tokio::try_join!(
            stage.browser_in(&networks.away, Kind::CARRIED, "ann"),
            stage.browser_in(&networks.home, Kind::CARRIED, "bob")
        )?;
        for browser in [&browsers.0, &browsers.1] {
            browser.before_each_page(KEEP_CONNECTIONS).await?;
        }
        let pair = meet(browsers, &service, "").await?;
        let [(ann, bob_there), (bob, ann_there)] = &pair;
        ann.sees_and_hears(bob_there).await?;
        bob.sees_and_hears(ann_there).await?;
        let session = ann.value(ICE_SESSION, Value::Null).await?;

        // The page's connection to the server once died here without a word, and with it every way to agree on another one.
        // Out of reach of one network, and only then into that of another.
        networks.unplug(Way::Cable)?;
        networks.plug_in(Way::Radio)?;
        let addresses =
            "connections.at(-1).getStats().then((statistics) => [...statistics.values()]
            .filter(({type}) => type === 'local-candidate').map(({address}) => address))";
        poll::until("another ICE session with the new address", async || {
            let now = ann.value(ICE_SESSION, Value::Null).await?;
            let addresses = ann.value(addresses, Value::Null).await?.to_string();
            let is_new = now != session && addresses.contains(&Networks::address(Way::Radio));
            Ok(match is_new {
                true => Look::There(()),
                false => Look::NotYet(format!("{now} {addresses}")),
            })
        })
        .await?;
        for (browser, peer) in &pair {
            browser.is_in_the_room().await?;
            // The same people: nobody has left and entered.
            let here = |peer: &tests::page::Peer| !peer.is_away();
            browser
                .peer_until(peer.id(), "the peer, here", here)
                .await?;
            browser.media_advances(peer).await?;
            browser.echo(peer, MESSAGES).await?;
        }
        ann.screenshot("elsewhere").await?;

        // Back again, this time without a gap: the way in use goes when the other one is there.
        networks.plug_in(Way::Cable)?;
        networks.unplug(Way::Radio)?;
        for (browser, peer) in &pair {
            browser.media_advances(peer).await?;
            browser.echo(peer, MESSAGES).await?;
            browser.is_in_the_room().await?;
            assert_eq!(browser.peers(1).await?[0].id(), peer.id());
        }
        // What goes through the server arrives, too.
        ann.click("[data-testid=raise-hand]").await?;
        bob.says("[data-testid=notices]", &["ann raises a hand"])
            .await
    });
}
