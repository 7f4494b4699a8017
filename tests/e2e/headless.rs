//! Calls between headless peers.

use rustix::process::Signal;
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

/// What a headless peer logs when it restarts ICE.
const LOOKS: &str = "looking for another way";

#[test]
fn a_call_whose_relay_is_killed_goes_on_over_another_one() {
    stage::run(async |stage| {
        // By the relayed port one sees which of them carries the call.
        let with = |ports| ["--auth-secret", "between us", "--relay-ports", ports];
        let relays = (
            stage.relay(&with("42000-42999")).await?,
            stage.relay(&with("43000-43999")).await?,
        );
        let urls = [&relays.0, &relays.1].map(|relay| format!("turn:{}?transport=udp", relay.udp));
        let service = stage.external("between us", &urls).await?;
        let options = ["--relay-only", "--duration", "15"];
        let ann = stage.peer_demo("ann", &service, "tea", &options)?;
        let bob = stage.peer_demo("bob", &service, "tea", &options)?;
        ann.says("over udp from relay").await?;
        let [used, other] = match ann.log()?.contains("from relay 127.0.0.1:42") {
            true => [(&relays.0, "42"), (&relays.1, "43")],
            false => [(&relays.1, "43"), (&relays.0, "42")],
        };
        used.0.process.signal(Signal::KILL)?;
        let mut searches = 0;
        for peer in [ann, bob] {
            peer.says("a relay is lost").await?;
            let over_the_other = format!("over udp from relay 127.0.0.1:{}", other.1);
            peer.says(&over_the_other).await?;
            searches += peer.log()?.matches(LOOKS).count();
            let report = peer.report().await?;
            report.verified(1)?;
            assert_eq!(report.paths()?, ["relay"]);
        }
        assert_eq!(searches, 1, "one side looks, the other follows");
        Ok(())
    });
}

#[test]
fn a_call_whose_server_took_its_relay_along_goes_on_over_the_next_one() {
    stage::run(async |stage| {
        let secret = ["--session-secret", "0123456789abcdef0123456789abcdef"];
        let service = stage.signaling(&secret).await?;
        let options = ["--relay-only", "--duration", "20"];
        let ann = stage.peer_demo("ann", &service, "tea", &options)?;
        let bob = stage.peer_demo("bob", &service, "tea", &options)?;
        for peer in [&ann, &bob] {
            peer.says("over udp from relay").await?;
        }
        let relay = format!("--turn-listen=udp:{}", service.turn_address().await?);
        service.process.signal(Signal::KILL)?;
        service.process.exit().await?;
        let options = [&secret[..], &[&relay]].concat();
        let _next = stage.signaling_at(service.address(), &options).await?;
        let mut searches = 0;
        for peer in [ann, bob] {
            peer.says("signaling is back (resumed: true)").await?;
            let report = peer.report().await?;
            report.verified(1)?;
            assert_eq!(report.paths()?, ["relay"]);
            searches += peer.log()?.matches(LOOKS).count();
        }
        assert_eq!(searches, 1, "one side looks, the other follows");
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
