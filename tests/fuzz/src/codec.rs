//! STUN messages and ChannelData: whatever is parsed lies within the input, at any alignment, and
//! what is written again is parsed alike.

use stun_turn_proto::attribute::{decode_xor_address, encode_xor_address};
use stun_turn_proto::integrity::Key;
use stun_turn_proto::message::{Message, Writer};
use stun_turn_proto::{channel_data, demux};

pub(crate) fn run(input: &[u8]) {
    let parsed = read(input);
    for offset in 1..8 {
        let moved = [&[0xEE; 8][..offset], input].concat();
        assert_eq!(read(&moved[offset..]), parsed, "alignment {offset}");
    }
    if let Some((_, payload)) = channel_data::parse(input) {
        assert!(payload.end <= input.len());
    }
    write_again(input);
}

/// Everything that can be read of a message.
fn read(input: &[u8]) -> Option<Vec<(u16, usize, Vec<u8>)>> {
    let message = Message::parse(input).ok()?;
    assert_eq!(demux::kind(input), Some(demux::Kind::Stun));
    let _ = message.is_signed_with(&Key::Md5([7; 16]));
    let _ = message.is_signed_with(&Key::Sha256([7; 32]));
    let read = |attribute: stun_turn_proto::message::Attribute<'_>| {
        assert!(attribute.offset + 4 + attribute.value.len() <= input.len());
        if let Some(address) = decode_xor_address(attribute.value, message.transaction()) {
            let (value, length) = encode_xor_address(address, message.transaction());
            assert_eq!(
                value[2..length],
                attribute.value[2..],
                "an address survives"
            );
        }
        (attribute.kind, attribute.offset, attribute.value.to_vec())
    };
    Some(message.attributes().map(read).collect())
}

fn write_again(input: &[u8]) {
    let Ok(message) = Message::parse(input) else {
        return;
    };
    let mut buffer = vec![0; input.len() + 64];
    let mut writer = Writer::new(
        &mut buffer,
        message.class(),
        message.method(),
        message.transaction(),
    );
    for attribute in message.attributes() {
        writer.attribute(attribute.kind, attribute.value);
    }
    let Some(length) = writer.finish(None, true) else {
        return;
    };
    let again = Message::parse(&buffer[..length]).unwrap();
    assert!(again.has_fingerprint());
    let values = |message: &Message<'_>| -> Vec<(u16, Vec<u8>)> {
        let all = message.attributes();
        all.map(|attribute| (attribute.kind, attribute.value.to_vec()))
            .collect()
    };
    assert_eq!(values(&again), values(&message));
    // Whatever bit is flipped, the sum tells.
    let mut flipped = buffer[..length].to_vec();
    let bit = input.len() * 7 % (length * 8);
    flipped[bit / 8] ^= 1 << (bit % 8);
    assert!(Message::parse(&flipped).map_or(true, |message| !message.has_fingerprint()));
}
