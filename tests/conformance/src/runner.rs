//! Runs cases side by side, each with source addresses of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng as _;

use crate::case::{Carrier, Case, Outcome, Stop};
use crate::cases::Group;
use crate::context::Context;
use crate::options::Options;

/// A case as it is run: over one carrier.
pub(crate) struct Entry<'a> {
    pub(crate) group: &'static str,
    pub(crate) case: &'a Case,
    pub(crate) carrier: Carrier,
    pub(crate) id: String,
}

/// How it went.
pub(crate) struct Finished<'a> {
    pub(crate) entry: Entry<'a>,
    pub(crate) outcome: Outcome,
    pub(crate) notes: Vec<String>,
    pub(crate) took: Duration,
}

/// All cases that pass the filter, in the order of the groups.
pub(crate) fn select<'a>(groups: &'a [Group], filter: &[String]) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    for group in groups {
        for case in &group.cases {
            for &carrier in case.carriers {
                let id = case.full_id(carrier);
                let texts = [id.as_str(), group.name, &case.requirement];
                let is_wanted = |part: &String| texts.iter().any(|text| text.contains(part));
                if filter.is_empty() || filter.iter().any(is_wanted) {
                    entries.push(Entry {
                        group: group.name,
                        case,
                        carrier,
                        id,
                    });
                }
            }
        }
    }
    entries
}

/// Runs them; the results are in the same order.
pub(crate) fn run<'a>(options: &Options, entries: Vec<Entry<'a>>) -> Vec<Finished<'a>> {
    // 0 is left to servers and peers: the low addresses of 127.0.0.0/8.
    let run = rand::rng().random_range(1..64);
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&at| !entries[at].case.is_slow);
    let slots: Vec<_> = entries.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let entry = &entries[at];
                    let number = u16::try_from(at).expect("ten bits are enough");
                    let context = Context::new(options, entry.carrier, number, run);
                    let start = Instant::now();
                    let outcome = run_one(entry, &context);
                    let result = (outcome, context.notes(), start.elapsed());
                    *slots[at].lock().expect("nobody panics with it") = Some(result);
                }
            });
        }
    });
    let results = slots.into_iter().zip(entries);
    let results = results.map(|(slot, entry)| {
        let result = slot.into_inner().expect("nobody panics with it");
        let (outcome, notes, took) = result.expect("each was run");
        Finished {
            entry,
            outcome,
            notes,
            took,
        }
    });
    results.collect()
}

fn run_one(entry: &Entry<'_>, context: &Context<'_>) -> Outcome {
    context.server()?;
    // One broken case must not take the results of all others with it.
    let run = AssertUnwindSafe(|| (entry.case.run)(context));
    catch_unwind(run).unwrap_or_else(|_| {
        Err(Stop::Fail {
            expected: "a case without a mistake of its own".into(),
            got: "a panic".into(),
        })
    })
}
