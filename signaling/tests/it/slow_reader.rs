//! A client that stops reading is cut off, one that vanishes is noticed, and neither costs the others
//! anything.

use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{LeftReason, Presence};

use crate::harness::{Client, start};

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_while_the_others_go_on() {
    let server = start(&[]).await;
    let (mut sender, _) = Client::enter(&server, "r").await;
    let (mut reader, _) = Client::enter(&server, "r").await;
    // Connected, in the room, and never reads again.
    let (asleep, slow) = Client::enter(&server, "r").await;
    for client in [&mut sender, &mut reader] {
        while !matches!(client.hear().await, ServerMessage::PeerJoined(joined) if joined.peer.peer == slow.peer)
        {
        }
    }
    let text = "x".repeat(60_000);
    let mut left = false;
    for id in 1.. {
        assert!(id < 100, "the slow reader was never cut off");
        sender
            .say(&format!(r#"{{"type":"chat","id":{id},"text":"{text}"}}"#))
            .await;
        loop {
            match reader.hear().await {
                ServerMessage::Chat(chat) => {
                    assert_eq!(chat.id.0, id);
                    let ack = format!(r#"{{"type":"ack","seq":{}}}"#, chat.seq);
                    reader.say(&ack).await;
                    break;
                }
                ServerMessage::PeerLeft(gone) => {
                    assert_eq!(
                        (gone.peer, gone.reason),
                        (slow.peer.clone(), LeftReason::Timeout)
                    );
                    left = true;
                }
                other => panic!("{other:?}"),
            }
        }
        if left {
            break;
        }
    }
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
