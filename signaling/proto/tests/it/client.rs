//! What the client keeps from its application, and tells it.

use std::time::Instant;

use serde_json::json;
use signaling_proto::client::{Client, Event, Output};
use signaling_proto::message::client::{Hello, WantedRole};

/// What the application hears of a frame.
fn heard(client: &mut Client, frame: &serde_json::Value) -> Vec<Event> {
    client.handle_text(Instant::now(), &frame.to_string());
    std::iter::from_fn(|| client.poll_output())
        .filter_map(|output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        })
        .collect()
}

/// Found by the simulation: a peer entered and left again while the connection was lost, so that no
/// welcome listed it. The connection broke again between the two, when only "is away" had come, and the
/// server died: nobody was left to tell that this peer had gone.
#[test]
fn news_of_somebody_who_is_not_in_the_room_is_old() {
    let mut client = Client::new(Hello {
        room: "stand-up".into(),
        name: None,
        namespace: None,
        role: WantedRole::Participant,
        token: None,
        media: Default::default(),
        resume: None,
    });
    client.handle_start(Instant::now());
    client.handle_open();
    let media = json!({"audio": false, "video": false, "screen": false});
    let peer = |name: &str| json!({"peer": name, "name": "", "role": "participant", "state": "away", "media": media, "polite": false});
    let welcome = json!({
        "type": "welcome", "peer": "mina", "role": "participant", "ticket": "t1", "resumed": false, "received": 0,
        "resume_window_s": 60, "ping_interval_s": 6,
        "limits": {"frame_bytes": 65536, "name_chars": 64, "replay_bytes": 262_144}, "ice_servers": [],
        "room": {"name": "stand-up", "locked": false, "capacity": 16, "peers": [peer("juno")]}
    });
    assert_eq!(heard(&mut client, &welcome).len(), 1);
    for (seq, name, news) in [(1, "juno", 1), (2, "noor", 0), (3, "mina", 1)] {
        let update = json!({"type": "peer_updated", "peer": peer(name), "seq": seq});
        assert_eq!(heard(&mut client, &update).len(), news, "about {name}");
    }
}
