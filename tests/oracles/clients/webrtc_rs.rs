//! `turn`, the client of webrtc-rs, over UDP: what the released versions of `webrtc` for Rust allocate with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stun_turn::config::Protocol;
use turn::client::{Client, ClientConfig};
use webrtc_util::conn::Conn;

use crate::clock::unix_s;
use crate::relay::{Relay, USER};
use crate::webrtc_rs_link::{AsyncPeer, Recorder, count};
use patience::patience;

/// How messages begin (RFC 8656 section 17).
const SEND_INDICATION: [u8; 2] = [0x00, 0x16];
const DATA_INDICATION: [u8; 2] = [0x00, 0x17];
const REFRESH_SUCCESS: [u8; 2] = [0x01, 0x04];
const CREATE_PERMISSION_SUCCESS: [u8; 2] = [0x01, 0x08];
const CREATE_PERMISSION_ERROR: [u8; 2] = [0x01, 0x18];
const CHANNEL_BIND_SUCCESS: [u8; 2] = [0x01, 0x09];

fn begins(with: [u8; 2]) -> impl Fn(&[u8]) -> bool {
    move |datagram| datagram.starts_with(&with)
}

/// ChannelData starts with the bits 01.
fn is_channel_data(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|byte| *byte & 0xC0 == 0x40)
}

async fn client(relay: &Relay, (user, password): (&str, &str)) -> (Client, Arc<Recorder>) {
    let recorder = Recorder::new().await;
    let server = relay.address(Protocol::Udp).to_string();
    let client = Client::new(ClientConfig {
        stun_serv_addr: server.clone(),
        turn_serv_addr: server,
        username: user.to_owned(),
        password: password.to_owned(),
        realm: String::new(),
        software: "oracle".to_owned(),
        rto_in_ms: 0,
        conn: Arc::clone(&recorder) as Arc<dyn Conn + Send + Sync>,
        vnet: None,
    });
    let client = client.await.expect("a client");
    client.listen().await.expect("listening");
    (client, recorder)
}

async fn receive(allocation: &impl Conn) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 2048];
    let received = tokio::time::timeout(patience(), allocation.recv_from(&mut buffer)).await;
    let (length, from) = received.expect("data in time").expect("an open allocation");
    buffer.truncate(length);
    (buffer, from)
}

/// Lets the client work until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(patience(), waiting).await;
    waited.unwrap_or_else(|_| panic!("no {what} within {:?}", patience()));
}

#[tokio::test]
async fn a_client_learns_its_address() {
    let relay = Relay::start();
    let (client, recorder) = client(&relay, USER).await;
    let address = client.send_binding_request().await.expect("an answer");
    assert_eq!(address, recorder.local_addr().expect("a bound socket"));
    relay.shutdown();
}

#[tokio::test]
async fn data_travels_both_ways_by_indication_and_by_channel() {
    let relay = Relay::start();
    let (client, recorder) = client(&relay, USER).await;
    let allocation = client.allocate().await.expect("an allocation");
    let relayed = allocation.local_addr().expect("a relayed address");
    let peer = AsyncPeer::new().await;
    // The client starts with Send, and goes over to ChannelData once its ChannelBind is answered.
    for round in 0..2 {
        for size in [1, 2, 3, 4, 1200] {
            let data = vec![0xA5; size];
            allocation
                .send_to(&data, peer.address())
                .await
                .expect("sending");
            assert_eq!(peer.receive().await, (data.clone(), relayed));
            peer.send(&data, relayed).await;
            assert_eq!(receive(&allocation).await, (data, peer.address()));
        }
        let is_bound = || count(&recorder.received, begins(CHANNEL_BIND_SUCCESS)) == 1;
        until("answer to ChannelBind", is_bound).await;
        if round == 0 {
            assert!(count(&recorder.sent, begins(SEND_INDICATION)) > 0);
        }
    }
    assert!(count(&recorder.sent, is_channel_data) >= 4);
    assert!(count(&recorder.received, is_channel_data) >= 5);
    assert_eq!(relay.session(relayed).permissions_and_channels, (1, 1));
    allocation.close().await.expect("closing");
    relay.until_allocations(0);
    relay.shutdown();
}

#[tokio::test]
async fn a_peer_without_channel_is_heard_by_data_indication() {
    let relay = Relay::start();
    let (client, recorder) = client(&relay, USER).await;
    let allocation = client.allocate().await.expect("an allocation");
    let relayed = allocation.local_addr().expect("a relayed address");
    let [one, other] = [AsyncPeer::new().await, AsyncPeer::new().await];
    // A permission is for an address, whatever the port: the other peer may speak, too.
    allocation
        .send_to(b"hello", one.address())
        .await
        .expect("sending");
    assert_eq!(one.receive().await, (b"hello".to_vec(), relayed));
    other.send(b"me, too", relayed).await;
    assert_eq!(
        receive(&allocation).await,
        (b"me, too".to_vec(), other.address())
    );
    assert_eq!(count(&recorder.received, begins(DATA_INDICATION)), 1);
    relay.shutdown();
}

