//! What is a message, what is a broken one, and what is one of tomorrow.

use proptest::prelude::*;
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

/// Payloads of all kinds: sound, refused, and broken.
fn payload() -> impl Strategy<Value = String> {
    let field = prop_oneof![Just("description"), Just("candidate"), Just("x")];
    let string = prop_oneof![
        Just(r#""candidate:1 1 udp 1 192.0.2.1 5000 typ host""#.to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[ -~]{0,8}",
        Just(r#""\ud83d""#.to_owned()),
    ];
    let name = prop_oneof![Just("type"), Just("sdp"), Just("candidate"), Just("sdpMid")];
    let value = prop_oneof![
        string,
        Just(r#""offer""#.to_owned()),
        Just("null".to_owned()),
        Just("1.50".to_owned()),
        Just("{ }".to_owned()),
    ];
    let member = (name, value).prop_map(|(name, value)| format!(r#""{name}":{value}"#));
    let object = prop::collection::vec(member, 0..4)
        .prop_map(|members| format!("{{ {} }}", members.join(",")));
    let value = prop_oneof![
        8 => object,
        1 => Just(OFFER.to_owned()),
        1 => Just("null".to_owned()),
        1 => Just(r#"["candidate:"]"#.to_owned()),
        1 => any::<String>(),
    ];
    let any_kind = (field, value).prop_map(|(field, value)| format!(r#""{field}":{value}"#));
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let description =
        text.prop_map(|sdp| format!(r#""description":{{"type":"offer","sdp":{sdp}}}"#));
    let candidate = "[ -!#-\\[\\]-~]{0,40}"
        .prop_map(|rest| format!(r#""candidate":{{"candidate":"candidate:{rest}"}}"#));
    prop_oneof![2 => any_kind, 1 => description, 1 => candidate]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => any::<u32>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => prop::sample::select(vec!["-1", "01", "1.0", "1e2", " 7 ", "\"1\"", "null", "{", ""])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// As our clients write it a frame is read in one go, any other writing in several: what is a
    /// signal, and which, must not depend on it.
    #[test]
    fn a_signal_is_the_same_in_whatever_order_it_is_written(
        id in number(),
        epoch in number(),
        to in prop_oneof![4 => Just("x".to_owned()), 1 => "[a-z0-9\"\\\\é]{0,4}"],
        payload in payload(),
        end in prop_oneof![8 => Just("}"), 1 => Just(" }"), 1 => Just(r#","id":1}"#), 1 => Just("}}"), 1 => Just("")],
    ) {
        let usual = format!(r#"{{"type":"signal","id":{id},"to":"{to}","epoch":{epoch},{payload}{end}"#);
        let other = format!(r#"{{"epoch":{epoch},"type":"signal","to":"{to}","id":{id},{payload}{end}"#);
        prop_assert_eq!(
            ClientMessage::parse(&usual).ok(),
            ClientMessage::parse(&other).ok(),
            "{}", usual
        );
    }
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
        (r#"{"type":"chat","text":"no id"}"#, "id"),
        (r#"{"type":"chat","id":-1,"text":"x"}"#, "integer"),
        (r#"{"type":"chat","id":1.5,"text":"x"}"#, "floating"),
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

/// Sound JSON with a sound `id` costs no more than itself.
#[test]
fn content_that_means_nothing_is_refused_alone() {
    let both = format!(
        r#"{{"type":"signal","id":1,"to":"x","epoch":0,"candidate":{{"candidate":""}},"description":{OFFER}}}"#
    );
    for (text, why) in [
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
        (r#"{"type":"chat","id":1,"text":7}"#, "string"),
        (
            r#"{"type":"chat","id":1,"text":"a","text":"b"}"#,
            "duplicate",
        ),
        (
            r#"{"type":"update","id":1,"media":{"audio":"on"}}"#,
            "boolean",
        ),
        (r#"{"type":"event","id":1}"#, "name"),
        (
            r#"{"type":"signal","id":1,"to":"x","epoch":0,"candidate":{"candidate":"candidate:1","sdpMLineIndex":"0"}}"#,
            "string",
        ),
        (
            r#"{"type":"signal","id":1,"to":"x","epoch":0,"candidate":{"candidate":"a=mid:0"}}"#,
            "does not begin with `candidate:`",
        ),
    ] {
        match ClientMessage::parse(text) {
            Err(ParseError::Unreadable { id, why: said }) => {
                assert_eq!(id.0, 1);
                assert!(said.contains(why), "{text}: said `{said}`, expected {why}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

/// A program that writes its absent fields as `null` was ended with 4400.
#[test]
fn null_is_absent_wherever_a_field_may_be_absent() {
    let same = |with_null: &str, without: &str| {
        let read =
            ClientMessage::parse(with_null).unwrap_or_else(|error| panic!("{with_null}: {error}"));
        assert_eq!(read, ClientMessage::parse(without).unwrap());
    };
    same(
        r#"{"type":"hello","room":"x","name":null,"namespace":null,"role":null,"token":null,"media":null,"resume":null}"#,
        r#"{"type":"hello","room":"x"}"#,
    );
    same(
        r#"{"type":"hello","room":"x","media":{"audio":null,"video":true,"screen":null}}"#,
        r#"{"type":"hello","room":"x","media":{"video":true}}"#,
    );
    same(
        r#"{"type":"hello","room":"x","resume":{"ticket":"t","received":0,"peers":null}}"#,
        r#"{"type":"hello","room":"x","resume":{"ticket":"t","received":0}}"#,
    );
    same(
        r#"{"type":"chat","id":1,"text":"x","to":null}"#,
        r#"{"type":"chat","id":1,"text":"x"}"#,
    );
    same(
        r#"{"type":"event","id":1,"name":"x","to":null}"#,
        r#"{"type":"event","id":1,"name":"x"}"#,
    );
    same(
        r#"{"type":"update","id":1,"name":null,"media":null}"#,
        r#"{"type":"update","id":1}"#,
    );
    same(
        r#"{"type":"update","id":1,"media":{"audio":null,"video":null,"screen":null}}"#,
        r#"{"type":"update","id":1,"media":{}}"#,
    );
    same(
        r#"{"type":"moderate","id":1,"action":"lock","peer":null}"#,
        r#"{"type":"moderate","id":1,"action":"lock"}"#,
    );
    let signal =
        |payload: &str| format!(r#"{{"type":"signal","id":1,"to":"x","epoch":0,{payload}}}"#);
    let offer = format!(r#""description":{OFFER}"#);
    same(
        &signal(&format!(r#"{offer},"candidate":null"#)),
        &signal(&offer),
    );
    let candidate = r#""candidate":{"candidate":"candidate:1","sdpMid":null,"sdpMLineIndex":null,"usernameFragment":null}"#;
    same(
        &signal(&format!(r#"{candidate},"description":null"#)),
        &signal(candidate),
    );
    same(
        &signal(r#""candidate":null,"description":null"#),
        &signal(r#""candidate":null"#),
    );
}

/// Half an emoji in a name kept its owner out, and one in a chat ended its sender's session.
#[test]
fn half_a_character_is_shown_as_what_is_missing() {
    let read = |text: &str| ClientMessage::parse(text).unwrap();
    let ClientMessage::Chat(chat) = read(r#"{"type":"chat","id":1,"text":"x\ud83d"}"#) else {
        panic!("a chat")
    };
    assert_eq!(chat.text, "x\u{fffd}");
    let ClientMessage::Hello(hello) = read(r#"{"type":"hello","room":"r","name":"\udf89Mina"}"#)
    else {
        panic!("a hello")
    };
    assert_eq!(hello.name.as_deref(), Some("\u{fffd}Mina"));
    let ClientMessage::Update(update) =
        read(r#"{"type":"update","id":1,"name":"\ud83d\ud83d\ude00"}"#)
    else {
        panic!("an update")
    };
    assert_eq!(update.name.as_deref(), Some("\u{fffd}😀"));
    let ClientMessage::Event(event) = read(r#"{"type":"event","id":1,"name":"\ud83d"}"#) else {
        panic!("an event")
    };
    assert_eq!(event.name, "\u{fffd}");
    let sdp = r#"{"type":"signal","id":1,"to":"x","epoch":0,"description":{"type":"offer","sdp":"s=\ud83d"}}"#;
    assert!(matches!(read(sdp), ClientMessage::Signal(_)));
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
