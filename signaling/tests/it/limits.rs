//! Who takes more than its share, or claims to be somebody else.

use std::time::{Duration, Instant};

use signaling::Server;
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::ErrorCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::MaybeTlsStream;

use crate::harness::{Client, patience, request, start, upgrade};

const HELLO: &str = r#"{"type":"hello","room":"r"}"#;

/// Connects through a proxy on this host that speaks for `client`.
async fn forwarded(server: &Server, client: &str) -> Client {
    let mut request = request(server);
    let headers = request.headers_mut();
    headers.insert("x-forwarded-for", client.parse().unwrap());
    let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let mut client = Client { socket };
    client.say(HELLO).await;
    client
}

/// As [`forwarded`], with `header` in front of the connection.
async fn proxied(server: &Server, header: &[u8]) -> Option<Client> {
    let mut stream = TcpStream::connect(server.page()).await.unwrap();
    stream.write_all(header).await.unwrap();
    let stream = MaybeTlsStream::Plain(stream);
    let connected = tokio_tungstenite::client_async(request(server), stream).await;
    let mut client = Client {
        socket: connected.ok()?.0,
    };
    client.say(HELLO).await;
    Some(client)
}

async fn assert_welcome(mut client: Client) -> Client {
    let heard = client.hear().await;
    assert!(matches!(heard, ServerMessage::Welcome(_)), "{heard:?}");
    client
}

async fn assert_at_cap(mut client: Client) {
    client.assert_refused(ErrorCode::RateLimited, 4429).await;
}

#[tokio::test]
async fn limits_count_for_whom_a_trusted_proxy_speaks() {
    let options = ["--source-sessions", "1", "--trusted-proxy", "127.0.0.1"];
    let server = start(&options).await;
    let _first = assert_welcome(forwarded(&server, "198.51.100.1").await).await;
    assert_at_cap(forwarded(&server, "198.51.100.1").await).await;
    // What the client itself wrote stands before what the proxy has heard.
    assert_at_cap(forwarded(&server, "198.51.100.9, 198.51.100.1").await).await;
    let _second = assert_welcome(forwarded(&server, "198.51.100.2").await).await;
    server.stop().await;
}

