//! `turn-client-proto`, the client of librice, over UDP, TCP and TLS.

use std::net::SocketAddr;
use std::time::Duration;

use stun_turn::config::Protocol;
use turn_client_proto::api::{TurnConfig, TurnEvent};
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::types::stun::message::IntegrityAlgorithm;
use turn_client_proto::types::{AddressFamily, TurnCredentials};

use crate::clock::unix_s;
use crate::peer::Peer;
use crate::relay::{Relay, USER};
use crate::rice_link::Rice;

const PROTOCOLS: [Protocol; 3] = [Protocol::Udp, Protocol::Tcp, Protocol::Tls];
/// Sizes of data, with all remainders of four.
const SIZES: [usize; 6] = [1, 2, 3, 4, 100, 1200];
/// Sizes for channels on streams, where this client forgets the padding that RFC 8656 section 12.5 demands.
const EVEN_SIZES: [usize; 3] = [4, 100, 1200];

fn config((user, password): (&str, &str)) -> TurnConfig {
    TurnConfig::new(TurnCredentials::new(user, password))
}

/// The relayed address, which the relay must know as well.
fn allocated(rice: &mut Rice, relay: &Relay) -> SocketAddr {
    let event = rice.event();
    let TurnEvent::AllocationCreated(_, relayed) = event else {
        panic!("no allocation: {event:?}");
    };
    assert_eq!(relay.session(relayed).relayed, relayed);
    relayed
}

fn permitted(rice: &mut Rice, peer: SocketAddr) {
    rice.permit(peer);
    let event = rice.event();
    assert!(
        matches!(event, TurnEvent::PermissionCreated(_, ip) if ip == peer.ip()),
        "{event:?}"
    );
}

fn bound(rice: &mut Rice, peer: SocketAddr) {
    rice.bind_channel(peer);
    let mut event = rice.event();
    // A channel brings a permission along.
    if matches!(event, TurnEvent::PermissionCreated(_, ip) if ip == peer.ip()) {
        event = rice.event();
    }
    assert!(
        matches!(event, TurnEvent::ChannelCreated(_, to) if to == peer),
        "{event:?}"
    );
}

/// Data of these sizes to a peer and back.
fn both_ways(rice: &mut Rice, relayed: SocketAddr, peer: &Peer, sizes: &[usize]) {
    for &size in sizes {
        let data = vec![0xA5; size];
        rice.send(peer.address(), &data);
        assert_eq!(peer.receive(), (data.clone(), relayed));
        peer.send(&data, relayed);
        assert_eq!(rice.receive(), (peer.address(), data));
    }
}

const fn channel_sizes(protocol: Protocol) -> &'static [usize] {
    match protocol {
        Protocol::Udp => &SIZES,
        Protocol::Tcp | Protocol::Tls => &EVEN_SIZES,
    }
}

/// The client does not even take the refusal for an answer: it may be forged. It gives up when nothing better comes.
fn is_refused(relay: &Relay, protocol: Protocol, credential: (&str, &str)) {
    let mut config = config(credential);
    let soon = patience::scaled(Duration::from_millis(200));
    config.set_request_retransmits(soon, soon, 3, soon);
    let mut rice = Rice::new(relay, protocol, config);
    rice.until("end", |rice| rice.is_closed().then_some(()));
    rice.has_ignored_error(401);
}

#[test]
fn data_travels_both_ways_by_permission_and_by_channel() {
    let relay = Relay::start();
    for protocol in PROTOCOLS {
        let mut rice = Rice::new(&relay, protocol, config(USER));
        let relayed = allocated(&mut rice, &relay);
        let [first, second] = [Peer::new("127.0.0.1"), Peer::new("127.0.0.2")];
        permitted(&mut rice, first.address());
        both_ways(&mut rice, relayed, &first, &SIZES);
        bound(&mut rice, second.address());
        both_ways(&mut rice, relayed, &second, channel_sizes(protocol));
        assert_eq!(relay.session(relayed).permissions_and_channels, (2, 1));
        rice.delete();
        rice.until("end", |rice| rice.is_closed().then_some(()));
        relay.until_allocations(0);
    }
    relay.shutdown();
}

#[test]
fn clients_of_all_transports_reach_each_other() {
    let relay = Relay::start();
    for (one, other) in [
        (Protocol::Udp, Protocol::Tcp),
        (Protocol::Tcp, Protocol::Tls),
        (Protocol::Tls, Protocol::Udp),
    ] {
        let mut ann = Rice::new(&relay, one, config(USER));
        let at_ann = allocated(&mut ann, &relay);
        let mut bob = Rice::new(&relay, other, config(USER));
        let at_bob = allocated(&mut bob, &relay);
        permitted(&mut ann, at_bob);
        bound(&mut bob, at_ann);
        for size in EVEN_SIZES {
            let data = vec![0x5A; size];
            ann.send(at_bob, &data);
            assert_eq!(bob.receive(), (at_ann, data.clone()));
            bob.send(at_ann, &data);
            assert_eq!(ann.receive(), (at_bob, data));
        }
    }
    relay.shutdown();
}

