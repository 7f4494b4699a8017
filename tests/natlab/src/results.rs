//! Results of runs, their verdicts, and the tables made of them. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use crate::event::{EVENTS, Event};
use crate::expect::{Client, Deployment, Expected, Way};
use crate::probe::Found;
use crate::router::{Behaviour, Router};
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

    /// All tables, in Markdown.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut text = String::new();
        if !self.routers.is_empty() {
            write_routers(&mut text, &self.routers);
        }
        for client in Client::ALL {
            let runs = self.pairs.iter().filter(|run| run.client == client);
            let runs: Vec<_> = runs.collect();
            if !runs.is_empty() {
                write_pairs(&mut text, client, &runs);
            }
        }
        if !self.events.is_empty() {
            write_events(&mut text, &self.events);
        }
        text
    }
}

fn write_routers(text: &mut String, runs: &[RouterRun]) {
    text.push_str(
        "\n| router | mapping | filtering | port kept | datagrams lost | 1400 bytes pass | |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|\n");
    for run in runs {
        let name = run.router.name();
        let verdict = mark(run.verdict());
        let _ = match &run.found {
            Err(error) => writeln!(text, "| {name} | {error} | | | | | {verdict} |"),
            Ok(found) => writeln!(
                text,
                "| {name} | {} | {} | {} | {} | {} | {verdict} |",
                found.mapping.map_or("", word),
                found.filtering.map_or("", word),
                found.keeps_port.map_or("", yes),
                found
                    .lost_percent
                    .map_or(String::new(), |lost| format!("{lost} %")),
                found.passes_large.map_or("", yes),
            ),
        };
    }
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn word(behaviour: Behaviour) -> &'static str {
    match behaviour {
        Behaviour::EndpointIndependent => "endpoint-independent",
        Behaviour::AddressDependent => "address-dependent",
        Behaviour::AddressAndPortDependent => "address- and port-dependent",
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "",
        Verdict::Better => "better than expected",
        Verdict::Known => "as known",
        Verdict::Bad => "**not as expected**",
    }
}

fn write_pairs(text: &mut String, client: Client, runs: &[&PairRun]) {
    let what = match client {
        Client::Demo => "two `peer-demo`",
        Client::Page => "two pages",
    };
    let _ = writeln!(
        text,
        "\n| {what} | servers | verified | way | seconds | ends | |"
    );
    text.push_str("|---|---|---|---|---|---|---|\n");
    let mut told: Vec<([Router; 2], Deployment)> = Vec::new();
    for run in runs {
        let key = (run.routers, run.deployment);
        if told.contains(&key) {
            continue;
        }
        told.push(key);
        let same = runs
            .iter()
            .filter(|run| (run.routers, run.deployment) == key);
        let same: Vec<_> = same.collect();
        let good = same.iter().filter(|run| run.is_verified).count();
        let worst = same.iter().map(|run| run.verdict());
        let worst = worst.max_by_key(|verdict| *verdict == Verdict::Bad);
        let _ = writeln!(
            text,
            "| {} × {} | {} | {good}/{} | {} | {} | {} | {} |",
            run.routers[0].name(),
            run.routers[1].name(),
            run.deployment.name(),
            same.len(),
            words(
                same.iter()
                    .map(|run| run.way.map_or("-", Way::name).to_owned())
            ),
            listed(same.iter().map(|run| seconds(run.seconds))),
            words(same.iter().map(|run| run.note.clone())),
            worst.map_or("", mark),
        );
    }
}

fn write_events(text: &mut String, runs: &[EventRun]) {
    text.push_str("\n| event | servers | routers | client | back | silence of the first side | of the second | |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for event in EVENTS {
        for client in Client::ALL {
            let same = runs
                .iter()
                .filter(|run| run.event == event.name && run.client == client);
            let same: Vec<_> = same.collect();
            if same.is_empty() {
                continue;
            }
            let good = same.iter().filter(|run| run.is_back).count();
            let silences = |side: usize| listed(same.iter().map(|run| silence(run.silences[side])));
            let worst = same.iter().map(|run| run.verdict());
            let worst = worst.max_by_key(|verdict| *verdict == Verdict::Bad);
            let _ = writeln!(
                text,
                "| {} | {} | {} × {} | {} | {good}/{} | {} | {} | {} |",
                event.name,
                event.deployment.name(),
                event.routers[0].name(),
                event.routers[1].name(),
                match client {
                    Client::Demo => "`peer-demo`",
                    Client::Page => "page",
                },
                same.len(),
                silences(0),
                silences(1),
                worst.map_or("", mark),
            );
        }
    }
}

fn silence(silence: Silence) -> String {
    match silence.back {
        Some(_) => format!("{:.0}", silence.longest),
        None => "∞".to_owned(),
    }
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"))
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// Each word once.
fn words(words: impl Iterator<Item = String>) -> String {
    let mut once: Vec<String> = Vec::new();
    for word in words {
        if !once.contains(&word) {
            once.push(word);
        }
    }
    once.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(expected: Expected) -> PairRun {
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

    #[test]
    fn runs_of_a_pair_share_a_line() {
        let mut results = Results::default();
        for (seconds, is_verified) in [(Some(1.5), true), (None, false)] {
            results.pairs.push(PairRun {
                seconds,
                is_verified,
                way: Some(Way::Relay),
                ..pair(Expected::Call(Way::Relay))
            });
        }
        let tables = results.tables();
        assert!(tables.contains("| symmetric × symmetric | apart | 1/2 | relay | 1.5 - |"));
        assert!(tables.contains("**not as expected**"));
        assert_eq!(
            (results.count(Verdict::Good), results.count(Verdict::Bad)),
            (1, 1)
        );
    }

    #[test]
    fn a_silence_without_end_is_told_as_such() {
        let mut results = Results::default();
        let mut run = EventRun::new(Client::Page, &EVENTS[0]);
        run.silences[0] = Silence {
            longest: 7.6,
            back: Some(8.0),
        };
        run.silences[1] = Silence {
            longest: 90.0,
            back: None,
        };
        results.events.push(run);
        assert!(
            results
                .tables()
                .contains("| page | 0/1 | 8 | ∞ | **not as expected** |")
        );
    }
}
