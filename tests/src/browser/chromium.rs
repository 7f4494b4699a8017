//! Debian's chromium and its chromedriver.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use thirtyfour::common::log::LoggingPrefsLogLevel;
use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities};

use super::{Launch, downloads};

/// What each one is started with.
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
    // Nobody types into the address bar, whose suggestions would cost each browser a process and as much time as the rest
    // of its start.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup",
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
    "--window-size=1024,640",
];
/// Nobody asks for permission to use camera and microphone: it is given, or refused.
pub(super) const PERMITTED: &str = "--use-fake-ui-for-media-stream";
pub(super) const REFUSED: &str = "--use-fake-ui-for-media-stream=deny";
/// A page in [`crate::network::Networks`] may use devices as if it came over TLS.
pub(super) const TRUSTED_PAGE: &str =
    "--unsafely-treat-insecure-origin-as-secure=http://10.77.0.1:8080";
/// Certificates made for a test are as good as others.
pub(super) const TRUSTING: &str = "--ignore-certificate-errors";
/// A camera and a microphone that everybody has. Five pictures a second: two cores must code those of six browsers.
pub(super) const DEVICES: &str = "--use-fake-device-for-media-stream=fps=5";
/// Three, of which the second one sees depth and not light.
pub(super) const CAMERAS: &str = "--use-fake-device-for-media-stream=fps=5,device-count=3";
pub(super) const CALM_DEVICES: &str = "--use-fake-device-for-media-stream=fps=2";

pub(super) fn launch(profile: &Path, flags: &[&str]) -> anyhow::Result<Launch> {
    let mut wishes = DesiredCapabilities::chrome();
    for flag in FLAGS.iter().chain(flags) {
        wishes.add_arg(flag)?;
    }
    wishes.add_arg(&format!("--user-data-dir={}", profile.display()))?;
    let quietly = json!({
        "download.default_directory": downloads(profile),
        "download.prompt_for_download": false,
    });
    wishes.add_experimental_option("prefs", quietly)?;
    wishes.set_browser_log_level(LoggingPrefsLogLevel::All)?;
    let mut driver = Command::new("chromedriver");
    driver.arg("--port=0");
    Ok(Launch {
        driver,
        ready: "successfully on port ",
        wishes: wishes.into(),
    })
}
