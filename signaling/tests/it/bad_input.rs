//! What clients should not send: each is told what was wrong, and nobody else notices.

use std::time::{Duration, Instant};

use signaling_proto::message::server::{ErrorCode, LeftReason};
use signaling_proto::message::{MAX_FRAME_BYTES, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Client, patience, start};

/// A chat message of exactly `bytes`.
fn chat_of(bytes: usize) -> String {
    let empty = r#"{"type":"chat","id":1,"text":""}"#;
    let text = "x".repeat(bytes - empty.len());
    format!(r#"{{"type":"chat","id":1,"text":"{text}"}}"#)
}

#[tokio::test]
async fn a_bad_frame_ends_its_sender_only() {
    let server = start(&[]).await;
    let (mut witness, _) = Client::enter(&server, "r").await;
    let nested = format!(
        r#"{{"type":"event","id":1,"name":"x","data":{}{}}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    for (frame, code, close) in [
        (
            Message::text(r#"{"type":"chat""#),
            ErrorCode::BadMessage,
            4400,
        ),
        (
            Message::text(r#"{"type":"chat","id":7,"text":"gap"}"#),
            ErrorCode::BadMessage,
            4400,
        ),
        (
            Message::text(r#"{"type":"hello","room":"r"}"#),
            ErrorCode::BadMessage,
            4400,
        ),
        (Message::text(nested), ErrorCode::BadMessage, 4400),
        (Message::binary(b"{}".to_vec()), ErrorCode::BadMessage, 4400),
        (
            Message::text(chat_of(MAX_FRAME_BYTES + 1)),
            ErrorCode::TooLarge,
            1009,
        ),
        (
            Message::text(chat_of(4 * MAX_FRAME_BYTES)),
            ErrorCode::TooLarge,
            1009,
        ),
    ] {
        let (mut sender, _) = Client::enter(&server, "r").await;
        assert!(matches!(witness.hear().await, ServerMessage::PeerJoined(_)));
        sender.send(frame).await;
        sender.assert_refused(code, close).await;
        let ServerMessage::PeerLeft(left) = witness.hear().await else {
            panic!("no peer_left")
        };
        assert_eq!(left.reason, LeftReason::Timeout);
    }
    let (mut sender, _) = Client::enter(&server, "r").await;
    sender.say(&chat_of(MAX_FRAME_BYTES)).await;
    witness.hear().await;
    assert!(
        matches!(witness.hear().await, ServerMessage::Chat(_)),
        "64 KiB are fine"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_frame_that_only_claims_to_be_large_is_refused_at_its_header() {
    let server = start(&[]).await;
    for header in [
        [0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        [0x81, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0],
    ] {
        let (mut client, _) = Client::enter(&server, "r").await;
        raw(&mut client).write_all(&header).await.unwrap();
        // The mask, which belongs to the header.
        raw(&mut client).write_all(&[1, 2, 3, 4]).await.unwrap();
        client.assert_refused(ErrorCode::TooLarge, 1009).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn breaking_the_websocket_protocol_is_answered_with_its_own_codes() {
    let server = start(&[]).await;
    let mut large_ping = vec![0x89, 0xFE, 0, 200, 0, 0, 0, 0];
    large_ping.resize(8 + 200, 0);
    for (bytes, code) in [
        // Unmasked text, a reserved bit, a continuation of nothing, a large ping.
        (&[0x81, 0x02, b'{', b'}'][..], 1002),
        (&[0xC1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x80, 0x80, 0, 0, 0, 0], 1002),
        (&large_ping, 1002),
        // Text that is not UTF-8.
        (&[0x81, 0x81, 0, 0, 0, 0, 0xFF], 1007),
    ] {
        let (mut client, _) = Client::enter(&server, "r").await;
        raw(&mut client).write_all(bytes).await.unwrap();
        let (_, close) = client.hear_out().await;
        assert_eq!(close, code, "{bytes:x?}");
    }
    server.stop().await;
}

fn raw(client: &mut Client) -> &mut TcpStream {
    match client.socket.get_mut() {
        MaybeTlsStream::Plain(stream) => stream,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_type_is_told_and_the_connection_goes_on() {
    let server = start(&[]).await;
    let (mut client, welcome) = Client::enter(&server, "r").await;
    client.say(r#"{"type":"dance","id":1}"#).await;
    let ServerMessage::Error(error) = client.hear().await else {
        panic!("no error")
    };
    assert_eq!(error.code, ErrorCode::UnknownType);
    // A peer of another room, nobody, and oneself look alike.
    let (_elsewhere, elsewhere) = Client::enter(&server, "other").await;
    for (id, to) in [
        (2, elsewhere.peer.as_str()),
        (3, "nobody"),
        (4, welcome.peer.as_str()),
    ] {
        client
            .say(&format!(
                r#"{{"type":"chat","id":{id},"text":"x","to":"{to}"}}"#
            ))
            .await;
        let ServerMessage::Error(error) = client.hear().await else {
            panic!("no error")
        };
        assert_eq!(
            (error.code, error.id.unwrap().0),
            (ErrorCode::NoSuchPeer, id)
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn silence_is_ended_after_five_seconds() {
    let server = start(&[]).await;
    let mut silent = Client::connect(&server).await;
    let started = Instant::now();
    silent.assert_refused(ErrorCode::HelloTimeout, 4408).await;
    assert!(started.elapsed() >= Duration::from_secs(4));
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let server = start(&[]).await;
    let mut slow = TcpStream::connect(server.page()).await.unwrap();
    slow.write_all(b"GET /signal HTTP/1.1\r\nHost: x\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    timeout(patience(), slow.read_to_end(&mut answer))
        .await
        .expect("cut off")
        .unwrap();
    server.stop().await;
}

#[tokio::test]
async fn full_rooms_and_full_servers_refuse() {
    let server = start(&["--max-room", "1", "--max-rooms", "2", "--max-sessions", "2"]).await;
    let (_first, _) = Client::enter(&server, "a").await;
    let mut second = Client::connect(&server).await;
    second.say(r#"{"type":"hello","room":"a"}"#).await;
    second.assert_refused(ErrorCode::RoomFull, 4431).await;
    let (_third, _) = Client::enter(&server, "b").await;
    let mut fourth = Client::connect(&server).await;
    fourth.say(r#"{"type":"hello","room":"c"}"#).await;
    fourth.assert_refused(ErrorCode::RateLimited, 4429).await;
    server.stop().await;
}
