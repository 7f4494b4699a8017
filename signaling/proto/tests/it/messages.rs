//! What is a message, what is a broken one, and what is one of tomorrow.

use signaling_proto::id::MessageId;
use signaling_proto::message::client::{Hello, WantedRole};
use signaling_proto::message::server;
use signaling_proto::message::{ClientMessage, ParseError, Payload, ServerMessage, Verbatim};

const OFFER: &str = r#"{ "type":"offer","sdp":"v=0\r\n","extra":1.50 }"#;

#[test]
fn what_a_browser_made_is_passed_on_byte_for_byte() {
    let text = format!(r#"{{"type":"signal","id":1,"to":"x","epoch":0,"description":{OFFER}}}"#);
    let ClientMessage::Signal(signal) = ClientMessage::parse(&text).unwrap() else {
        panic!("not a signal")
    };
    let relayed = ServerMessage::Signal(server::Signal {
        from: signal.to,
        id: signal.id,
        epoch: signal.epoch,
        payload: signal.payload,
        seq: Default::default(),
    });
    assert!(relayed.to_text().contains(OFFER), "{}", relayed.to_text());
}

/// A frame that begins with its type is read in one go, others in two.
#[test]
fn a_signal_is_the_same_wherever_its_type_stands() {
    let first = format!(r#"{{"type":"signal","id":1,"to":"x","epoch":0,"description":{OFFER}}}"#);
    let last = format!(r#"{{"id":1,"to":"x","epoch":0,"description":{OFFER},"type":"signal"}}"#);
    assert_eq!(
        ClientMessage::parse(&first).unwrap(),
        ClientMessage::parse(&last).unwrap()
    );
}

#[test]
fn a_null_candidate_is_the_end_of_candidates_and_an_absent_one_is_a_mistake() {
    let end = r#"{"type":"signal","id":1,"to":"x","epoch":0,"candidate":null}"#;
    let ClientMessage::Signal(signal) = ClientMessage::parse(end).unwrap() else {
        panic!("not a signal")
    };
    assert_eq!(signal.payload, Payload::Candidate(Verbatim::null()));
    assert!(
        ClientMessage::Signal(signal)
            .to_text()
            .contains(r#""candidate":null"#)
    );
}

#[test]
fn broken_messages_are_bad_and_say_why() {
    let deep = format!(
        r#"{{"type":"event","id":1,"name":"x","data":{}{}}}"#,
        "[".repeat(40),
        "]".repeat(40)
    );
    let both = format!(
        r#"{{"type":"signal","id":1,"to":"x","epoch":0,"candidate":null,"description":{OFFER}}}"#
    );
    for (text, why) in [
        ("", "object"),
        ("{", "EOF"),
        ("[]", "object"),
        (r#"["hello"]"#, "object"),
        ("null", "object"),
        ("{}", "type"),
        (r#"{"type":7}"#, "string"),
        (r#"{"type":"bye"} x"#, "trailing"),
        (r#"{"type":"hello"}"#, "room"),
        (r#"{"type":"hello","room":7}"#, "string"),
        (r#"{"type":"hello","room":"a","room":"b"}"#, "duplicate"),
        (
            r#"{"type":"signal","id":1,"to":"x","epoch":0,"candidate":null,"type":"bye"}"#,
            "duplicate",
        ),
        (r#"{"type":"hello","room":"a","role":"host"}"#, "host"),
        (r#"{"type":"hello","room":"\ud800"}"#, "hex escape"),
        (r#"{"type":"chat","text":"no id"}"#, "id"),
        (r#"{"type":"chat","id":-1,"text":"x"}"#, "integer"),
        (r#"{"type":"chat","id":1.5,"text":"x"}"#, "floating"),
        (
            r#"{"type":"signal","id":1,"to":"x","epoch":0}"#,
            "exactly one",
        ),
        (&both, "exactly one"),
        (
            r#"{"type":"signal","id":1,"to":"x","epoch":0,"description":null}"#,
            "description",
        ),
        (
            r#"{"type":"signal","id":1,"to":"x","epoch":0,"description":{"type":"bid","sdp":""}}"#,
            "bid",
        ),
        (
            r#"{"type":"moderate","id":1,"action":"kick"}"#,
            "need a `peer`",
        ),
        (
            r#"{"type":"moderate","id":1,"action":"ban","peer":"x"}"#,
            "ban",
        ),
        (r#"{"type":"ack","seq":"1"}"#, "string"),
        (&deep, "nested"),
    ] {
        match ClientMessage::parse(text) {
            Err(ParseError::BadMessage(said)) => assert!(
                said.contains(why),
                "{text}: said `{said}`, expected a word on `{why}`"
            ),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn an_unknown_type_is_not_a_broken_message() {
    assert_eq!(
        ClientMessage::parse(r#"{"type":"dance","id":5,"steps":[1,2]}"#),
        Err(ParseError::UnknownType {
            kind: "dance".into(),
            id: Some(MessageId(5))
        })
    );
    assert_eq!(
        ServerMessage::parse(r#"{"type":"dance"}"#),
        Err(ParseError::UnknownType {
            kind: "dance".into(),
            id: None
        })
    );
}

#[test]
fn unknown_fields_and_codes_are_no_mistake() {
    let text = r#"{"type":"hello","room":"a","future":{"x":[1]},"name":null}"#;
    assert_eq!(
        ClientMessage::parse(text),
        Ok(ClientMessage::Hello(Hello {
            room: "a".into(),
            name: None,
            namespace: None,
            role: WantedRole::Participant,
            token: None,
            media: Default::default(),
            resume: None,
        }))
    );
    let text = r#"{"type":"error","code":"teapot","message":"short and stout"}"#;
    let Ok(ServerMessage::Error(error)) = ServerMessage::parse(text) else {
        panic!("not an error")
    };
    assert_eq!(error.code, server::ErrorCode::Other);
}

#[test]
fn secrets_do_not_reach_a_debug_log() {
    let text = include_str!("../golden/server-welcome.json");
    let debug = format!("{:?}", ServerMessage::parse(text).unwrap());
    assert!(debug.contains("stand-up"), "{debug}");
    assert!(!debug.contains("kQm0nZrS"), "the credential: {debug}");
    assert!(!debug.contains("5b1d0b1c"), "the ticket: {debug}");
}

#[test]
fn numbers_that_not_every_reader_has_exactly_are_bad() {
    let frames = |number: u64| {
        [
            format!(r#"{{"type":"chat","id":{number},"text":"x"}}"#),
            format!(r#"{{"type":"ack","seq":{number}}}"#),
            format!(r#"{{"type":"dance","id":{number}}}"#),
            format!(
                r#"{{"type":"hello","room":"r","resume":{{"ticket":"x","received":{number}}}}}"#
            ),
        ]
    };
    let largest = (1 << 53) - 1;
    for (good, bad) in frames(largest).iter().zip(frames(largest + 1)) {
        let good = ClientMessage::parse(good);
        assert!(!matches!(good, Err(ParseError::BadMessage(_))), "{good:?}");
        let refused = ClientMessage::parse(&bad);
        assert!(matches!(refused, Err(ParseError::BadMessage(_))), "{bad}");
    }
}
