//! A real browser: Debian's chromium or firefox-esr, driven over WebDriver, with devices that play a test pattern and a
//! beep.

mod chromium;
mod console;
mod firefox;
mod keys;
mod kind;
mod usage;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patience::patience;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{By, Capabilities, WebDriver};

use crate::network::Place;
use crate::process::Process;
use crate::stage::Stage;

pub use keys::Key;
pub use kind::Kind;
pub use usage::Usage;

/// How often a driver is started until it has found a port.
const DRIVER_ATTEMPTS: usize = 3;
/// How long ending a browser may take.
const QUIT_LIMIT: Duration = Duration::from_secs(10);

/// How a driver is started, and what it is asked for.
struct Launch {
    driver: Command,
    /// What it says before the port on which it listens.
    ready: &'static str,
    wishes: Capabilities,
}

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    name: String,
    kind: Kind,
    folder: PathBuf,
    /// How many errors Firefox had told at the last look.
    errors_told: AtomicUsize,
    driver: WebDriver,
    // Dropped after the session has been ended by `quit`: the driver first, then the profile.
    process: Process,
    profile: TempDir,
}

impl Browser {
    /// Starts a driver on a free port and a browser with an empty profile, here or in another network.
    pub(crate) async fn start(
        stage: &Stage,
        name: &str,
        kind: Kind,
        place: Option<&Place>,
    ) -> anyhow::Result<Self> {
        let profile = TempDir::with_prefix_in("browser", stage.guard().scratch())?;
        let Launch {
            mut driver,
            ready,
            wishes,
        } = kind.launch(profile.path())?;
        if let Some(place) = place {
            driver = place.command(&driver);
        }
        let mut attempts = 0;
        let (process, port) = loop {
            let process = stage.process(&format!("{name}.driver"), &mut driver);
            let process = process
                .context("browser tests need Debian's chromium, chromium-driver and firefox-esr, and geckodriver")?;
            let port = process
                .line(|line| {
                    let (_, port) = line.split_once(ready)?;
                    port.trim_end_matches('.').parse::<u16>().ok()
                })
                .await;
            attempts += 1;
            match port {
                Ok(port) => break (process, port),
                // Chromedriver takes a port that is free for IPv4, which may be taken for IPv6.
                Err(_) if attempts < DRIVER_ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        };
        let port = place.map_or(Ok(port), |place| place.forward(port))?;
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wishes).await;
        let driver = driver.with_context(|| format!("starting {kind:?}"))?;
        driver.set_script_timeout(patience()).await?;
        Ok(Self {
            name: name.to_owned(),
            kind,
            folder: stage.folder().to_owned(),
            errors_told: AtomicUsize::new(0),
            driver,
            process,
            profile,
        })
    }