#[test]
fn allocation_permission_and_channel_are_refreshed() {
    let relay = Relay::start();
    for protocol in PROTOCOLS {
        let mut rice = Rice::new(&relay, protocol, config(USER));
        let relayed = allocated(&mut rice, &relay);
        let peer = Peer::new("127.0.0.1");
        bound(&mut rice, peer.address());
        let before = relay.life(relayed);
        // The client refreshes a permission a minute before its end, likewise a channel and an allocation, for which it has
        // asked half an hour: the first in each step, the second in every other, the third in the last. The relay can't
        // know that it hurries.
        for _ in 0..6 {
            rice.put_forward(Duration::from_secs(291));
            both_ways(&mut rice, relayed, &peer, &EVEN_SIZES);
            assert!(!rice.is_closed());
        }
        assert!(relay.life(relayed) > before);
        assert_eq!(relay.session(relayed).permissions_and_channels, (1, 1));
    }
    relay.shutdown();
}

#[test]
fn stale_nonces_are_replaced() {
    let relay = Relay::start();
    for protocol in PROTOCOLS {
        let mut rice = Rice::new(&relay, protocol, config(USER));
        let relayed = allocated(&mut rice, &relay);
        relay.forget_nonces();
        let peer = Peer::new("127.0.0.1");
        permitted(&mut rice, peer.address());
        relay.forget_nonces();
        // Now it is time to refresh the permission.
        rice.put_forward(Duration::from_secs(250));
        both_ways(&mut rice, relayed, &peer, &SIZES);
    }
    relay.shutdown();
}

#[test]
fn a_wrong_password_an_unknown_user_and_an_expired_credential_are_refused() {
    let relay = Relay::start();
    let (expired, its_password) = relay.credential(unix_s() - 1);
    // Over TLS this client panics where it ignores something.
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        for credential in [
            (USER.0, "wander"),
            ("mallory", USER.1),
            (expired.as_str(), its_password.as_str()),
        ] {
            is_refused(&relay, protocol, credential);
        }
    }
    relay.until_allocations(0);
    relay.shutdown();
}

#[test]
fn a_credential_made_from_the_secret_is_good_until_it_expires() {
    let relay = Relay::start();
    let (user, password) = relay.credential(unix_s() + 60);
    for protocol in PROTOCOLS {
        let mut rice = Rice::new(&relay, protocol, config((&user, &password)));
        let relayed = allocated(&mut rice, &relay);
        assert_eq!(relay.session(relayed).user, user);
    }
    relay.shutdown();
}

#[test]
fn sha256_and_userhash_authenticate() {
    let relay = Relay::start();
    for protocol in PROTOCOLS {
        let mut config = config(USER);
        config.set_supported_integrity(IntegrityAlgorithm::Sha256);
        config.set_anonymous_username(Feature::Required);
        let mut rice = Rice::new(&relay, protocol, config);
        let relayed = allocated(&mut rice, &relay);
        assert_eq!(relay.session(relayed).user, USER.0);
        let peer = Peer::new("127.0.0.1");
        permitted(&mut rice, peer.address());
        both_ways(&mut rice, relayed, &peer, &SIZES);
    }
    relay.shutdown();
}

#[test]
fn one_allocation_has_an_address_of_either_family() {
    let relay = Relay::start();
    for protocol in PROTOCOLS {
        let mut config = config(USER);
        config.add_address_family(AddressFamily::IPV6);
        let mut rice = Rice::new(&relay, protocol, config);
        let mut relayed = [allocated(&mut rice, &relay), allocated(&mut rice, &relay)];
        relayed.sort();
        for (at, ip) in relayed.into_iter().zip(["127.0.0.1", "::1"]) {
            assert_eq!(at.ip().to_string(), ip);
            let peer = Peer::new(ip);
            permitted(&mut rice, peer.address());
            both_ways(&mut rice, at, &peer, &SIZES);
        }
    }
    relay.shutdown();
}

#[test]
fn a_peer_that_is_not_there_is_reported_by_icmp() {
    let relay = Relay::start();
    for protocol in PROTOCOLS {
        let mut rice = Rice::new(&relay, protocol, config(USER));
        allocated(&mut rice, &relay);
        let gone = Peer::new("127.0.0.1").address();
        permitted(&mut rice, gone);
        rice.send(gone, b"is anybody there?");
        let (peer, high, low) = rice.icmp();
        assert_eq!(peer, gone);
        // The client takes them for type and code. RFC 8656 section 18.13 draws seven bits of type and nine of code:
        // destination unreachable, port unreachable.
        assert_eq!(u16::from_be_bytes([high, low]), 3 << 9 | 3);
    }
    relay.shutdown();
}

#[test]
fn a_client_that_goes_leaves_nothing_behind() {
    let relay = Relay::start();
    for protocol in [Protocol::Tcp, Protocol::Tls] {
        let mut rice = Rice::new(&relay, protocol, config(USER));
        let relayed = allocated(&mut rice, &relay);
        assert_eq!(relay.session(relayed).permissions_and_channels, (0, 0));
        drop(rice);
        relay.until_allocations(0);
    }
    relay.shutdown();
}
