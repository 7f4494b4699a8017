//! JSON Schema as TypeScript: as much of it as describes our messages.

use std::fmt::Write;

use serde_json::{Map, Value};

/// A `.d.ts` with one exported type for each definition.
pub(super) fn declarations(schema: &Value) -> String {
    let mut text = String::from(
        "// The messages of `signal.v1`, generated from the types in signaling/proto by its tests: do not edit.\n",
    );
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        text.push('\n');
        write_comment(&mut text, definition, "");
        let body = type_of(definition, "");
        let space = if body.starts_with('\n') { "" } else { " " };
        writeln!(text, "export type {name} ={space}{body};").unwrap();
    }
    text
}

fn write_comment(text: &mut String, schema: &Value, indent: &str) {
    let Some(description) = schema["description"].as_str() else {
        return;
    };
    let lines: Vec<&str> = description.lines().collect();
    if let [line] = lines[..] {
        writeln!(text, "{indent}/** {line} */").unwrap();
        return;
    }
    writeln!(text, "{indent}/**").unwrap();
    for line in lines {
        writeln!(text, "{indent} * {line}").unwrap();
    }
    writeln!(text, "{indent} */").unwrap();
}

/// Everything that the schema asks for at once.
fn type_of(schema: &Value, indent: &str) -> String {
    let mut all = Vec::new();
    if schema["properties"].is_object() {
        all.push(object(schema, indent));
    } else if schema.get("const").is_none() && schema.get("enum").is_none() {
        all.extend(by_type(schema, indent));
    }
    if let Some(target) = schema["$ref"].as_str() {
        all.push(target.rsplit('/').next().unwrap().to_owned());
    }
    if let Some(value) = schema.get("const") {
        all.push(literal(value));
    }
    if let Some(values) = schema["enum"].as_array() {
        all.push(values.iter().map(literal).collect::<Vec<_>>().join(" | "));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[key].as_array() {
            all.push(union(choices, indent));
        }
    }
    match &all[..] {
        [] => "unknown".to_owned(),
        [only] => only.clone(),
        several => {
            let bracketed = several.iter().map(|part| match part.contains(" | ") {
                true => format!("({part})"),
                false => part.clone(),
            });
            bracketed.collect::<Vec<_>>().join(" & ")
        }
    }
}

fn union(choices: &[Value], indent: &str) -> String {
    let choices: Vec<_> = choices
        .iter()
        .map(|choice| type_of(choice, indent))
        .collect();
    let in_one_line = choices.join(" | ");
    if in_one_line.len() < 100 && !in_one_line.contains('\n') {
        return in_one_line;
    }
    let inner = format!("\n{indent}  | ");
    format!("{inner}{}", choices.join(&inner))
}

fn by_type(schema: &Value, indent: &str) -> Option<String> {
    let one = |name: &Value| match name.as_str().unwrap() {
        "integer" | "number" => "number".to_owned(),
        "array" => {
            let item = type_of(&schema["items"], indent);
            if item.contains(' ') {
                format!("({item})[]")
            } else {
                format!("{item}[]")
            }
        }
        "object" => map(schema, indent),
        name => name.to_owned(),
    };
    match &schema["type"] {
        Value::Array(names) => Some(names.iter().map(one).collect::<Vec<_>>().join(" | ")),
        Value::Null => None,
        name if schema["oneOf"].is_null() && schema["anyOf"].is_null() => Some(one(name)),
        _ => None,
    }
}

/// An object whose names are data.
fn map(schema: &Value, indent: &str) -> String {
    let named = schema["patternProperties"]
        .as_object()
        .and_then(|patterns| patterns.values().next());
    let value = named.or_else(|| schema.get("additionalProperties"));
    format!(
        "Record<string, {}>",
        type_of(value.unwrap_or(&Value::Null), indent)
    )
}

fn object(schema: &Value, indent: &str) -> String {
    let properties: &Map<String, Value> = schema["properties"].as_object().unwrap();
    let required = schema["required"].as_array();
    let is_required =
        |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
    let is_short =
        properties.len() == 1 && properties.values().all(|one| one["description"].is_null());
    let inner = format!("{indent}  ");
    let mut text = String::from("{");
    for (name, property) in properties {
        let mark = if is_required(name) { "" } else { "?" };
        let kind = type_of(property, &inner);
        if is_short {
            write!(text, "{name}{mark}: {kind}").unwrap();
            continue;
        }
        text.push('\n');
        write_comment(&mut text, property, &inner);
        write!(text, "{inner}{name}{mark}: {kind};").unwrap();
    }
    if !is_short {
        write!(text, "\n{indent}").unwrap();
    }
    text + "}"
}

fn literal(value: &Value) -> String {
    match value.as_str() {
        Some(text) => format!("'{text}'"),
        None => value.to_string(),
    }
}
