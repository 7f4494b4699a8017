//! `docs/signaling-protocol.md` has every message, every field, and diagrams of real messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

fn documentation() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/signaling-protocol.md");
    fs::read_to_string(path).unwrap()
}

/// By message of one side, what the schema calls its fields.
fn fields(side: &str) -> BTreeMap<String, BTreeSet<String>> {
    let schema = crate::schema::schema();
    let variants = schema["$defs"][side]["oneOf"].as_array().unwrap();
    let message = |variant: &Value| {
        let mut names = BTreeSet::new();
        collect(&schema, variant, &mut names);
        let kind = variant["properties"]["type"]["const"].as_str().unwrap();
        (kind.to_owned(), names)
    };
    variants.iter().map(message).collect()
}

/// Names of the fields of `part`, and of the objects in them.
fn collect(schema: &Value, part: &Value, names: &mut BTreeSet<String>) {
    match part {
        Value::Object(keys) => {
            if let Some(properties) = part["properties"].as_object() {
                names.extend(properties.keys().cloned());
            }
            if let Some(target) = part["$ref"].as_str() {
                collect(schema, schema.pointer(&target[1..]).unwrap(), names);
            }
            keys.values()
                .for_each(|inner| collect(schema, inner, names));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(schema, inner, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What stands below the headings that name this message.
fn sections(text: &str, kind: &str) -> String {
    let quoted = format!("`{kind}`");
    let is_about = |section: &&str| section.lines().next().unwrap().contains(&quoted);
    text.split("### ").skip(1).filter(is_about).collect()
}

#[test]
fn every_message_and_field_is_explained() {
    let text = documentation();
    let (_, messages) = text.split_once("## Client to server\n").unwrap();
    let (client, server) = messages.split_once("## Server to client\n").unwrap();
    for (part, side) in [(client, "ClientMessage"), (server, "ServerMessage")] {
        for (kind, names) in fields(side) {
            assert!(!sections(part, &kind).is_empty(), "no heading has `{kind}`");
            // What is passed on is explained where clients say it.
            let section = sections(messages, &kind);
            for name in names {
                let is_there = section.contains(&format!("`{name}`"))
                    || section.contains(&format!("\"{name}\""));
                assert!(is_there, "`{name}` of `{kind}` is not in its section");
            }
        }
    }
}

#[test]
fn the_diagrams_show_messages_of_the_protocol() {
    let text = documentation();
    let (clients, servers) = (fields("ClientMessage"), fields("ServerMessage"));
    let mut diagrams = 0;
    for diagram in text.split("```mermaid\n").skip(1) {
        let (diagram, _) = diagram.split_once("```").unwrap();
        diagrams += 1;
        for line in diagram.lines() {
            // Solid arrows are messages; the others are media, and connections that break.
            let Some((from, rest)) = line
                .split_once("->>")
                .filter(|(from, _)| !from.contains('-'))
            else {
                continue;
            };
            let (_, label) = rest.split_once(": ").unwrap();
            let kind = label.split(' ').next().unwrap();
            let side = if from.trim() == "S" {
                &servers
            } else {
                &clients
            };
            assert!(side.contains_key(kind), "{line}");
        }
    }
    assert_eq!(
        diagrams, 4,
        "joining, a call, coming back, a relay that dies"
    );
}
