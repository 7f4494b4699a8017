//! The examples in `tests/golden` are messages of ours, and the documentation shows these very texts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use signaling_proto::message::{ClientMessage, ServerMessage};

/// File name without `.json`, and text.
pub(crate) fn golden() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Reads a message and writes it again, as JSON values: both must be equal.
fn round_trip(name: &str, text: &str) -> Value {
    let written = if name.starts_with("client-") {
        ClientMessage::parse(text).map(|message| message.to_text())
    } else {
        ServerMessage::parse(text).map(|message| message.to_text())
    };
    let written = written.unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&written).unwrap()
}

#[test]
fn every_example_survives_reading_and_writing() {
    for (name, text) in golden() {
        let mut expected: Value = serde_json::from_str(&text).unwrap();
        if name == "client-hello" {
            // The shortest form: what is absent has a default, which is written out.
            expected["role"] = "participant".into();
        }
        assert_eq!(round_trip(&name, &text), expected, "{name}");
    }
}

#[test]
fn every_type_has_an_example() {
    let types: BTreeSet<String> = golden()
        .iter()
        .map(|(name, text)| {
            let value: Value = serde_json::from_str(text).unwrap();
            let side = name.split('-').next().unwrap();
            format!("{side} {}", value["type"].as_str().unwrap())
        })
        .collect();
    let expected = [
        "client ack",
        "client bye",
        "client chat",
        "client event",
        "client hello",
        "client moderate",
        "client signal",
        "client update",
        "server chat",
        "server delivered",
        "server error",
        "server event",
        "server goaway",
        "server ice_servers",
        "server peer_joined",
        "server peer_left",
        "server peer_updated",
        "server room_updated",
        "server signal",
        "server ticket",
        "server welcome",
    ];
    assert_eq!(types, expected.map(String::from).into());
}

#[test]
fn the_documentation_shows_exactly_these_examples() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/signaling-protocol.md");
    let documentation = fs::read_to_string(path).unwrap();
    let mut shown: Vec<&str> = Vec::new();
    let mut in_example = false;
    for line in documentation.lines() {
        match line {
            "```json" => in_example = true,
            "```" => in_example = false,
            line if in_example => shown.push(line),
            _ => {}
        }
    }
    let files = golden();
    let mut expected: Vec<&str> = files.iter().map(|(_, text)| text.trim_end()).collect();
    shown.sort_unstable();
    expected.sort_unstable();
    assert_eq!(shown, expected);
}
