//! Whole runs over loopback: real sockets, real media, several peers in one process.

mod recordings;
mod server;

use std::net::SocketAddr;

use clap::Parser;
use peer_demo::report::PeerReport;
use peer_demo::{Config, Report, run};

fn config(server: SocketAddr, options: &[&str]) -> Config {
    let url = format!("ws://{server}/signal");
    let given = [
        "peer-demo",
        "--url",
        &url,
        "--room",
        "test",
        "--duration",
        "3",
    ];
    Config::try_parse_from(given.iter().chain(options)).expect("sound options")
}

/// One call at a time: each holds up to six connections with media in both directions, and a call that gets no
/// processor time is a bad one.
static CALL: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs peers at the same time, each with its own options.
async fn runs(server: SocketAddr, options: &[&[&str]]) -> Vec<Report> {
    let _call = CALL.lock().await;
    let runs: Vec<_> = options
        .iter()
        .map(|options| tokio::spawn(run(config(server, options))))
        .collect();
    let mut reports = Vec::new();
    for run in runs {
        reports.push(run.await.expect("no panic").expect("the call begins"));
    }
    reports
}

fn assert_verified(report: &Report, peers: usize) {
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.peers.len(), peers);
    for PeerReport {
        data,
        audio,
        video,
        path,
        connected_ms,
        ..
    } in &report.peers
    {
        assert_eq!((data.sent, data.echoed, data.lost), (100, 100, 0));
        assert!(audio.received > 0 && video.received > 0 && audio.sent > 0 && video.sent > 0);
        assert!(connected_ms.is_some());
        let path = path.as_ref().expect("a connected peer has a path");
        assert_eq!(
            (path.kind.as_str(), path.protocol.as_str()),
            ("host", "udp")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_verify_each_other() {
    let server = server::start(16, vec![]).await;
    for report in runs(server, &[&[], &[]]).await {
        assert_verified(&report, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_combination_of_roles_that_has_an_offerer_connects() {
    for roles in [
        ["offerer", "answerer"],
        ["offerer", "offerer"],
        ["answerer", "auto"],
    ] {
        let server = server::start(16, vec![]).await;
        let options = roles.map(|role| ["--role", role]);
        for report in runs(server, &[&options[0], &options[1]]).await {
            assert_verified(&report, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_peers_make_a_mesh() {
    let server = server::start(16, vec![]).await;
    let three: &[&str] = &["--expect-peers", "2"];
    for report in runs(server, &[three, three, three]).await {
        assert_verified(&report, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_does_not_send_is_not_expected() {
    let server = server::start(16, vec![]).await;
    let reports = runs(server, &[&["--audio", "none", "--video", "none"], &[]]).await;
    assert!(reports.iter().all(|report| report.ok), "{reports:#?}");
    let [silent, other] = &reports[..] else {
        unreachable!("two runs")
    };
    assert!(silent.peers[0].audio.verified && silent.peers[0].video.verified);
    assert!(!other.peers[0].audio.expected && !other.peers[0].video.expected);
    assert_eq!(other.peers[0].audio.received, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_played_over_and_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let (audio, video) = (
        directory.path().join("tone.ogg"),
        directory.path().join("pattern.ivf"),
    );
    recordings::write_ogg(&audio);
    recordings::write_ivf(&video);
    let (audio, video) = (audio.display().to_string(), video.display().to_string());
    let server = server::start(16, vec![]).await;
    let reports = runs(server, &[&["--audio", &audio, "--video", &video], &[]]).await;
    for report in reports {
        assert_verified(&report, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_answerers_never_meet_and_say_so() {
    let server = server::start(16, vec![]).await;
    let options: &[&str] = &["--role", "answerer", "--wait", "1"];
    for report in runs(server, &[options, options]).await {
        assert!(!report.ok);
        assert!(
            report
                .problems
                .join("\n")
                .contains("never connected: no offer was made"),
            "{report:#?}"
        );
    }
}

/// The server dies in the middle of the negotiation, and again in the running call: the peers go on
/// with their sessions, and the media notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_survives_the_death_of_the_server() {
    let server = server::start_mortal(16, vec![]).await;
    let crashes = async {
        server.has_heard(4).await;
        server.crash();
        server.has_heard(4).await;
        server.crash();
    };
    let (reports, ()) = tokio::join!(runs(server.address, &[&[], &[]]), crashes);
    for report in reports {
        assert_verified(&report, 1);
    }
}

#[tokio::test]
async fn what_keeps_a_call_from_beginning_is_a_plain_error() {
    let server = server::start(1, vec![]).await;
    let alone = tokio::spawn(run(config(server, &["--expect-peers", "0"])));
    // Whichever comes second finds the room full.
    let late = run(config(server, &["--expect-peers", "0"])).await;
    let refused = [late, alone.await.expect("no panic")]
        .into_iter()
        .find_map(Result::err)
        .expect("one too many");
    assert!(format!("{refused:#}").contains("RoomFull"), "{refused:#}");

    // Discard: below the ports that the kernel gives out, so that no other test's server can have it.
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let error = run(config(address, &[])).await.expect_err("nobody listens");
    let text = format!("{error:#}");
    assert!(
        text.contains("can't reach") && text.contains(&address.to_string()),
        "{text}"
    );

    let server = server::start(16, vec![]).await;
    let error = run(config(server, &["--relay-only"]))
        .await
        .expect_err("there is no relay");
    assert!(format!("{error:#}").contains("--relay-only"), "{error:#}");

    let error = run(config(server, &["--audio", "/nonexistent.ogg"]))
        .await
        .expect_err("no such file");
    assert!(
        format!("{error:#}").contains("/nonexistent.ogg"),
        "{error:#}"
    );
}
