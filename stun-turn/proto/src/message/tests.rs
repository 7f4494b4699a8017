//! The vectors of RFC 5769 byte for byte, and what a hostile message may not do.

use proptest::prelude::*;

use super::*;
use crate::attribute::{ErrorCode, kind};
use crate::integrity::{Hash, Key, Signer};

/// RFC 5769 section 2.1: a Binding request with short-term credentials.
const REQUEST: &[u8] =
    b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x10STUN test client\
\x00\x24\x00\x04\x6e\x00\x01\xff\
\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
\x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\
\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769 section 2.4: a request with long-term credentials. Key: MD5 of
/// "<U+30DE><U+30C8><U+30EA><U+30C3><U+30AF><U+30B9>:example.org:TheMatrIX".
const LONG_TERM: &[u8] = b"\x00\x01\x00\x60\x21\x12\xa4\x42\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e\
\x00\x06\x00\x12\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9\x00\x00\
\x00\x15\x00\x1c\x66\x2f\x2f\x34\x39\x39\x6b\x39\x35\x34\x64\x36\x4f\x4c\x33\x34\x6f\x4c\x39\x46\x53\x54\x76\x79\x36\x34\x73\x41\
\x00\x14\x00\x0b\x65\x78\x61\x6d\x70\x6c\x65\x2e\x6f\x72\x67\x00\
\x00\x08\x00\x14\xf6\x70\x24\x65\x6d\xd6\x4a\x3e\x02\xb8\xe0\x71\x2e\x85\xc9\xa2\x8c\xa8\x96\x66";

const SHORT_TERM_PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

/// Short-term credentials, which TURN does not use: the key is the password itself.
fn is_signed_with_password(message: &Message<'_>, password: &[u8]) -> bool {
    let mut bytes = REQUEST[..REQUEST.len() - 32].to_vec();
    bytes[3] -= 8;
    crate::integrity::hmac_sha1(password, &[&bytes])[..]
        == message.bytes()[REQUEST.len() - 28..REQUEST.len() - 8]
}

#[test]
fn rfc_5769_section_2_1_request() {
    let message = Message::parse(REQUEST).unwrap();
    assert_eq!(
        (message.class(), message.method()),
        (Class::Request, Method::Binding)
    );
    assert_eq!(message.first(kind::USERNAME), Some(&b"evtj:h6vY"[..]));
    assert!(message.has_fingerprint());
    assert!(is_signed_with_password(&message, SHORT_TERM_PASSWORD));
    assert!(!is_signed_with_password(&message, b"another password"));
}

#[test]
fn rfc_5769_section_2_4_long_term_request() {
    let message = Message::parse(LONG_TERM).unwrap();
    let key = crate::auth::long_term_key("マトリックス".as_bytes(), b"example.org", b"TheMatrIX");
    assert!(message.is_signed_with(&key));
    assert_eq!(message.first(kind::REALM), Some(&b"example.org"[..]));
}

#[test]
fn attributes_behind_the_integrity_are_out_of_reach() {
    let mut buffer = [0; 200];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Request,
        Method::Refresh,
        TransactionId([1; 12]),
    );
    writer.attribute(kind::LIFETIME, &600_u32.to_be_bytes());
    writer.attribute(kind::MESSAGE_INTEGRITY, &[0; 20]);
    writer.attribute(kind::LIFETIME, &0_u32.to_be_bytes());
    writer.attribute(kind::XOR_PEER_ADDRESS, &[0; 8]);
    let length = writer.finish(None, false).unwrap();
    let message = Message::parse(&buffer[..length]).unwrap();
    assert_eq!(message.attributes().count(), 1);
    assert_eq!(message.first(kind::XOR_PEER_ADDRESS), None);
}

#[test]
fn the_first_of_duplicates_wins() {
    let mut buffer = [0; 200];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Request,
        Method::Refresh,
        TransactionId([1; 12]),
    );
    writer
        .attribute(kind::LIFETIME, b"1111")
        .attribute(kind::LIFETIME, b"2222");
    let length = writer.finish(None, false).unwrap();
    let message = Message::parse(&buffer[..length]).unwrap();
    assert_eq!(message.first(kind::LIFETIME), Some(&b"1111"[..]));
}

#[test]
fn a_wrong_or_misplaced_fingerprint_makes_it_no_stun() {
    let mut wrong = REQUEST.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(Message::parse(&wrong).unwrap_err(), Malformed::Fingerprint);

    let mut buffer = [0; 200];
    let writer = Writer::new(
        &mut buffer,
        Class::Request,
        Method::Binding,
        TransactionId([1; 12]),
    );
    let length = writer.finish(None, true).unwrap();
    let mut followed = buffer[..length].to_vec();
    followed.extend_from_slice(b"\x80\x22\x00\x00");
    followed[3] += 4;
    assert_eq!(
        Message::parse(&followed).unwrap_err(),
        Malformed::Fingerprint
    );
}

#[test]
fn padding_is_zero_whatever_the_buffer_held() {
    let mut buffer = [0xAA; 200];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Success,
        Method::Binding,
        TransactionId([1; 12]),
    );
    writer.attribute(kind::REALM, b"abcde");
    let length = writer.finish(None, false).unwrap();
    assert_eq!(buffer[length - 3..length], [0; 3]);
}

