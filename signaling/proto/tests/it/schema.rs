//! `docs/signal.v1.schema.json` and the page's types are made from the Rust types, and all golden
//! messages are valid by that schema.

mod typescript;
mod validation;

use std::fs;
use std::path::{Path, PathBuf};

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};
use signaling_proto::message::{ClientMessage, ServerMessage};

/// Set to anything, the tests write the generated files instead of comparing them.
const UPDATE: &str = "UPDATE_GENERATED";

/// A frame is one or the other.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is a type for its schema alone")]
enum Frame {
    Client(ClientMessage),
    Server(ServerMessage),
}

/// What is left out is left out: the server takes `null` for it too, but nobody should write it. The
/// W3C's candidates have `null`s that mean something.
#[derive(Clone)]
struct AbsentIsNotNull;

impl Transform for AbsentIsNotNull {
    fn transform(&mut self, schema: &mut Schema) {
        let required = schema.get("required").cloned().unwrap_or_default();
        let is_candidate = schema.pointer("/properties/sdpMid").is_some();
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (name, property) in properties.into_iter().flatten() {
            let is_required = required
                .as_array()
                .is_some_and(|names| names.contains(&json!(name)));
            if !is_required && !is_candidate {
                without_null(property);
            }
        }
        transform_subschemas(self, schema);
    }
}

fn without_null(property: &mut Value) {
    if let Some(types) = property.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            property["type"] = only.clone();
        }
    }
    let Some(choices) = property.get_mut("anyOf").and_then(Value::as_array_mut) else {
        return;
    };
    choices.retain(|choice| choice["type"] != "null");
    if let [only] = &choices[..] {
        let only = only.as_object().unwrap().clone();
        let property = property.as_object_mut().unwrap();
        property.remove("anyOf");
        property.extend(only);
    }
}

pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(AbsentIsNotNull);
    let mut schema = settings.into_generator().into_root_schema_for::<Frame>();
    schema.insert("title".into(), "signal.v1".into());
    let description = "The text frames between a client and `signaling`: `ClientMessage` and \
        `ServerMessage`. docs/signaling-protocol.md explains them. Readers ignore fields that are not \
        described here, and a later version may add messages and codes. Generated: do not edit.";
    schema.insert("description".into(), description.into());
    schema.to_value()
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The file has this text, or gets it when asked to.
fn keep(path: &str, text: &str) {
    let file = project().join(path);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, text).unwrap();
    }
    let is_same = fs::read_to_string(&file).is_ok_and(|kept| kept == text);
    assert!(
        is_same,
        "{path} is not what the Rust types say. Write it anew with\n\
         {UPDATE}=1 cargo test -p signaling-proto --test it schema"
    );
}

#[test]
fn the_schema_is_generated_from_the_types() {
    let text = format!("{:#}\n", schema());
    keep("docs/signal.v1.schema.json", &text);
}

#[test]
fn the_types_of_the_page_are_generated_too() {
    keep(
        "web/src/protocol/messages.d.ts",
        &typescript::declarations(&schema()),
    );
}
