//! Each finding names what is wrong and what to do about it.

use super::*;

const SERVER: &str = "8.8.4.4:3478";

fn context(is_minted: bool, peer: Option<&str>) -> Context<'static> {
    Context {
        via: Via::Udp,
        server: SERVER.parse().unwrap(),
        host: "turn.example",
        is_minted,
        realm: "callbox",
        peer: peer.map(|peer| peer.parse().unwrap()),
    }
}

fn refused(code: u16) -> Fault {
    Fault::Refused {
        code,
        reason: String::new(),
        alternate: None,
    }
}

fn text(explanation: &Explanation) -> String {
    format!("{} {}", explanation.what, explanation.advice)
}

#[test]
fn refusals_say_what_to_look_at() {
    for (code, words) in [
        (401, &["401 Unauthenticated", "password", "callbox"][..]),
        (403, &["403 Forbidden", "policy"]),
        (437, &["437"]),
        (438, &["438", "nonce"]),
        (440, &["--relay-address"]),
        (442, &["no-udp-relay"]),
        (486, &["--user-quota", "coturn: user-quota"]),
        (500, &["log"]),
        (508, &["--relay-ports", "open files"]),
        (499, &["499", "Allocate"]),
    ] {
        let said = text(&fault(
            &refused(code),
            Method::Allocate,
            context(false, None),
        ));
        for word in words {
            assert!(said.contains(word), "{code} without {word:?}: {said}");
        }
    }
    let minted = fault(&refused(401), Method::Allocate, context(true, None));
    assert!(text(&minted).contains("clocks"), "{minted:?}");
    let elsewhere = Fault::Refused {
        code: 300,
        reason: "Try Alternate".to_owned(),
        alternate: Some("8.8.8.8:3478".parse().unwrap()),
    };
    let elsewhere = fault(&elsewhere, Method::Allocate, context(false, None));
    assert!(elsewhere.advice.contains("8.8.8.8:3478"), "{elsewhere:?}");
}

#[test]
fn a_server_that_denies_itself_is_told_apart_by_its_address() {
    let of = |peer| {
        fault(
            &refused(403),
            Method::CreatePermission,
            context(false, Some(peer)),
        )
    };
    let private = of("10.0.0.5:50000");
    assert!(
        private.advice.contains("--external-address") && private.advice.contains("--allow-peer")
    );
    let public = of("8.8.4.4:50000");
    assert!(public.advice.contains("--deny-peer"), "{public:?}");
}

#[test]
fn addresses_that_no_peer_reaches() {
    let server = SERVER.parse().unwrap();
    let of = |address: &str| relayed(address.parse().unwrap(), server);
    assert_eq!(of("8.8.4.4:50000"), None);
    let private = of("10.0.0.5:50000").unwrap();
    assert!(
        private.advice.contains("--external-address 8.8.4.4"),
        "{private:?}"
    );
    assert!(of("0.0.0.0:50000").unwrap().what.contains("nobody's"));
    let lan = "10.0.0.5:3478".parse().unwrap();
    assert_eq!(
        relayed("10.0.0.5:50000".parse().unwrap(), lan),
        None,
        "all of it private is fine"
    );
}

/// "Everything works", said the check of a server that relays from 127.0.0.1.
#[test]
fn addresses_that_the_server_alone_reaches() {
    let of =
        |address: &str, server: &str| relayed(address.parse().unwrap(), server.parse().unwrap());
    for (address, server) in [
        ("127.0.0.1:50000", "[fd00::5]:3478"),
        ("[::1]:50000", "10.0.0.5:3478"),
        ("169.254.1.1:50000", "10.0.0.5:3478"),
        ("[fe80::1]:50000", "8.8.4.4:3478"),
    ] {
        let found = of(address, server).unwrap();
        assert!(found.advice.contains("--relay-address"), "{found:?}");
    }
    assert_eq!(of("127.0.0.1:50000", "127.0.0.1:3478"), None);
    assert_eq!(of("127.0.0.1:50000", "[::1]:3478"), None);
    assert_eq!(of("8.8.4.4:50000", "[2620:fe::5]:3478"), None);
    let other = of("10.0.0.5:50000", "[2620:fe::5]:3478").unwrap();
    assert!(
        !other.advice.contains("2620:fe::5"),
        "it would change nothing: {other:?}"
    );
    assert!(other.advice.contains("public IPv4 address"), "{other:?}");
}

#[test]
fn silence_and_closed_ports() {
    let silent = fault(&Fault::Silence, Method::Binding, context(false, None));
    assert!(text(&silent).contains("firewall") && text(&silent).contains("3478"));
    let refused = Fault::Io(ErrorKind::ConnectionRefused.into());
    let refused = fault(&refused, Method::Binding, context(false, None));
    assert!(
        refused.what.contains("nothing listens on UDP port 3478"),
        "{refused:?}"
    );
    assert!(is_no_route(&ErrorKind::NetworkUnreachable.into()));
    assert!(!is_no_route(&ErrorKind::ConnectionRefused.into()));
}

#[test]
fn certificates() {
    for (reason, word) in [
        (CertificateError::Expired, "renew"),
        (CertificateError::NotValidYet, "clocks"),
        (CertificateError::NotValidForName, "turn.example"),
        (CertificateError::UnknownIssuer, "full chain"),
        (CertificateError::Revoked, "new one"),
    ] {
        let error = io::Error::other(rustls::Error::InvalidCertificate(reason));
        let said = handshake(&error, context(false, None));
        assert!(said.advice.contains(word), "{said:?}");
    }
}

#[test]
fn loss_by_size_is_told_apart_from_loss_of_all() {
    let relayed = "8.8.4.4:50000".parse().unwrap();
    assert!(lost(relayed, None).advice.contains("hairpinning"));
    assert!(lost(relayed, Some(1200)).what.contains("1200 bytes"));
}
