//! Sessions outlive connections, and processes with the same secret.

use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Presence, Welcome};

use crate::harness::{Client, start};

/// `hello` with the newest ticket.
fn hello(welcome: &Welcome, received: u64) -> String {
    let ticket = &welcome.ticket;
    format!(
        r#"{{"type":"hello","room":"r","resume":{{"ticket":"{ticket}","received":{received}}}}}"#
    )
}

#[tokio::test]
async fn a_broken_connection_is_replaced_and_nothing_is_lost() {
    let server = start(&[]).await;
    let (mut first, _) = Client::enter(&server, "r").await;
    let (second, welcome) = Client::enter(&server, "r").await;
    drop(second);
    let away = loop {
        if let ServerMessage::PeerUpdated(updated) = first.hear().await {
            break updated;
        }
    };
    assert_eq!(away.peer.state, Presence::Away);
    first.say(r#"{"type":"chat","id":1,"text":"x"}"#).await;
    let mut second = Client::connect(&server).await;
    second.say(&hello(&welcome, 0)).await;
    let ServerMessage::Welcome(again) = second.hear().await else {
        panic!("no welcome")
    };
    assert!(again.resumed);
    assert!(matches!(second.hear().await, ServerMessage::Chat(_)));
    server.stop().await;
}

#[tokio::test]
async fn another_process_goes_on_with_the_session_if_it_has_the_secret() {
    let state = tempfile::tempdir().unwrap();
    let state = ["--state-dir", state.path().to_str().unwrap()];
    for (before, after, goes_on) in [
        (
            &["--session-secret", "north"],
            &["--session-secret", "north"],
            true,
        ),
        (
            &["--session-secret", "north"],
            &["--session-secret", "south"],
            false,
        ),
        (&state, &state, true),
    ] {
        let server = start(before).await;
        let (_client, welcome) = Client::enter(&server, "r").await;
        server.stop().await;
        let server = start(after).await;
        let mut client = Client::connect(&server).await;
        client.say(&hello(&welcome, 0)).await;
        if goes_on {
            let ServerMessage::Welcome(again) = client.hear().await else {
                panic!("no welcome")
            };
            assert_eq!((&again.peer, again.resumed), (&welcome.peer, true));
        } else {
            client.assert_refused(ErrorCode::ResumeFailed, 4404).await;
        }
        server.stop().await;
    }
}
