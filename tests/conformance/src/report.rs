//! What a run has shown: lines and a table for people, JSON for programs, Markdown to compare servers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::case::{Class, Stop};
use crate::cases::Group;
use crate::runner::Finished;

/// Passed, failed, not applicable.
#[derive(Debug, Default, Clone, Copy)]
struct Counts([usize; 3]);

impl Counts {
    fn add(&mut self, result: &str) {
        match result {
            "pass" => self.0[0] += 1,
            "fail" => self.0[1] += 1,
            _ => self.0[2] += 1,
        }
    }
}

fn name(finished: &Finished<'_>) -> &'static str {
    match finished.outcome {
        Ok(()) => "pass",
        Err(Stop::Fail { .. }) => "fail",
        Err(Stop::NotApplicable(_)) => "n.a.",
    }
}

/// The cases with their clauses.
pub(crate) fn list(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let _ = writeln!(text, "\n{}: {}", group.name, group.about);
        for case in &group.cases {
            let carriers: Vec<_> = case.carriers.iter().map(|c| c.name()).collect();
            let (id, carriers) = (&case.id, carriers.join(" "));
            let _ = writeln!(text, "  {id:<24} {} [{carriers}]", case.requirement);
            let (class, clause) = (case.class.name(), case.clause);
            let _ = writeln!(text, "  {:<24} {class}, {clause}: {}", "", case.reason);
        }
    }
    text
}

