//! What must come of a pair or an event, by what routers and clients can do. Pure.

use serde::Serialize;

use crate::router::{Passes, Router, Translation};

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// `peer-demo`.
    Demo,
    /// The call page in Chromium.
    Page,
}

impl Client {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Demo, Self::Page];

    /// Whether it reaches relays over TCP and TLS.
    #[must_use]
    pub const fn has_turn_over_streams(self) -> bool {
        match self {
            Self::Demo => false,
            Self::Page => true,
        }
    }

    /// The highest loss in percent at which it is expected to verify sound and picture.
    #[must_use]
    pub const fn verifies_up_to_loss(self) -> u8 {
        match self {
            Self::Demo => 10,
            Self::Page => 20,
        }
    }
}

/// How the servers are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Deployment {
    /// Page, signaling and relay in one process, as `docs/operating.md` has it "for the public"; otherwise a relay on a host
    /// apart, also on port 443.
    pub one_process: bool,
    /// With `--state-dir`.
    pub keeps_state: bool,
}

impl Deployment {
    /// A relay on a host apart.
    pub const APART: Self = Self {
        one_process: false,
        keeps_state: false,
    };
    /// Everything in one process.
    pub const ONE_PROCESS: Self = Self {
        one_process: true,
        keeps_state: false,
    };

    /// The same with `--state-dir`.
    #[must_use]
    pub const fn that_keeps_state(self) -> Self {
        Self {
            keeps_state: true,
            ..self
        }
    }

    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.one_process, self.keeps_state) {
            (false, false) => "apart",
            (false, true) => "apart, --state-dir",
            (true, false) => "one process",
            (true, true) => "one process, --state-dir",
        }
    }
}

/// The way of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Without a relay.
    Direct,
    /// One end or both are relayed.
    Relay,
}

impl Way {
    /// The word in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
        }
    }
}

/// What must come of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It stands, this way.
    Call(Way),
    /// It stands, either way: loss decides which check arrives first.
    AnyWay,
    /// It does not stand or is not verified, for the reason given: what a client can't do yet.
    Missing(&'static str),
}

/// What a call between two routers must come to.
#[must_use]
pub fn pair(client: Client, a: Router, b: Router) -> Expected {
    let loss = a.loss_percent().max(b.loss_percent());
    if loss > client.verifies_up_to_loss() {
        return Expected::Missing("sound is not verified at this loss");
    }
    let is_direct = meet_directly(a, b);
    if loss > 0 {
        return Expected::AnyWay;
    }
    if is_direct {
        return Expected::Call(Way::Direct);
    }
    for router in [a, b] {
        if router.passes() != Passes::All && !client.has_turn_over_streams() {
            return Expected::Missing("the client has no TURN over TCP or TLS");
        }
    }
    Expected::Call(Way::Relay)
}

/// Whether two clients reach each other without a relay.
fn meet_directly(a: Router, b: Router) -> bool {
    if a.passes() != Passes::All || b.passes() != Passes::All {
        return false;
    }
    if a.has_ipv6() && b.has_ipv6() {
        return true;
    }
    a.has_ipv4() && b.has_ipv4() && holes_fit(a.translation(), b.translation())
}

/// Whether hole punching works: a mapping that differs for each destination is met only by who does not look at its port.
fn holes_fit(a: Translation, b: Translation) -> bool {
    let looks_at_ports =
        |side| matches!(side, Translation::PortRestricted | Translation::Symmetric);
    match (a, b) {
        (Translation::Symmetric, other) | (other, Translation::Symmetric) => !looks_at_ports(other),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_routers_are_met_by_those_who_ignore_ports() {
        let way = |a, b| pair(Client::Page, a, b);
        for router in [Router::Open, Router::Cone, Router::Restricted] {
            assert_eq!(way(router, Router::Symmetric), Expected::Call(Way::Direct));
        }
        for router in [Router::PortRestricted, Router::Symmetric, Router::Double] {
            assert_eq!(way(Router::Symmetric, router), Expected::Call(Way::Relay));
        }
    }

    #[test]
    fn families_that_differ_need_a_relay() {
        let way = |a, b| pair(Client::Demo, a, b);
        assert_eq!(
            way(Router::V6Only, Router::Open),
            Expected::Call(Way::Relay)
        );
        assert_eq!(
            way(Router::V6Only, Router::Dual),
            Expected::Call(Way::Direct)
        );
    }

    #[test]
    fn port_443_alone_reaches_a_relay() {
        let way = pair(Client::Page, Router::Tcp443, Router::Cone);
        assert_eq!(way, Expected::Call(Way::Relay));
    }
}
