//! PROXY headers: nothing is read beyond them, and a verdict on a prefix is never taken back.

use stun_turn_proto::proxy_header::{Header, MAX_V2_BYTES, parse};

pub(crate) fn run(input: &[u8]) {
    let whole = parse(input);
    if let Header::Whole { consumed, .. } = whole {
        assert!(consumed <= input.len() && consumed <= MAX_V2_BYTES);
        assert_eq!(
            parse(&input[..consumed]),
            whole,
            "what follows does not matter"
        );
    }
    if input.len() > MAX_V2_BYTES {
        assert_ne!(whole, Header::Partial, "it is not waited for without end");
    }
    for end in 0..input.len().min(MAX_V2_BYTES + 1) {
        match parse(&input[..end]) {
            Header::Partial => {}
            verdict => {
                assert_eq!(verdict, whole, "{end} bytes said it already");
                break;
            }
        }
    }
}
