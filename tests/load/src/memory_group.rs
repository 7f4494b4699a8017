//! A memory cgroup for one process, of version 1 or 2: the kernel's memory for its sockets counts too.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where cgroups of version 2 are, where version 1 has a folder for each controller.
const ROOT: &str = "/sys/fs/cgroup";

/// Removed with this value, when the process is gone.
pub(crate) struct MemoryGroup {
    path: PathBuf,
    files: &'static Files,
    mebibytes: u64,
}

struct Files {
    limit: &'static str,
    peak: &'static str,
    /// Has a line `oom_kill N`.
    events: &'static str,
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
};
const VERSION_2: Files = Files {
    limit: "memory.max",
    peak: "memory.peak",
    events: "memory.events",
};

impl MemoryGroup {
    /// # Errors
    /// Without root, and where cgroups can't be written, as in most containers.
    pub(crate) fn new(mebibytes: u64) -> anyhow::Result<Self> {
        let root = Path::new(ROOT);
        let name = format!("callbox-load-{}", std::process::id());
        let (path, files) = if root.join("cgroup.controllers").exists() {
            std::fs::write(root.join("cgroup.subtree_control"), "+memory")
                .context("--memory-limit needs root, and cgroups that can be written")?;
            (root.join(name), &VERSION_2)
        } else {
            (root.join("memory").join(name), &VERSION_1)
        };
        std::fs::create_dir(&path).with_context(|| {
            let path = path.display();
            format!("--memory-limit needs root, and cgroups that can be written: {path}")
        })?;
        let group = Self {
            path,
            files,
            mebibytes,
        };
        let bytes = mebibytes * 1024 * 1024;
        std::fs::write(group.path.join(files.limit), bytes.to_string())?;
        Ok(group)
    }

    /// Puts a process into it; what it has used before does not count.
    pub(crate) fn take(&self, process: u32) -> anyhow::Result<()> {
        Ok(std::fs::write(
            self.path.join("cgroup.procs"),
            process.to_string(),
        )?)
    }

    /// The most that was used, as text.
    ///
    /// # Errors
    /// When the limit has killed the process.
    pub(crate) fn report(&self) -> anyhow::Result<String> {
        let read = |file| std::fs::read_to_string(self.path.join(file));
        let events = read(self.files.events)?;
        let mut kills = events
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "));
        let kills = kills.next().context("no oom_kill")?;
        let limit = self.mebibytes;
        anyhow::ensure!(kills == "0", "killed {kills} times for want of {limit} MiB");
        let peak: u64 = read(self.files.peak)?.trim().parse()?;
        Ok(format!(
            "at most {:.1} of {limit} MiB",
            peak as f64 / f64::from(1 << 20)
        ))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.path) {
            eprintln!("{} stays: {error}", self.path.display());
        }
    }
}
