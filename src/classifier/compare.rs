//! Two models on the same examples: is one better, or is it chance?

use serde::Serialize;

use super::Outcome;
use super::intervals::{Draws, Interval, Order, interval};
use crate::domain::LogOdds;

/// Resamples of a comparison.
const RESAMPLE_COUNT: usize = 400;

/// How one model, the first, compares with another, the second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first model's version.
    pub model_version: String,
    /// The second model's version.
    pub against_version: String,
    /// Good comments that both scored.
    pub ham_count: u64,
    /// Spam that both scored.
    pub spam_count: u64,
    /// Area under the ROC curve, first minus second.
    pub auc: Option<Difference>,
    /// Recall where 1 % of ham is flagged, first minus second.
    pub recall_at_1_percent: Option<Difference>,
    /// Good comments held or rejected, at each model's own threshold.
    pub ham_held: Disagreeing,
    /// Spam held or rejected, at each model's own threshold.
    pub spam_held: Disagreeing,
}

/// A difference with the interval that holds the true one 95 times in 100. Both models are judged
/// on the same resamples, so what is hard for both does not widen it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// First minus second.
    pub value: f64,
    /// Where the true difference lies.
    pub interval: Interval,
}

/// Examples of one label about which two models disagree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Disagreeing {
    /// Held by the first alone.
    pub first_only_count: u64,
    /// Held by the second alone.
    pub second_only_count: u64,
    /// Held by both.
    pub both_count: u64,
    /// How often chance alone would make them disagree so one-sidedly: McNemar's test, exact and
    /// two-sided (McNemar, "Note on the sampling error of the difference between correlated
    /// proportions or percentages", Psychometrika 1947).
    pub p_value: f64,
}

/// A model's scores of the examples and its threshold for holding.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// The model's version.
    pub version: &'a str,
    /// Its scores, in the order of the examples.
    pub outcomes: &'a [Outcome],
    /// Its threshold for holding.
    pub hold: LogOdds,
}

impl Comparison {
    /// Compares two models that scored the same examples.
    ///
    /// # Panics
    /// If the outcomes are not as many, or differ in their labels.
    pub fn new(first: Contender<'_>, second: Contender<'_>) -> Self {
        assert_eq!(first.outcomes.len(), second.outcomes.len(), "the same examples");
        let pairs = || first.outcomes.iter().zip(second.outcomes);
        assert!(pairs().all(|(a, b)| a.spam == b.spam), "the same examples");
        let orders = [first.outcomes, second.outcomes].map(Order::new);
        let difference = |weights: &[u8]| {
            let [a, b] = [0, 1].map(|model: usize| orders[model].figures(weights));
            [0, 1].map(|figure| Some(a[figure]? - b[figure]?))
        };
        let values = difference(&vec![1; first.outcomes.len()]);
        let mut draws = Draws::new(first.outcomes.len());
        let resampled: Vec<[Option<f64>; 2]> =
            (0..RESAMPLE_COUNT).map(|_| difference(draws.next())).collect();
        let of = |figure: usize| {
            let interval = interval(resampled.iter().map(|figures| figures[figure]))?;
            Some(Difference { value: values[figure]?, interval })
        };
        let disagreeing = |spam: bool| {
            let of_label = pairs().filter(move |(a, _)| a.spam == spam);
            let held =
                of_label.map(|(a, b)| (a.raw_score >= first.hold, b.raw_score >= second.hold));
            Disagreeing::new(held)
        };
        let count = |spam: bool| first.outcomes.iter().filter(|o| o.spam == spam).count() as u64;
        Self {
            model_version: first.version.to_owned(),
            against_version: second.version.to_owned(),
            ham_count: count(false),
            spam_count: count(true),
            auc: of(0),
            recall_at_1_percent: of(1),
            ham_held: disagreeing(false),
            spam_held: disagreeing(true),
        }
    }
}

impl Disagreeing {
    fn new(held: impl Iterator<Item = (bool, bool)>) -> Self {
        let (mut first_only_count, mut second_only_count, mut both_count) = (0, 0, 0);
        for pair in held {
            match pair {
                (true, true) => both_count += 1,
                (true, false) => first_only_count += 1,
                (false, true) => second_only_count += 1,
                (false, false) => {}
            }
        }
        let p_value = mc_nemar(first_only_count, second_only_count);
        Self { first_only_count, second_only_count, both_count, p_value }
    }
}

/// Twice the probability that of `a + b` throws of a fair coin at most the smaller fall on its
/// side.
fn mc_nemar(a: u64, b: u64) -> f64 {
    let (few, total) = (a.min(b), a + b);
    // In logarithms, since 2^-1100 is no number; each term from the one before.
    let mut term = -(total as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for k in 0..=few {
        sum += term.exp();
        term += ((total - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_is_the_binomial_one() {
        assert_eq!(mc_nemar(0, 0), 1.0);
        assert_eq!(mc_nemar(3, 3), 1.0);
        assert!((mc_nemar(0, 5) - 2.0 / 32.0).abs() < 1e-12);
        // 10 against 2: 2 · (1 + 12 + 66) / 4096.
        assert!((mc_nemar(2, 10) - 2.0 * 79.0 / 4096.0).abs() < 1e-12);
        assert!(mc_nemar(40_000, 41_000) < 0.001 && mc_nemar(40_000, 40_100) > 0.5);
    }

    #[test]
    fn a_better_model_is_told_from_chance_and_a_like_one_is_not() {
        let outcomes = |shift: fn(usize) -> f64| -> Vec<Outcome> {
            let outcome = |n: usize| {
                let spam = n.is_multiple_of(2);
                let noise = (n * 7_919 % 1_000) as f64 / 250.0;
                let raw_score = noise + if spam { shift(n) } else { 0.0 };
                Outcome { spam, raw_score: LogOdds::from_f64(raw_score) }
            };
            (0..2_000).map(outcome).collect()
        };
        let (good, poor) = (outcomes(|_| 2.0), outcomes(|_| 1.0));
        let like = outcomes(|n| 1.0 + if n.is_multiple_of(3) { 0.1 } else { -0.05 });
        let hold = LogOdds::from_f64(3.5);
        let side = |outcomes| Contender { version: "m", outcomes, hold };
        let better = Comparison::new(side(&good), side(&poor));
        assert!(better.auc.unwrap().interval.low > 0.0, "{better:?}");
        assert!(better.spam_held.p_value < 1e-6 && better.ham_held.p_value == 1.0);
        let even = Comparison::new(side(&like), side(&poor)).auc.unwrap();
        assert!(even.interval.low < 0.0 && even.interval.high > 0.0, "{even:?}");
        let same = Comparison::new(side(&poor), side(&poor));
        assert_eq!(same.auc.unwrap().value, 0.0);
    }
}
