//! Calls between headless peers.

use tests::stage;

/// How long a call lasts, in seconds: enough for all messages and a verdict on sound and picture.
const DURATION: [&str; 2] = ["--duration", "5"];

#[test]
fn two_peers_reach_each_other_directly() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let ann = stage.peer_demo("ann", &service, "tea", &DURATION)?;
        let bob = stage.peer_demo("bob", &service, "tea", &DURATION)?;
        for peer in [ann, bob] {
            let report = peer.report().await?;
            report.verified(1)?;
            assert_eq!(report.paths()?, ["host"]);
        }
        Ok(())
    });
}

#[test]
fn two_peers_reach_each_other_through_the_bundled_relay() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let options = [&DURATION[..], &["--relay-only"]].concat();
        let ann = stage.peer_demo("ann", &service, "tea", &options)?;
        let bob = stage.peer_demo("bob", &service, "tea", &options)?;
        for peer in [ann, bob] {
            let report = peer.report().await?;
            report.verified(1)?;
            assert_eq!(report.paths()?, ["relay"]);
        }
        Ok(())
    });
}

#[test]
fn two_peers_reach_each_other_through_an_external_relay() {
    stage::run(async |stage| {
        let relay = stage.relay(&["--auth-secret", "between us"]).await?;
        let url = format!("turn:{}?transport=udp", relay.udp);
        let service = stage
            .signaling_without_relay(&[
                "--turn-mode=external",
                "--turn-url",
                &url,
                "--auth-secret",
                "between us",
            ])
            .await?;
        let options = [&DURATION[..], &["--relay-only"]].concat();
        let ann = stage.peer_demo("ann", &service, "tea", &options)?;
        let bob = stage.peer_demo("bob", &service, "tea", &options)?;
        for peer in [ann, bob] {
            let report = peer.report().await?;
            report.verified(1)?;
            assert_eq!(report.paths()?, ["relay"]);
        }
        Ok(())
    });
}

#[test]
fn rooms_keep_apart_and_a_call_without_anybody_fails() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let options = ["--duration", "1", "--wait", "3"];
        let ann = stage.peer_demo("ann", &service, "tea", &options)?;
        let bob = stage.peer_demo("bob", &service, "coffee", &options)?;
        for peer in [ann, bob] {
            let error = peer.report().await.expect_err("nobody came");
            let error = format!("{error:#}");
            assert!(error.contains("exit status: 1"), "{error}");
            assert!(error.contains("1 peers were expected, 0 came"), "{error}");
        }
        Ok(())
    });
}
