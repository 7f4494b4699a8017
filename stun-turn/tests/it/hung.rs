//! A thread of another process that hangs, as a debugger holds it: no hook in the program is needed.
//! `signaling` has its tests with it too.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use patience::patience;

/// Held until this is dropped, by the thread that began it.
pub(crate) struct Hung(Pid);

impl Hung {
    /// Holds the thread of this name of a child process.
    pub(crate) fn thread(process: u32, name: &str) -> Self {
        let is_named = |thread: &PathBuf| {
            let found = fs::read_to_string(thread.join("comm"));
            found.is_ok_and(|found| found.trim() == name)
        };
        // A thread gives itself its name, perhaps when the program is ready already.
        let since = Instant::now();
        let thread = loop {
            let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
            let mut threads = threads.map(|thread| thread.unwrap().path());
            if let Some(thread) = threads.find(is_named) {
                break thread;
            }
            assert!(since.elapsed() < patience(), "no thread {name}");
            std::thread::yield_now();
        };
        let id = thread.file_name().unwrap().to_str().unwrap();
        let id = Pid::from_raw(id.parse().unwrap());
        ptrace::seize(id, Options::empty()).expect("a parent may hold threads of its child");
        let hung = Self(id);
        ptrace::interrupt(id).unwrap();
        // Only now it stands.
        waitpid(id, Some(WaitPidFlag::__WALL)).unwrap();
        hung
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // The process may have ended meanwhile.
        let _ = ptrace::detach(self.0, None);
    }
}
