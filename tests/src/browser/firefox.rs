//! Debian's firefox-esr and geckodriver.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use thirtyfour::DesiredCapabilities;
use thirtyfour::common::capabilities::firefox::FirefoxPreferences;
use thirtyfour::common::command::{Command as DriverCommand, ExtensionCommand};

use super::{Browser, Launch, downloads};

/// What is set apart from geckodriver's own preferences, which keep Firefox from talking to its makers.
fn preferences(profile: &Path, refuses: bool) -> Vec<(&'static str, Value)> {
    vec![
        // A camera and a microphone that everybody has, and whose use everybody permits.
        ("media.navigator.streams.fake", json!(true)),
        ("media.navigator.permission.disabled", json!(!refuses)),
        ("media.autoplay.default", json!(0)),
        // Machines without a network card have nothing but loopback.
        ("media.peerconnection.ice.loopback", json!(true)),
        (
            "media.peerconnection.ice.obfuscate_host_addresses",
            json!(false),
        ),
        // No traffic of its own.
        ("media.gmp-manager.updateEnabled", json!(false)),
        ("network.captive-portal-service.enabled", json!(false)),
        ("network.connectivity-service.enabled", json!(false)),
        // Files are saved without a question.
        ("browser.download.folderList", json!(2)),
        ("browser.download.dir", json!(downloads(profile))),
        ("browser.download.alwaysOpenPanel", json!(false)),
        (
            "browser.helperApps.neverAsk.saveToDisk",
            json!("application/octet-stream"),
        ),
        ("devtools.console.stdout.content", json!(true)),
    ]
}

/// What is different for somebody who refuses; 2 is no, for every page.
const REFUSED: [(&str, i32); 2] = [
    ("permissions.default.camera", 2),
    ("permissions.default.microphone", 2),
];

pub(super) fn launch(profile: &Path, refuses: bool) -> anyhow::Result<Launch> {
    let mut wishes = DesiredCapabilities::firefox();
    wishes.add_arg("-headless")?;
    for size in ["--width=1280", "--height=800"] {
        wishes.add_arg(size)?;
    }
    let mut chosen = FirefoxPreferences::new();
    for (name, value) in preferences(profile, refuses) {
        chosen.set(name, value)?;
    }
    if refuses {
        for (name, value) in REFUSED {
            chosen.set(name, value)?;
        }
    }
    wishes.set_preferences(chosen)?;
    // Its files end with the test's, also when it is killed.
    let root = profile.join("profiles");
    fs::create_dir(&root)?;
    let mut driver = Command::new("geckodriver");
    driver.args(["--port=0", "--websocket-port=0", "--binary=firefox-esr"]);
    // For its console.
    driver.arg("--allow-system-access");
    driver.arg("--profile-root").arg(&root);
    Ok(Launch {
        driver,
        ready: "Listening on 127.0.0.1:",
        wishes: wishes.into(),
    })
}

/// Whose scripts the next command is about.
#[derive(Debug, Clone, Copy)]
enum Context {
    /// The page's.
    Content,
    /// The browser's own.
    Chrome,
}

impl ExtensionCommand for Context {
    fn parameters_json(&self) -> Option<Value> {
        let name = match self {
            Self::Content => "content",
            Self::Chrome => "chrome",
        };
        Some(json!({"context": name}))
    }

    fn method(&self) -> Method {
        Method::POST
    }

    fn endpoint(&self) -> Arc<str> {
        "/moz/context".into()
    }
}

impl Browser {
    /// What a script returns that runs as one of Firefox's own.
    pub(super) async fn privileged(&self, script: &str) -> anyhow::Result<Value> {
        self.switch(Context::Chrome).await?;
        let returned = self.driver.execute(script, Vec::new()).await;
        self.switch(Context::Content).await?;
        Ok(returned?.json().clone())
    }

    async fn switch(&self, context: Context) -> anyhow::Result<()> {
        let command = DriverCommand::ExtensionCommand(Box::new(context));
        self.driver.handle().cmd(command).await?;
        Ok(())
    }
}