/// A line for each case, with what was expected and what came where it failed.
pub(crate) fn lines(results: &[Finished<'_>]) -> String {
    let mut text = String::new();
    for finished in results {
        let (entry, took) = (&finished.entry, finished.took.as_millis());
        let (result, id) = (name(finished), &entry.id);
        let requirement = &entry.case.requirement;
        let _ = writeln!(text, "{result:<4} {id:<24} {requirement} ({took} ms)");
        match &finished.outcome {
            Ok(()) => {}
            Err(Stop::Fail { expected, got }) => {
                let (clause, reason) = (entry.case.clause, entry.case.reason);
                let class = entry.case.class.name();
                let _ = writeln!(text, "       {class}, {clause}: {reason}");
                let _ = writeln!(text, "       expected {expected}");
                let _ = writeln!(text, "       got      {got}");
            }
            Err(Stop::NotApplicable(reason)) => {
                let _ = writeln!(text, "       {reason}");
            }
        }
        for note in &finished.notes {
            let _ = writeln!(text, "       note: {note}");
        }
    }
    text
}

/// Per group: how many passed, failed, did not apply.
pub(crate) fn table(groups: &[Group], results: &[Finished<'_>]) -> String {
    let mut text = format!(
        "{:<22}{:>8}{:>8}{:>8}\n",
        "group", "passed", "failed", "n.a."
    );
    let mut total = Counts::default();
    for group in groups {
        let mut counts = Counts::default();
        let own = results.iter().filter(|f| f.entry.group == group.name);
        own.for_each(|finished| {
            counts.add(name(finished));
            total.add(name(finished));
        });
        let Counts([passed, failed, rest]) = counts;
        let _ = writeln!(text, "{:<22}{passed:>8}{failed:>8}{rest:>8}", group.name);
    }
    let Counts([passed, failed, rest]) = total;
    let _ = writeln!(text, "{:<22}{passed:>8}{failed:>8}{rest:>8}", "all");
    text
}

pub(crate) fn has_failure(results: &[Finished<'_>]) -> bool {
    results.iter().any(|finished| name(finished) == "fail")
}

/// All results as one JSON array.
pub(crate) fn write_json(file: &Path, results: &[Finished<'_>]) -> anyhow::Result<()> {
    let all: Vec<Value> = results.iter().map(as_json).collect();
    let text = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(file, text).with_context(|| format!("--json {}", file.display()))
}

fn as_json(finished: &Finished<'_>) -> Value {
    let entry = &finished.entry;
    let (expected, got, reason) = match &finished.outcome {
        Ok(()) => (None, None, None),
        Err(Stop::Fail { expected, got }) => (Some(expected), Some(got), None),
        Err(Stop::NotApplicable(reason)) => (None, None, Some(reason)),
    };
    json!({
        "id": entry.id,
        "group": entry.group,
        "class": entry.case.class.name(),
        "clause": entry.case.clause,
        "requirement": entry.case.requirement,
        "result": name(finished),
        "expected": expected,
        "got": got,
        "reason": reason,
        "notes": finished.notes,
        "ms": finished.took.as_millis(),
    })
}

/// Markdown that compares servers: a table of counts by group, and what each fails.
pub(crate) fn compare(groups: &[Group], files: &[(String, PathBuf)]) -> anyhow::Result<String> {
    let mut servers = Vec::new();
    for (server, file) in files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        servers.push((server, serde_json::from_str::<Vec<Value>>(&text)?));
    }
    let mut text = String::from("| group | asked by |");
    servers
        .iter()
        .for_each(|(name, _)| text += &format!(" {name} |"));
    text += "\n|---|---|";
    servers.iter().for_each(|_| text += "---|");
    text += "\n";
    for group in groups {
        for class in Class::ALL {
            let row: Vec<_> = servers
                .iter()
                .map(|(_, results)| cell(results, group.name, class))
                .collect();
            if row.iter().any(|cell| cell != NO_CASE) {
                let (group, class, row) = (group.name, title(class), row.join(" | "));
                let _ = writeln!(text, "| {group} | {class} | {row} |");
            }
        }
    }
    for (server, results) in &servers {
        for class in Class::ALL {
            text += &failures(server, results, class);
        }
    }
    Ok(text)
}

const NO_CASE: &str = "";

fn title(class: Class) -> &'static str {
    match class {
        Class::Rfc => "RFC",
        Class::Hardening => "attacks",
    }
}

fn is(result: &Value, key: &str, value: &str) -> bool {
    result[key].as_str() == Some(value)
}

fn cell(results: &[Value], group: &str, class: Class) -> String {
    let mut counts = Counts::default();
    let own = results
        .iter()
        .filter(|result| is(result, "group", group) && is(result, "class", class.name()));
    own.for_each(|result| counts.add(result["result"].as_str().unwrap_or_default()));
    match counts.0 {
        [0, 0, 0] => NO_CASE.into(),
        [passed, 0, 0] => format!("{passed} passed"),
        [passed, 0, rest] => format!("{passed} passed, {rest} n.a."),
        [passed, failed, 0] => format!("{passed} passed, **{failed} failed**"),
        [passed, failed, rest] => format!("{passed} passed, **{failed} failed**, {rest} n.a."),
    }
}

/// The list of cases that a server fails. Cases that differ in a suffix alone (`D-01 10.0.0.0/8`) share a line.
fn failures(server: &str, results: &[Value], class: Class) -> String {
    let failed = results
        .iter()
        .filter(|result| is(result, "result", "fail") && is(result, "class", class.name()));
    let mut by_case: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for result in failed {
        let id = result["id"].as_str().unwrap_or_default();
        let main = id.split([' ', '/']).next().unwrap_or(id);
        by_case.entry(main).or_default().push(result);
    }
    let what = match class {
        Class::Rfc => "deviates from the RFC",
        Class::Hardening => "does not withstand",
    };
    if by_case.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{server} {what}:\n\n| case | requirement | got |\n|---|---|---|\n");
    for (main, results) in by_case {
        let ids = results.iter().filter_map(|result| result["id"].as_str());
        let suffixes: Vec<_> = ids
            .map(|id| id[main.len()..].trim_start_matches([' ', '/']))
            .filter(|suffix| !suffix.is_empty())
            .collect();
        let (first, suffixes) = (results[0], suffixes.join(", "));
        let id = format!("{main} {suffixes}");
        let requirement = first["requirement"].as_str().unwrap_or_default();
        let clause = first["clause"].as_str().unwrap_or_default();
        let got = first["got"]
            .as_str()
            .unwrap_or_default()
            .replace('|', "\\|");
        let _ = writeln!(text, "| {} | {requirement} ({clause}) | {got} |", id.trim());
    }
    text
}
