//! A keyboard: what somebody does who has no mouse.

use anyhow::Context as _;
use serde_json::json;
use thirtyfour::common::keys::TypingData;

use super::Browser;
use crate::poll::Look;

pub use thirtyfour::common::keys::Key;

/// Presses of the tab key after which a control is out of reach.
const MOST_TABS: usize = 80;

impl Browser {
    /// Presses keys one after the other, wherever the focus is.
    ///
    /// # Errors
    /// When the browser can't.
    pub async fn press(&self, keys: impl Into<TypingData>) -> anyhow::Result<()> {
        let pressed = self.driver.action_chain().send_keys(keys).perform().await;
        pressed.with_context(|| format!("{}: pressing keys", self.name))
    }

    /// Goes from control to control with the tab key until one that a CSS selector finds has the focus, and can be seen to
    /// have it.
    ///
    /// # Errors
    /// When it is out of reach.
    pub async fn tab_to(&self, selector: &str) -> anyhow::Result<()> {
        let looked_at = "(() => {
            const element = document.activeElement;
            const {outlineStyle, outlineWidth} = getComputedStyle(element);
            return {
              there: element.matches(arg),
              seen: element.matches(':focus-visible') && outlineStyle !== 'none' && parseFloat(outlineWidth) > 0,
              name: element.dataset.testid ?? element.tagName,
            };
          })()";
        let mut way = Vec::new();
        for _ in 0..MOST_TABS {
            let focus = self.value(looked_at, json!(selector)).await?;
            if focus["there"] == true {
                anyhow::ensure!(focus["seen"] == true, "the focus of {selector} is not seen");
                return Ok(());
            }
            way.push(focus["name"].to_string());
            self.press(Key::Tab).await?;
        }
        anyhow::bail!("{}: no way to {selector} by {}", self.name, way.join(", "))
    }

    /// Waits until what a CSS selector finds has the focus.
    ///
    /// # Errors
    /// When it does not get it.
    pub async fn focus_is_on(&self, selector: &str) -> anyhow::Result<()> {
        let focus =
            "[document.activeElement.matches(arg), document.activeElement.outerHTML.slice(0, 200)]";
        self.watch(
            &format!("focus on {selector}"),
            focus,
            json!(selector),
            |focus| {
                Ok(if focus[0] == true {
                    Look::There(())
                } else {
                    Look::NotYet(focus[1].to_string())
                })
            },
        )
        .await
    }
}
