//! How good a model is: figures from scores of examples whose label is known.
//!
//! Own formulas and not linfa's, whose precision and recall are swapped between its call forms
//! and whose curves are of 32-bit probabilities, too coarse for a budget of 1 in 10,000.

use std::collections::BTreeMap;

use serde::Serialize;

use super::intervals::{self, Interval, Intervals};
use super::slices::slices;
use super::{Judged, Perturbation, Slice, Trial, TrialMeasures, Trials};
use crate::domain::{LogOdds, probability};

/// Bins of equal width for the calibration error.
pub(super) const BIN_COUNT: usize = 15;

/// A labelled example and its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The truth.
    pub spam: bool,
    /// The calibrated log-odds.
    pub raw_score: LogOdds,
}

/// What a threshold did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Confusion {
    /// The threshold, as a probability.
    pub threshold: f64,
    /// Spam at or above it.
    pub true_positive_count: u64,
    /// Ham at or above it.
    pub false_positive_count: u64,
    /// Ham below it.
    pub true_negative_count: u64,
    /// Spam below it.
    pub false_negative_count: u64,
    /// Share of spam among what is at or above it.
    pub precision: Option<f64>,
    /// Share of spam that is at or above it.
    pub recall: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Share of ham that is at or above it.
    pub false_positive_rate: Option<f64>,
}

/// The figures of one set of examples. What cannot be said without both labels is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measures {
    /// Good comments.
    pub ham_count: u64,
    /// Spam.
    pub spam_count: u64,
    /// Area under the ROC curve: how often spam scores above ham, ties counting half.
    pub auc: Option<f64>,
    /// Share of spam caught where 1 % of ham is flagged.
    pub recall_at_1_percent: Option<f64>,
    /// Share of spam caught where 0.1 % of ham is flagged.
    pub recall_at_0_1_percent: Option<f64>,
    /// Expected calibration error over 15 bins of equal width.
    pub calibration_error: Option<f64>,
    /// At even odds.
    pub even: Confusion,
    /// At the threshold for holding.
    pub hold: Confusion,
    /// At the threshold for rejecting.
    pub reject: Confusion,
    /// How sure the figures are, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
}

/// The figures of a model: pooled and by source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The model's version.
    pub model_version: String,
    /// All examples together.
    pub pooled: Measures,
    /// Mean over the sources that have both labels, each counting once.
    pub mean_auc: Option<f64>,
    /// Where that mean lies if other sources had been drawn.
    pub mean_auc_interval: Option<Interval>,
    /// Likewise, of the recall at 1 %.
    pub mean_recall_at_1_percent: Option<f64>,
    /// Likewise.
    pub mean_recall_at_1_percent_interval: Option<Interval>,
    /// Each source by itself.
    pub sources: BTreeMap<String, Measures>,
    /// Kinds of comments with enough examples.
    pub slices: Vec<Slice>,
    /// The examples on the wrong side, the worst of each label first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worst_errors: Vec<WorstError>,
    /// What disguises do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trials: Vec<TrialMeasures>,
}

/// An example on the wrong side, to be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorstError {
    /// Where it comes from.
    pub source: String,
    /// The truth.
    pub spam: bool,
    /// The probability of spam that the model gave, 0–1.
    pub score: f64,
    /// The comment, with every address masked; empty if it is read from a site's ledger.
    pub text: String,
    /// The position of its label in the site's ledger, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
}

impl Evaluation {
    /// Measures examples by source and by kind.
    pub fn new(model_version: String, judged: &[Judged], hold: LogOdds, reject: LogOdds) -> Self {
        let measured =
            |outcomes: &[Outcome]| Measures::new(outcomes, hold, reject).with_intervals(outcomes);
        let all: Vec<Outcome> = judged.iter().map(|one| one.outcome).collect();
        let mut outcomes: BTreeMap<&str, Vec<Outcome>> = BTreeMap::new();
        for one in judged {
            outcomes.entry(&one.source).or_default().push(one.outcome);
        }
        let sources: BTreeMap<String, Measures> = outcomes
            .iter()
            .map(|(source, outcomes)| ((*source).to_owned(), measured(outcomes)))
            .collect();
        let figures = |figure: fn(&Measures) -> Option<f64>| -> Vec<f64> {
            sources.values().filter_map(figure).collect()
        };
        let mean = |figures: &[f64]| ratio(figures.iter().sum(), figures.len() as f64);
        let aucs = figures(|measures| measures.auc);
        let recalls = figures(|measures| measures.recall_at_1_percent);
        Self {
            model_version,
            pooled: measured(&all),
            mean_auc: mean(&aucs),
            mean_auc_interval: intervals::of_mean(&aucs),
            mean_recall_at_1_percent: mean(&recalls),
            mean_recall_at_1_percent_interval: intervals::of_mean(&recalls),
            slices: slices(judged, hold, reject),
            sources,
            worst_errors: Vec::new(),
            trials: Vec::new(),
        }
    }

