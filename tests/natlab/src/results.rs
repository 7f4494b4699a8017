//! Results of runs, and their verdicts. Pure.

use serde::Serialize;

use crate::event::Event;
use crate::expect::{Client, Deployment, Expected, Way};
use crate::probe::Found;
use crate::router::Router;
use crate::silence::Silence;

/// What a result is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As expected.
    Good,
    /// Expected to be missing, and there: the expectation can be raised.
    Better,
    /// Expected to be missing, and missing.
    Known,
    /// Not as expected.
    Bad,
}

/// A call between two routers.
#[derive(Debug, Clone, Serialize)]
pub struct PairRun {
    /// Who called whom.
    pub client: Client,
    /// How the servers are set up.
    pub deployment: Deployment,
    /// Behind which routers.
    pub routers: [Router; 2],
    /// What must come of it.
    pub expected: Expected,
    /// Everything was verified at both sides.
    pub is_verified: bool,
    /// Seconds until media could flow, at the side that waited longer.
    pub seconds: Option<f64>,
    /// The way.
    pub way: Option<Way>,
    /// Both ends of the way, or what went wrong.
    pub note: String,
}

impl PairRun {
    /// One of which nothing is known yet.
    #[must_use]
    pub fn new(
        client: Client,
        deployment: Deployment,
        routers: [Router; 2],
        expected: Expected,
    ) -> Self {
        Self {
            client,
            deployment,
            routers,
            expected,
            is_verified: false,
            seconds: None,
            way: None,
            note: String::new(),
        }
    }

    /// What it is worth.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let is_good = match self.expected {
            Expected::Call(way) => self.is_verified && self.way == Some(way),
            Expected::AnyWay => self.is_verified,
            Expected::Missing(_) if self.is_verified => return Verdict::Better,
            Expected::Missing(_) => return Verdict::Known,
        };
        if is_good { Verdict::Good } else { Verdict::Bad }
    }
}

/// A call in which something happened.
#[derive(Debug, Clone, Serialize)]
pub struct EventRun {
    /// Who called whom.
    pub client: Client,
    /// What happened.
    pub event: &'static str,
    /// How long each side heard nothing; the first is the one to which it happened.
    pub silences: [Silence; 2],
    /// Whether media flowed at both sides at the end.
    pub is_back: bool,
    /// Whether that is expected.
    pub is_expected_back: bool,
    /// What both said at the end, or what went wrong.
    pub note: String,
}

impl EventRun {
    /// One of which nothing is known yet.
    #[must_use]
    pub fn new(client: Client, event: &Event) -> Self {
        Self {
            client,
            event: event.name,
            silences: [Silence::default(); 2],
            is_back: false,
            is_expected_back: event.comes_back(client),
            note: String::new(),
        }
    }

    /// What it is worth.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.is_back, self.is_expected_back) {
            (true, true) => Verdict::Good,
            (true, false) => Verdict::Better,
            (false, false) => Verdict::Known,
            (false, true) => Verdict::Bad,
        }
    }
}

/// What a router really does, and whether that is what it is named for.
#[derive(Debug, Clone, Serialize)]
pub struct RouterRun {
    /// Which one.
    pub router: Router,
    /// What was found, or why nothing was.
    pub found: Result<Found, String>,
}

impl RouterRun {
    /// What it is worth.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Ok(found) = &self.found else {
            return Verdict::Bad;
        };
        let behaviour = found.mapping.zip(found.filtering);
        let loses = self.router.loss_percent();
        let is_right = behaviour == self.router.behaviour()
            && (found.lost_percent.unwrap_or(0) > 0) == (loses > 0)
            && found.passes_large.unwrap_or(true) == (self.router != Router::Mtu1280Black);
        if is_right {
            Verdict::Good
        } else {
            Verdict::Bad
        }
    }
}

/// Everything that was run.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// Routers.
    pub routers: Vec<RouterRun>,
    /// Pairs.
    pub pairs: Vec<PairRun>,
    /// Events.
    pub events: Vec<EventRun>,
}

impl Results {
    /// How many results are of a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let routers = self.routers.iter().map(RouterRun::verdict);
        let pairs = self.pairs.iter().map(PairRun::verdict);
        let events = self.events.iter().map(EventRun::verdict);
        let all = routers.chain(pairs).chain(events);
        all.filter(|one| *one == verdict).count()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A call of two headless peers that has not begun.
    pub(crate) fn pair(expected: Expected) -> PairRun {
        let routers = [Router::Symmetric; 2];
        PairRun::new(Client::Demo, Deployment::APART, routers, expected)
    }

    #[test]
    fn what_works_against_expectation_is_better() {
        let mut run = pair(Expected::Missing("a reason"));
        assert_eq!(run.verdict(), Verdict::Known);
        run.is_verified = true;
        assert_eq!(run.verdict(), Verdict::Better);
    }

    #[test]
    fn another_way_is_not_as_expected() {
        let mut run = pair(Expected::Call(Way::Relay));
        run.is_verified = true;
        run.way = Some(Way::Direct);
        assert_eq!(run.verdict(), Verdict::Bad);
        run.way = Some(Way::Relay);
        assert_eq!(run.verdict(), Verdict::Good);
    }
}
