//! Reloads whose effect is easily missed: a lower cap on expiries, and addresses that can't be looked at.

use std::net::UdpSocket;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stun_turn::Server;
use stun_turn::config::{Config, Options};
use stun_turn::proto::attribute::kind;
use stun_turn::proto::auth::credential;
use stun_turn::proto::message::Method;

use crate::client::{Client, Link, options};
use crate::limit::Limit;
use crate::network::run_inside;
use crate::running::eventually;

const UDP: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);

/// A cap below the lifetime of credentials that are in use ends no call, and refuses new ones.
#[test]
fn a_cap_below_the_lifetime_in_use_refuses_newcomers_alone() {
    let capped = |ttl_s: u64| {
        Config::from(Options {
            auth_secret: vec!["north".to_owned()],
            max_credential_ttl: Some(ttl_s),
            ..options(&["udp"], "127.0.0.1", 1)
        })
    };
    let server = Server::start(capped(7200)).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let in_an_hour = (now + Duration::from_secs(3600)).as_secs();
    let minted = credential::mint(b"north", "carol", in_an_hour);
    let carol = (&*minted.username.leak(), &*minted.password.leak());
    let mut call = Client::of(carol, Link::udp(&server));
    call.allocate(1);
    let unchanged = server.handle().reload(capped(60)).unwrap();
    assert_eq!(unchanged, [""; 0]);
    assert_eq!(call.code(Method::Refresh, &[]), 0, "the call goes on");
    let mut newcomer = Client::of(carol, Link::udp(&server));
    assert_eq!(newcomer.code(Method::Allocate, &[UDP]), 401);
    let metrics = server.handle().metrics();
    let counted = "stun_turn_refusals_total{reason=\"expiry_too_far_ahead\"} 1";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    server.handle().reload(capped(7200)).unwrap();
    assert_eq!(newcomer.code(Method::Allocate, &[UDP]), 0);
    server.shutdown();
}

/// The thread that follows the host's addresses sleeps until something changes. A reload that could not
/// look at them wakes it, and it tries until it succeeds.
#[test]
fn a_reload_that_can_t_look_at_the_addresses_wakes_whoever_follows_them() {
    // In a process of its own, whose descriptors run out.
    run_inside("reload::short_of_descriptors");
}

#[test]
#[ignore = "runs in a network namespace that the test above makes"]
fn short_of_descriptors() {
    crate::network::ip("link set lo up");
    let telling = |public: &str| {
        Config::from(Options {
            external_address: vec![public.parse().unwrap()],
            // Each look makes an allocation.
            user_quota: Some(0),
            source_quota: Some(0),
            ..options(&["udp"], "127.0.0.1", 1)
        })
    };
    let server = Server::start(telling("203.0.113.7")).unwrap();
    let told = |expected: &str| {
        let relayed = Client::new(Link::udp(&server)).allocate(1);
        relayed.ip().to_string() == expected
    };
    assert!(told("203.0.113.7"));
    let limit = Limit::exhaust(std::process::id());
    // Counting them has taken one, which is free again.
    let held: Vec<UdpSocket> = std::iter::from_fn(|| UdpSocket::bind("127.0.0.1:0").ok()).collect();
    let unchanged = server.handle().reload(telling("203.0.113.8")).unwrap();
    assert_eq!(unchanged, [""; 0]);
    // Without descriptors no process can be started that would do it.
    stun_turn::file_limit::raise();
    drop((limit, held));
    eventually("the new address is told", || told("203.0.113.8"));
    server.shutdown();
}
