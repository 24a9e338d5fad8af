//! What disguises do to scores: the same examples as they came and disguised, side by side.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Outcome, Perturbation};
use crate::domain::LogOdds;

/// An example and its disguised copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// The example as it came.
    pub plain: Outcome,
    /// The score of the copy.
    pub disguised: LogOdds,
}

/// Trials by kind.
pub type Trials = BTreeMap<Perturbation, Vec<Trial>>;

/// A share as it came and disguised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// As it came.
    pub plain: f64,
    /// Disguised.
    pub disguised: f64,
}

/// What one kind of disguise does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialMeasures {
    /// The kind.
    pub perturbation: Perturbation,
    /// Good comments that could be disguised in this way.
    pub ham_count: u64,
    /// Spam that could.
    pub spam_count: u64,
    /// Share of spam and of ham at or above the threshold that flags 1 % of all good comments.
    pub at_1_percent: [Option<Change>; 2],
    /// At or above the threshold for holding.
    pub held: [Option<Change>; 2],
    /// At or above the threshold for rejecting.
    pub rejected: [Option<Change>; 2],
}

impl TrialMeasures {
    /// Measures trials of one kind. `at_1_percent` is the threshold that flags 1 % of all good
    /// comments as they came.
    pub fn new(
        perturbation: Perturbation,
        trials: &[Trial],
        at_1_percent: LogOdds,
        hold: LogOdds,
        reject: LogOdds,
    ) -> Self {
        let count = |spam: bool| trials.iter().filter(|trial| trial.plain.spam == spam).count();
        let shares = |threshold| [true, false].map(|spam| change(trials, spam, threshold));
        Self {
            perturbation,
            ham_count: count(false) as u64,
            spam_count: count(true) as u64,
            at_1_percent: shares(at_1_percent),
            held: shares(hold),
            rejected: shares(reject),
        }
    }
}

/// The share of one label at or above a threshold; nothing if there are none of it.
fn change(trials: &[Trial], spam: bool, threshold: LogOdds) -> Option<Change> {
    let of_label = || trials.iter().filter(|trial| trial.plain.spam == spam);
    let total = of_label().count() as f64;
    let share = |score: fn(&Trial) -> LogOdds| {
        of_label().filter(|trial| score(trial) >= threshold).count() as f64 / total
    };
    (total > 0.0).then(|| Change {
        plain: share(|trial| trial.plain.raw_score),
        disguised: share(|trial| trial.disguised),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_each_label_before_and_after() {
        let trial = |spam, plain, disguised| Trial {
            plain: Outcome { spam, raw_score: LogOdds::from_f64(plain) },
            disguised: LogOdds::from_f64(disguised),
        };
        let trials = [trial(true, 3.0, 3.0), trial(true, 3.0, 0.0), trial(false, 0.0, 2.0)];
        let [low, high] = [1.0, 2.5].map(LogOdds::from_f64);
        let measures = TrialMeasures::new(Perturbation::Leet, &trials, low, high, high);
        assert_eq!((measures.spam_count, measures.ham_count), (2, 1));
        let change = |plain, disguised| Some(Change { plain, disguised });
        assert_eq!(measures.at_1_percent, [change(1.0, 0.5), change(0.0, 1.0)]);
        assert_eq!(measures.held, [change(1.0, 0.5), change(0.0, 0.0)]);
        let none = TrialMeasures::new(Perturbation::Dot, &trials[2..], low, high, high);
        assert_eq!(none.rejected[0], None);
    }
}
