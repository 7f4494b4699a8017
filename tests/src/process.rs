//! A child process whose output is kept and which never outlives its test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::poll::{self, Look};

/// How long a process may take to end after SIGTERM before it is killed.
const GRACE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// A running program. Dropping it ends it: SIGTERM first, SIGKILL if it does not listen.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Mutex<Child>,
    pid: Pid,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`; its output goes to `NAME.out` and `NAME.log` in `folder`.
    ///
    /// # Errors
    /// When the program can't be run or the files can't be written.
    pub fn start(folder: &Path, name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let stdout = folder.join(format!("{name}.out"));
        let stderr = folder.join(format!("{name}.log"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).context("making the log")?)
            .stderr(File::create(&stderr).context("making the log")?)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self {
            name: name.to_owned(),
            child: Mutex::new(child),
            pid: pid.context("a process id that is none")?,
            stdout,
            stderr,
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What it has written to standard output so far.
    ///
    /// # Errors
    /// When the file is gone or not text.
    pub fn stdout(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.stdout).with_context(|| format!("the output of {}", self.name))
    }

    /// What it has written to standard error so far.
    ///
    /// # Errors
    /// When the file is gone or not text.
    pub fn stderr(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.stderr).with_context(|| format!("the log of {}", self.name))
    }

    /// Waits for a whole line on standard output in which `find` finds something.
    ///
    /// # Errors
    /// When the process ends without it, or time is up.
    pub async fn line<T>(&self, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let what = format!("line of {} that says that it is ready", self.name);
        poll::until(&what, async || {
            let ended = self.try_exit()?;
            let text = self.stdout()?;
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            match (whole.lines().find_map(&find), ended) {
                (Some(found), _) => Ok(Look::There(found)),
                (None, Some(status)) => {
                    bail!("{} ended with {status}: {}", self.name, self.stderr()?)
                }
                (None, None) => Ok(Look::NotYet(format!("{text:?}"))),
            }
        })
        .await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When time is up.
    pub async fn exit(&self) -> anyhow::Result<ExitStatus> {
        poll::until(&format!("end of {}", self.name), async || {
            Ok(self
                .try_exit()?
                .map_or_else(|| Look::NotYet("it runs".into()), Look::There))
        })
        .await
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        if let Some(status) = self.try_exit()? {
            bail!("{} has ended with {status}", self.name);
        }
        Ok(rustix::process::kill_process(self.pid, signal)?)
    }

    fn try_exit(&self) -> anyhow::Result<Option<ExitStatus>> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(child.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Not reaped yet, so the id is still this process's.
        let _ = rustix::process::kill_process(self.pid, Signal::TERM);
        if !ends_in_time(self.pid) {
            eprintln!("{} does not end on SIGTERM: killed", self.name);
            let _ = child.kill();
        }
        let _ = child.wait();
    }
}

fn ends_in_time(pid: Pid) -> bool {
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    let mut ends = [PollFd::new(&process, PollFlags::IN)];
    matches!(rustix::event::poll(&mut ends, Some(&GRACE)), Ok(1..))
}
