//! Names, by the cases that the page's tests read too.

use serde_json::Value;
use signaling_proto::hub::limits;
use signaling_proto::name;

fn cases() -> Value {
    let text = include_str!("../names.json");
    serde_json::from_str(text).expect("it is JSON")
}

fn group(name: &str) -> Vec<Value> {
    let cases = cases();
    let group = cases[name].as_array().expect("it is a list");
    assert!(!group.is_empty(), "{name}");
    group.clone()
}

/// A text as it stands there, or as it is told in short.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        told => {
            let times = told["repeat"][1].as_u64().expect("how often");
            let repeated = told["repeat"][0].as_str().expect("what");
            let before = told["before"].as_str().unwrap_or_default();
            before.to_owned() + &repeated.repeat(usize::try_from(times).unwrap())
        }
    }
}

fn expected(case: &Value, good: &str) -> Result<String, String> {
    match case["refused"].as_str() {
        Some(reason) => Err(reason.into()),
        None => Ok(text(&case[good])),
    }
}

#[test]
fn a_room_is_called_so_or_refused() {
    for case in group("rooms") {
        let named = name::room(&text(&case["name"]));
        let named = named.map_err(|bad| bad.reason().to_owned());
        assert_eq!(named, expected(&case, "canonical"), "{case}");
    }
}

#[test]
fn a_person_is_called_so() {
    for case in group("people") {
        let named = name::person(&text(&case["name"]));
        assert_eq!(named, text(&case["canonical"]), "{case}");
    }
}

#[test]
fn a_link_leads_to_its_room() {
    for case in group("links") {
        let room = name::room_of(&text(&case["text"]));
        let room = room.map_err(|none| none.reason().to_owned());
        assert_eq!(room, expected(&case, "room"), "{case}");
    }
}

#[test]
fn the_cases_tell_the_limits_and_each_refusal() {
    let cases = cases();
    let limits = [
        ("room", limits::ROOM_NAME_CHARS),
        ("namespace", limits::NAMESPACE_CHARS),
        ("person", limits::PEER_NAME_CHARS),
    ];
    for (which, limit) in limits {
        assert_eq!(cases["limits"][which], limit, "{which}");
    }
    let mut all = group("rooms");
    all.extend(group("links"));
    for reason in group("refusals") {
        assert!(all.iter().any(|case| case["refused"] == reason), "{reason}");
    }
}