    /// The positions of the examples that are worst on the wrong side of the threshold for
    /// holding: at most `count` good ones with the highest scores, then as much spam with the
    /// lowest.
    pub fn worst(judged: &[Judged], hold: LogOdds, count: usize) -> Vec<usize> {
        let wrong = |spam: bool| {
            let at = |place: &usize| judged[*place].outcome;
            let mut wrong: Vec<usize> = (0..judged.len())
                .filter(|place| at(place).spam == spam && (at(place).raw_score >= hold) != spam)
                .collect();
            let badness = |place: &usize| {
                let steps = at(place).raw_score.steps();
                if spam { steps } else { -steps }
            };
            wrong.sort_by_key(badness);
            wrong.truncate(count);
            wrong
        };
        [wrong(false), wrong(true)].concat()
    }

    /// Measures what disguises do, against the threshold that flags 1 % of all ham in `judged`.
    pub fn add_trials(
        &mut self,
        judged: &[Judged],
        trials: &Trials,
        hold: LogOdds,
        reject: LogOdds,
    ) {
        let ham = judged.iter().map(|one| one.outcome).filter(|outcome| !outcome.spam);
        let mut scores: Vec<LogOdds> = ham.map(|outcome| outcome.raw_score).collect();
        scores.sort_unstable_by(|a, b| b.cmp(a));
        // The lowest score above the first that must not be flagged.
        let first_passed = scores.get(scores.len() / 100).copied();
        let at_1_percent =
            first_passed.map_or(LogOdds::ZERO, |score| score + LogOdds::from_steps(1));
        let measure = |(kind, trials): (&Perturbation, &Vec<Trial>)| {
            TrialMeasures::new(*kind, trials, at_1_percent, hold, reject)
        };
        self.trials = trials.iter().map(measure).collect();
    }
}

impl Measures {
    /// Measures one set of outcomes.
    pub fn new(outcomes: &[Outcome], hold: LogOdds, reject: LogOdds) -> Self {
        let curve = Curve::new(outcomes);
        Self {
            ham_count: curve.ham_count,
            spam_count: curve.spam_count,
            auc: curve.auc(),
            recall_at_1_percent: curve.recall_at(0.01),
            recall_at_0_1_percent: curve.recall_at(0.001),
            calibration_error: calibration_error(outcomes),
            even: Confusion::new(outcomes, LogOdds::ZERO),
            hold: Confusion::new(outcomes, hold),
            reject: Confusion::new(outcomes, reject),
            intervals: None,
        }
    }

    /// The same figures of the same outcomes, with their intervals.
    pub fn with_intervals(mut self, outcomes: &[Outcome]) -> Self {
        self.intervals = Some(Intervals::new(outcomes, &self.hold, &self.reject));
        self
    }
}

impl Confusion {
    /// Counts what `threshold` does.
    pub fn new(outcomes: &[Outcome], threshold: LogOdds) -> Self {
        let count = |spam: bool, above: bool| {
            let hit = |o: &&Outcome| o.spam == spam && (o.raw_score >= threshold) == above;
            outcomes.iter().filter(hit).count() as u64
        };
        let (hits, false_alarms) = (count(true, true), count(false, true));
        let (passed, missed) = (count(false, false), count(true, false));
        let share = |part: u64, whole: u64| ratio(part as f64, whole as f64);
        Self {
            threshold: probability(threshold),
            true_positive_count: hits,
            false_positive_count: false_alarms,
            true_negative_count: passed,
            false_negative_count: missed,
            precision: share(hits, hits + false_alarms),
            recall: share(hits, hits + missed),
            f1: share(2 * hits, 2 * hits + false_alarms + missed),
            false_positive_rate: share(false_alarms, false_alarms + passed),
        }
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Ham and spam above each threshold, from the highest score down; equal scores fall together.
pub(super) struct Curve {
    pub(super) ham_count: u64,
    pub(super) spam_count: u64,
    /// Ham above, spam above.
    pub(super) points: Vec<(u64, u64)>,
}

impl Curve {
    pub(super) fn new(outcomes: &[Outcome]) -> Self {
        let mut falling: Vec<&Outcome> = outcomes.iter().collect();
        falling.sort_by_key(|outcome| std::cmp::Reverse(outcome.raw_score));
        let (mut ham, mut spam) = (0, 0);
        let mut points = vec![(0, 0)];
        for tie in falling.chunk_by(|a, b| a.raw_score == b.raw_score) {
            let spam_in_tie = tie.iter().filter(|outcome| outcome.spam).count() as u64;
            spam += spam_in_tie;
            ham += tie.len() as u64 - spam_in_tie;
            points.push((ham, spam));
        }
        Self { ham_count: ham, spam_count: spam, points }
    }

    fn auc(&self) -> Option<f64> {
        let area: f64 = self
            .points
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0) as f64 * (pair[1].1 + pair[0].1) as f64 / 2.0)
            .sum();
        ratio(area, self.ham_count as f64 * self.spam_count as f64)
    }

