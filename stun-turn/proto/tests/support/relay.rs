//! A relay with one client, for what is counted from outside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stun_turn_proto::attribute::{encode_xor_address, kind};
use stun_turn_proto::auth::nonce::NonceKeys;
use stun_turn_proto::auth::{Authenticator, long_term_key};
use stun_turn_proto::integrity::{Hash, Key, Signer};
use stun_turn_proto::message::{Class, Message, Method, TransactionId, Writer};
use stun_turn_proto::policy::PeerPolicy;
use stun_turn_proto::ports::Ports;
use stun_turn_proto::relay::RelayAddress;
use stun_turn_proto::{FiveTuple, Now, Outcome, Relay, RelayId, Settings, Transport, limits};

pub(crate) const NOW: Now = Now {
    monotonic: Duration::ZERO,
    unix_s: 1_800_000_000,
};

pub(crate) fn client(port: u16) -> FiveTuple {
    let server = "9.9.9.9:3478".parse().unwrap();
    FiveTuple {
        transport: Transport::Udp,
        client: SocketAddr::new([198, 51, 100, 7].into(), port),
        server,
    }
}

pub(crate) fn relay() -> (Relay, Arc<Settings>) {
    let local = "9.9.9.9".parse().unwrap();
    let users = [("alice".to_owned(), "wonder".to_owned())];
    let secrets = ["north".to_owned()];
    let listeners = vec!["9.9.9.9:3478".parse().unwrap()];
    let settings = Arc::new(Settings::new(
        Authenticator::new("callbox", users, secrets, NonceKeys::new(&[1; 32])),
        PeerPolicy::new(Vec::new(), Vec::new(), vec![local], listeners),
        vec![RelayAddress {
            local,
            public: local,
        }],
        Ports::new([local], 50_000..=50_999),
    ));
    (Relay::new(Arc::clone(&settings), [2; 32]), settings)
}

/// The nonce out of a challenge.
pub(crate) fn nonce(settings: &Settings) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Error,
        Method::Allocate,
        TransactionId([0; 12]),
    );
    settings
        .authenticator
        .challenge(&mut writer, 100, &client(1), NOW.unix_s);
    let length = writer.finish(None, false).unwrap();
    let message = Message::parse(&buffer[..length]).unwrap();
    message.first(kind::NONCE).unwrap().to_vec()
}

/// A request; signed when there is a key and a nonce for it.
pub(crate) fn request(
    method: Method,
    number: u8,
    parts: &[(u16, &[u8])],
    signed: Option<(&Key, &[u8])>,
) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Request,
        method,
        TransactionId([number; 12]),
    );
    for (kind, value) in parts {
        writer.attribute(*kind, value);
    }
    let key = signed.map(|(key, nonce)| {
        writer
            .attribute(kind::USERNAME, b"alice")
            .attribute(kind::REALM, b"callbox");
        writer.attribute(kind::NONCE, nonce);
        key
    });
    let signer = key.map(|key| Signer {
        key: *key,
        hash: Hash::Sha1,
    });
    let length = writer.finish(signer.as_ref(), false).unwrap();
    buffer[..length].to_vec()
}

/// Allocates and binds channel 0x4000 to the peer.
pub(crate) fn allocate(relay: &mut Relay, settings: &Settings, peer: SocketAddr) -> RelayId {
    let key = long_term_key(b"alice", b"callbox", b"wonder");
    let nonce = nonce(settings);
    let mut buffer = [0; limits::MAX_REPLY_BYTES];
    let allocate = request(
        Method::Allocate,
        1,
        &[(kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0])],
        Some((&key, &nonce)),
    );
    let Outcome::Open(open) = relay.handle_client(NOW, &client(1), &allocate, &mut buffer) else {
        panic!("no socket is asked for");
    };
    let Outcome::Opened { relay: id, .. } = relay.handle_opened(NOW, open, Ok(()), &mut buffer)
    else {
        panic!("not allocated");
    };
    let (address, length) = encode_xor_address(peer, TransactionId([2; 12]));
    let parts: [(u16, &[u8]); 2] = [
        (kind::CHANNEL_NUMBER, &[0x40, 0, 0, 0]),
        (kind::XOR_PEER_ADDRESS, &address[..length]),
    ];
    let bind = request(Method::ChannelBind, 2, &parts, Some((&key, &nonce)));
    assert!(matches!(
        relay.handle_client(NOW, &client(1), &bind, &mut buffer),
        Outcome::Reply(_)
    ));
    id
}
