//! A real browser: Debian's chromium, driven over WebDriver, with devices that play a test pattern and a beep.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::common::log::LoggingPrefsLogLevel;
use thirtyfour::{By, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver};

use crate::process::Process;
use crate::stage::Stage;

/// What each browser is started with.
const FLAGS: [&str; 17] = [
    "--headless",
    // Chromium's sandbox does not run as root, which is what containers and CI are.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    // No traffic of its own.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // A camera and a microphone that everybody has. Ten pictures a second: two cores must code those of three browsers.
    "--use-fake-device-for-media-stream=fps=10",
    // Sharing the screen shows this page's own tab.
    "--auto-select-tab-capture-source-by-title=Room",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    // A name of this machine whose pages are not as trusted as those of localhost.
    "--host-resolver-rules=MAP insecure.test 127.0.0.1",
    // Machines without a network card have nothing but loopback.
    "--allow-loopback-in-peer-connection",
    // Headless windows count as hidden to some of the scheduler.
    "--disable-renderer-backgrounding",
    "--window-size=1280,800",
];
/// Nobody asks for permission to use camera and microphone: it is given, or refused.
pub(crate) const PERMITTED: &str = "--use-fake-ui-for-media-stream";
pub(crate) const REFUSED: &str = "--use-fake-ui-for-media-stream=deny";
/// Certificates made for a test are as good as others.
pub(crate) const TRUSTING: &str = "--ignore-certificate-errors";
/// How long a script may run in the page.
const SCRIPT_LIMIT: Duration = Duration::from_secs(30);
/// How long ending a browser may take.
const QUIT_LIMIT: Duration = Duration::from_secs(10);

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    name: String,
    folder: PathBuf,
    driver: WebDriver,
    // Dropped after the session has been ended by `quit`: the driver first, then the profile.
    _process: Process,
    profile: TempDir,
}

