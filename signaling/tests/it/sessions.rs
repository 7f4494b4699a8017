//! Sessions outlive connections, and processes with the same secret.

use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Presence, Role, Welcome};

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

#[tokio::test]
async fn a_room_that_needs_a_token_opens_for_the_one_that_the_program_prints() {
    let server = start(&["--token-secret", "north"]).await;
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_signaling"))
        .args(["token", "--token-secret", "north", "--room", "r"])
        .args(["--role", "host", "--name", "Mina"])
        .output()
        .unwrap();
    assert!(program.status.success(), "{program:?}");
    let token = String::from_utf8(program.stdout).unwrap();
    let hello = |room: &str| {
        let token = token.trim();
        format!(r#"{{"type":"hello","room":"{room}","token":"{token}"}}"#)
    };
    let mut client = Client::connect(&server).await;
    client.say(&hello("r")).await;
    let ServerMessage::Welcome(welcome) = client.hear().await else {
        panic!("no welcome")
    };
    assert_eq!(welcome.role, Role::Host);
    let mut elsewhere = Client::connect(&server).await;
    elsewhere.say(&hello("other")).await;
    elsewhere
        .assert_refused(ErrorCode::Unauthorized, 4401)
        .await;
    server.stop().await;
}
