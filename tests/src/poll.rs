//! Waiting for conditions: the only place where tests sleep. All conditions have the same limit ([`patience()`]).

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use patience::patience;

/// How long to wait between two looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// What one look has shown.
#[derive(Debug)]
pub enum Look<T> {
    /// What was waited for.
    There(T),
    /// Not yet; what there is instead, for the message when time is up.
    NotYet(String),
}

/// Looks again and again until `what` is there. A look that fails ends the waiting.
///
/// # Errors
/// When the limit has passed, with what was seen last; and when a look fails.
pub async fn until<T>(
    what: &str,
    look: impl AsyncFnMut() -> anyhow::Result<Look<T>>,
) -> anyhow::Result<T> {
    within(patience(), what, look).await
}

/// Like [`until`], for what takes minutes by its nature, like gigabytes on their way.
///
/// # Errors
/// As [`until`].
pub async fn within<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Look<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        let seen = match look()
            .await
            .with_context(|| format!("waiting for {what}"))?
        {
            Look::There(value) => return Ok(value),
            Look::NotYet(seen) => seen,
        };
        if started.elapsed() >= limit {
            bail!(
                "no {what} within {} s; seen last: {seen}",
                limit.as_secs_f32()
            );
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
