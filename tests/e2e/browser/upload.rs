//! Viewers of somebody whose line into the house is narrow.

use anyhow::ensure;
use serde_json::Value;
use tests::browser::{Browser, Kind};
use tests::network::{self, Way};
use tests::page::Peer;
use tests::poll::{self, Look};

use super::trouble::KEEP_CONNECTIONS;

/// Less than one picture of a camera likes to have.
const NARROW: u32 = 400;
/// How much each of the viewers is sent at most, in bits per second.
const LIMITS: &str = "connections.flatMap((connection) => connection.getSenders())
  .filter(({track}) => track?.kind === 'video')
  .map((sender) => sender.getParameters().encodings[0].maxBitrate ?? Infinity)";

async fn limits_until(
    host: &Browser,
    what: &str,
    holds: impl Fn(&[f64]) -> bool,
) -> anyhow::Result<Vec<f64>> {
    poll::until(what, async || {
        let limits = host.value(LIMITS, Value::Null).await?;
        let limits: Vec<f64> = serde_json::from_value(limits)?;
        Ok(match limits.len() == 2 && holds(&limits) {
            true => Look::There(limits),
            false => Look::NotYet(format!("{limits:?}")),
        })
    })
    .await
}

#[test]
fn a_narrow_upload_is_shared_among_the_viewers_and_a_wide_one_used() {
    network::run(async |stage, networks| {
        let service = stage.signaling_at_home(networks).await?;
        let (ann, vic, wim) = tokio::try_join!(
            stage.browser_in(&networks.away, Kind::CARRIED, "ann"),
            stage.browser_in(&networks.home, Kind::CARRIED, "vic"),
            stage.browser_in(&networks.home, Kind::CARRIED, "wim")
        )?;
        ann.before_each_page(KEEP_CONNECTIONS).await?;
        ann.enter(&service.room("tea", "ann", "")).await?;
        vic.enter(&service.room("tea", "vic", "&watch=1")).await?;
        wim.enter(&service.room("tea", "wim", "&watch=1")).await?;
        let hosts = [&vic, &wim].map(async |viewer| {
            let [host] = <[Peer; 1]>::try_from(viewer.peers(1).await?).expect("one peer");
            viewer.sees_and_hears(&host).await?;
            anyhow::Ok(host)
        });
        let [seen_by_vic, seen_by_wim] = hosts;
        let (seen_by_vic, seen_by_wim) = (seen_by_vic.await?, seen_by_wim.await?);

        networks.narrow(Way::Cable, NARROW)?;
        let all = f64::from(NARROW) * 1000.0;
        let shared = limits_until(&ann, "shares of a narrow upload", |limits| {
            limits.iter().sum::<f64>() <= all
        })
        .await?;
        ensure!(shared[0] == shared[1], "equal shares: {shared:?}");
        ann.says("[data-testid=audience]", &["2"]).await?;
        let warning = "document.querySelector('[data-testid=audience]').title";
        let warning = ann.value(warning, Value::Null).await?.to_string();
        ensure!(warning.contains("enough for"), "{warning}");
        for (viewer, host) in [(&vic, &seen_by_vic), (&wim, &seen_by_wim)] {
            viewer.media_advances(host).await?;
        }
        wim.screenshot("narrow").await?;

        networks.widen(Way::Cable)?;
        limits_until(&ann, "more for each again", |limits| {
            limits.iter().all(|limit| *limit > 3.0 * shared[0])
        })
        .await?;
        Ok(())
    });
}