#[tokio::test]
async fn nobody_else_may_say_who_a_client_is() {
    // This host is not limited; whatever it claims, it stays this host.
    let server = start(&["--source-sessions", "1"]).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(assert_welcome(forwarded(&server, "198.51.100.1").await).await);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_proxy_header_says_who_a_client_is_where_one_is_due() {
    let options = [
        "--source-sessions",
        "1",
        "--trusted-proxy",
        "127.0.0.0/8",
        "--proxy-protocol",
    ];
    let server = start(&options).await;
    let v1 = |source: &str| format!("PROXY TCP4 {source} 192.0.2.1 4711 443\r\n").into_bytes();
    let _first = assert_welcome(proxied(&server, &v1("198.51.100.1")).await.unwrap()).await;
    assert_at_cap(proxied(&server, &v1("198.51.100.1")).await.unwrap()).await;
    let _second = assert_welcome(proxied(&server, &v1("198.51.100.2")).await.unwrap()).await;
    // Version 2 speaking for itself (LOCAL), as health checks do.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    assert_welcome(proxied(&server, local).await.unwrap()).await;
    for wrong in [
        &b""[..],
        b"t\x03\x12\r",
        b"PROXY TCP4 nonsense\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ] {
        assert!(proxied(&server, wrong).await.is_none(), "{wrong:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_proxy_header_from_anybody_else_is_no_request() {
    let server = start(&[]).await;
    for header in [
        &b"PROXY TCP4 198.51.100.1 192.0.2.1 4711 443\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"t\x03\x12\r",
    ] {
        assert!(proxied(&server, header).await.is_none(), "{header:?}");
    }
    let (_client, _) = Client::enter(&server, "r").await;
    server.stop().await;
}

#[tokio::test]
async fn a_message_in_too_many_fragments_is_refused_before_it_is_whole() {
    let server = start(&[]).await;
    let fragment = |opcode: u8| [opcode, 0x81, 0, 0, 0, 0, b' '];
    for (count, is_refused) in [(63, false), (70, true)] {
        let (mut client, _) = Client::enter(&server, "r").await;
        let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else {
            panic!("not encrypted")
        };
        stream.write_all(&fragment(0x01)).await.unwrap();
        for _ in 1..count {
            stream.write_all(&fragment(0x00)).await.unwrap();
        }
        if is_refused {
            client.assert_refused(ErrorCode::TooLarge, 1009).await;
        } else {
            stream.write_all(&[0x80, 0x80, 0, 0, 0, 0]).await.unwrap();
            // It was whole, and only blanks.
            client.assert_refused(ErrorCode::BadMessage, 4400).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn compression_is_not_negotiated() {
    let server = start(&[]).await;
    let mut request = request(&server);
    let offer = "permessage-deflate; client_max_window_bits";
    let headers = request.headers_mut();
    headers.insert("sec-websocket-extensions", offer.parse().unwrap());
    let response = upgrade(request).await.unwrap();
    assert_eq!(response.headers().get("sec-websocket-extensions"), None);
    server.stop().await;
}

#[tokio::test]
async fn old_and_odd_requests_are_answered() {
    let server = start(&[]).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    for (request, status) in [
        ("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", 200),
        ("GET / HTTP/1.0\r\n", 200),
        (
            &format!("GET /signal HTTP/1.1\r\nHost: a\r\n{upgrade}Sec-WebSocket-Version: 8\r\n"),
            400,
        ),
    ] {
        let mut stream = TcpStream::connect(server.page()).await.unwrap();
        let request = format!("{request}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let head = answer.split("\r\n").next().unwrap();
        assert!(head.contains(&format!(" {status}")), "{request}: {head}");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(body.is_empty(), request.starts_with("HEAD"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_sends_too_fast_is_held_back_then_cut_and_others_do_not_notice() {
    let server = start(&["--message-rate", "50"]).await;
    let (mut flooder, flooding) = Client::enter(&server, "r").await;
    let (mut other, _) = Client::enter(&server, "r").await;
    let (mut third, _) = Client::enter(&server, "r").await;
    assert!(matches!(other.hear().await, ServerMessage::PeerJoined(_)));
    let flood = tokio::spawn(async move {
        for id in 1.. {
            let chat = format!(r#"{{"type":"chat","id":{id},"text":"x"}}"#);
            let message = tokio_tungstenite::tungstenite::Message::text(chat);
            // Until it is cut.
            let sent = futures_util::SinkExt::send(&mut flooder.socket, message).await;
            if sent.is_err() {
                return id;
            }
        }
        0
    });
    let since = Instant::now();
    let (mut from_flooder, mut asked, mut heard) = (0, 0, 0);
    loop {
        // The third peer asks the second again and again.
        if asked == heard {
            asked += 1;
            let event = format!(r#"{{"type":"event","id":{asked},"name":"are you there"}}"#);
            third.say(&event).await;
        }
        match other.hear().await {
            ServerMessage::Chat(chat) => {
                from_flooder += 1;
                other
                    .say(&format!(r#"{{"type":"ack","seq":{}}}"#, chat.seq))
                    .await;
            }
            ServerMessage::Event(event) => {
                heard += 1;
                other
                    .say(&format!(r#"{{"type":"ack","seq":{}}}"#, event.seq))
                    .await;
                // The third peer keeps to the rate.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            ServerMessage::PeerLeft(left) => {
                assert_eq!(left.peer, flooding.peer);
                break;
            }
            ServerMessage::Delivered(_) => {}
            other => panic!("{other:?}"),
        }
        assert!(since.elapsed() < patience(), "the flood goes on");
    }
    let lasted = since.elapsed();
    assert!(lasted >= Duration::from_secs(10), "{lasted:?}");
    // 500 at once, and 50 a second.
    let most = 510 + 50 * (lasted.as_secs() + 1);
    assert!(from_flooder <= most, "{from_flooder} in {lasted:?}");
    // Behind the flood would be behind thousands of its messages.
    assert!(heard > 10, "{heard} heard while the flood went on");
    assert!(timeout(patience(), flood).await.unwrap().unwrap() > 0);
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_at_the_door_leave_the_caps_exact() {
    let options = ["--max-room", "8", "--max-sessions", "600"];
    let server = std::sync::Arc::new(start(&options).await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let server = server.clone();
        tasks.spawn(async move {
            let room = if number % 2 == 0 {
                "one".to_owned()
            } else {
                format!("room {}", number % 63)
            };
            let mut client = Client::connect(&server).await;
            client
                .say(&format!(r#"{{"type":"hello","room":"{room}"}}"#))
                .await;
            let is_in = matches!(client.hear().await, ServerMessage::Welcome(_));
            (room, is_in, client)
        });
    }
    let mut inside = std::collections::HashMap::<_, usize>::new();
    let mut clients = Vec::new();
    while let Some(entered) = tasks.join_next().await {
        let (room, is_in, client) = entered.unwrap();
        *inside.entry(room).or_default() += usize::from(is_in);
        clients.push(client);
    }
    assert_eq!(inside["one"], 8);
    assert!(inside.values().all(|count| *count <= 8), "{inside:?}");
    assert!(inside.values().sum::<usize>() <= 600);
}

#[tokio::test]
async fn json_that_is_made_to_hurt_ends_its_sender_only() {
    let server = start(&[]).await;
    let many_keys: String = (0..5000).map(|key| format!(r#","k{key}":1"#)).collect();
    let long_number = "9".repeat(60_000);
    for frame in [
        "[".repeat(60_000),
        format!(r#"{{"type":"chat","id":{long_number},"text":"x"}}"#),
        format!(r#"{{"type":"chat","text":"x","id":1,"id":2{many_keys}}}"#),
        r#"{"type":"chat","type":"bye","id":1,"text":"x"}"#.into(),
        "{\"type\":\"chat\",\"id\":1,\"text\":\"\0\"}".into(),
    ] {
        let (mut client, _) = Client::enter(&server, "r").await;
        client.say(&frame).await;
        client.assert_refused(ErrorCode::BadMessage, 4400).await;
    }
    server.stop().await;
}

/// One candidate that was not understood, or half an emoji, ended the session.
#[tokio::test]
async fn content_that_means_nothing_is_refused_and_the_session_goes_on() {
    let server = start(&[]).await;
    let (mut client, welcome) = Client::enter(&server, "r").await;
    let peer = welcome.peer;
    let signal = |id: u64, line: &str| {
        format!(
            r#"{{"type":"signal","id":{id},"to":"{peer}","epoch":0,"candidate":{{"candidate":"{line}"}}}}"#
        )
    };
    for (frame, code) in [
        (signal(1, "nonsense"), ErrorCode::BadMessage),
        (
            r#"{"type":"chat","id":2,"text":"x","to":"a","to":"b"}"#.into(),
            ErrorCode::BadMessage,
        ),
        // These are understood; but nobody says anything to itself.
        (signal(3, "a=candidate:1"), ErrorCode::NoSuchPeer),
        (signal(4, r"candidate:1\r\n"), ErrorCode::NoSuchPeer),
        (
            signal(5, "candidate:1 1 udp 1 fe80::1%eth0 9 typ host"),
            ErrorCode::NoSuchPeer,
        ),
    ] {
        client.say(&frame).await;
        match client.hear().await {
            ServerMessage::Error(error) => {
                assert_eq!((error.code, error.id.is_some()), (code, true))
            }
            other => panic!("{frame}: {other:?}"),
        }
    }
    client
        .say(r#"{"type":"chat","id":6,"text":"\ud800"}"#)
        .await;
    assert!(matches!(client.hear().await, ServerMessage::Delivered(_)));
    server.stop().await;
}

#[tokio::test]
async fn the_admin_address_speaks_to_operators_only() {
    let server = start(&["--admin-token", "north"]).await;
    for (request, status) in [
        ("GET /rooms HTTP/1.1\r\nHost: x\r\n\r\n", "401"),
        ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "401"),
        (
            "GET /rooms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer south\r\n\r\n",
            "401",
        ),
        (
            "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer north\r\n\r\n",
            "404",
        ),
        (
            "DELETE /rooms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer north\r\n\r\n",
            "405",
        ),
    ] {
        let mut stream = TcpStream::connect(server.admin()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        let read = timeout(patience(), stream.read_exact(&mut answer)).await;
        read.expect("an answer in time").unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.ends_with(status), "{answer} to {request}");
    }
    server.stop().await;
}
