//! A limit on open files that changes while the relay runs.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Method;

use crate::client::{Client, patience};
use crate::running::Program;

const UDP: (u16, &[u8]) = (kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
const GONE: (u16, &[u8]) = (kind::LIFETIME, &[0; 4]);

/// The limit of a program, until this is dropped.
pub(crate) struct Limit {
    process: u32,
    before: String,
}

impl Limit {
    /// Leaves the program no descriptor until a client is refused for that.
    pub(crate) fn until_refused(program: &Program, mut client: impl FnMut() -> Client) -> Self {
        let deadline = Instant::now() + patience();
        loop {
            // The program may give back one that it had for a moment.
            let limit = Self::exhaust(program.child.id());
            let mut client = client();
            match client.code(Method::Allocate, &[UDP]) {
                508 => return limit,
                code => assert_eq!(code, 0),
            }
            assert_eq!(client.code(Method::Refresh, &[GONE]), 0);
            assert!(Instant::now() < deadline, "nobody was refused");
        }
    }

    /// Leaves a process no descriptor more than it has open.
    pub(crate) fn exhaust(process: u32) -> Self {
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
