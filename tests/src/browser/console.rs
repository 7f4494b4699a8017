//! What the browser says to developers. Nothing that goes wrong in a page goes unseen: an uncaught error or a violation of
//! the content security policy fails the test, whatever else is right.

use std::sync::atomic::Ordering;

use thirtyfour::common::log::BrowserLogEntry;

use super::Browser;

impl Browser {
    /// All entries of the console since the last look.
    pub(super) async fn console(&self) -> anyhow::Result<Vec<String>> {
        if self.kind.is_firefox() {
            return self.complaints_of_firefox().await;
        }
        let entries = self.driver.browser_log().await?;
        Ok(entries.iter().map(|entry| format!("{entry:?}")).collect())
    }

    /// What went wrong in the page since the last look, and nobody caught.
    ///
    /// # Errors
    /// When the browser does not tell.
    pub async fn complaints(&self) -> anyhow::Result<Vec<String>> {
        if self.kind.is_firefox() {
            return self.complaints_of_firefox().await;
        }
        let entries = self.driver.browser_log().await?;
        let complaints = entries.into_iter().filter(of_chromium);
        Ok(complaints.map(|entry| entry.message).collect())
    }

    async fn complaints_of_firefox(&self) -> anyhow::Result<Vec<String>> {
        let mut complaints = self.errors_of_firefox()?;
        let violations = self.privileged(VIOLATIONS).await?;
        let violations = violations.as_array().into_iter().flatten();
        complaints.extend(violations.filter_map(|text| text.as_str().map(str::to_owned)));
        Ok(complaints)
    }

    /// They are in its driver's log.
    fn errors_of_firefox(&self) -> anyhow::Result<Vec<String>> {
        let log = self.process.stderr()?;
        let errors: Vec<_> = log.lines().filter(|line| of_firefox(line)).collect();
        let known = self.errors_told.swap(errors.len(), Ordering::Relaxed);
        let new = errors.into_iter().skip(known);
        Ok(new.map(str::to_owned).collect())
    }
}

/// Violations of the content security policy since the last look. Firefox keeps what it tells developers, of all processes, where
/// only its own scripts can look.
const VIOLATIONS: &str = "
    const told = Services.console.getMessageArray()
        .filter((message) => message instanceof Ci.nsIScriptError)
        .filter(({ category, sourceName }) => category.startsWith('CSP_') && sourceName.startsWith('http'))
        .map(({ errorMessage, sourceName }) => `${sourceName}: ${errorMessage}`);
    Services.console.reset();
    return told;";

/// What Chromium tells on a page without encryption, which is what some tests are about.
const INSECURE: &str = "The Cross-Origin-Opener-Policy header has been ignored";

/// Lost connections are what many tests are about; their page says so, and the console, too.
fn of_chromium(entry: &BrowserLogEntry) -> bool {
    let expected = entry.source.as_deref() == Some("network") || entry.message.contains(INSECURE);
    entry.level == "SEVERE" && !expected
}

/// Firefox has scripts of its own, whose errors are its own.
fn of_firefox(line: &str) -> bool {
    line.starts_with("JavaScript error: http")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(level: &str, source: &str) -> BrowserLogEntry {
        BrowserLogEntry {
            level: level.into(),
            message: "m".into(),
            timestamp: 0,
            source: Some(source.into()),
        }
    }

    #[test]
    fn errors_and_violations_are_complaints_and_lost_connections_are_not() {
        for source in ["javascript", "security", "console-api", "worker"] {
            assert!(of_chromium(&entry("SEVERE", source)), "{source}");
            assert!(!of_chromium(&entry("WARNING", source)), "{source}");
        }
        assert!(!of_chromium(&entry("SEVERE", "network")));
        assert!(of_firefox(
            "JavaScript error: http://127.0.0.1:1/src/main.js, line 3: TypeError: x is null"
        ));
        assert!(!of_firefox(
            "JavaScript error: resource://gre/modules/X.sys.mjs, line 3: Error"
        ));
    }
}