    /// Share of spam caught by the lowest threshold that flags at most this share of ham.
    fn recall_at(&self, false_positive_rate: f64) -> Option<f64> {
        if self.ham_count == 0 {
            return None;
        }
        let ham_max = self.ham_count as f64 * false_positive_rate;
        let caught = self.points.iter().take_while(|(ham, _)| *ham as f64 <= ham_max).last();
        ratio(caught.map_or(0.0, |(_, spam)| *spam as f64), self.spam_count as f64)
    }
}

/// A bin of probabilities.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bin {
    pub(super) count: u64,
    pub(super) spam_count: u64,
    pub(super) probability_sum: f64,
}

pub(super) fn bins(outcomes: &[Outcome]) -> [Bin; BIN_COUNT] {
    let mut bins = [Bin::default(); BIN_COUNT];
    for outcome in outcomes {
        let probability = probability(outcome.raw_score);
        let bin = &mut bins[((probability * BIN_COUNT as f64) as usize).min(BIN_COUNT - 1)];
        bin.count += 1;
        bin.spam_count += u64::from(outcome.spam);
        bin.probability_sum += probability;
    }
    bins
}

/// Mean distance of predicted and true share of spam, weighed by the bins' sizes.
fn calibration_error(outcomes: &[Outcome]) -> Option<f64> {
    let distances = bins(outcomes).map(|bin| (bin.probability_sum - bin.spam_count as f64).abs());
    ratio(distances.iter().sum(), outcomes.len() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcomes(scores: &[(bool, f64)]) -> Vec<Outcome> {
        scores
            .iter()
            .map(|(spam, score)| Outcome { spam: *spam, raw_score: LogOdds::from_f64(*score) })
            .collect()
    }

    #[test]
    fn figures_of_a_set_one_can_count_by_hand() {
        let set = outcomes(&[(true, 3.0), (true, 1.0), (false, 1.0), (false, -1.0), (false, -2.0)]);
        let measures = Measures::new(&set, LogOdds::from_f64(0.5), LogOdds::from_f64(2.0));
        // Of 6 pairs 5 are in order and one is a tie.
        assert_eq!(measures.auc, Some(5.5 / 6.0));
        assert_eq!(measures.recall_at_1_percent, Some(0.5));
        assert_eq!(measures.hold.precision, Some(2.0 / 3.0));
        assert_eq!(measures.hold.recall, Some(1.0));
        assert_eq!(measures.hold.f1, Some(0.8));
        assert_eq!(measures.hold.false_positive_rate, Some(1.0 / 3.0));
        assert_eq!(measures.reject.false_positive_count, 0);
        assert_eq!(measures.reject.false_negative_count, 1);
    }

    #[test]
    fn one_label_alone_gives_no_invented_figures() {
        let measures = Measures::new(&outcomes(&[(false, 1.0)]), LogOdds::ZERO, LogOdds::ZERO);
        assert_eq!((measures.auc, measures.recall_at_1_percent), (None, None));
        assert_eq!(measures.hold.recall, None);
        assert_eq!(measures.hold.false_positive_rate, Some(1.0));
        let nothing = Measures::new(&[], LogOdds::ZERO, LogOdds::ZERO);
        assert_eq!(nothing.calibration_error, None);
    }

    #[test]
    fn honest_probabilities_have_no_calibration_error() {
        let even: Vec<(bool, f64)> = (0..100).map(|n| (n % 2 == 0, 0.0)).collect();
        assert_eq!(calibration_error(&outcomes(&even)), Some(0.0));
        let sure: Vec<(bool, f64)> = (0..100).map(|n| (n % 2 == 0, 20.0)).collect();
        assert!(calibration_error(&outcomes(&sure)).unwrap() > 0.49);
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_in_order(
            scores in prop::collection::vec((any::<bool>(), -5i32..5), 0..60)
        ) {
            let scores: Vec<(bool, f64)> =
                scores.into_iter().map(|(spam, score)| (spam, f64::from(score))).collect();
            let (mut pairs, mut ordered) = (0.0, 0.0);
            for (_, spam) in scores.iter().filter(|(label, _)| *label) {
                for (_, ham) in scores.iter().filter(|(label, _)| !*label) {
                    pairs += 1.0;
                    ordered += if spam > ham { 1.0 } else if spam == ham { 0.5 } else { 0.0 };
                }
            }
            let auc = Measures::new(&outcomes(&scores), LogOdds::ZERO, LogOdds::ZERO).auc;
            match auc {
                None => prop_assert_eq!(pairs, 0.0),
                Some(auc) => prop_assert!((auc - ordered / pairs).abs() < 1e-12),
            }
        }
    }
}
