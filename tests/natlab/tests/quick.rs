//! The lab's part of every test run: what routers really do, the pairs that tell most, and one event.

use natlab::event::Event;
use natlab::expect::{Client, Deployment};
use natlab::results::{RouterRun, Verdict};
use natlab::router::Router;
use natlab::{lab, run};

/// Whether the lab can be made; otherwise says so. CI must have what it needs.
fn can_run() -> bool {
    let can = lab::can_be_made();
    if !can {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(
            !in_ci,
            "networks can't be made here: root, `ip` and `nft` are needed"
        );
        println!(
            "skipped: needs `ip` and `nft`, and root in a container that lets it make networks"
        );
    }
    can
}

fn is_as_named(router: Router) {
    if !can_run() {
        return;
    }
    let found = run::router(router).map_err(|error| format!("{error:#}"));
    let run = RouterRun { router, found };
    assert_eq!(run.verdict(), Verdict::Good, "{run:?}");
}

macro_rules! routers {
    ($($name:ident: $router:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            is_as_named(Router::$router);
        }
    )* };
}

mod router {
    use super::*;

    routers! {
        open: Open,
        cone: Cone,
        restricted: Restricted,
        port_restricted: PortRestricted,
        symmetric: Symmetric,
        udp_blocked: UdpBlocked,
        tcp_443: Tcp443,
        ipv6_only: V6Only,
        dual: Dual,
        double: Double,
        short_timeouts: Idle30,
        loss: Loss20,
        mtu: Mtu1280,
        black_hole: Mtu1280Black,
    }
}

fn calls(a: Router, b: Router) {
    if !can_run() {
        return;
    }
    let run = run::pair(Client::Demo, Deployment::APART, [a, b]);
    assert_ne!(run.verdict(), Verdict::Bad, "{run:?}");
}

#[test]
fn port_restricted_calls_symmetric() {
    calls(Router::PortRestricted, Router::Symmetric);
}

#[test]
fn double_calls_port_restricted() {
    calls(Router::Double, Router::PortRestricted);
}

#[test]
fn ipv6_only_calls_port_restricted() {
    calls(Router::V6Only, Router::PortRestricted);
}

/// As soon as `peer-demo` reaches relays over TCP and TLS.
#[test]
fn without_udp_calls_port_443_alone() {
    if Client::Demo.has_turn_over_streams() {
        calls(Router::UdpBlocked, Router::Tcp443);
    }
}

#[test]
fn a_call_outlives_new_mappings() {
    if !can_run() {
        return;
    }
    let event = Event::named("mapping-direct").expect("there is one");
    let run = run::event(Client::Demo, event);
    assert_ne!(run.verdict(), Verdict::Bad, "{run:?}");
}
