//! How far a connection that is not there yet has come: pure.

use std::fmt;

/// Why a peer is not connected, as far as this side can tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// Neither side has offered.
    #[default]
    Unoffered,
    /// The own offer has no answer.
    Unanswered,
    /// Descriptions are exchanged, and no pair of candidates works.
    Wayless {
        /// Candidates of this side.
        here: usize,
        /// Candidates of the other side.
        there: usize,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unoffered => write!(f, "no offer was made"),
            Self::Unanswered => write!(f, "no answer to the offer"),
            Self::Wayless { here, there } => {
                write!(f, "no way found: {here} candidates here, {there} there")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of these said `never connected` and nothing else.
    #[test]
    fn the_words_tell_the_cases_apart() {
        for (progress, words) in [
            (Progress::Unoffered, "no offer was made"),
            (Progress::Unanswered, "no answer to the offer"),
            (
                Progress::Wayless { here: 3, there: 0 },
                "no way found: 3 candidates here, 0 there",
            ),
        ] {
            assert_eq!(progress.to_string(), words);
        }
    }
}
