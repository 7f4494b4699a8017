//! Applications that share a service: each with its tokens, pages and limits.

use std::time::{Duration, SystemTime};

use signaling::Server;
use signaling::room_token::{self, Claims};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Role, Welcome};

use crate::harness::{Client, config, request, start, upgrade};

/// A token for the room `r`.
fn token(secret: &str, namespace: &str) -> String {
    let claims = Claims {
        room: "r".into(),
        namespace: namespace.into(),
        role: Role::Participant,
        name: None,
        exp: 0,
    };
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    room_token::mint(secret, claims, now, Duration::from_secs(60)).unwrap()
}

/// Says `hello` for the room `r`.
async fn knock(server: &Server, namespace: &str, token: Option<&str>) -> Client {
    let mut client = Client::connect(server).await;
    let token = token.map_or_else(String::new, |token| format!(r#","token":"{token}""#));
    let hello = format!(r#"{{"type":"hello","room":"r","namespace":"{namespace}"{token}}}"#);
    client.say(&hello).await;
    client
}

async fn welcome(mut client: Client) -> (Client, Welcome) {
    match client.hear().await {
        ServerMessage::Welcome(welcome) => (client, *welcome),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_of_one_namespace_opens_no_other() {
    let options = [
        "--namespace-game-token-secret=south",
        "--namespace-shop-token-secret=west",
    ];
    let server = start(&options).await;
    let (game, shop) = (token("south", "game"), token("west", "shop"));
    welcome(knock(&server, "game", Some(&game)).await).await;
    welcome(knock(&server, "shop", Some(&shop)).await).await;
    let confused = token("south", "shop");
    for (namespace, token) in [
        ("game", None),
        ("game", Some(&shop)),
        ("shop", Some(&game)),
        ("shop", Some(&confused)),
    ] {
        let mut client = knock(&server, namespace, token.map(String::as_str)).await;
        client.assert_refused(ErrorCode::Unauthorized, 4401).await;
    }
    // All others are as the general options say: open.
    for namespace in ["main", "unheard-of"] {
        welcome(knock(&server, namespace, None).await).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn limits_hold_in_their_namespace() {
    let options = ["--max-room=3", "--namespace-game-max-room=1"];
    let server = start(&options).await;
    let (_player, first) = welcome(knock(&server, "game", None).await).await;
    assert_eq!(first.room.capacity, 1);
    let mut second = knock(&server, "game", None).await;
    second.assert_refused(ErrorCode::RoomFull, 4431).await;
    let (_caller, first) = welcome(knock(&server, "main", None).await).await;
    assert_eq!(first.room.capacity, 3);
    welcome(knock(&server, "main", None).await).await;
    server.stop().await;
}

#[tokio::test]
async fn pages_enter_their_namespace_only() {
    let server = start(&["--namespace-game-allow-origin=https://game.example"]).await;
    let from = |origin: &str| {
        let mut request = request(&server);
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
        request
    };
    let foreign = upgrade(from("https://shop.example")).await;
    assert_eq!(foreign.map(drop), Err(403));
    for (namespace, enters) in [("game", true), ("main", false), ("shop", false)] {
        let connected = tokio_tungstenite::connect_async(from("https://game.example")).await;
        let mut client = Client {
            socket: connected.unwrap().0,
        };
        let hello = format!(r#"{{"type":"hello","room":"r","namespace":"{namespace}"}}"#);
        client.say(&hello).await;
        match enters {
            true => drop(welcome(client).await),
            false => client.assert_refused(ErrorCode::Forbidden, 4403).await,
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_changed_namespace_needs_a_restart_and_that_is_said() {
    let server = start(&["--namespace-game-max-room=1"]).await;
    for (options, differing) in [
        (&["--namespace-game-max-room=1"][..], &[][..]),
        (&["--namespace-game-max-room=2"], &["namespace-game"]),
        (&[], &["namespace-game"]),
        (
            &[
                "--namespace-game-max-room=1",
                "--namespace-shop-token-secret=x",
            ],
            &["namespace-shop"],
        ),
    ] {
        let mut unchanged = server.reload(config(options)).unwrap();
        unchanged.retain(|name| name.starts_with("namespace"));
        assert_eq!(unchanged, differing);
    }
    server.stop().await;
}
