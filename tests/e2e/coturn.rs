//! coturn's clients against our relay, over UDP, TCP and TLS: nothing may get lost.

use std::net::{Ipv4Addr, SocketAddr};

use tests::coturn::EchoPeer;
use tests::programs::Relay;
use tests::stage::{self, Stage};

/// Messages of each session of a run.
const MESSAGES: u32 = 50;

async fn relay(stage: &Stage) -> anyhow::Result<Relay> {
    let options = [
        "--user",
        "alice:wonder",
        "--realm",
        "r",
        "--allow-peer",
        "127.0.0.0/8",
        // Two clients with four sessions each are there at once.
        "--user-quota=32",
    ];
    stage.relay(&options).await
}

/// A client for each of these options, both at once: they wait for most of their time.
async fn uclients(
    stage: &Stage,
    server: SocketAddr,
    [some, others]: [&[&str]; 2],
    peer: Option<&EchoPeer>,
) -> anyhow::Result<()> {
    tokio::try_join!(
        stage.uclient(server, some, peer, MESSAGES),
        stage.uclient(server, others, peer, MESSAGES)
    )?;
    Ok(())
}

#[test]
fn stunclient_learns_its_address() {
    stage::run(async |stage| {
        let relay = relay(stage).await?;
        let address = stage.stunclient(relay.udp).await?;
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
        assert_ne!(address.port(), 0);
        Ok(())
    });
}

#[test]
fn uclient_reaches_a_peer_over_udp() {
    stage::run(async |stage| {
        let (relay, peer) = (relay(stage).await?, stage.echo_peer()?);
        // Without -s ChannelData, with it Send and Data.
        uclients(stage, relay.udp, [&[], &["-s"]], Some(&peer)).await
    });
}

#[test]
fn uclient_reaches_a_peer_over_tcp() {
    stage::run(async |stage| {
        let (relay, peer) = (relay(stage).await?, stage.echo_peer()?);
        uclients(stage, relay.tcp, [&["-t"], &["-t", "-s"]], Some(&peer)).await
    });
}

#[test]
fn uclient_reaches_a_peer_over_tls() {
    stage::run(async |stage| {
        let options = [
            "--user",
            "alice:wonder",
            "--allow-peer",
            "127.0.0.0/8",
            "--user-quota=32",
        ];
        let (_relay, address) = stage.tls_relay(&options).await?;
        let peer = stage.echo_peer()?;
        // -S is TLS over TCP; it checks no certificate unless it is given an authority's.
        uclients(
            stage,
            address,
            [&["-t", "-S"], &["-t", "-S", "-s"]],
            Some(&peer),
        )
        .await
    });
}

#[test]
fn uclients_reach_each_other_over_udp() {
    stage::run(async |stage| {
        let relay = relay(stage).await?;
        uclients(stage, relay.udp, [&[], &["-s"]], None).await
    });
}

#[test]
fn uclients_reach_each_other_over_tcp() {
    stage::run(async |stage| {
        let relay = relay(stage).await?;
        uclients(stage, relay.tcp, [&["-t"], &["-t", "-s"]], None).await
    });
}

#[test]
fn a_wrong_password_gets_nothing() {
    stage::run(async |stage| {
        let options = [
            "--user",
            "alice:another",
            "--realm",
            "r",
            "--allow-peer",
            "127.0.0.0/8",
        ];
        let relay = stage.relay(&options).await?;
        let run = stage.uclient(relay.udp, &[], None, MESSAGES).await;
        let error = format!("{:#}", run.expect_err("the password is wrong"));
        assert!(error.contains("Cannot complete Allocation"), "{error}");
        Ok(())
    });
}
