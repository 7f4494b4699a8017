//! Summary of refused requests for the log: which reasons, and how often, at most once a minute.

use std::time::Instant;

use stun_turn_proto::log_window::WINDOW;
use stun_turn_proto::relay::RefusalKind;

use crate::control::Handle;

/// What was refused or left out since the last line.
#[derive(Debug)]
pub struct Refusals {
    relay: Handle,
    window: Window,
}

impl Refusals {
    /// Nothing has been told yet.
    #[must_use]
    pub fn new(relay: Handle) -> Self {
        Self {
            relay,
            window: Window::default(),
        }
    }

    /// Writes a line at `info` when there is something to tell and the last line is a minute old. To be
    /// called every second or so.
    pub fn look(&mut self) {
        let counts = Counts {
            refused: RefusalKind::ALL.map(|kind| {
                self.relay
                    .sum(|totals| totals.refusals[kind as usize].get())
            }),
            left_out: self.relay.records_left_out(),
        };
        let Some(news) = self.window.look(Instant::now(), &counts) else {
            return;
        };
        if !news.reasons.is_empty() {
            tracing::info!(
                reasons = news.reasons,
                "requests refused; at debug each is a line with user and client"
            );
        }
        if news.left_out > 0 {
            tracing::info!(
                records = news.left_out,
                "records of closed allocations were left out: a user or a source makes and ends them all the time"
            );
        }
    }
}

/// Totals since the start.
#[derive(Debug, Clone)]
struct Counts {
    refused: [u64; RefusalKind::ALL.len()],
    left_out: u64,
}

/// What a line tells.
#[derive(Debug, PartialEq, Eq)]
struct News {
    /// `reason: count`, separated by commas.
    reasons: String,
    left_out: u64,
}

#[derive(Debug, Default)]
struct Window {
    told: Option<(Instant, Counts)>,
}

impl Window {
    fn look(&mut self, now: Instant, counts: &Counts) -> Option<News> {
        let before = self.told.as_ref();
        if before.is_some_and(|(at, _)| now.saturating_duration_since(*at) < WINDOW) {
            return None;
        }
        let since = |of: &dyn Fn(&Counts) -> u64| {
            of(counts).saturating_sub(before.map_or(0, |(_, counts)| of(counts)))
        };
        let more = RefusalKind::ALL.map(|kind| {
            let of = |counts: &Counts| counts.refused[kind as usize];
            (kind.name(), since(&of))
        });
        let reasons = more.iter().filter(|(_, count)| *count > 0);
        let reasons: Vec<String> = reasons
            .map(|(name, count)| format!("{name}: {count}"))
            .collect();
        let news = News {
            reasons: reasons.join(", "),
            left_out: since(&|counts| counts.left_out),
        };
        if news.reasons.is_empty() && news.left_out == 0 {
            return None;
        }
        self.told = Some((now, counts.clone()));
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_refusal_is_in_one_line_and_a_line_comes_once_a_minute() {
        let mut window = Window::default();
        let mut counts = Counts {
            refused: [0; RefusalKind::ALL.len()],
            left_out: 0,
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(window.look(at(0), &counts), None, "nothing to tell");
        counts.refused[RefusalKind::WrongSecret as usize] = 1;
        let news = window.look(at(1), &counts).unwrap();
        assert_eq!(news.reasons, "wrong_secret: 1");
        counts.refused[RefusalKind::WrongSecret as usize] = 5;
        counts.refused[RefusalKind::UserQuota as usize] = 7;
        counts.left_out = 3;
        assert_eq!(window.look(at(60), &counts), None, "not yet");
        let news = window.look(at(61), &counts).unwrap();
        let expected = News {
            reasons: "wrong_secret: 4, user_quota: 7".to_owned(),
            left_out: 3,
        };
        assert_eq!(news, expected);
        assert_eq!(window.look(at(3600), &counts), None, "nothing new");
    }
}
