//! Where a test plays: its folder, its processes, its browsers, and the end of all of them.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use patience::scaled;

use crate::browser::{Browser, Kind};
use crate::guard::Guard;
use crate::network::Place;
use crate::process::Process;

/// Limit of one test on a calm machine.
const LIMIT: Duration = Duration::from_secs(300);
/// How long a browser may take to tell what helps to understand a failure: one that hangs tells nothing.
const EVIDENCE_LIMIT: Duration = Duration::from_secs(20);

/// A test's own place.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    browsers: Mutex<Vec<Arc<Browser>>>,
    // Dropped last: it ends whoever is left.
    guard: Guard,
}

/// Runs a test. When it fails, each browser's screenshot and console are kept and their place is printed.
///
/// # Panics
/// When the test fails.
pub fn run(test: impl AsyncFnOnce(&Stage) -> anyhow::Result<()>) {
    run_for(LIMIT, test);
}

/// Runs a test that may take this long on a calm machine.
///
/// # Panics
/// When the test fails.
pub fn run_for(limit: Duration, test: impl AsyncFnOnce(&Stage) -> anyhow::Result<()>) {
    let limit = scaled(limit);
    let stage = Stage::new().expect("a folder for the logs");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async {
        let test = AssertUnwindSafe(tokio::time::timeout(limit, test(&stage))).catch_unwind();
        let outcome = match test.await {
            // The panic has printed its own message.
            Err(_) => Err(anyhow!("an assertion failed")),
            Ok(Err(_)) => Err(anyhow!("not done after {} s", limit.as_secs())),
            Ok(Ok(result)) => result,
        };
        let end = stage.end(outcome.is_err()).await;
        outcome.and(end)
    });
    if let Err(error) = outcome {
        panic!("{error:#}\n{}", stage.what_is_kept());
    }
}

impl Stage {
    fn new() -> anyhow::Result<Self> {
        let thread = std::thread::current();
        let test = thread.name().context("tests run in named threads")?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("artifacts")
            .join(test.replace("::", "."));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let guard = Guard::start(&folder.join("guard.log"))?;
        Ok(Self {
            folder,
            browsers: Mutex::default(),
            guard,
        })
    }

    /// Where this test's logs and screenshots are kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What ends with this test.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Starts a program with its log in this test's folder; of several with one name each has its own.
    ///
    /// # Errors
    /// When it can't be run.
    pub fn process(&self, name: &str, command: &mut Command) -> anyhow::Result<Process> {
        let names = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}-{n}")));
        let is_free = |name: &String| !self.folder.join(format!("{name}.out")).exists();
        let name = names.into_iter().find(is_free).expect("numbers do not end");
        self.guard.mark(command);
        Process::start(&self.folder, &name, command)
    }

    /// Starts Chromium with a driver and a profile of its own.
    ///
    /// # Errors
    /// When chromium or chromedriver is missing or does not start.
    pub async fn browser(&self, name: &str) -> anyhow::Result<Arc<Browser>> {
        self.browser_of(Kind::CHROMIUM, name).await
    }

    /// Starts a browser of another kind, with a driver and a profile of its own.
    ///
    /// # Errors
    /// When the browser or its driver is missing or does not start.
    pub async fn browser_of(&self, kind: Kind, name: &str) -> anyhow::Result<Arc<Browser>> {
        Ok(self.keep(Browser::start(self, name, kind, None).await?))
    }

    /// Starts a browser in another network.
    ///
    /// # Errors
    /// When the browser or its driver is missing or does not start.
    pub async fn browser_in(
        &self,
        place: &Place,
        kind: Kind,
        name: &str,
    ) -> anyhow::Result<Arc<Browser>> {
        Ok(self.keep(Browser::start(self, name, kind, Some(place)).await?))
    }

    fn keep(&self, browser: Browser) -> Arc<Browser> {
        let browser = Arc::new(browser);
        self.browsers().push(Arc::clone(&browser));
        browser
    }

    /// Ends the browsers; an error when something went wrong in a page that nobody caught.
    async fn end(&self, failed: bool) -> anyhow::Result<()> {
        let browsers = std::mem::take(&mut *self.browsers());
        let mut complaints = Vec::new();
        if !failed {
            for browser in &browsers {
                complaints.extend(browser.complaints().await?);
            }
        }
        // At the same time: the limits hold for all of them together.
        join_all(browsers.iter().map(async |browser| {
            if failed || !complaints.is_empty() {
                match tokio::time::timeout(EVIDENCE_LIMIT, browser.keep_evidence()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => eprintln!("no evidence from a browser: {error:#}"),
                    Err(_) => eprintln!("no evidence from a browser that does not answer"),
                }
            }
            browser.quit().await;
        }))
        .await;
        ensure!(complaints.is_empty(), "uncaught in a page: {complaints:#?}");
        Ok(())
    }

    fn browsers(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Browser>>> {
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn what_is_kept(&self) -> String {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().display().to_string())
            .collect();
        names.sort();
        format!(
            "logs and screenshots are in {}: {}",
            self.folder.display(),
            names.join(", ")
        )
    }
}
