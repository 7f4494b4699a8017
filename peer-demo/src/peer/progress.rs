//! How far a connection that is not there yet has come: pure.

use std::fmt;

/// Why a peer is not connected, as far as this side can tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// Neither side has offered.
    #[default]
    NoOffer,
    /// The own offer has no answer.
    NoAnswer,
    /// Descriptions are exchanged, and no pair of candidates works.
    NoWay {
        /// Candidates of this side.
        here: usize,
        /// Candidates of the other side.
        there: usize,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOffer => write!(f, "no offer was made"),
            Self::NoAnswer => write!(f, "no answer to the offer"),
            Self::NoWay { here, there } => {
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
            (Progress::NoOffer, "no offer was made"),
            (Progress::NoAnswer, "no answer to the offer"),
            (
                Progress::NoWay { here: 3, there: 0 },
                "no way found: 3 candidates here, 0 there",
            ),
        ] {
            assert_eq!(progress.to_string(), words);
        }
    }
}