#[tokio::test]
async fn two_allocations_reach_each_other() {
    let relay = Relay::start();
    let (ann, _) = client(&relay, USER).await;
    let (bob, _) = client(&relay, USER).await;
    let ann = ann.allocate().await.expect("an allocation");
    let bob = bob.allocate().await.expect("an allocation");
    let at = |allocation: &dyn Conn| allocation.local_addr().expect("a relayed address");
    let (at_ann, at_bob) = (at(&ann), at(&bob));
    // Data makes the permission for the way back. It is let in itself only if bob's permission is there in time.
    ann.send_to(b"knock", at_bob).await.expect("sending");
    bob.send_to(b"who is there?", at_ann)
        .await
        .expect("sending");
    assert_eq!(receive(&ann).await, (b"who is there?".to_vec(), at_bob));
    for number in 0_u8..50 {
        bob.send_to(&[number; 100], at_ann).await.expect("sending");
        assert_eq!(receive(&ann).await, (vec![number; 100], at_bob));
        ann.send_to(&[number; 50], at_bob).await.expect("sending");
        let mut received = receive(&bob).await;
        if received.0 == b"knock" {
            received = receive(&bob).await;
        }
        assert_eq!(received, (vec![number; 50], at_ann));
    }
    relay.shutdown();
}

#[tokio::test]
async fn allocation_and_permission_are_refreshed() {
    let relay = Relay::start();
    let (client, recorder) = client(&relay, USER).await;
    let allocation = client.allocate().await.expect("an allocation");
    let relayed = allocation.local_addr().expect("a relayed address");
    let peer = AsyncPeer::new().await;
    allocation
        .send_to(b"before", peer.address())
        .await
        .expect("sending");
    assert_eq!(peer.receive().await.0, b"before");
    let before = relay.life(relayed);
    let permitted = || count(&recorder.received, begins(CREATE_PERMISSION_SUCCESS));
    assert_eq!(permitted(), 1);
    // The client refreshes an allocation of ten minutes after five, and permissions every two.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
    // Each is repeated, as the clock has leapt over the time to wait for an answer, too.
    let is_refreshed = || count(&recorder.received, begins(REFRESH_SUCCESS)) > 0;
    until("answer to Refresh", is_refreshed).await;
    until("answer to CreatePermission", || permitted() > 1).await;
    assert!(relay.life(relayed) > before);
    allocation
        .send_to(b"after", peer.address())
        .await
        .expect("sending");
    assert_eq!(peer.receive().await.0, b"after");
    relay.shutdown();
}

#[tokio::test]
async fn a_stale_nonce_is_replaced() {
    let relay = Relay::start();
    let (client, recorder) = client(&relay, USER).await;
    let allocation = client.allocate().await.expect("an allocation");
    relay.forget_nonces();
    let peer = AsyncPeer::new().await;
    allocation
        .send_to(b"again", peer.address())
        .await
        .expect("sending");
    assert_eq!(peer.receive().await.0, b"again");
    assert_eq!(
        count(&recorder.received, begins(CREATE_PERMISSION_ERROR)),
        1
    );
    assert_eq!(
        count(&recorder.received, begins(CREATE_PERMISSION_SUCCESS)),
        1
    );
    relay.shutdown();
}

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_an_expired_credential_are_refused() {
    let relay = Relay::start();
    let (expired, its_password) = relay.credential(unix_s() - 1);
    for credential in [
        (USER.0, "wander"),
        ("mallory", USER.1),
        (expired.as_str(), its_password.as_str()),
    ] {
        let (client, _) = client(&relay, credential).await;
        let Err(error) = client.allocate().await else {
            panic!("{} got an allocation", credential.0);
        };
        assert!(error.to_string().contains("error 401"), "{error}");
    }
    relay.until_allocations(0);
    relay.shutdown();
}

#[tokio::test]
async fn a_credential_made_from_the_secret_is_good_until_it_expires() {
    let relay = Relay::start();
    let (user, password) = relay.credential(unix_s() + 60);
    let (client, _) = client(&relay, (&user, &password)).await;
    let allocation = client.allocate().await.expect("an allocation");
    let relayed = allocation.local_addr().expect("a relayed address");
    assert_eq!(relay.session(relayed).user, user);
    relay.shutdown();
}
