//! A client that reads late gets everything, one that stops reading is away, one that vanishes is noticed,
//! and none of them costs the others anything.

use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, LeftReason, Presence};

use crate::harness::{Client, start};

/// The reported case: five of these at once ended the session of everybody who needed a moment.
const LARGE: usize = 60_000;

async fn say(client: &mut Client, id: u64) {
    let text = "x".repeat(LARGE);
    let chat = format!(r#"{{"type":"chat","id":{id},"text":"{text}"}}"#);
    client.say(&chat).await;
}

/// Reads and acknowledges up to the next chat: its id.
async fn hear_chat(client: &mut Client) -> u64 {
    loop {
        let message = client.hear().await;
        if let Some(seq) = message.seq() {
            let ack = format!(r#"{{"type":"ack","seq":{seq}}}"#);
            client.say(&ack).await;
        }
        if let ServerMessage::Chat(chat) = message {
            return chat.id.0;
        }
    }
}

#[tokio::test]
async fn five_messages_of_60_kb_close_nobody_s_connection() {
    let server = start(&[]).await;
    let (mut host, _) = Client::enter(&server, "r").await;
    let (mut guest, _) = Client::enter(&server, "r").await;
    let (mut sender, _) = Client::enter(&server, "r").await;
    for id in 1..=5 {
        say(&mut sender, id).await;
    }
    // Only now the others get to reading.
    for id in 1..=5 {
        assert_eq!(hear_chat(&mut host).await, id);
        assert_eq!(hear_chat(&mut guest).await, id);
    }
    loop {
        match sender.hear().await {
            ServerMessage::Delivered(delivered) if delivered.ids.iter().any(|id| id.0 == 5) => {
                assert!(delivered.failed.is_empty());
                break;
            }
            ServerMessage::Delivered(_) => {}
            other => panic!("{other:?}"),
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_away_while_the_others_go_on() {
    let server = start(&[]).await;
    let (mut sender, _) = Client::enter(&server, "r").await;
    let (mut reader, _) = Client::enter(&server, "r").await;
    // Connected, in the room, and never reads again.
    let (asleep, slow) = Client::enter(&server, "r").await;
    for id in 1..=3 {
        say(&mut sender, id).await;
    }
    assert_eq!(hear_chat(&mut reader).await, 1);
    assert_eq!(hear_chat(&mut reader).await, 2);
    // The third waits until it answers no ping any more. The sender reads meanwhile: it would be away as well,
    // and on a busy machine sooner than it hears of this.
    let told = async {
        let ServerMessage::PeerUpdated(updated) = reader.hear().await else {
            panic!("no peer_updated")
        };
        assert_eq!(updated.peer.peer, slow.peer);
        assert_eq!(updated.peer.state, Presence::Away);
    };
    let refused = async {
        loop {
            match sender.hear().await {
                ServerMessage::Error(error) => break error,
                ServerMessage::PeerLeft(left) => panic!("{left:?}"),
                _ => {}
            }
        }
    };
    let ((), error) = tokio::join!(told, refused);
    assert_eq!(error.code, ErrorCode::SlowRecipient);
    assert_eq!(error.id.map(|id| id.0), Some(3));
    drop(asleep);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_away_and_then_left() {
    let server = start(&["--resume-window", "1"]).await;
    // It answers no ping, because nobody reads from its socket any more.
    let (_vanished, vanished) = Client::enter(&server, "r").await;
    let (mut witness, _) = Client::enter(&server, "r").await;
    let ServerMessage::PeerUpdated(away) = witness.hear().await else {
        panic!("no peer_updated")
    };
    assert_eq!(
        (away.peer.peer, away.peer.state),
        (vanished.peer.clone(), Presence::Away)
    );
    let ServerMessage::PeerLeft(left) = witness.hear().await else {
        panic!("no peer_left")
    };
    assert_eq!(
        (left.peer, left.reason),
        (vanished.peer, LeftReason::Timeout)
    );
    server.stop().await;
}
