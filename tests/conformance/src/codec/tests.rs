//! The codec against vectors, and against itself.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    let digits = (0..text.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

/// RFC 5769 §2.2: a response whose every part is known.
#[test]
fn rfc_5769_ipv4_response() {
    let bytes = hex("0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
        8022000b 74657374 20766563 746f7220 00200008 0001a147 e112a643
        00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96");
    let message = Message::parse(&bytes).expect("a good message");
    assert!(message.is(method::BINDING, Class::Success));
    let key = b"VOkJxbRl1RmTxUk/WvJxBt";
    assert_eq!(message.integrity(Integrity::Sha1, key), Some(true));
    assert_eq!(message.integrity(Integrity::Sha1, b"other"), Some(false));
    assert_eq!(message.integrity(Integrity::Sha256, key), None);
    assert_eq!(message.fingerprint(), Some(true));
    let mapped = message.addresses(attribute::XOR_MAPPED_ADDRESS);
    assert_eq!(mapped, ["192.0.2.1:32853".parse().expect("an address")]);
    assert_eq!(message.padding(), [b' ']);
}

/// RFC 5769 §2.4: a request with long-term credentials.
#[test]
fn rfc_5769_long_term_request() {
    let bytes = hex("00010060 2112a442 78ad3433 c6ad72c0 29da412e
        00060012 e3839ee3 8388e383 aae38383 e382af e382b9 0000
        0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341
        0014000b 6578616d 706c652e 6f726700 00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666");
    let user = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
    let message = Message::parse(&bytes).expect("a good message");
    let key = crate::credential::md5_key(user, b"example.org", "TheMatrIX");
    assert_eq!(message.integrity(Integrity::Sha1, &key), Some(true));
}

#[test]
fn what_is_built_can_be_read() {
    let peer = "[2001:db8::7]:9".parse().expect("an address");
    let built = Builder::request(method::CHANNEL_BIND)
        .peer(peer)
        .channel(0x4001)
        .attribute(attribute::NONCE, b"five5")
        .integrity(Integrity::Sha256, b"key")
        .fingerprint();
    let message = Message::parse(&built.bytes()).expect("a good message");
    assert_eq!(message.addresses(attribute::XOR_PEER_ADDRESS), [peer]);
    assert_eq!(message.get(attribute::NONCE), Some(&b"five5"[..]));
    assert_eq!(message.padding(), [0, 0, 0]);
    assert_eq!(message.integrity(Integrity::Sha256, b"key"), Some(true));
    assert_eq!(message.fingerprint(), Some(true));
}
