//! The client has the golden conversations; `tests/golden/conversations/README.md` explains them.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use signaling_proto::client::{Client, Content, Event, Output};
use signaling_proto::message::client::Hello;
use signaling_proto::message::{ClientMessage, ServerMessage};

#[derive(Deserialize)]
struct Conversation {
    hello: ClientMessage,
    jitter: f64,
    steps: Vec<Value>,
}

struct Player {
    client: Client,
    now: Instant,
    jitter: f64,
    /// What has come of the last thing that happened, by kind.
    effects: BTreeMap<&'static str, VecDeque<Value>>,
}

impl Player {
    fn new(hello: Hello, jitter: f64) -> Self {
        Self {
            client: Client::new(hello),
            now: Instant::now(),
            jitter,
            effects: BTreeMap::new(),
        }
    }

    fn play(&mut self, step: &Value) {
        if let Some(action) = step["do"].as_str() {
            self.finish();
            self.act(action, step);
            self.collect();
        } else if let Some(frame) = step.get("server") {
            self.finish();
            self.client.handle_text(self.now, &frame.to_string());
            self.collect();
        } else {
            self.expect(step);
        }
    }

    fn act(&mut self, action: &str, step: &Value) {
        match action {
            "connect" => self.client.handle_start(self.now),
            "open" => self.client.handle_open(),
            "lose" => {
                let code = step["code"].as_u64().map(|code| code.try_into().unwrap());
                self.client.handle_close(self.now, code, self.jitter);
            }
            "advance_ms" => {
                let end = self.now + Duration::from_millis(step["ms"].as_u64().unwrap());
                while let Some(due) = self.client.poll_deadline().filter(|due| *due <= end) {
                    self.now = due;
                    self.client.handle_timeout(due, self.jitter);
                }
                self.now = end;
            }
            "send" => {
                let taken = self.client.send(content(step["message"].clone()));
                assert!(taken.is_some());
            }
            "leave" => self.client.leave(),
            other => panic!("unknown action {other}"),
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.client.poll_output() {
            let (kind, effect) = match output {
                Output::Connect => ("expect", json!("connect")),
                Output::Disconnect => ("expect", json!("disconnect")),
                Output::Send(text) => ("client", normal(serde_json::from_str(&text).unwrap())),
                Output::Event(event) => told(event),
            };
            self.effects.entry(kind).or_default().push_back(effect);
        }
    }

    fn expect(&mut self, step: &Value) {
        let (kind, expected) = match step.as_object().unwrap().keys().find_map(|key| {
            let kinds = ["expect", "client", "app", "outcome", "state"];
            kinds.into_iter().find(|kind| kind == key)
        }) {
            Some("state") => ("state", step.clone()),
            Some("client") => ("client", normal(step["client"].clone())),
            Some(kind) => (kind, step[kind].clone()),
            None => panic!("unknown step {step}"),
        };
        let effect = self.effects.get_mut(kind).and_then(VecDeque::pop_front);
        assert_eq!(effect.as_ref(), Some(&expected), "{step}");
    }

    /// Nothing has come of the last thing that happened except for what was expected.
    fn finish(&mut self) {
        let left: Vec<_> = self.effects.values().flatten().collect();
        assert!(left.is_empty(), "not expected: {left:?}");
    }
}

fn told(event: Event) -> (&'static str, Value) {
    let message = |message: &ServerMessage| serde_json::from_str(&message.to_text()).unwrap();
    match event {
        Event::Welcome(welcome) => ("app", message(&ServerMessage::Welcome(welcome))),
        Event::Message(heard) => ("app", message(&heard)),
        Event::Delivered { id, failed } if failed.is_empty() => {
            ("outcome", json!({"id": id, "delivered": true}))
        }
        Event::Delivered { id, failed } => {
            let outcome = json!({"id": id, "delivered": true, "failed": failed});
            ("outcome", outcome)
        }
        Event::Refused { id, error } => ("outcome", json!({"id": id, "refused": error.code})),
        Event::Lost { id } => ("outcome", json!({"id": id, "lost": true})),
        Event::Waiting { wait, .. } => {
            let ms = u64::try_from(wait.as_millis()).unwrap();
            ("state", json!({"state": "waiting", "ms": ms}))
        }
        Event::Closed { refusal: None } => ("state", json!({"state": "closed"})),
        Event::Closed {
            refusal: Some(error),
        } => {
            let state = json!({"state": "closed", "refusal": error.code});
            ("state", state)
        }
    }
}

/// A frame with its defaults written out.
fn normal(frame: Value) -> Value {
    let message: ClientMessage = serde_json::from_value(frame).unwrap();
    let mut frame: Value = serde_json::from_str(&message.to_text()).unwrap();
    if let Some(peers) = frame.pointer_mut("/resume/peers") {
        let mut sorted: Vec<String> = serde_json::from_value(peers.take()).unwrap();
        sorted.sort();
        *peers = json!(sorted);
    }
    frame
}

/// A message without its `id`.
fn content(mut message: Value) -> Content {
    message["id"] = json!(0);
    match serde_json::from_value(message).unwrap() {
        ClientMessage::Signal(signal) => Content::Signal {
            to: signal.to,
            epoch: signal.epoch,
            payload: signal.payload,
        },
        ClientMessage::Chat(chat) => Content::Chat {
            text: chat.text,
            to: chat.to,
        },
        ClientMessage::Event(event) => Content::Event {
            name: event.name,
            data: event.data,
            to: event.to,
        },
        ClientMessage::Moderate(moderate) => Content::Moderate {
            action: moderate.action,
            peer: moderate.peer,
        },
        ClientMessage::Update(update) => Content::Update {
            name: update.name,
            media: update.media,
        },
        other => panic!("no conversation sends this: {other:?}"),
    }
}

#[test]
fn the_client_has_every_golden_conversation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/conversations");
    let mut played = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        println!("{}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        let conversation: Conversation = serde_json::from_str(&text).unwrap();
        let ClientMessage::Hello(hello) = conversation.hello else {
            panic!("`hello` is a hello")
        };
        let mut player = Player::new(hello, conversation.jitter);
        for (at, step) in conversation.steps.iter().enumerate() {
            println!("  {at}: {step}");
            player.play(step);
        }
        player.finish();
        played += 1;
    }
    assert!(played >= 15, "{played} conversations");
}
