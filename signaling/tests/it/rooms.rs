//! Peers meet.

use signaling_proto::message::ServerMessage;

use tokio::time::timeout;

use crate::harness::{Client, patience, start};

#[tokio::test]
async fn two_peers_exchange_an_offer_and_learn_of_its_delivery() {
    let server = start(&[]).await;
    let (mut first, _) = Client::enter(&server, "r").await;
    let (mut second, welcome) = Client::enter(&server, "r").await;
    let host = &welcome.room.peers[0].peer;
    let ServerMessage::PeerJoined(joined) = first.hear().await else {
        panic!("no peer_joined")
    };
    assert_eq!(joined.peer.peer, welcome.peer);

    let sdp = r#"{"type":"offer","sdp":"v=0\r\n"}"#;
    let signal =
        format!(r#"{{"type":"signal","id":1,"to":"{host}","epoch":3,"description":{sdp}}}"#);
    second.say(&signal).await;
    let ServerMessage::Signal(signal) = first.hear().await else {
        panic!("no signal")
    };
    assert_eq!(
        (signal.from, signal.seq.0, signal.epoch.0),
        (welcome.peer, 2, 3)
    );
    first.say(r#"{"type":"ack","seq":2}"#).await;
    let ServerMessage::Delivered(delivered) = second.hear().await else {
        panic!("no delivered")
    };
    assert_eq!(delivered.ids.len(), 1);

    first.say(r#"{"type":"bye"}"#).await;
    assert_eq!(first.hear_out().await.1, 1000);
    assert!(matches!(second.hear().await, ServerMessage::PeerLeft(_)));
    server.stop().await;
}

#[tokio::test]
async fn a_welcome_brings_credentials_that_the_bundled_relay_accepts() {
    let relay = [
        "--turn-listen",
        "udp:127.0.0.1:0",
        "--turn-listen",
        "tcp:127.0.0.1:0",
    ];
    let server = start(&[&relay[..], &["--auth-secret", "north"]].concat()).await;
    let (_client, welcome) = Client::enter(&server, "r").await;
    let [stun, turn] = welcome.ice_servers.as_slice() else {
        panic!("{:?}", welcome.ice_servers)
    };
    assert!(stun.urls[0].starts_with("stun:127.0.0.1:"), "{stun:?}");
    assert_eq!(turn.urls, server.turn_urls());
    assert!(turn.urls[0].ends_with("?transport=udp") && turn.urls[1].ends_with("?transport=tcp"));

    let expires_at = turn.expires_at.unwrap();
    let username = turn.username.as_ref().unwrap();
    let (expiry, account) = username.split_once(':').unwrap();
    assert_eq!(expiry, expires_at.to_string());
    assert!(
        account.starts_with(&format!("{}:", welcome.peer)),
        "{account}"
    );
    let minted = stun_turn::proto::auth::credential::mint(b"north", account, expires_at);
    assert_eq!(turn.credential.as_ref(), Some(&minted.password));
    server.stop().await;
}

#[tokio::test]
async fn a_stopping_server_says_goodbye_and_waits_for_nobody() {
    let server = start(&[]).await;
    let (mut client, _) = Client::enter(&server, "r").await;
    // One that does not read, and one that never said hello, do not hold it up.
    let (_asleep, _) = Client::enter(&server, "other").await;
    let mut silent = Client::connect(&server).await;
    timeout(patience(), server.stop()).await.expect("it stops");
    let (heard, code) = client.hear_out().await;
    assert!(matches!(heard[0], ServerMessage::Goaway(_)), "{heard:?}");
    assert_eq!(code, 4503);
    assert_eq!(silent.hear_out().await.1, 4503);
}