#[test]
fn a_buffer_too_small_yields_nothing() {
    let mut buffer = [0; 30];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Error,
        Method::Allocate,
        TransactionId([1; 12]),
    );
    writer
        .error_code(ErrorCode::Unauthenticated)
        .attribute(kind::REALM, b"long enough");
    assert_eq!(writer.finish(None, false), None);
}

#[test]
fn headers_that_are_not_ours() {
    let good = &REQUEST[..20];
    let with = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[3] = 0;
        bytes[at] = byte;
        Message::parse(&bytes).map(|_| ())
    };
    assert_eq!(with(1, 0x01), Ok(()));
    assert_eq!(with(0, 0x40), Err(Malformed::Header));
    assert_eq!(with(7, 0x43), Err(Malformed::Header));
    assert_eq!(with(3, 4), Err(Malformed::Header));
    assert_eq!(with(3, 1), Err(Malformed::Header));
    assert_eq!(with(1, 0x00), Err(Malformed::Method));
    assert_eq!(with(0, 0x3E), Err(Malformed::Method));
    for end in 0..20 {
        assert!(Message::parse(&good[..end]).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::parse(&bytes) {
            let _ = message.attributes().count();
        }
    }

    #[test]
    fn a_flipped_bit_of_a_covered_byte_breaks_the_integrity(bit in 0..LONG_TERM.len() * 8) {
        let mut bytes = LONG_TERM.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let key = crate::auth::long_term_key("マトリックス".as_bytes(), b"example.org", b"TheMatrIX");
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(!message.is_signed_with(&key));
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        values in prop::collection::vec((0x8000_u16..0x8020, prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        key in prop::option::of((any::<[u8; 32]>(), any::<bool>(), any::<bool>())),
        fingerprint: bool,
    ) {
        let mut buffer = [0xEE; 512];
        let mut writer = Writer::new(&mut buffer, Class::Request, Method::Allocate, TransactionId([9; 12]));
        for (kind, value) in &values {
            writer.attribute(*kind, value);
        }
        let signer = key.map(|(bytes, md5, sha1)| Signer {
            key: if md5 { Key::Md5(bytes[..16].try_into().unwrap()) } else { Key::Sha256(bytes) },
            hash: if sha1 { Hash::Sha1 } else { Hash::Sha256 },
        });
        let length = writer.finish(signer.as_ref(), fingerprint).unwrap();
        let message = Message::parse(&buffer[..length]).unwrap();
        let read: Vec<_> = message.attributes().map(|a| (a.kind, a.value.to_vec())).collect();
        prop_assert_eq!(read, values);
        prop_assert_eq!(message.has_fingerprint(), fingerprint);
        if let Some(signer) = signer {
            prop_assert!(message.is_signed_with(&signer.key));
        }
    }
}

/// RFC 8489 appendix B.1 as its verified erratum has it: the sample in the RFC lacks the
/// PASSWORD-ALGORITHM that its integrity needs.
const SHA256_LONG_TERM: &[u8] =
    b"\x00\x01\x00\x90\x21\x12\xa4\x42\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e\
\x00\x1e\x00\x20\x4a\x3c\xf3\x8f\xef\x69\x92\xbd\xa9\x52\xc6\x78\x04\x17\xda\x0f\
\x24\x81\x94\x15\x56\x9e\x60\xb2\x05\xc4\x6e\x41\x40\x7f\x17\x04\
\x00\x15\x00\x29obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA\x00\x00\x00\
\x00\x14\x00\x0bexample.org\x00\
\x00\x1d\x00\x04\x00\x02\x00\x00\
\x00\x1c\x00\x20\xb5\xc7\xbf\x00\x5b\x6c\x52\xa2\x1c\x51\xc5\xe8\x92\xf8\x19\x24\
\x13\x62\x96\xcb\x92\x7c\x43\x14\x93\x09\x27\x8c\xc6\x51\x8e\x65";

#[test]
fn rfc_8489_appendix_b_1() {
    let message = Message::parse(SHA256_LONG_TERM).unwrap();
    let name = "マトリックス".as_bytes();
    let algorithm = crate::auth::PasswordAlgorithm::Sha256;
    let key = algorithm.key(name, b"example.org", b"TheMatrIX");
    assert!(message.is_signed_with(&key));
    assert!(!message.is_signed_with(&algorithm.key(name, b"example.org", b"TheMatrix")));
    // The same bytes come out when it is written.
    let mut buffer = [0; 200];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Request,
        Method::Binding,
        message.transaction(),
    );
    let userhash: [u8; 32] = {
        use sha2::{Digest as _, Sha256};
        let named = [name, b":example.org"].concat();
        Sha256::digest(named).into()
    };
    writer.attribute(kind::USERHASH, &userhash);
    writer.attribute(kind::NONCE, b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
    writer.attribute(kind::REALM, b"example.org");
    writer.attribute(kind::PASSWORD_ALGORITHM, &[0, 2, 0, 0]);
    let signer = Signer {
        key,
        hash: Hash::Sha256,
    };
    let length = writer.finish(Some(&signer), false).unwrap();
    assert_eq!(&buffer[..length], SHA256_LONG_TERM);
}
