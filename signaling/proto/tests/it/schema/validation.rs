//! What the schema takes is what the parser takes.

use std::collections::BTreeSet;
use std::fs;

use jsonschema::Validator;
use serde_json::{Value, json};
use signaling_proto::message::{ClientMessage, ServerMessage};

use crate::golden::golden;

/// Validators of the two directions.
struct Schemas {
    client: Validator,
    server: Validator,
}

impl Schemas {
    fn new() -> Self {
        let validator = |side: &str| {
            let mut schema = super::schema();
            let root = schema.as_object_mut().unwrap();
            root.remove("anyOf");
            root.insert("$ref".into(), json!(format!("#/$defs/{side}")));
            jsonschema::draft202012::new(&schema).unwrap()
        };
        Self {
            client: validator("ClientMessage"),
            server: validator("ServerMessage"),
        }
    }

    fn of(&self, side: &str) -> &Validator {
        match side {
            "client" => &self.client,
            "server" => &self.server,
            other => panic!("no side {other}"),
        }
    }
}

fn check(schema: &Validator, message: &Value, source: &str) {
    let problems: Vec<_> = schema
        .iter_errors(message)
        .map(|error| error.to_string())
        .collect();
    assert!(problems.is_empty(), "{source}: {message}: {problems:?}");
}

#[test]
fn the_schema_is_a_schema() {
    let problem = jsonschema::meta::validate(&super::schema()).map_err(|error| error.to_string());
    assert_eq!(problem, Ok(()));
}

#[test]
fn every_example_is_valid() {
    let schemas = Schemas::new();
    let either = jsonschema::draft202012::new(&super::schema()).unwrap();
    for (name, text) in golden() {
        let message = serde_json::from_str(&text).unwrap();
        check(schemas.of(name.split('-').next().unwrap()), &message, &name);
        check(&either, &message, &name);
    }
}

#[test]
fn the_golden_conversations_are_valid_and_have_every_message() {
    let schemas = Schemas::new();
    let folder = super::project().join("signaling/proto/tests/golden/conversations");
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let source = path.display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let conversation: Value = serde_json::from_str(&text).unwrap();
        check(&schemas.client, &conversation["hello"], &source);
        for step in conversation["steps"].as_array().unwrap() {
            for side in ["client", "server"] {
                let Some(frame) = step.get(side) else {
                    continue;
                };
                let kind = frame["type"].as_str().unwrap();
                // Strangers say what is no message of this version.
                if !parses(side, frame) {
                    assert!(!schemas.of(side).is_valid(frame), "{frame}");
                    continue;
                }
                check(schemas.of(side), frame, &source);
                seen.insert(format!("{side} {kind}"));
            }
        }
    }
    let all: BTreeSet<String> = ["client", "server"].into_iter().flat_map(kinds).collect();
    assert_eq!(seen, all);
}

/// All messages of one side by the schema, as `client hello`.
fn kinds(side: &str) -> Vec<String> {
    let schema = super::schema();
    let message = if side == "client" {
        "ClientMessage"
    } else {
        "ServerMessage"
    };
    let variants = schema["$defs"][message]["oneOf"].as_array().unwrap();
    let kind = |variant: &Value| {
        variant["properties"]["type"]["const"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    variants
        .iter()
        .map(|variant| format!("{side} {}", kind(variant)))
        .collect()
}

/// Paths of all values in `value`, itself left out.
fn paths(value: &Value, at: &str, all: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(n, value)| (n.to_string(), value))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    for (name, value) in inner {
        let path = format!("{at}/{name}");
        paths(value, &path, all);
        all.push(path);
    }
}

fn without(mut message: Value, path: &str) -> Value {
    let (parent, name) = path.rsplit_once('/').unwrap();
    match message.pointer_mut(parent).unwrap() {
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        Value::Object(fields) => drop(fields.remove(name)),
        other => panic!("{other} has no fields"),
    }
    message
}

fn with(mut message: Value, path: &str, value: Value) -> Value {
    *message.pointer_mut(path).unwrap() = value;
    message
}

fn parses(side: &str, frame: &Value) -> bool {
    let text = frame.to_string();
    match side {
        "client" => ClientMessage::parse(&text).is_ok(),
        _ => ServerMessage::parse(&text).is_ok(),
    }
}

/// Where clients take more than this version's servers write: codes of later versions, and media of
/// which a part is missing.
fn is_read_leniently(side: &str, name: &str, path: &str) -> bool {
    let is_code = path == "/code" || name == "server-goaway" && path == "/reason";
    side == "server" && (is_code || path.contains("/media/"))
}

/// Every example with one value missing or wrong: the parser and the schema are of one opinion.
#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    let schemas = Schemas::new();
    let (mut taken, mut refused) = (0, 0);
    for (name, text) in golden() {
        let side = name.split('-').next().unwrap();
        let message: Value = serde_json::from_str(&text).unwrap();
        let mut all = Vec::new();
        paths(&message, "", &mut all);
        for path in all {
            let wrong = [json!(-1), json!(true), json!("?")];
            let mut changed: Vec<_> = wrong
                .map(|value| with(message.clone(), &path, value))
                .into();
            changed.push(without(message.clone(), &path));
            for frame in changed {
                let (valid, parsed) = (schemas.of(side).is_valid(&frame), parses(side, &frame));
                let agree = valid == parsed || parsed && is_read_leniently(side, &name, &path);
                assert!(
                    agree,
                    "{name} {path}: valid {valid}, parsed {parsed}: {frame}"
                );
                *(if valid { &mut taken } else { &mut refused }) += 1;
            }
        }
    }
    println!("{taken} taken, {refused} refused");
    assert!(
        taken > 100 && refused > 300,
        "{taken} taken, {refused} refused"
    );
}
