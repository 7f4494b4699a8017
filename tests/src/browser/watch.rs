//! Waiting for values in a page. The page looks itself and answers when a value changes: each look
//! from outside costs browser and driver six milliseconds of a core.

use serde_json::{Value, json};
use thirtyfour::error::WebDriverError;

use super::Browser;
use crate::poll::{self, Look};

/// Answers when the value of the expression is another one than `seen`, its text in JSON, at the
/// latest after a second: a page that is left or stands still must not be waited for here.
const WATCH: &str = "(async ({ arg, seen }) => {
    for (let look = 0; ; look++) {
        const value = (await (EXPRESSION)) ?? null;
        const text = JSON.stringify(value);
        if (text !== seen || look === 20) return { value, text };
        await new Promise((next) => setTimeout(next, 50));
    }
})(arg)";

impl Browser {
    /// Waits until the value of a JavaScript expression, or of its promise, is what `decide` looks
    /// for; `argument` is its `arg`. Goes on on the next page where a page is left meanwhile.
    ///
    /// # Errors
    /// When it does not become so within the limit, when the expression throws or rejects, and
    /// when `decide` fails.
    pub async fn watch<T>(
        &self,
        what: &str,
        expression: &str,
        argument: Value,
        decide: impl Fn(Value) -> anyhow::Result<Look<T>>,
    ) -> anyhow::Result<T> {
        let script = WATCH.replace("EXPRESSION", expression);
        let mut seen = Value::Null;
        poll::until(what, async || {
            let looked = self
                .value(&script, json!({"arg": argument, "seen": seen}))
                .await;
            let mut looked = match looked {
                Err(error) if is_of_a_page_that_was_left(&error) => {
                    return Ok(Look::NotYet("the page was left".into()));
                }
                looked => looked?,
            };
            seen = looked["text"].take();
            decide(looked["value"].take())
        })
        .await
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Errors
    /// When it does not become so soon.
    pub async fn holds(&self, what: &str, expression: &str) -> anyhow::Result<()> {
        let what = format!("{what} for {}", self.name);
        self.watch(&what, expression, Value::Null, |value| {
            Ok(if value == true {
                Look::There(())
            } else {
                Look::NotYet(value.to_string())
            })
        })
        .await
    }
}

/// What a driver says of a script whose page goes away under it.
fn is_of_a_page_that_was_left(error: &anyhow::Error) -> bool {
    error.downcast_ref::<WebDriverError>().is_some_and(|error| {
        let error = error.to_string();
        ["unloaded", "navigation", "navigated"]
            .iter()
            .any(|word| error.contains(word))
    })
}
