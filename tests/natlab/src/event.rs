//! What happens to networks and servers in the middle of a call: a table. Pure.

use crate::expect::{Client, Deployment};
use crate::router::Router;

/// What is done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing passes the first side's router.
    Cut,
    /// No UDP passes it.
    BlockUdp,
    /// Everything passes again.
    Heal,
    /// The first side's router is given another address.
    ChangeMappings,
    /// The first side's host loses its network.
    Unplug,
    /// It is given another one.
    PlugElsewhere,
    /// The relay is killed.
    KillRelay,
    /// The relay is told to end (SIGTERM), which it does in its own time.
    DrainRelay,
    /// The relay starts.
    StartRelay,
    /// The relay stands still.
    StallRelay,
    /// It moves again.
    WakeRelay,
    /// Page and signaling are killed, and the relay with them where all is one process.
    KillSignaling,
    /// They start.
    StartSignaling,
}

/// A call and what happens in it.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// The name in tables and options.
    pub name: &'static str,
    /// How the servers are set up.
    pub deployment: Deployment,
    /// Behind which routers the two sides are.
    pub routers: [Router; 2],
    /// What is done, each after so many seconds.
    pub actions: &'static [(u64, Action)],
    /// How long is watched at the least, in seconds after the last action.
    pub watched: u64,
    /// Clients that are not expected to come back, by what is known of them.
    pub lost_to: &'static [Client],
}

const DIRECT: [Router; 2] = [Router::PortRestricted, Router::PortRestricted];
const RELAYED: [Router; 2] = [Router::Symmetric, Router::Symmetric];

const fn event(
    name: &'static str,
    routers: [Router; 2],
    actions: &'static [(u64, Action)],
) -> Event {
    Event {
        name,
        deployment: Deployment::APART,
        routers,
        actions,
        watched: 20,
        lost_to: &[],
    }
}

/// All of them.
pub const EVENTS: &[Event] = &[
    event("mapping-direct", DIRECT, &[(0, Action::ChangeMappings)]),
    event("mapping-relayed", RELAYED, &[(0, Action::ChangeMappings)]),
    Event {
        lost_to: &[Client::Demo],
        ..event(
            "move-direct",
            DIRECT,
            &[(0, Action::Unplug), (1, Action::PlugElsewhere)],
        )
    },
    Event {
        lost_to: &[Client::Demo],
        ..event(
            "move-relayed",
            RELAYED,
            &[(0, Action::Unplug), (1, Action::PlugElsewhere)],
        )
    },
    Event {
        lost_to: &[Client::Demo],
        ..event(
            "move4-direct",
            DIRECT,
            &[(0, Action::Unplug), (4, Action::PlugElsewhere)],
        )
    },
    Event {
        lost_to: &[Client::Demo],
        ..event("udpblocked-direct", DIRECT, &[(0, Action::BlockUdp)])
    },
    Event {
        lost_to: &[Client::Demo],
        ..event("udpblocked-relayed", RELAYED, &[(0, Action::BlockUdp)])
    },
    event(
        "relay-killed",
        RELAYED,
        &[(0, Action::KillRelay), (5, Action::StartRelay)],
    ),
    event(
        "relay-drained",
        RELAYED,
        &[(0, Action::DrainRelay), (5, Action::StartRelay)],
    ),
    event(
        "relay-stalled",
        RELAYED,
        &[(0, Action::StallRelay), (3, Action::WakeRelay)],
    ),
    event(
        "signaling-direct",
        DIRECT,
        &[(0, Action::KillSignaling), (15, Action::StartSignaling)],
    ),
    Event {
        deployment: Deployment::APART.that_keeps_state(),
        ..event(
            "signaling-relayed",
            RELAYED,
            &[(0, Action::KillSignaling), (15, Action::StartSignaling)],
        )
    },
    Event {
        deployment: Deployment::ONE_PROCESS,
        ..event(
            "restart",
            RELAYED,
            &[(0, Action::KillSignaling), (3, Action::StartSignaling)],
        )
    },
    Event {
        deployment: Deployment::ONE_PROCESS.that_keeps_state(),
        ..event(
            "restart-state",
            RELAYED,
            &[(0, Action::KillSignaling), (3, Action::StartSignaling)],
        )
    },
    event(
        "outage10-direct",
        DIRECT,
        &[(0, Action::Cut), (10, Action::Heal)],
    ),
    event(
        "outage10-relayed",
        RELAYED,
        &[(0, Action::Cut), (10, Action::Heal)],
    ),
    event(
        "outage30-direct",
        DIRECT,
        &[(0, Action::Cut), (30, Action::Heal)],
    ),
    event(
        "outage30-relayed",
        RELAYED,
        &[(0, Action::Cut), (30, Action::Heal)],
    ),
    event(
        "outage45-direct",
        DIRECT,
        &[(0, Action::Cut), (45, Action::Heal)],
    ),
    event(
        "outage45-relayed",
        RELAYED,
        &[(0, Action::Cut), (45, Action::Heal)],
    ),
    event(
        "outage90-direct",
        DIRECT,
        &[(0, Action::Cut), (90, Action::Heal)],
    ),
    event(
        "outage90-relayed",
        RELAYED,
        &[(0, Action::Cut), (90, Action::Heal)],
    ),
    Event {
        watched: 75,
        ..event("idle30-long", [Router::Idle30, Router::PortRestricted], &[])
    },
];

impl Event {
    /// The one of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        EVENTS.iter().find(|event| event.name == name)
    }

    /// Whether this kind of client is expected to come back.
    #[must_use]
    pub fn comes_back(&self, client: Client) -> bool {
        !self.lost_to.contains(&client)
    }

    /// When the last action is done, in seconds.
    #[must_use]
    pub fn last_action(&self) -> u64 {
        self.actions.last().map_or(0, |(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_actions_in_order() {
        for (index, event) in EVENTS.iter().enumerate() {
            let first = EVENTS.iter().position(|other| other.name == event.name);
            assert_eq!(first, Some(index), "{}", event.name);
            assert!(
                event.actions.is_sorted_by_key(|(at, _)| *at),
                "{}",
                event.name
            );
        }
    }
}
