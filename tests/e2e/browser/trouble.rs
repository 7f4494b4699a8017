//! What goes wrong in a browser, and what must go on.

use serde_json::Value;
use tests::browser::Kind;
use tests::page::Peer;
use tests::poll::{self, Look};
use tests::stage::{self, Stage};

use super::{MESSAGES, meet, pair};

/// Ends the camera's track as pulling out its plug does: it stops, and `ended` is fired.
const LOSE_CAMERA: &str = "document.querySelector('.tile-self video').srcObject.getVideoTracks()
  .forEach((track) => { track.stop(); track.dispatchEvent(new Event('ended')); })";

#[test]
fn a_browser_that_loses_its_camera_keeps_the_call() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, bob_there), (bob, ann_there)] = pair(stage, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        ann.value(LOSE_CAMERA, Value::Null).await?;
        bob.peer_until(ann_there.id(), "word of the lost camera", |peer| {
            !peer.sends_video()
        })
        .await?;
        ann.screenshot("camera-lost").await?;
        // Everything else goes on: the other's picture and sound, and the data channel.
        ann.sees_and_hears(&bob_there).await?;
        ann.echo(&bob_there, MESSAGES).await?;
        bob.peers(1).await?;
        Ok(())
    });
}

#[test]
fn without_camera_and_microphone_one_still_sees_and_hears() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        ann.enter(&service.room("tea", "ann", "")).await?;
        bob.enter(&service.room("tea", "bob", "&audio=0&video=0"))
            .await?;
        let peers = bob.peers(1).await?;
        bob.sees_and_hears(&peers[0]).await?;
        bob.echo(&peers[0], MESSAGES).await?;
        let guests = ann.peers(1).await?;
        assert!(!guests[0].sends_video());
        Ok(())
    });
}

/// Keeps back what the page offers, and all that follows it, until the other's offer has come.
const OFFER_LATE: &str = "(() => {
  const send = WebSocket.prototype.send;
  const kept = [];
  window.offersCrossed = false;
  WebSocket.prototype.send = function (text) {
    if (window.offersCrossed || (kept.length === 0 && !text.includes('description'))) return send.call(this, text);
    kept.push(text);
    if (kept.length === 1) this.addEventListener('message', ({data}) => {
      if (window.offersCrossed || !data.includes('description')) return;
      window.offersCrossed = true;
      for (const text of kept) send.call(this, text);
    });
  };
})()";

// On slow machines, calls of somebody without a camera had pictures and no data channels. When the first offers cross,
// Chromium takes one back but keeps to its place for data channels, which in the other offer is behind the pictures.
#[test]
fn when_the_first_offers_cross_the_data_channels_open_all_the_same() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        ann.enter(&service.room("tea", "ann", "")).await?;
        ann.value(OFFER_LATE, Value::Null).await?;
        bob.enter(&service.room("tea", "bob", "&audio=0&video=0"))
            .await?;
        let [ann_there] = <[Peer; 1]>::try_from(bob.peers(1).await?).expect("one peer");
        assert_eq!(ann.value("window.offersCrossed", Value::Null).await?, true);
        bob.sees_and_hears(&ann_there).await?;
        bob.echo(&ann_there, MESSAGES).await
    });
}

// Chromium had reserved numbers of header extensions for an offer that was then dropped, and its next one had some twice: nobody
// could take it, and who had a microphone alone was never heard by who had a camera alone.
#[test]
fn when_the_first_offers_cross_each_gets_what_only_the_other_has() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, bob) = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        ann.enter(&service.room("tea", "ann", "&audio=0")).await?;
        ann.value(OFFER_LATE, Value::Null).await?;
        bob.enter(&service.room("tea", "bob", "&video=0")).await?;
        let [ann_there] = <[Peer; 1]>::try_from(bob.peers(1).await?).expect("one peer");
        let [bob_there] = <[Peer; 1]>::try_from(ann.peers(1).await?).expect("one peer");
        assert_eq!(ann.value("window.offersCrossed", Value::Null).await?, true);
        ann.peer_until(bob_there.id(), "sound", |now| {
            now.hears_more_than(&bob_there)
        })
        .await?;
        bob.peer_until(ann_there.id(), "pictures", |now| {
            now.sees_more_than(&ann_there)
        })
        .await?;
        Ok(())
    });
}

