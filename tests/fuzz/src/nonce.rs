//! Nonces: only the very bytes that were minted for a client are ever accepted from it.

use stun_turn_proto::FiveTuple;
use stun_turn_proto::attribute::{ErrorCode, kind};
use stun_turn_proto::auth::nonce::NonceKeys;
use stun_turn_proto::auth::{Authenticator, long_term_key};
use stun_turn_proto::integrity::{Hash, Signer};
use stun_turn_proto::message::{Class, Message, Method, TransactionId, Writer};

use crate::world::{UNIX, World};

pub(crate) fn run(input: &[u8]) {
    let users = [("alice".to_owned(), "wonder".to_owned())];
    let authenticator = Authenticator::new("callbox", users, [], NonceKeys::new(&[1; 32]));
    let client = World::client(1, false);
    let minted = mint(&authenticator, &client);
    assert!(is_accepted(&authenticator, &client, &minted, UNIX));
    // Anything else, and the minted one with something changed.
    let mut changed = minted.clone();
    for pair in input.chunks_exact(2) {
        let place = usize::from(pair[0]) % changed.len();
        changed[place] ^= pair[1];
    }
    assert_eq!(
        is_accepted(&authenticator, &client, &changed, UNIX),
        changed == minted
    );
    assert!(!is_accepted(&authenticator, &client, input, UNIX) || input == minted);
    // Somebody else's, or at another time.
    let number = input.first().copied().unwrap_or(2);
    let other = World::client(number, number & 1 == 0);
    assert_eq!(
        is_accepted(&authenticator, &other, &minted, UNIX),
        other == client
    );
    let shift = input
        .iter()
        .fold(0_u64, |sum, byte| sum << 5 ^ u64::from(*byte))
        % (1 << 33);
    let later = is_accepted(&authenticator, &client, &minted, UNIX + shift);
    assert_eq!(
        later,
        shift % (1 << 32) <= 600 || shift % (1 << 32) >= (1 << 32) - 5
    );
}

fn mint(authenticator: &Authenticator, client: &FiveTuple) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Error,
        Method::Allocate,
        TransactionId([0; 12]),
    );
    authenticator.challenge(&mut writer, 100, client, UNIX);
    let length = writer.finish(None, false).unwrap();
    let message = Message::parse(&buffer[..length]).unwrap();
    message.first(kind::NONCE).unwrap().to_vec()
}

/// Whether a well signed request with this nonce gets past it.
fn is_accepted(
    authenticator: &Authenticator,
    client: &FiveTuple,
    nonce: &[u8],
    unix_s: u64,
) -> bool {
    let mut buffer = vec![0; 512 + nonce.len()];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Request,
        Method::Refresh,
        TransactionId([1; 12]),
    );
    writer.attribute(kind::USERNAME, b"alice");
    writer
        .attribute(kind::REALM, b"callbox")
        .attribute(kind::NONCE, nonce);
    let signer = Signer {
        key: long_term_key(b"alice", b"callbox", b"wonder"),
        hash: Hash::Sha1,
    };
    let Some(length) = writer.finish(Some(&signer), false) else {
        return false;
    };
    let request = Message::parse(&buffer[..length]).unwrap();
    match authenticator.verify(&request, client, None, unix_s) {
        Ok(identity) => {
            assert_eq!(identity.username, b"alice");
            true
        }
        Err(code) => {
            // The bits that announce password algorithms are part of what is protected.
            assert!(
                matches!(code, ErrorCode::StaleNonce | ErrorCode::BadRequest),
                "{code:?}"
            );
            false
        }
    }
}
