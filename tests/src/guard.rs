//! Nothing survives a test: neither one that fails or is killed, nor a browser whose driver was killed before it.
//!
//! A browser is its driver's child, in a process group of its own: who ends the driver, or the group of a test that
//! takes too long, leaves it running. So each process of a stage carries a mark in its environment, which its own
//! children inherit, and a guard ends all who carry it as soon as the test is gone. The guard is a process in a
//! group of its own (`src/bin/stage-guard.rs`), which holds the reading end of a pipe: however the test ends, the pipe
//! is closed.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::programs::program;

/// Environment variable with the mark: the stage's scratch folder.
const MARK: &str = "CALLBOX_STAGE";
/// Looks for survivors before they are given up: somebody may start others while being looked for.
const ROUNDS: usize = 100;
/// Between two looks, so that the killed can end.
const ROUND: Duration = Duration::from_millis(20);

/// A stage's scratch folder, and the process that ends and removes what is left when this is dropped, or when the test
/// is killed.
#[derive(Debug)]
pub struct Guard {
    scratch: PathBuf,
    child: Child,
    // An option only so that it can be closed before the child is waited for.
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Makes a scratch folder and starts its guard, which writes whom it had to kill to `log`.
    ///
    /// # Errors
    /// When the folder can't be made or the guard not be started.
    pub fn start(log: &Path) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("stage").tempdir()?;
        let mut child = Command::new(program("stage-guard")?)
            .arg(scratch.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(File::create(log).context("making the log")?)
            .stderr(Stdio::null())
            .spawn()
            .context("starting the guard")?;
        Ok(Self {
            // From now on the guard removes it.
            scratch: scratch.keep(),
            pipe: child.stdin.take(),
            child,
        })
    }

    /// Where a test and its programs keep what nobody needs afterwards.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Has a program, and whatever it starts, end with the test, and its temporary files with it.
    pub fn mark(&self, command: &mut Command) {
        command
            .env(MARK, &self.scratch)
            .env("TMPDIR", &self.scratch);
    }

    /// Who carries the mark now.
    #[must_use]
    pub fn marked(&self) -> Vec<u32> {
        marked(&self.scratch)
            .map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
            .collect()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

/// What the guard does: waits until the test is gone, kills who is left of it, and removes the scratch folder.
///
/// # Errors
/// When somebody does not die, or the folder can't be removed.
pub fn watch(scratch: &Path) -> anyhow::Result<()> {
    io::copy(&mut io::stdin(), &mut io::sink())?;
    for _ in 0..ROUNDS {
        let killed = marked(scratch).filter(|pid| kill(*pid, scratch)).count();
        if killed == 0 {
            fs::remove_dir_all(scratch)?;
            return Ok(());
        }
        std::thread::sleep(ROUND);
    }
    anyhow::bail!("processes of {} do not die", scratch.display())
}

fn marked(scratch: &Path) -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(Pid::from_raw)
        .filter(move |pid| carries_mark(*pid, scratch))
}

fn carries_mark(pid: Pid, scratch: &Path) -> bool {
    let mark = format!("{MARK}={}", scratch.display());
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == mark.as_bytes())
}

/// Whether it was there to be killed.
fn kill(pid: Pid, scratch: &Path) -> bool {
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    // Looked at again now that its number can't become somebody else's.
    if !carries_mark(pid, scratch) {
        return false;
    }
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = command.split(|byte| *byte == 0).take(4);
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    println!("killed: {pid} {}", words.join(" "));
    rustix::process::pidfd_send_signal(process, Signal::KILL).is_ok()
}
