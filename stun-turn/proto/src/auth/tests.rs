//! Every branch of the scheme: who gets in, who gets which code.

use std::net::SocketAddr;

use super::*;
use crate::addr::Transport;
use crate::message::{Class, Method, TransactionId};

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
    let users = [
        ("alice", "wonder"),
        ("zo\u{eb}", "na\u{ef}ve"),
        ("zo\u{eb}", "nai\u{308}ve"),
    ];
    let users = users.map(|(name, password)| (name.to_owned(), password.to_owned()));
    let secrets = ["north".to_owned(), "south".to_owned()];
    Authenticator::new("callbox", users, secrets, NonceKeys::new(&[7; 32]))
}

/// A signed Refresh, as a client would send it.
struct Request<'a> {
    username: Option<&'a [u8]>,
    realm: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    key: Key,
    /// PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM.
    algorithms: [Option<&'a [u8]>; 2],
}

const NO_ALGORITHMS: [Option<&[u8]>; 2] = [None; 2];

/// The nonce that a full challenge carries.
fn nonce_of(authenticator: &Authenticator, client: &FiveTuple, unix_s: u64) -> [u8; nonce::LEN] {
    authenticator
        .nonce_keys
        .mint(client, "callbox", authenticator.features(), unix_s)
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
            (kind::PASSWORD_ALGORITHMS, self.algorithms[0]),
            (kind::PASSWORD_ALGORITHM, self.algorithms[1]),
        ] {
            if let Some(value) = value {
                writer.attribute(kind, value);
            }
        }
        let length = writer
            .finish(
                Some(&Signer {
                    key: self.key,
                    hash: Hash::Sha1,
                }),
                false,
            )
            .unwrap();
        let message = Message::parse(&buffer[..length]).unwrap();
        authenticator()
            .verify(&message, from, owner, NOW)
            .map(|identity| identity.expired)
    }
}

#[test]
fn right_and_wrong_credentials() {
    let from = client("198.51.100.7:4000");
    let nonce = nonce_of(&authenticator(), &from, NOW);
    let check = |username: &[u8], realm: &[u8], password: &[u8]| {
        let key = long_term_key(username, realm, password);
        let request = Request {
            username: Some(username),
            realm: Some(realm),
            nonce: Some(&nonce),
            key,
            algorithms: NO_ALGORITHMS,
        };
        request.verify(&from, None)
    };
    let refused = Err(ErrorCode::Unauthenticated);
    assert_eq!(check(b"alice", b"callbox", b"wonder"), Ok(false));
    assert_eq!(check(b"alice", b"callbox", b"wander"), refused);
    assert_eq!(check(b"bob", b"callbox", b"wonder"), refused);
    assert_eq!(check(b"alice", b"elsewhere", b"wonder"), refused);

    for password in ["na\u{ef}ve", "nai\u{308}ve"] {
        let zoe = "zo\u{eb}".as_bytes();
        assert_eq!(check(zoe, b"callbox", password.as_bytes()), Ok(false));
        assert_eq!(check(zoe, b"callbox", b"naive"), refused);
    }

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
    let nonce = nonce_of(&authenticator(), &from, NOW);
    let key = long_term_key(b"alice", b"callbox", b"wonder");
    let (u, r, n) = (Some(&b"alice"[..]), Some(&b"callbox"[..]), Some(&nonce[..]));
    for (username, realm, nonce) in [(None, r, n), (u, None, n), (u, r, None)] {
        let request = Request {
            username,
            realm,
            nonce,
            key,
            algorithms: NO_ALGORITHMS,
        };
        assert_eq!(request.verify(&from, None), Err(ErrorCode::BadRequest));
    }
}

