//! Entry point of the lab: which runs, their tables on standard output, and their JSON in a file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use natlab::event::{EVENTS, Event};
use natlab::expect::{Client, Deployment};
use natlab::results::{PairRun, Results, RouterRun, Verdict};
use natlab::router::Router;
use natlab::{lab, run};

/// Pairs with special routers: each against one that lets holes be punched and one that does not.
const AGAINST: [Router; 2] = [Router::PortRestricted, Router::Symmetric];

/// Makes networks with NAT routers and calls through them. Needs root, `ip` and `nft`; programs must be built
/// (`cargo build --workspace --bins`). Without options everything is run.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Kind of client; repeatable [default: both]
    #[arg(long, value_name = "CLIENT")]
    client: Vec<Client>,
    /// Ask each router what it does
    #[arg(long)]
    routers: bool,
    /// Call between all pairs of routers
    #[arg(long)]
    pairs: bool,
    /// Call between two routers; repeatable
    #[arg(long, value_name = "ROUTER,ROUTER", value_parser = two_routers)]
    pair: Vec<[Router; 2]>,
    /// Have all events happen
    #[arg(long)]
    events: bool,
    /// Have an event happen; repeatable
    #[arg(long, value_name = "EVENT", value_parser = known_event)]
    event: Vec<&'static Event>,
    /// Calls with everything in one process instead of a relay apart
    #[arg(long)]
    one_process: bool,
    /// Runs of each pair and event
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs: usize,
    /// File for the results
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn two_routers(text: &str) -> Result<[Router; 2], String> {
    let (a, b) = text
        .split_once(',')
        .ok_or("two routers with a comma between them")?;
    let router = |name| <Router as clap::ValueEnum>::from_str(name, false);
    Ok([router(a)?, router(b)?])
}

fn known_event(name: &str) -> Result<&'static Event, String> {
    let names = || EVENTS.iter().map(|event| event.name).collect::<Vec<_>>();
    Event::named(name).ok_or_else(|| format!("there are {}", names().join(", ")))
}

impl Options {
    fn names_nothing(&self) -> bool {
        !self.routers
            && !self.pairs
            && !self.events
            && self.pair.is_empty()
            && self.event.is_empty()
    }

    fn clients(&self) -> Vec<Client> {
        match self.client.is_empty() {
            true => Client::ALL.to_vec(),
            false => self.client.clone(),
        }
    }

    fn chosen_pairs(&self) -> Vec<[Router; 2]> {
        let mut pairs = self.pair.clone();
        if self.pairs || self.names_nothing() {
            pairs.extend(all_pairs());
        }
        pairs
    }

    fn chosen_events(&self) -> Vec<&'static Event> {
        let mut events = self.event.clone();
        if self.events || self.names_nothing() {
            events.extend(EVENTS);
        }
        events
    }
}

fn all_pairs() -> Vec<[Router; 2]> {
    let mut pairs = Vec::new();
    for (index, a) in Router::CORE.into_iter().enumerate() {
        pairs.extend(Router::CORE[index..].iter().map(|b| [a, *b]));
    }
    let special = Router::ALL
        .into_iter()
        .filter(|router| !Router::CORE.contains(router));
    for router in special {
        pairs.extend(AGAINST.map(|other| [router, other]));
    }
    pairs.push([Router::Dual, Router::V6Only]);
    pairs
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !lab::can_be_made() {
        eprintln!(
            "natlab needs root in a container that lets it make networks, and `ip` and `nft` (iproute2, nftables)"
        );
        return ExitCode::from(2);
    }
    let results = everything(&options);
    println!("{}", results.tables());
    let [good, better, known, bad] = [Verdict::Good, Verdict::Better, Verdict::Known, Verdict::Bad]
        .map(|verdict| results.count(verdict));
    println!("{good} as expected, {better} better, {known} as known, {bad} not as expected");
    if let Some(file) = &options.json
        && let Err(error) = write(file, &results)
    {
        eprintln!("{}: {error:#}", file.display());
        return ExitCode::from(2);
    }
    if bad > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn write(file: &std::path::Path, results: &Results) -> anyhow::Result<()> {
    Ok(std::fs::write(
        file,
        serde_json::to_string_pretty(results)?,
    )?)
}

fn everything(options: &Options) -> Results {
    let mut results = Results::default();
    if options.routers || options.names_nothing() {
        for router in Router::ALL {
            let found = run::router(router).map_err(|error| format!("{error:#}"));
            results.routers.push(RouterRun { router, found });
            eprintln!("{:?}", results.routers.last());
        }
    }
    let deployment = match options.one_process {
        true => Deployment::ONE_PROCESS,
        false => Deployment::APART,
    };
    for client in options.clients() {
        for pair in options.chosen_pairs() {
            for _ in 0..options.runs {
                let run: PairRun = run::pair(client, deployment, pair);
                eprintln!("{:?} {run:?}", run.verdict());
                results.pairs.push(run);
            }
        }
        for event in options.chosen_events() {
            for _ in 0..options.runs {
                let run = run::event(client, event);
                eprintln!("{:?} {run:?}", run.verdict());
                results.events.push(run);
            }
        }
    }
    results
}
