//! Black-box conformance suite for TURN servers.
//!
//! Talks raw UDP, TCP and TLS to any server, with a codec of its own: it shares no code with the server of this
//! repository. One file under `cases` for each group, one function for each case; [`case::Case`] says what a case is.
#![forbid(unsafe_code)]

mod case;
mod cases;
mod client;
mod codec;
mod context;
mod credential;
mod link;
mod options;
mod peer;
mod report;
mod runner;
mod tls;

use std::process::ExitCode;

use clap::Parser as _;

use crate::options::Options;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let groups = cases::groups();
    if options.list {
        print!("{}", report::list(&groups));
        return Ok(ExitCode::SUCCESS);
    }
    if !options.compare.is_empty() {
        print!("{}", report::compare(&groups, &options.compare)?);
        return Ok(ExitCode::SUCCESS);
    }
    let entries = runner::select(&groups, &options.filter);
    anyhow::ensure!(!entries.is_empty(), "--filter leaves no case");
    let results = runner::run(options, entries);
    println!("{}", report::lines(&results));
    print!("{}", report::table(&groups, &results));
    if let Some(file) = &options.json {
        report::write_json(file, &results)?;
    }
    Ok(if report::has_failure(&results) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