/// From now on the connection of the call is at hand.
const CONNECTION: &str = "new Promise((done) => {
  const getStats = RTCPeerConnection.prototype.getStats;
  RTCPeerConnection.prototype.getStats = function (...selector) {
    window.connection = this;
    done();
    return getStats.apply(this, selector);
  };
})";

/// The name of the ICE session in force.
const SEARCHED: &str = "connection.currentLocalDescription.sdp.match(/a=ice-ufrag:(\\S+)/)[1]";
/// Looks for another way; the name of the ICE session until then.
const SEARCH: &str = "(() => {
    const session = connection.currentLocalDescription.sdp.match(/a=ice-ufrag:(\\S+)/)[1];
    connection.restartIce();
    return session;
})()";

// On slow machines, calls whose server had died with its relay had sound and still pictures. Both sides had looked for another way,
// their offers had crossed, and Chromium had taken one back: from then on it shows nothing of what it decodes.
#[test]
fn when_both_look_for_another_way_at_once_the_call_goes_on() {
    stage::run(async |stage| searches_cross(stage, Kind::CHROMIUM).await);
}

/// A browser of this kind and another one restart ICE, so that the offers cross; each is late once.
pub(crate) async fn searches_cross(stage: &Stage, kind: Kind) -> anyhow::Result<()> {
    let service = stage.signaling(&[]).await?;
    let browsers = tokio::try_join!(stage.browser_of(kind, "ann"), stage.browser("bob"))?;
    let [(ann, bob_there), (bob, ann_there)] = meet(browsers, &service, "&relay=1").await?;
    bob.sees_and_hears(&ann_there).await?;
    for browser in [&ann, &bob] {
        browser.value(CONNECTION, Value::Null).await?;
    }
    // Each by itself: Firefox answered the other side's search in another DTLS role than it had, which ended
    // everything in Chromium.
    for browser in [&ann, &bob] {
        let before = browser.value(SEARCH, Value::Null).await?;
        let new = format!("{SEARCHED} !== {before}");
        browser.holds("another ICE session", &new).await?;
        for (browser, peer) in [(&ann, &bob_there), (&bob, &ann_there)] {
            browser.sees_and_hears(peer).await?;
        }
    }
    for (late, soon) in [(&ann, &bob), (&bob, &ann)] {
        late.value(OFFER_LATE, Value::Null).await?;
        for browser in [late, soon] {
            let restart = "window.connection.restartIce()";
            browser.value(restart, Value::Null).await?;
        }
        late.holds("offers that crossed", "window.offersCrossed")
            .await?;
        for (browser, peer) in [(&ann, &bob_there), (&bob, &ann_there)] {
            browser.sees_and_hears(peer).await?;
            browser.echo(peer, MESSAGES).await?;
        }
    }
    Ok(())
}

#[test]
fn a_call_goes_on_in_a_tab_in_the_background() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, bob_there), (bob, ann_there)] = pair(stage, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        ann.hide().await?;
        let hidden = ann.value("document.visibilityState", Value::Null).await?;
        assert_eq!(hidden, "hidden");
        bob.sees_and_hears(&ann_there).await?;
        bob.send_chat("are you there?").await?;
        ann.echo(&bob_there, MESSAGES).await?;
        let said = |bob: &Peer| bob.chat() == ["are you there?"];
        ann.peer_until(bob_there.id(), "chat", said).await?;
        assert!(!bob.peers(1).await?[0].is_away());
        Ok(())
    });
}