impl Browser {
    /// Starts chromedriver on a free port and a browser with an empty profile.
    pub(crate) async fn start(stage: &Stage, name: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let log = format!("{name}.chromedriver");
        let process = stage.process(&log, Command::new("chromedriver").arg("--port=0"));
        let process =
            process.context("browser tests need Debian's chromium and chromium-driver")?;
        let port = process
            .line(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                port.trim_end_matches('.').parse::<u16>().ok()
            })
            .await?;
        let profile = tempfile::Builder::new().prefix("browser").tempdir()?;
        let mut wishes = DesiredCapabilities::chrome();
        for flag in FLAGS.iter().chain(flags) {
            wishes.add_arg(flag)?;
        }
        wishes.add_arg(&format!("--user-data-dir={}", profile.path().display()))?;
        let downloads = profile.path().join("downloads");
        let quietly = json!({
            "download.default_directory": downloads,
            "download.prompt_for_download": false,
        });
        wishes.add_experimental_option("prefs", quietly)?;
        wishes.set_browser_log_level(LoggingPrefsLogLevel::All)?;
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wishes).await;
        let driver = driver.context("starting chromium")?;
        driver.set_script_timeout(SCRIPT_LIMIT).await?;
        Ok(Self {
            name: name.to_owned(),
            folder: stage.folder().to_owned(),
            driver,
            _process: process,
            profile,
        })
    }

    /// Opens a page.
    ///
    /// # Errors
    /// When it does not load.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        let opened = self.driver.goto(url).await;
        opened.with_context(|| format!("{}: opening {url}", self.name))
    }

    /// The value of a JavaScript expression, a promise's when it is one; `argument` is its `arg`.
    ///
    /// # Errors
    /// When it throws or rejects.
    pub async fn value(&self, expression: &str, argument: Value) -> anyhow::Result<Value> {
        // A rejection must come back as a value: the driver would only tell of a time-out.
        let script = format!(
            "const [arg, done] = arguments;
             (async () => ({expression}))().then(
               (value) => done({{value: value === undefined ? null : value}}),
               (error) => done({{error: String(error)}}));"
        );
        let returned = self.driver.execute_async(script, vec![argument]).await;
        let returned = returned.with_context(|| format!("{}: {expression}", self.name))?;
        match returned.json() {
            Value::Object(fields) if fields.contains_key("value") => Ok(fields["value"].clone()),
            failed => anyhow::bail!("{}: {expression}: {failed}", self.name),
        }
    }

    /// Runs a script in the page.
    ///
    /// # Errors
    /// When it throws.
    pub(crate) async fn run(&self, script: &str) -> anyhow::Result<()> {
        self.driver.execute(script, Vec::new()).await?;
        Ok(())
    }

    /// Gives a command of the DevTools protocol.
    ///
    /// # Errors
    /// When the browser does not take it.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> anyhow::Result<()> {
        let done = self.driver.cdp().send_raw(command, parameters).await;
        done.with_context(|| format!("{}: {command}", self.name))?;
        Ok(())
    }

    /// Clicks on the element that a CSS selector finds, as a person would: it must be visible.
    ///
    /// # Errors
    /// When there is none, or something covers it.
    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let element = self.driver.find(By::Css(selector)).await?;
        let clicked = element.click().await;
        clicked.with_context(|| format!("{}: clicking {selector}", self.name))
    }

    /// Chooses a file in a file input, which may be hidden.
    ///
    /// # Errors
    /// When there is no such input or file.
    pub async fn choose_file(&self, selector: &str, file: &Path) -> anyhow::Result<()> {
        let element = self.driver.find(By::Css(selector)).await?;
        let file = file.to_str().context("a path that is text")?;
        let chosen = element.send_keys(file).await;
        chosen.with_context(|| format!("{}: choosing {file}", self.name))
    }

    /// Where saved files are.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.profile.path().join("downloads")
    }

    /// Keeps a screenshot as `BROWSER-WHAT.png`.
    ///
    /// # Errors
    /// When there is no page to take it of.
    pub async fn screenshot(&self, what: &str) -> anyhow::Result<()> {
        let file = self.folder.join(format!("{}-{what}.png", self.name));
        Ok(self.driver.screenshot(&file).await?)
    }

    /// Keeps what helps to understand a failure.
    pub(crate) async fn keep_evidence(&self) -> anyhow::Result<()> {
        self.screenshot("failure").await?;
        let mut text = String::new();
        for entry in self.driver.browser_log().await? {
            text.push_str(&format!("{entry:?}\n"));
        }
        let call = "window.callbox ? callbox.peers() : 'no callbox'";
        text.push_str(&match self.value(call, Value::Null).await {
            Ok(peers) => format!("peers: {peers:#}\n"),
            Err(error) => format!("peers: {error:#}\n"),
        });
        fs::write(self.folder.join(format!("{}.console.log", self.name)), text)?;
        Ok(())
    }

    /// Why the page could not be installed as an app, if it can't.
    ///
    /// # Errors
    /// When the browser does not tell.
    pub async fn installability_errors(&self) -> anyhow::Result<Vec<Value>> {
        let cdp = self.driver.cdp();
        let told = cdp
            .send_raw("Page.getInstallabilityErrors", json!({}))
            .await?;
        let errors = told["installabilityErrors"].as_array().cloned();
        errors.context("no list of errors")
    }

    /// Ends the page as a crash does: nothing of it says good-bye.
    pub async fn crash(&self) {
        // The command has no answer, as nobody is left to give one.
        let crash = self.devtools("Page.crash", json!({}));
        let _ = tokio::time::timeout(QUIT_LIMIT, crash).await;
    }

    /// Ends the browser; without this it would outlive its driver.
    pub(crate) async fn quit(&self) {
        match tokio::time::timeout(QUIT_LIMIT, self.driver.clone().quit()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("{}: quitting: {error}", self.name),
            Err(_) => eprintln!("{}: does not quit", self.name),
        }
    }
}
