//! A limit on open files that changes while the relay runs.

use std::collections::BTreeSet;
use std::process::Command;

use crate::running::Program;

/// The limit of a program, until this is dropped.
pub(crate) struct Limit {
    process: u32,
    before: String,
}

impl Limit {
    /// Leaves the program no descriptor more than it has open.
    pub(crate) fn exhaust(program: &Program) -> Self {
        let process = program.child.id();
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let before = line.unwrap().split_whitespace().nth(3).unwrap().to_owned();
        let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
        let open = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let open: BTreeSet<u64> = open.collect();
        // The next descriptor is the lowest that is not open.
        let next = (0..).find(|number| !open.contains(number)).unwrap();
        set(process, &next.to_string());
        Self { process, before }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        set(self.process, &self.before);
    }
}

fn set(process: u32, soft: &str) {
    let limit = format!("--nofile={soft}:");
    let process = format!("--pid={process}");
    let status = Command::new("prlimit").args([process, limit]).status();
    assert!(status.unwrap().success());
}