#[test]
fn a_nonce_belongs_to_one_client_and_ages() {
    let authenticator = authenticator();
    let from = client("198.51.100.7:4000");
    let nonce = nonce_of(&authenticator, &from, NOW);
    let good = |nonce: &[u8], from: &FiveTuple, at: u64| {
        authenticator
            .nonce_keys
            .verify(nonce, from, "callbox", at)
            .is_some()
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
    assert!(
        nonce.starts_with(b"obMatJos2gAAA"),
        "password algorithms, no anonymity"
    );
    for bit in 0..nonce.len() * 8 {
        let mut forged = nonce;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(!good(&forged, &from, NOW), "bit {bit}");
    }
}

#[test]
fn a_forged_nonce_is_stale_whatever_the_password() {
    let from = client("198.51.100.7:4000");
    let nonce = nonce_of(&authenticator(), &client("198.51.100.9:1"), NOW);
    let key = long_term_key(b"alice", b"callbox", b"wonder");
    let request = Request {
        username: Some(b"alice"),
        realm: Some(b"callbox"),
        nonce: Some(&nonce),
        key,
        algorithms: NO_ALGORITHMS,
    };
    assert_eq!(request.verify(&from, None), Err(ErrorCode::StaleNonce));
}

#[test]
fn the_creator_of_an_allocation_keeps_it_after_a_rotation() {
    let from = client("198.51.100.7:4000");
    let nonce = nonce_of(&authenticator(), &from, NOW);
    let key = Key::Md5([9; 16]);
    let request = Request {
        username: Some(b"1700000000:gone"),
        realm: Some(b"callbox"),
        nonce: Some(&nonce),
        key,
        algorithms: NO_ALGORITHMS,
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

/// RFC 8489 section 9.2.1: what was offered may be ignored whole, but not changed.
#[test]
fn password_algorithms_can_t_be_bid_down() {
    let from = client("198.51.100.7:4000");
    let nonce = nonce_of(&authenticator(), &from, NOW);
    let check = |algorithm: PasswordAlgorithm, algorithms: [Option<&[u8]>; 2], nonce: &[u8]| {
        let key = algorithm.key(b"alice", b"callbox", b"wonder");
        let (username, realm) = (Some(&b"alice"[..]), Some(&b"callbox"[..]));
        Request {
            username,
            realm,
            nonce: Some(nonce),
            key,
            algorithms,
        }
        .verify(&from, None)
    };
    let (md5, sha256): (&[u8], &[u8]) = (&[0, 1, 0, 0], &[0, 2, 0, 0]);
    let offered = Some(&password_algorithm::OFFERED[..]);
    assert_eq!(
        check(PasswordAlgorithm::Md5, [None, None], &nonce),
        Ok(false)
    );
    assert_eq!(
        check(PasswordAlgorithm::Md5, [offered, Some(md5)], &nonce),
        Ok(false)
    );
    assert_eq!(
        check(PasswordAlgorithm::Sha256, [offered, Some(sha256)], &nonce),
        Ok(false)
    );
    let wrong_key = check(PasswordAlgorithm::Md5, [offered, Some(sha256)], &nonce);
    assert_eq!(wrong_key, Err(ErrorCode::Unauthenticated));
    let refused = Err(ErrorCode::BadRequest);
    assert_eq!(
        check(PasswordAlgorithm::Md5, [None, Some(md5)], &nonce),
        refused
    );
    assert_eq!(
        check(PasswordAlgorithm::Md5, [offered, None], &nonce),
        refused
    );
    assert_eq!(
        check(
            PasswordAlgorithm::Md5,
            [Some(&[0, 1, 0, 0]), Some(md5)],
            &nonce
        ),
        refused
    );
    assert_eq!(
        check(
            PasswordAlgorithm::Md5,
            [offered, Some(&[0, 3, 0, 0])],
            &nonce
        ),
        refused
    );
    // The bit in the cookie is under the MAC: clearing it makes the nonce stale.
    let mut cleared = nonce;
    cleared[9..13].copy_from_slice(b"AAAA");
    let stale = Err(ErrorCode::StaleNonce);
    assert_eq!(check(PasswordAlgorithm::Md5, [None, None], &cleared), stale);
}

#[test]
fn a_hash_stands_for_the_name_of_a_static_user() {
    use sha2::Digest as _;
    let from = client("198.51.100.7:4000");
    let of = |secrets: &[&str]| {
        let users = [("alice".to_owned(), "wonder".to_owned())];
        let secrets = secrets.iter().map(ToString::to_string);
        Authenticator::new("callbox", users, secrets, NonceKeys::new(&[7; 32]))
    };
    let (authenticator, without) = (of(&[]), of(&["north"]));
    assert!(authenticator.features().username_anonymity);
    let key = long_term_key(b"alice", b"callbox", b"wonder");
    let check_with = |authenticator: &Authenticator, parts: &[(u16, &[u8])]| {
        let nonce = nonce_of(authenticator, &from, NOW);
        let mut buffer = [0; 512];
        let id = TransactionId([3; 12]);
        let mut writer = Writer::new(&mut buffer, Class::Request, Method::Refresh, id);
        for (kind, value) in parts {
            writer.attribute(*kind, value);
        }
        writer
            .attribute(kind::REALM, b"callbox")
            .attribute(kind::NONCE, &nonce);
        let length = writer
            .finish(
                Some(&Signer {
                    key,
                    hash: Hash::Sha1,
                }),
                false,
            )
            .unwrap();
        let message = Message::parse(&buffer[..length]).unwrap();
        let verified = authenticator.verify(&message, &from, None, NOW);
        verified.map(|identity| identity.username.to_vec())
    };
    let check = |parts: &[(u16, &[u8])]| check_with(&authenticator, parts);
    let hash = sha2::Sha256::digest(b"alice:callbox");
    assert_eq!(check(&[(kind::USERHASH, &hash)]), Ok(b"alice".to_vec()));
    assert_eq!(
        check(&[(kind::USERHASH, &[0; 32])]),
        Err(ErrorCode::Unauthenticated)
    );
    assert_eq!(
        check(&[(kind::USERHASH, &hash[..31])]),
        Err(ErrorCode::BadRequest)
    );
    let both = check(&[(kind::USERHASH, &hash), (kind::USERNAME, b"alice")]);
    assert_eq!(both, Err(ErrorCode::BadRequest));
    // Where the nonce has not announced that a hash will do.
    let unasked = check_with(&without, &[(kind::USERHASH, &hash)]);
    assert_eq!(unasked, Err(ErrorCode::Unauthenticated));
    let plain = check_with(&without, &[(kind::USERNAME, b"alice")]);
    assert_eq!(plain, Ok(b"alice".to_vec()));
}

#[test]
fn an_empty_secret_lets_nobody_in() {
    let from = client("198.51.100.7:4000");
    let authenticator =
        Authenticator::new("callbox", [], [String::new()], NonceKeys::new(&[7; 32]));
    let minted = credential::mint(b"", "bob", NOW + 60);
    let key = long_term_key(
        minted.username.as_bytes(),
        b"callbox",
        minted.password.as_bytes(),
    );
    let mut buffer = [0; 512];
    let id = TransactionId([3; 12]);
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::Allocate, id);
    writer.attribute(kind::USERNAME, minted.username.as_bytes());
    writer.attribute(kind::REALM, b"callbox");
    writer.attribute(kind::NONCE, &nonce_of(&authenticator, &from, NOW));
    let length = writer
        .finish(
            Some(&Signer {
                key,
                hash: Hash::Sha1,
            }),
            false,
        )
        .unwrap();
    let message = Message::parse(&buffer[..length]).unwrap();
    let verified = authenticator.verify(&message, &from, None, NOW);
    assert_eq!(verified, Err(ErrorCode::Unauthenticated));
}
