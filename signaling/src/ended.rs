//! Sessions that have ended for good, kept in `--state-dir` so that their tickets are worth nothing
//! after a restart.
//!
//! The file is replaced as a whole, at most once a second and at once after a quiet time.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use signaling_proto::hub::{Ended, limits};
use signaling_proto::id::PeerId;
use signaling_proto::message::server::LeftReason;
use tokio::sync::{Notify, watch};

use crate::state_dir;

/// The file in `--state-dir`.
const FILE: &str = "ended-sessions";
/// Its first line.
const HEADER: &str = "callbox ended sessions 1";
/// Of a file that is read, in bytes: more than twice [`limits::ENDED_SESSIONS`] lines have.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// How long the file is left alone after it was written.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be kept; the hub adds, a task writes.
#[derive(Clone, Default)]
pub(crate) struct EndedSessions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    list: Mutex<List>,
    changed: Notify,
}

/// In the order in which they ended.
#[derive(Default)]
struct List {
    byes: VecDeque<Ended>,
    /// Kicks and lock-outs. They have places apart: clients make byes at will.
    put_out: VecDeque<Ended>,
    /// Whether the file says something else.
    is_dirty: bool,
}

impl List {
    fn push(&mut self, ended: Ended) {
        let kind = match ended.reason {
            LeftReason::Bye => &mut self.byes,
            _ => &mut self.put_out,
        };
        kind.push_back(ended);
        if kind.len() > limits::ENDED_SESSIONS {
            kind.pop_front();
        }
    }
}

impl EndedSessions {
    /// One more.
    pub(crate) fn add(&self, ended: Ended) {
        let mut list = self.list();
        list.push(ended);
        list.is_dirty = true;
        drop(list);
        self.0.changed.notify_one();
    }

    /// Reads what an earlier process has left. What can't be read is told and costs no more than itself.
    pub(crate) fn load(&self, dir: &Path) -> Vec<Ended> {
        let told = dir.join(FILE);
        let text = match state_dir::read(dir, FILE, MOST_BYTES) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(file = %told.display(), error = %format!("{error:#}"),
                    "not read: tickets of sessions that ended before the restart are good until they expire");
                return Vec::new();
            }
        };
        let (sessions, broken) = parse(&String::from_utf8_lossy(&text), now());
        if broken > 0 {
            tracing::warn!(file = %told.display(), broken,
                "lines that can't be read: tickets of those sessions are good until they expire");
        }
        let mut list = self.list();
        sessions.iter().cloned().for_each(|ended| list.push(ended));
        drop(list);
        sessions
    }

    fn list(&self) -> std::sync::MutexGuard<'_, List> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file has to say, if that is news.
    fn take_text(&self) -> Option<String> {
        let mut list = self.list();
        let now = now();
        list.byes.retain(|ended| ended.until > now);
        list.put_out.retain(|ended| ended.until > now);
        if !std::mem::take(&mut list.is_dirty) {
            return None;
        }
        // The hub waits for this lock: the text is made outside of it.
        let (byes, put_out) = (list.byes.clone(), list.put_out.clone());
        drop(list);
        Some(text(byes.iter().chain(&put_out)))
    }

    fn keep_trying(&self) {
        self.list().is_dirty = true;
        self.0.changed.notify_one();
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// Writes what is added until `stopping`, and then once more.
pub(crate) async fn keep(ended: EndedSessions, dir: PathBuf, mut stopping: watch::Receiver<bool>) {
    let mut fails = false;
    loop {
        let stops = tokio::select! {
            () = ended.0.changed.notified() => false,
            _ = stopping.wait_for(|stops| *stops) => true,
        };
        if let Some(text) = ended.take_text() {
            let folder = dir.clone();
            let write = move || state_dir::write(&folder, FILE, text.as_bytes());
            let written = tokio::task::spawn_blocking(write).await;
            let written = written.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
            note(&dir, &written, &mut fails);
            if written.is_err() {
                ended.keep_trying();
            }
        }
        if stops {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopping.wait_for(|stops| *stops) => {}
        }
    }
}

/// Tells that the file can't be written, once, and that it can again.
fn note(dir: &Path, written: &std::io::Result<()>, fails: &mut bool) {
    let file = dir.join(FILE);
    match written {
        Err(error) if !*fails => tracing::error!(file = %file.display(), %error,
            "not written (is the disk full or read-only?): after a restart, tickets of sessions that have ended are good until they expire"),
        Ok(()) if *fails => tracing::info!(file = %file.display(), "written again"),
        _ => {}
    }
    *fails = written.is_err();
}

fn text<'a>(sessions: impl Iterator<Item = &'a Ended>) -> String {
    let mut text = String::from(HEADER);
    text.push('\n');
    for Ended {
        peer,
        reason,
        until,
    } in sessions
    {
        let reason = match reason {
            LeftReason::Bye => "bye",
            LeftReason::Kicked => "kicked",
            LeftReason::Timeout | LeftReason::Replaced => "timeout",
        };
        writeln!(text, "{until} {reason} {peer}").expect("a string takes everything");
    }
    text
}

