//! Accessibility, as axe-core sees it.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::poll::{self, Look};

/// Where npm puts it.
const AXE: &str = "../web/node_modules/axe-core/axe.min.js";
/// Rules of WCAG 2.2 up to AA, and what else is good practice; of each violation its rule and where it is.
const RUN: &str =
    "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
    .then(({violations}) => violations.flatMap(({id, nodes}) =>
      nodes.map(({target, failureSummary}) => `${id}: ${target.join(' ')}: ${failureSummary}`)))";

/// What the reader prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// Whether the reader lets things move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// Nothing was said about it.
    Any,
    /// As little as possible.
    Reduced,
}

impl Browser {
    /// Has the page shown as to somebody who lets things move, or not.
    ///
    /// # Errors
    /// When the browser can't.
    pub async fn motion(&self, motion: Motion) -> anyhow::Result<()> {
        let value = match motion {
            Motion::Any => "no-preference",
            Motion::Reduced => "reduce",
        };
        let feature = json!({"name": "prefers-reduced-motion", "value": value});
        self.devtools("Emulation.setEmulatedMedia", json!({"features": [feature]}))
            .await
    }

    /// Has the page shown as to somebody who prefers a theme.
    ///
    /// # Errors
    /// When the browser can't.
    pub async fn theme(&self, theme: Theme) -> anyhow::Result<()> {
        let value = match theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        let feature = json!({"name": "prefers-color-scheme", "value": value});
        self.devtools("Emulation.setEmulatedMedia", json!({"features": [feature]}))
            .await
    }

    /// Has the page shown as by a contrast theme of the system, which replaces its colours, and with as little motion as possible.
    ///
    /// # Errors
    /// When the browser can't.
    pub async fn contrast_theme(&self) -> anyhow::Result<()> {
        let features = json!([
            {"name": "forced-colors", "value": "active"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}))
            .await
    }

    /// axe-core has nothing to say about what is shown, as soon as things that fade in are there.
    ///
    /// # Errors
    /// When it has, or was not installed with the page's development tools.
    pub async fn finds_axe_nothing(&self, screen: &str) -> anyhow::Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(AXE);
        let source = std::fs::read_to_string(path);
        let source = source.context("axe-core is missing: run `npm ci` in web/")?;
        self.run(&source).await?;
        let what = format!("{screen} without a violation");
        poll::until(&what, async || {
            let violations = self.value(RUN, Value::Null).await?;
            Ok(match violations.as_array() {
                Some(none) if none.is_empty() => Look::There(()),
                _ => Look::NotYet(format!("{violations:#}")),
            })
        })
        .await
    }
}
