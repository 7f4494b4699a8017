//! A case: one requirement, and the function that puts it to a server.

use std::fmt;

use crate::context::Context;

/// How a case ends. Passing says nothing.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// Why a case did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Fail { expected: String, got: String },
    NotApplicable(String),
}

/// The case fails.
pub(crate) fn fail<T>(expected: impl fmt::Display, got: impl fmt::Display) -> Outcome<T> {
    let (expected, got) = (expected.to_string(), got.to_string());
    Err(Stop::Fail { expected, got })
}

/// The case does not apply to this server or to what the suite was told about it.
pub(crate) fn not_applicable<T>(reason: impl fmt::Display) -> Outcome<T> {
    Err(Stop::NotApplicable(reason.to_string()))
}

/// Trouble on the way: whatever should have been sent or received was not.
impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        let (expected, got) = ("an exchange without trouble".into(), format!("{error:#}"));
        Self::Fail { expected, got }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

/// Where a requirement comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An RFC asks for it: a server that fails deviates from the RFC.
    Rfc,
    /// No RFC asks for it, attacks do: a server that fails is easier to abuse or harder to use.
    Hardening,
}

impl Class {
    pub(crate) const ALL: [Self; 2] = [Self::Rfc, Self::Hardening];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Hardening => "hardening",
        }
    }
}

/// Which way to the server a case takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Udp,
    Tcp,
    Tls,
}

impl Carrier {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

const UDP: &[Carrier] = &[Carrier::Udp];
const STREAMS: &[Carrier] = &[Carrier::Tcp, Carrier::Tls];
const EVERY: &[Carrier] = &[Carrier::Udp, Carrier::Tcp, Carrier::Tls];

type Run = Box<dyn Fn(&Context) -> Outcome + Send + Sync>;

/// One requirement and its test.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) class: Class,
    /// The clause of an RFC, or what the field learned the rule from.
    pub(crate) clause: &'static str,
    /// The deciding words of the clause, or why the rule is there.
    pub(crate) reason: &'static str,
    /// In one line.
    pub(crate) requirement: String,
    pub(crate) carriers: &'static [Carrier],
    /// It waits long: started first.
    pub(crate) is_slow: bool,
    pub(crate) run: Run,
}

impl Case {
    fn new(
        class: Class,
        id: &str,
        [clause, reason]: [&'static str; 2],
        requirement: &str,
        run: impl Fn(&Context) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self {
            id: id.to_owned(),
            class,
            clause,
            reason,
            requirement: requirement.to_owned(),
            carriers: UDP,
            is_slow: false,
            run: Box::new(run),
        }
    }

    /// What an RFC asks for: its clause and the deciding words.
    pub(crate) fn rfc(
        id: &str,
        clause: [&'static str; 2],
        requirement: &str,
        run: impl Fn(&Context) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self::new(Class::Rfc, id, clause, requirement, run)
    }

    /// What attacks ask for: a reference and the reason.
    pub(crate) fn hardening(
        id: &str,
        why: [&'static str; 2],
        requirement: &str,
        run: impl Fn(&Context) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self::new(Class::Hardening, id, why, requirement, run)
    }

    /// Runs once over TCP and once over TLS, as far as the server is known to offer them.
    pub(crate) fn over_streams(mut self) -> Self {
        self.carriers = STREAMS;
        self
    }

    /// Runs over TLS alone.
    pub(crate) fn over_tls(mut self) -> Self {
        self.carriers = &[Carrier::Tls];
        self
    }

    /// Runs over UDP, TCP and TLS.
    pub(crate) fn over_every(mut self) -> Self {
        self.carriers = EVERY;
        self
    }

    pub(crate) fn slow(mut self) -> Self {
        self.is_slow = true;
        self
    }

    /// The id with the carrier where there are several: `P-24/tcp`.
    pub(crate) fn full_id(&self, carrier: Carrier) -> String {
        if self.carriers.len() == 1 {
            self.id.clone()
        } else {
            format!("{}/{}", self.id, carrier.name())
        }
    }
}
