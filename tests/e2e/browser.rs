//! Calls with real browsers.

mod check;
mod check_causes;
mod check_server;
mod chosen;
mod controls;
pub(crate) mod devices;
pub(crate) mod files;
mod hostile;
mod hosts;
mod invite;
mod kept;
mod keyboard;
mod looks;
mod looks_open;
mod mesh;
pub(crate) mod page;
pub(crate) mod resume;
mod roaming;
mod seen;
mod told;
pub(crate) mod trouble;
mod upload;
mod with_headless;
mod with_relay;

use std::sync::Arc;

use tests::browser::Browser;
use tests::page::Peer;
use tests::programs::Signaling;
use tests::stage::{self, Stage};

/// Messages over a data channel.
pub(crate) const MESSAGES: u32 = 200;

/// Two browsers in one room, connected: each with the other as it sees it.
pub(crate) async fn pair(
    stage: &Stage,
    service: &Signaling,
    query: &str,
) -> anyhow::Result<[(Arc<Browser>, Peer); 2]> {
    let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
    meet(browsers, service, query).await
}

/// These two in one room, connected.
pub(crate) async fn meet(
    (ann, bob): (Arc<Browser>, Arc<Browser>),
    service: &Signaling,
    query: &str,
) -> anyhow::Result<[(Arc<Browser>, Peer); 2]> {
    ann.enter(&service.room("tea", "ann", query)).await?;
    bob.enter(&service.room("tea", "bob", query)).await?;
    let [sees_bob] = <[Peer; 1]>::try_from(ann.peers(1).await?).expect("one peer");
    let [sees_ann] = <[Peer; 1]>::try_from(bob.peers(1).await?).expect("one peer");
    Ok([(ann, sees_bob), (bob, sees_ann)])
}

#[test]
fn two_browsers_call_each_other() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let pair = pair(stage, &service, "").await?;
        for ((browser, peer), name) in pair.iter().zip(["bob", "ann"]) {
            assert_eq!(peer.name(), name);
            assert_ne!(peer.path(), "relay");
            browser.echo(peer, MESSAGES).await?;
            browser.sees_and_hears(peer).await?;
            browser.screenshot("in-the-call").await?;
        }
        Ok(())
    });
}

#[test]
fn chat_arrives_in_order() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, bob_there), (bob, ann_there)] = pair(stage, &service, "").await?;
        let texts = ["안녕하세요", "<b>not bold</b>", "3", "4", "5"];
        for (from, to, author) in [(&ann, &bob, &ann_there), (&bob, &ann, &bob_there)] {
            for text in texts {
                from.send_chat(text).await?;
            }
            let all = |peer: &Peer| peer.chat() == texts;
            to.peer_until(author.id(), "all chat messages", all).await?;
        }
        Ok(())
    });
}
