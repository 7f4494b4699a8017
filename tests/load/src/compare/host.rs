//! Which cores are used, and what the system allows.

use std::fs::File;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A socket for each of as many allocations as there are ports, and some to spare.
const MOST_FILES: u64 = 70_000;
/// Who runs where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// The generator, both its sides.
    pub(crate) generator: usize,
    /// What is measured.
    pub(crate) server: usize,
}

impl Cores {
    /// The first two that this program may use.
    pub(crate) fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let generator = cores.next().context("no core")?;
        let server = cores.next().unwrap_or(generator);
        if server == generator {
            println!("one core for the server and the generator: figures mean nothing");
        }
        Ok(Self { generator, server })
    }
}

/// Servers open a socket for each allocation, and are not to fail by what they inherit.
pub(crate) fn allow_many_files() -> anyhow::Result<()> {
    let allowed = getrlimit(Resource::Nofile).maximum;
    // Root may have more than is allowed so far.
    [Some(MOST_FILES), allowed]
        .into_iter()
        .map(|limit| {
            let limit = Rlimit {
                current: limit,
                maximum: limit,
            };
            setrlimit(Resource::Nofile, limit)
        })
        .find(Result::is_ok)
        .context("raising the limit of open files")??;
    Ok(())
}

/// Sets the priority of this session among others.
pub(crate) fn prioritise(nice: i32) -> std::io::Result<()> {
    std::fs::write("/proc/self/autogroup", nice.to_string())
}

/// Keeps the calling thread, and what it starts, on one core.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).context("pinning to a core")
}

/// Waits until no other run uses the cores; the lock ends with the value.
pub(crate) fn wait_for_others() -> anyhow::Result<File> {
    let path = std::env::temp_dir().join("load-relay.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    if file.try_lock().is_err() {
        println!("another run is under way; waiting for its end");
        file.lock()?;
    }
    Ok(file)
}