    /// What kind it is of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Opens a page.
    ///
    /// # Errors
    /// When it does not load.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        let opened = self.driver.goto(url).await;
        opened.with_context(|| format!("{}: opening {url}", self.name))
    }

    /// Loads the page anew.
    ///
    /// # Errors
    /// When it does not load.
    pub async fn reload(&self) -> anyhow::Result<()> {
        let reloaded = self.driver.refresh().await;
        reloaded.with_context(|| format!("{}: loading anew", self.name))
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

    /// Lets the pages of an origin read what was copied.
    ///
    /// # Errors
    /// When it is not Chromium.
    pub async fn permit_clipboard(&self, origin: &str) -> anyhow::Result<()> {
        let permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"];
        let permissions = json!({"permissions": permissions, "origin": origin});
        self.devtools("Browser.grantPermissions", permissions).await
    }

    /// Has a script run in every page that is opened from now on, before any of its own.
    ///
    /// # Errors
    /// When it is not Chromium.
    pub async fn before_each_page(&self, script: &str) -> anyhow::Result<()> {
        let source = json!({"source": script});
        self.devtools("Page.addScriptToEvaluateOnNewDocument", source)
            .await
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

    /// Chooses one of the options of a `select`.
    ///
    /// # Errors
    /// When there is no such list or option.
    pub async fn choose(&self, selector: &str, value: &str) -> anyhow::Result<()> {
        let chosen = "(() => {
            const list = document.querySelector(arg.selector);
            list.value = arg.value;
            list.dispatchEvent(new Event('change', { bubbles: true }));
            return list.value === arg.value;
        })()";
        let chosen = self.value(chosen, json!({"selector": selector, "value": value}));
        ensure!(
            chosen.await? == true,
            "{}: no {value} in {selector}",
            self.name
        );
        Ok(())
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

    /// Drags files or folders from elsewhere over the middle of what a CSS selector finds, and drops them there if told to.
    ///
    /// # Errors
    /// When it is not Chromium, or there is nothing.
    pub async fn drag(&self, selector: &str, files: &[&Path], drop: bool) -> anyhow::Result<()> {
        let middle = "(() => {
            const {x, y, width, height} = document.querySelector(arg).getBoundingClientRect();
            return [x + width / 2, y + height / 2];
        })()";
        let middle = self.value(middle, json!(selector)).await?;
        // Copying is 1.
        let data = json!({"items": [], "files": files, "dragOperationsMask": 1});
        let last = drop.then_some("drop");
        for kind in ["dragEnter", "dragOver"].into_iter().chain(last) {
            let event = json!({"type": kind, "x": middle[0], "y": middle[1], "data": data});
            self.devtools("Input.dispatchDragEvent", event).await?;
        }
        Ok(())
    }

    /// Where saved files are.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        downloads(self.profile.path())
    }

    /// Keeps a screenshot as `BROWSER-WHAT.png`.
    ///
    /// # Errors
    /// When there is no page to take it of.
    pub async fn screenshot(&self, what: &str) -> anyhow::Result<()> {
        let file = self.folder.join(format!("{}-{what}.png", self.name));
        if self.kind.is_firefox() {
            return Ok(self.driver.screenshot(&file).await?);
        }
        // WebDriver's own packs the picture as small as it can, which takes longer than everything else.
        let quick = json!({"format": "png", "optimizeForSpeed": true});
        let devtools = self.driver.cdp();
        let taken = devtools.send_raw("Page.captureScreenshot", quick).await?;
        let picture = taken["data"].as_str().context("no picture")?;
        Ok(fs::write(file, STANDARD.decode(picture)?)?)
    }

    /// Keeps what helps to understand a failure.
    pub(crate) async fn keep_evidence(&self) -> anyhow::Result<()> {
        self.screenshot("failure").await?;
        let mut text = self.console().await?.join("\n");
        let call = "window.callbox ? callbox.peers() : 'no callbox'";
        text.push_str(&match self.value(call, Value::Null).await {
            Ok(peers) => format!("\npeers: {peers:#}\n"),
            Err(error) => format!("\npeers: {error:#}\n"),
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

    /// Gives the page a window of another size, in CSS pixels.
    ///
    /// # Errors
    /// When it is not Chromium.
    pub async fn window(&self, width: u32, height: u32) -> anyhow::Result<()> {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await
    }

    /// Has nobody see the page any more, as somebody does who reads mail during a call.
    ///
    /// # Errors
    /// When the window can't be minimized.
    pub async fn hide(&self) -> anyhow::Result<()> {
        Ok(self.driver.minimize_window().await?)
    }

    /// Lets the page's scripts run, or stops them all, as Chromium does in tabs that nobody has looked at for long.
    ///
    /// # Errors
    /// When it is not Chromium.
    pub async fn freeze(&self, is_frozen: bool) -> anyhow::Result<()> {
        let state = match is_frozen {
            true => "frozen",
            false => "active",
        };
        let state = json!({"state": state});
        self.devtools("Page.setWebLifecycleState", state).await
    }

    /// Ends the page as a crash does: nothing of it says good-bye.
    pub async fn crash(&self) {
        // The command has no answer, as nobody is left to give one.
        let crash = self.devtools("Page.crash", json!({}));
        let _ = tokio::time::timeout(QUIT_LIMIT, crash).await;
    }

    /// Ends the browser as its user does. One that does not listen is left to the stage's guard.
    pub(crate) async fn quit(&self) {
        match tokio::time::timeout(QUIT_LIMIT, self.driver.clone().quit()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("{}: quitting: {error}", self.name),
            Err(_) => eprintln!("{}: does not quit", self.name),
        }
    }
}

fn downloads(profile: &Path) -> PathBuf {
    profile.join("downloads")
}
