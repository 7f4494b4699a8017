//! Streams: the same messages come out however the bytes are cut into pieces.

use stun_turn_proto::framing::{Frame, next};

pub(crate) fn run(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = cut_out(&[stream]);
    let step = usize::from(*cut).max(1);
    let pieces: Vec<&[u8]> = stream.chunks(step).collect();
    assert_eq!(cut_out(&pieces), whole, "pieces of {step} bytes");
}

/// Messages as they come out of a stream, and whether it turned out to be garbage.
fn cut_out(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let (mut inbox, mut messages) = (Vec::new(), Vec::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            match next(&inbox, messages.is_empty()) {
                Frame::Whole { message, consumed } => {
                    assert!(message <= consumed && consumed <= inbox.len() && consumed > 0);
                    messages.push(inbox[..message].to_vec());
                    inbox.drain(..consumed);
                }
                Frame::Partial => break,
                Frame::Garbage => return (messages, true),
            }
        }
        assert!(
            inbox.len() < 66 * 1024 + piece.len(),
            "what waits is bounded"
        );
    }
    (messages, false)
}
