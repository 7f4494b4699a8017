//! Nothing survives a test, also where everything else goes wrong.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use tests::guard::Guard;
use tests::poll::{self, Look};
use tests::stage;

/// Starts two processes, each in a process group of its own, whose parent then ends.
fn orphans() -> Command {
    let mut command = Command::new("setsid");
    command.args(["--fork", "setsid", "sh", "-c", "sleep 600 & exec sleep 600"]);
    command
}

#[test]
fn what_a_killed_test_has_started_is_killed_and_its_files_are_removed() -> anyhow::Result<()> {
    let log = tempfile::NamedTempFile::new()?;
    let guard = Guard::start(log.path())?;
    let scratch = guard.scratch().to_owned();
    std::fs::write(scratch.join("profile"), "kept by nobody")?;
    let mut command = orphans();
    guard.mark(&mut command);
    command.process_group(0).status()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(poll::until("both processes", async || {
        let marked = guard.marked();
        Ok(if marked.len() == 2 {
            Look::There(())
        } else {
            Look::NotYet(format!("{marked:?}"))
        })
    }))?;
    // As the end of this process would: it closes the pipe.
    drop(guard);
    assert!(!scratch.exists());
    let told = std::fs::read_to_string(log.path())?;
    // One that takes its time to die is killed again.
    let killed: BTreeSet<_> = told
        .lines()
        .filter(|it| it.starts_with("killed: "))
        .collect();
    assert_eq!(killed.len(), 2, "{told}");
    Ok(())
}

#[test]
fn a_stage_ends_what_its_programs_leave_behind() {
    stage::run(async |stage| {
        let left = stage.process("orphans", &mut orphans())?;
        assert!(left.exit().await?.success());
        // A process that is about to become another program has no environment for a moment.
        poll::until("an orphan", async || {
            Ok(match stage.guard().marked().is_empty() {
                true => Look::NotYet("nobody".into()),
                false => Look::There(()),
            })
        })
        .await
    });
}
