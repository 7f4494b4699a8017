//! The verdict: a line for each step as it is done, or one JSON object at the end.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::explain::Explanation;
use super::{ServerUrl, Via};
use crate::text::wrap;

/// What stands in front of advice, below the step that it is about.
const ADVICE_INDENT: &str = "        ";
/// How long lines of advice may be, in characters.
const WIDTH: usize = 100;

/// How a step went.
#[derive(Debug)]
pub(super) enum Verdict {
    /// As it should; what was learnt.
    Passed(String),
    /// Not.
    Failed(Explanation),
    /// It was not tried; why.
    Skipped(String),
}

/// Writes steps down.
pub(super) struct Report<'o> {
    out: &'o mut dyn Write,
    as_json: bool,
    url: String,
    ways: Vec<Value>,
    passed: usize,
    failed: usize,
}

impl<'o> Report<'o> {
    pub(super) fn new(url: &ServerUrl, as_json: bool, out: &'o mut dyn Write) -> Self {
        Self {
            out,
            as_json,
            url: url.to_string(),
            ways: Vec::new(),
            passed: 0,
            failed: 0,
        }
    }

    pub(super) fn start_way(&mut self, via: Via, address: SocketAddr) -> io::Result<()> {
        self.ways.push(json!({
            "transport": via.name().to_ascii_lowercase(),
            "server": address.to_string(),
            "steps": [],
        }));
        self.write(&format!("{} over {} at {address}\n", self.url, via.name()))
    }

    pub(super) fn step(
        &mut self,
        name: &'static str,
        took: Duration,
        verdict: &Verdict,
    ) -> io::Result<()> {
        let ms = took.as_millis();
        let (line, told) = match verdict {
            Verdict::Passed(detail) => {
                self.passed += 1;
                let line = format!("  ok    {name:<17} {ms:>5} ms  {detail}\n");
                (line, json!({"result": "passed", "detail": detail}))
            }
            Verdict::Failed(Explanation { what, advice }) => {
                self.failed += 1;
                let advice = wrap(advice, ADVICE_INDENT, WIDTH);
                let line = format!("  FAIL  {name:<17} {ms:>5} ms  {what}\n{advice}");
                (
                    line,
                    json!({"result": "failed", "detail": what, "advice": advice}),
                )
            }
            Verdict::Skipped(why) => {
                let line = format!("  --    {name:<17} {ms:>5} ms  {why}\n");
                (line, json!({"result": "skipped", "detail": why}))
            }
        };
        let mut told = told;
        told["ms"] = (took.as_secs_f64() * 1e3).into();
        self.remember(name, told);
        self.write(&line)
    }

    /// Steps that what happened before makes impossible.
    pub(super) fn not_tried(&mut self, names: &[&'static str]) -> io::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            self.remember(name, json!({"result": "skipped", "detail": "not tried"}));
        }
        self.write(&format!("  --    not tried: {}\n", names.join(", ")))
    }

    fn remember(&mut self, name: &str, mut told: Value) {
        told["step"] = name.into();
        let steps = self.ways.last_mut().and_then(|way| way.get_mut("steps"));
        if let Some(Value::Array(steps)) = steps {
            steps.push(told);
        }
    }

    /// Sums up; true when something passed and nothing failed.
    pub(super) fn finish(self) -> io::Result<bool> {
        let is_well = self.failed == 0 && self.passed > 0;
        if self.as_json {
            let all = json!({"url": self.url, "passed": is_well, "ways": self.ways});
            writeln!(self.out, "{all:#}")?;
        } else if is_well {
            writeln!(self.out, "Everything works: {} steps passed.", self.passed)?;
        } else if self.passed + self.failed == 0 {
            writeln!(self.out, "Nothing could be checked from here.")?;
        } else {
            writeln!(
                self.out,
                "{} of {} steps failed.",
                self.failed,
                self.passed + self.failed
            )?;
        }
        Ok(is_well)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.as_json {
            return Ok(());
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}