/// What a file says of sessions whose tickets have not expired at `now`, and how many of its lines can't
/// be read.
fn parse(text: &str, now: u64) -> (Vec<Ended>, usize) {
    let mut lines = text.lines();
    let mut broken = usize::from(lines.next().is_some_and(|first| first != HEADER));
    let mut seen = HashSet::new();
    let mut sessions = Vec::new();
    for line in lines {
        match line_of(line) {
            Some(ended) if ended.until > now && seen.insert(ended.peer.clone()) => {
                sessions.push(ended);
            }
            Some(_) => {}
            None => broken += 1,
        }
    }
    sessions.sort_by_key(|ended| ended.until);
    (sessions, broken)
}

fn line_of(line: &str) -> Option<Ended> {
    let mut words = line.split(' ');
    let until = words.next()?.parse().ok()?;
    let reason = match words.next()? {
        "bye" => LeftReason::Bye,
        "kicked" => LeftReason::Kicked,
        "timeout" => LeftReason::Timeout,
        _ => return None,
    };
    let peer = PeerId::new(words.next()?);
    let is_whole = words.next().is_none() && peer.is_plausible() && !peer.as_str().is_empty();
    is_whole.then_some(Ended {
        peer,
        reason,
        until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(number: u64, until: u64) -> Ended {
        Ended {
            peer: PeerId::new(&format!("{number:032x}")),
            reason: [LeftReason::Bye, LeftReason::Kicked][usize::from(number.is_multiple_of(2))],
            until,
        }
    }

    #[test]
    fn what_was_written_is_read_until_it_is_over() {
        let all = [ended(1, 100), ended(2, 101), ended(3, 102)];
        let text = text(all.iter());
        assert_eq!(parse(&text, 0), (all.to_vec(), 0));
        assert_eq!(parse(&text, 101), (all[2..].to_vec(), 0));
        assert_eq!(parse("", 0), (Vec::new(), 0));
    }

    #[test]
    fn a_broken_file_costs_its_broken_lines_alone() {
        let good = ended(1, 100);
        let whole = text([good.clone()].iter());
        let half = format!("{whole}101 kicked 2\n\n102 sang 3\nx bye 4\n103 bye 5 6\n104 by");
        let (sessions, broken) = parse(&half, 0);
        assert_eq!(sessions[0], good);
        assert_eq!((sessions.len(), broken), (2, 5));
        assert_eq!(parse("\u{fffd}\u{0}", 0), (Vec::new(), 1));
    }

    #[test]
    fn the_list_is_bounded_and_byes_push_out_no_kick() {
        let list = EndedSessions::default();
        let kick = ended(0, u64::MAX);
        list.add(kick.clone());
        for number in 0..=limits::ENDED_SESSIONS as u64 {
            list.add(ended(2 * number + 1, u64::MAX));
        }
        let text = list.take_text().unwrap();
        assert!((text.len() as u64) < MOST_BYTES, "{}", text.len());
        let (sessions, _) = parse(&text, 0);
        assert_eq!(sessions.len(), limits::ENDED_SESSIONS + 1);
        assert_eq!(
            sessions[0],
            ended(3, u64::MAX),
            "the oldest bye is forgotten"
        );
        assert_eq!(sessions.last(), Some(&kick));
        assert_eq!(list.take_text(), None, "no news");
    }

    #[tokio::test]
    async fn a_folder_that_can_not_be_written_to_is_told_once_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        // A file where the folder should be: no write works, whoever this process runs as.
        std::fs::write(&state, "").unwrap();
        let list = EndedSessions::default();
        list.add(ended(1, u64::MAX));
        let (stop, stopping) = watch::channel(true);
        keep(list.clone(), state.clone(), stopping.clone()).await;
        std::fs::remove_file(&state).unwrap();
        keep(list, state.clone(), stopping).await;
        drop(stop);
        let read = EndedSessions::default().load(&state);
        assert_eq!(read, [ended(1, u64::MAX)]);
    }
}
