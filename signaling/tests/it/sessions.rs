//! Sessions outlive connections, and processes with the same secret.

use std::io::{BufRead as _, BufReader};

use futures_util::StreamExt as _;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, LeftReason, Presence, Role, Welcome};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Client, patience, start};
use crate::process::{FREE, Running, signaling};

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

/// A process of its own, and its clock.
#[tokio::test]
async fn who_comes_back_after_the_resume_window_is_told_so_and_enters_anew() {
    let options = [&FREE[..], &["--resume-window", "1"]].concat();
    let mut process = Running(signaling(&options).spawn().unwrap());
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let page = lines.next().unwrap().unwrap();
    let page = page.strip_prefix("Page: http://").unwrap();
    let page = page.trim_end_matches('/').parse().unwrap();
    let mut stays = Client::connect_to(page).await;
    stays.hello("r").await;
    let mut goes = Client::connect_to(page).await;
    let welcome = goes.hello("r").await;
    assert_eq!((welcome.resumed, welcome.resume_window_s), (false, 1));
    drop(goes);
    stays.say(r#"{"type":"chat","id":1,"text":"x"}"#).await;
    let left = loop {
        match stays.hear().await {
            ServerMessage::PeerLeft(left) => break left,
            ServerMessage::Delivered(delivered) => panic!("too early: {delivered:?}"),
            _ => {}
        }
    };
    assert_eq!(
        (&left.peer, left.reason),
        (&welcome.peer, LeftReason::Timeout)
    );
    // Its sender is told that it did not arrive.
    let ServerMessage::Delivered(delivered) = stays.hear().await else {
        panic!("no delivered")
    };
    let failed = delivered.failed.values().flatten();
    assert_eq!(failed.collect::<Vec<_>>(), [&welcome.peer]);

    let mut late = Client::connect_to(page).await;
    late.say(&hello(&welcome, 0)).await;
    late.assert_refused(ErrorCode::ResumeFailed, 4404).await;
    let mut anew = Client::connect_to(page).await;
    let again = anew.hello("r").await;
    assert!(!again.resumed && again.peer != welcome.peer);
    let ServerMessage::PeerJoined(joined) = stays.hear().await else {
        panic!("no peer_joined")
    };
    assert_eq!(joined.peer.peer, again.peer);
}

#[tokio::test]
async fn a_room_that_needs_a_token_opens_for_the_one_that_the_program_prints() {
    let server = start(&["--token-secret", "north"]).await;
    let long = "x".repeat(100);
    for room in ["r", "회의실 1", "team/a", &long] {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_signaling"))
            .args(["token", "--token-secret", "north", "--room", room])
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
        client.say(&hello(room)).await;
        let ServerMessage::Welcome(welcome) = client.hear().await else {
            panic!("no welcome to {room}")
        };
        assert_eq!(welcome.role, Role::Host);
        let mut elsewhere = Client::connect(&server).await;
        elsewhere.say(&hello("other")).await;
        elsewhere
            .assert_refused(ErrorCode::Unauthorized, 4401)
            .await;
    }
    server.stop().await;
}

/// The option reaches the socket: who says nothing is asked whether it is there.
#[tokio::test]
async fn a_silent_connection_is_pinged() {
    let server = start(&["--ping-interval", "1"]).await;
    let (mut client, _) = Client::enter(&server, "r").await;
    loop {
        let heard = timeout(patience(), client.socket.next()).await;
        if let Message::Ping(_) = heard.unwrap().unwrap().unwrap() {
            break;
        }
    }
    server.stop().await;
}