/// A dead client is told of after 17 s; this one's scripts stand still for longer, its browser answers for it.
#[test]
fn a_tab_whose_scripts_stand_still_is_not_taken_for_dead() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let [(ann, bob_there), (bob, ann_there)] = pair(stage, &service, "").await?;
        bob.sees_and_hears(&ann_there).await?;
        ann.hide().await?;
        ann.freeze(true).await?;
        let now = "performance.now()";
        let since = bob.value(now, Value::Null).await?.as_f64();
        let is_longer = async || {
            let now = bob.value(now, Value::Null).await?.as_f64();
            let passed = now.zip(since).map(|(now, since)| now - since);
            Ok(match passed.is_some_and(|passed| passed > 25_000.0) {
                true => Look::There(()),
                false => Look::NotYet(format!("{passed:?} ms")),
            })
        };
        poll::until("longer than for a dead one", is_longer).await?;
        let [ann_now] = <[Peer; 1]>::try_from(bob.peers(1).await?).expect("one peer");
        assert_eq!(ann_now.id(), ann_there.id());
        assert!(!ann_now.is_away());
        bob.media_advances(&ann_there).await?;
        bob.send_chat("are you there?").await?;
        bob.click("[data-testid=raise-hand]").await?;

        ann.freeze(false).await?;
        let said = |bob: &Peer| bob.chat() == ["are you there?"];
        ann.peer_until(bob_there.id(), "chat", said).await?;
        ann.says("[data-testid=notices]", &["bob raises a hand"])
            .await?;
        ann.is_in_the_room().await?;
        bob.sees_and_hears(&ann_there).await
    });
}

#[test]
fn a_call_outlives_the_signaling_service() {
    stage::run(async |stage| {
        let service = stage.signaling_without_relay(&["--turn-mode=none"]).await?;
        let [(ann, bob_there), (bob, ann_there)] = pair(stage, &service, "").await?;
        drop(service);
        let still_there = |peer: &Peer| !peer.path().is_empty();
        for (browser, peer) in [(&ann, &bob_there), (&bob, &ann_there)] {
            browser.sees_and_hears(peer).await?;
            browser.echo(peer, MESSAGES).await?;
            browser.peer_until(peer.id(), "a path", still_there).await?;
            browser.screenshot("without-signaling").await?;
        }
        Ok(())
    });
}

/// Keeps the page's connections where a test finds them.
pub(super) const KEEP_CONNECTIONS: &str = "window.connections = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super(configuration);
      window.connections.push(this);
    }
  }";
/// Names the ICE session that is in use (RFC 8839, section 5.4): a restart begins another one.
pub(super) const ICE_SESSION: &str =
    "connections.at(-1).currentLocalDescription.sdp.match(/a=ice-ufrag:(\\S+)/)[1]";

#[test]
fn a_call_looks_for_its_way_anew_in_another_network() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        for browser in [&browsers.0, &browsers.1] {
            browser.before_each_page(KEEP_CONNECTIONS).await?;
        }
        let pair = meet(browsers, &service, "").await?;
        // Either side may be the one that moves, the one that restarts by itself and the one that waits for the other.
        for (moved, _) in &pair {
            let mut before = Vec::new();
            for (browser, _) in &pair {
                before.push(browser.value(ICE_SESSION, Value::Null).await?);
            }
            // As browsers tell when a cable is plugged in, or another Wi-Fi is joined.
            let online = "window.dispatchEvent(new Event('online'))";
            moved.value(online, Value::Null).await?;
            for ((browser, peer), before) in pair.iter().zip(before) {
                poll::until("another ICE session", async || {
                    let session = browser.value(ICE_SESSION, Value::Null).await?;
                    Ok(if session == before {
                        Look::NotYet(session.to_string())
                    } else {
                        Look::There(())
                    })
                })
                .await?;
                browser.echo(peer, MESSAGES).await?;
                browser.media_advances(peer).await?;
            }
        }
        Ok(())
    });
}
