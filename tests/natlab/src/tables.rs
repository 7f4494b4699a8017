//! Tables of results, in Markdown. Pure.

use std::fmt::Write as _;

use crate::event::EVENTS;
use crate::expect::{Client, Deployment, Expected, Way};
use crate::results::{EventRun, PairRun, Results, RouterRun, Verdict};
use crate::router::{Behaviour, Router};
use crate::silence::Silence;

impl Results {
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
            words(same.iter().map(|run| ends(run))),
            worst.map_or("", mark),
        );
    }
}

/// Both ends of the way, or why there is none.
fn ends(run: &PairRun) -> String {
    match (run.verdict(), run.expected) {
        (Verdict::Known, Expected::Missing(reason)) => reason.to_owned(),
        _ => run.note.clone(),
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
    use crate::results::tests::pair;

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
