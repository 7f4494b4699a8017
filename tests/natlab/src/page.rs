//! Calls of two pages in Chromium.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::tests::browser::{Browser, Kind};
use ::tests::page::Peer;
use ::tests::stage::Stage;

use crate::expect::Way;
use crate::lab::Lab;
use crate::servers::Servers;

/// Messages over the data channel.
const MESSAGES: u32 = 50;

/// Two pages in a call.
#[derive(Debug)]
pub struct Pages {
    browsers: [Arc<Browser>; 2],
}

impl Pages {
    /// Two browsers, one behind each router, in one room.
    ///
    /// # Errors
    /// When they don't get in.
    pub async fn start(stage: &Stage, lab: &Lab) -> anyhow::Result<Self> {
        let [a, b] = [&lab.sides[0], &lab.sides[1]];
        let (ann, bob) = tokio::try_join!(
            stage.browser_in(&a.host, Kind::TRUSTING, "ann"),
            stage.browser_in(&b.host, Kind::TRUSTING, "bob")
        )?;
        for (browser, name) in [(&ann, "ann"), (&bob, "bob")] {
            let page = Servers::page();
            browser
                .enter(&format!("{page}/room/lab?name={name}&lang=en&autojoin=1"))
                .await?;
        }
        Ok(Self {
            browsers: [ann, bob],
        })
    }

    /// Waits until they are connected. Returns how long that took since both are in the room, and the way.
    ///
    /// # Errors
    /// When they don't get connected.
    pub async fn meet(&self, since: Instant) -> anyhow::Result<(Duration, Way, String)> {
        let [ann, bob] = &self.browsers;
        let (bobs, anns) = tokio::try_join!(ann.peers(1), bob.peers(1))?;
        let took = since.elapsed();
        let ends: Vec<&Peer> = bobs.iter().chain(&anns).collect();
        let is_relayed = ends.iter().any(|peer| peer.path() == "relay");
        let way = if is_relayed { Way::Relay } else { Way::Direct };
        let ends: Vec<_> = ends
            .iter()
            .map(|peer| format!("{} {}", peer.protocol(), peer.path()))
            .collect();
        Ok((took, way, ends.join(" / ")))
    }

    /// Sound and picture flow both ways, and all data comes back in order.
    ///
    /// # Errors
    /// When something of it is missing.
    pub async fn verify(&self) -> anyhow::Result<()> {
        for browser in &self.browsers {
            for peer in browser.peers(1).await? {
                browser.media_advances(&peer).await?;
                browser.echo(&peer, MESSAGES).await?;
            }
        }
        Ok(())
    }

    /// What each page says: notices, and the state of each tile.
    ///
    /// # Errors
    /// When a page does not answer.
    pub async fn say(&self) -> anyhow::Result<String> {
        let mut said = Vec::new();
        for browser in &self.browsers {
            let notices = "[...document.querySelectorAll('[data-testid=notices]')].map((box) => box.textContent).join(' ')";
            let text = browser.value(notices, serde_json::Value::Null).await?;
            said.push(text.as_str().unwrap_or_default().to_owned());
        }
        Ok(said.join(" | "))
    }
}
