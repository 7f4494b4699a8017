//! The limit of open files: each allocation and each connection is one, and most systems start
//! programs with a limit of 1024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit in force, `None` for no limit.
#[must_use]
pub fn in_force() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit to what the system allows this process; returns the limit in force, `None` for
/// no limit.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}
