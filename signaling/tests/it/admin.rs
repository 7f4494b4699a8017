//! What operators ask.

use crate::harness::{Client, start};
use crate::page::get;

#[tokio::test]
async fn metrics_and_rooms_tell_what_is_going_on() {
    let server = start(&["--turn-listen", "udp:127.0.0.1:0"]).await;
    let (_first, _) = Client::enter(&server, "r").await;
    let (_second, welcome) = Client::enter(&server, "r").await;
    let mut third = Client::connect(&server).await;
    third.say("nonsense").await;
    third.hear_out().await;
    let metrics = get(server.admin(), "/metrics", "").await;
    for line in [
        "signaling_rooms 1\n",
        "signaling_sessions 2\n",
        "signaling_sessions_opened_total 2\n",
        "signaling_errors_total{code=\"bad_message\"} 1\n",
    ] {
        assert!(metrics.contains(line), "no {line}in {metrics}");
    }
    let rooms = get(server.admin(), "/rooms", "").await;
    // As a value: the order of the fields means nothing, and depends on the features of serde_json.
    let (_, body) = rooms.split_once("\r\n\r\n").unwrap();
    let rooms: serde_json::Value = serde_json::from_str(body).unwrap();
    // By its tag, the operator finds the room of what `/turn-sessions` tells of.
    let account = welcome.ice_servers[1].username.as_ref().unwrap();
    let (_, tag) = account.rsplit_once(':').unwrap();
    let room = serde_json::json!({"namespace": "main", "name": "r", "tag": tag, "peers": 2});
    assert_eq!(rooms, serde_json::json!({"rooms": [room]}));
    for path in ["/healthz", "/readyz"] {
        assert!(
            get(server.admin(), path, "")
                .await
                .starts_with("HTTP/1.1 200"),
            "{path}"
        );
    }
    assert!(
        get(server.page(), "/metrics", "")
            .await
            .starts_with("HTTP/1.1 404")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_needed_where_one_is_set() {
    let server = start(&["--admin-token", "sesame"]).await;
    for (headers, status) in [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: sesame\r\n", 401),
        ("Authorization: Bearer sesame\r\n", 200),
    ] {
        let answer = get(server.admin(), "/rooms", headers).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{headers}: {answer}"
        );
    }
    assert!(
        get(server.admin(), "/healthz", "")
            .await
            .starts_with("HTTP/1.1 200")
    );
    server.stop().await;
}

#[tokio::test]
async fn the_bundled_relay_is_told_of_beside_the_rooms() {
    let listen = ["--turn-listen", "udp:127.0.0.1:0"];
    let server = start(&listen).await;
    let metrics = get(server.admin(), "/metrics", "").await;
    assert!(
        metrics.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{metrics}"
    );
    for line in [
        "# TYPE signaling_sessions_opened counter\n",
        "signaling_sessions_opened_total 0\n",
        "stun_turn_allocations{transport=\"udp\"} 0\n",
    ] {
        assert!(metrics.contains(line), "no {line}in {metrics}");
    }
    assert_eq!(metrics.matches("# EOF").count(), 1, "{metrics}");
    let documented = include_str!("../../../docs/operating.md");
    for line in metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
    {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let name = format!("`{name}{suffix}`");
        assert!(documented.contains(&name), "docs/operating.md lacks {name}");
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let sessions = get(server.admin(), "/turn-sessions", "").await;
    assert!(sessions.ends_with("{\"sessions\":[]}"), "{sessions}");
    server.stop().await;

    let alone = start(&[]).await;
    let metrics = get(alone.admin(), "/metrics", "").await;
    assert!(
        metrics.ends_with("# EOF\n") && !metrics.contains("stun_turn"),
        "{metrics}"
    );
    let sessions = get(alone.admin(), "/turn-sessions", "").await;
    assert!(sessions.starts_with("HTTP/1.1 404"), "{sessions}");
    alone.stop().await;
}
