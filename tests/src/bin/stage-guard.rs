//! Ends what is left of a test when the test is gone: see `tests::guard`.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let scratch = std::env::args_os().nth(1).map(PathBuf::from);
    tests::guard::watch(&scratch.context("usage: stage-guard FOLDER")?)
}
