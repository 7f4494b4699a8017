//! What tests ask of the page that tells whether calls will work.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::poll::Look;
use crate::programs::Signaling;

/// All lines of the page and its verdict, in words and states.
const FINDINGS: &str = "({
  level: document.querySelector('.check-summary')?.dataset.level,
  verdict: document.querySelector('[data-testid=check-verdict]')?.textContent,
  rows: Object.fromEntries([...document.querySelectorAll('[data-check]')].map((row) =>
    [row.dataset.check, {state: row.dataset.state, text: row.textContent}])),
})";

/// What the page has found.
#[derive(Debug, Clone)]
pub struct Findings(Value);

impl Findings {
    /// The verdict has this level and these words in it.
    ///
    /// # Panics
    /// When it has not.
    pub fn verdict(&self, level: &str, words: &str) {
        assert_eq!(self.0["level"], level, "{self:#?}");
        let verdict = self.0["verdict"].as_str().unwrap_or_default();
        assert!(verdict.contains(words), "{words:?} in {self:#?}");
    }

    /// A line is in this state and has these words in it.
    ///
    /// # Panics
    /// When it is not.
    pub fn is(&self, check: &str, state: &str, words: &str) {
        let row = &self.0["rows"][check];
        assert_eq!(row["state"], state, "{check} in {self:#?}");
        let text = row["text"].as_str().unwrap_or_default();
        assert!(text.contains(words), "{words:?} in {check} of {self:#?}");
    }

    fn state(&self, check: &str) -> &str {
        let state = self.0["rows"][check]["state"].as_str();
        state.unwrap_or_default()
    }
}

impl Signaling {
    /// The URL of the check.
    #[must_use]
    pub fn check(&self, language: &str) -> String {
        format!("{}/check?lang={language}", self.page)
    }
}

impl Browser {
    /// Opens the check and waits for its verdict.
    ///
    /// # Errors
    /// When there is none.
    pub async fn check(&self, url: &str) -> anyhow::Result<Findings> {
        self.open(url).await?;
        self.verdict().await
    }

    /// Waits for the verdict of a check that is open.
    ///
    /// # Errors
    /// When there is none.
    pub async fn verdict(&self) -> anyhow::Result<Findings> {
        self.watch("verdict", FINDINGS, Value::Null, |findings| {
            let findings = Findings(findings);
            Ok(match findings.0["level"].as_str() {
                None | Some("running") => Look::NotYet(format!("{findings:?}")),
                Some(_) => Look::There(findings),
            })
        })
        .await
    }

    /// Waits until a line is in this state.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn finding(&self, check: &str, state: &str) -> anyhow::Result<()> {
        let what = format!("{check} {state}");
        self.watch(&what, FINDINGS, Value::Null, |findings| {
            let findings = Findings(findings);
            Ok(if findings.state(check) == state {
                Look::There(())
            } else {
                Look::NotYet(format!("{findings:?}"))
            })
        })
        .await
    }

    /// Has camera and microphone tried, and waits until neither works.
    ///
    /// # Errors
    /// When one does.
    pub async fn devices_fail(&self) -> anyhow::Result<Findings> {
        for check in ["camera", "microphone"] {
            self.click(&format!("[data-testid=check-{check}]")).await?;
            self.finding(check, "failed").await?;
        }
        self.findings().await
    }

    /// What the check has found so far.
    ///
    /// # Errors
    /// When the page can't be asked.
    pub async fn findings(&self) -> anyhow::Result<Findings> {
        self.value(FINDINGS, json!(null)).await.map(Findings)
    }
}
