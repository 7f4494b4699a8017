//! Every branch of the scheme: who gets in, who gets which code.

use std::net::SocketAddr;

use super::*;
use crate::addr::Transport;
use crate::message::{Class, Method, TransactionId, Writer};

const NOW: u64 = 1_800_000_000;

fn client(address: &str) -> FiveTuple {
    let server: SocketAddr = "192.0.2.1:3478".parse().unwrap();
    FiveTuple {
        transport: Transport::Udp,
        client: address.parse().unwrap(),
        server,
    }
}

fn authenticator() -> Authenticator {
    let users = [("alice".to_owned(), "wonder".to_owned())];
    let secrets = ["north".to_owned(), "south".to_owned()];
    Authenticator::new("callbox", users, secrets, &[7; 32])
}

/// A signed Refresh, as a client would send it.
struct Request<'a> {
    username: Option<&'a [u8]>,
    realm: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    key: Key,
}

impl Request<'_> {
    fn verify(&self, from: &FiveTuple, owner: Option<Owner<'_>>) -> Result<bool, ErrorCode> {
        let mut buffer = [0; 1024];
        let id = TransactionId([3; 12]);
        let mut writer = Writer::new(&mut buffer, Class::Request, Method::Refresh, id);
        for (kind, value) in [
            (kind::USERNAME, self.username),
            (kind::REALM, self.realm),
            (kind::NONCE, self.nonce),
        ] {
            if let Some(value) = value {
                writer.attribute(kind, value);
            }
        }
        let length = writer.finish(Some(&self.key), false).unwrap();
        let message = Message::parse(&buffer[..length]).unwrap();
        authenticator()
            .verify(&message, from, owner, NOW)
            .map(|identity| identity.expired)
    }
}

#[test]
fn right_and_wrong_credentials() {
    let from = client("198.51.100.7:4000");
    let nonce = authenticator().nonce(&from, NOW);
    let check = |username: &[u8], realm: &[u8], password: &[u8]| {
        let key = long_term_key(username, realm, password);
        let request = Request {
            username: Some(username),
            realm: Some(realm),
            nonce: Some(&nonce),
            key,
        };
        request.verify(&from, None)
    };
    let refused = Err(ErrorCode::Unauthenticated);
    assert_eq!(check(b"alice", b"callbox", b"wonder"), Ok(false));
    assert_eq!(check(b"alice", b"callbox", b"wander"), refused);
    assert_eq!(check(b"bob", b"callbox", b"wonder"), refused);
    assert_eq!(check(b"alice", b"elsewhere", b"wonder"), refused);

    for secret in [&b"north"[..], b"south"] {
        let minted = credential::mint(secret, "bob", NOW + 60);
        let good = check(
            minted.username.as_bytes(),
            b"callbox",
            minted.password.as_bytes(),
        );
        assert_eq!(good, Ok(false));
        let minted = credential::mint(secret, "bob", NOW - 60);
        let late = check(
            minted.username.as_bytes(),
            b"callbox",
            minted.password.as_bytes(),
        );
        assert_eq!(late, Ok(true), "genuine, but expired");
    }
    let foreign = credential::mint(b"west", "bob", NOW + 60);
    assert_eq!(
        check(
            foreign.username.as_bytes(),
            b"callbox",
            foreign.password.as_bytes()
        ),
        refused
    );
    let no_time = credential::password(b"north", b"bob");
    assert_eq!(check(b"bob", b"callbox", no_time.as_bytes()), refused);
}

#[test]
fn integrity_without_its_companions_is_a_bad_request() {
    let from = client("198.51.100.7:4000");
    let nonce = authenticator().nonce(&from, NOW);
    let key = long_term_key(b"alice", b"callbox", b"wonder");
    let (u, r, n) = (Some(&b"alice"[..]), Some(&b"callbox"[..]), Some(&nonce[..]));
    for (username, realm, nonce) in [(None, r, n), (u, None, n), (u, r, None)] {
        let request = Request {
            username,
            realm,
            nonce,
            key,
        };
        assert_eq!(request.verify(&from, None), Err(ErrorCode::BadRequest));
    }
}

#[test]
fn a_nonce_belongs_to_one_client_and_ages() {
    let authenticator = authenticator();
    let from = client("198.51.100.7:4000");
    let nonce = authenticator.nonce(&from, NOW);
    let good = |nonce: &[u8], from: &FiveTuple, at: u64| {
        authenticator.nonce_key.verify(nonce, from, "callbox", at)
    };
    assert!(good(&nonce, &from, NOW));
    assert!(good(&nonce, &from, NOW + limits::NONCE_LIFETIME_S));
    assert!(!good(&nonce, &from, NOW + limits::NONCE_LIFETIME_S + 1));
    assert!(!good(&nonce, &from, NOW - limits::NONCE_FUTURE_SKEW_S - 1));
    assert!(!good(&nonce, &client("198.51.100.7:4001"), NOW));
    assert!(!good(&nonce, &client("198.51.100.8:4000"), NOW));
    let over_tcp = FiveTuple {
        transport: Transport::Tcp,
        ..from
    };
    assert!(!good(&nonce, &over_tcp, NOW));
    assert!(!good(&nonce[..nonce.len() - 1], &from, NOW));
    assert!(!good(&[b'x'; 128], &from, NOW));
    assert!(!good(b"", &from, NOW));
    assert!(nonce.starts_with(b"obMatJos2AAAA"));
    for bit in 0..nonce.len() * 8 {
        let mut forged = nonce;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(!good(&forged, &from, NOW), "bit {bit}");
    }
}

#[test]
fn a_forged_nonce_is_stale_whatever_the_password() {
    let from = client("198.51.100.7:4000");
    let nonce = authenticator().nonce(&client("198.51.100.9:1"), NOW);
    let key = long_term_key(b"alice", b"callbox", b"wonder");
    let request = Request {
        username: Some(b"alice"),
        realm: Some(b"callbox"),
        nonce: Some(&nonce),
        key,
    };
    assert_eq!(request.verify(&from, None), Err(ErrorCode::StaleNonce));
}

#[test]
fn the_creator_of_an_allocation_keeps_it_after_a_rotation() {
    let from = client("198.51.100.7:4000");
    let nonce = authenticator().nonce(&from, NOW);
    let key = [9; 16];
    let request = Request {
        username: Some(b"1700000000:gone"),
        realm: Some(b"callbox"),
        nonce: Some(&nonce),
        key,
    };
    assert_eq!(request.verify(&from, None), Err(ErrorCode::Unauthenticated));
    let owner = Owner {
        username: b"1700000000:gone",
        key,
    };
    assert_eq!(request.verify(&from, Some(owner)), Ok(true));
    let another = Owner {
        username: b"somebody",
        key,
    };
    assert_eq!(
        request.verify(&from, Some(another)),
        Err(ErrorCode::Unauthenticated)
    );
}

#[test]
fn debug_output_tells_no_secret() {
    let text = format!("{:?}", authenticator());
    assert!(
        !text.contains("north") && !text.contains("wonder"),
        "{text}"
    );
}
