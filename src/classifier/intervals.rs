//! How sure figures are: intervals that hold the true figure 95 times in 100.
//!
//! Shares have Wilson's interval (Wilson, "Probable Inference, the Law of Succession, and
//! Statistical Inference", JASA 1927). Areas and recalls at a rate have none in closed form that
//! holds for few examples, so they are measured again on resamples in which each example stands as
//! often as a Poisson draw of mean one says (Hanley and MacGibbon, "Creating non-parametric
//! bootstrap samples using Poisson frequencies", 2006): one walk over the sorted scores a resample,
//! and two models can be judged by the same draws.

use rand::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

use super::{Confusion, Outcome};

/// Resamples: enough that the ends of a 95 % interval move by a tenth of its width at most.
const RESAMPLE_COUNT: usize = 400;
/// The same draws every time, so that the same scores give the same report.
const SEED: u64 = 0x6B6F_6E66;
/// Of a standard normal, the point with 2.5 % above.
const Z: f64 = 1.959_963_984_540_054;

/// An interval that holds the true figure 95 times in 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The intervals of a set's figures. What cannot be said without both labels is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intervals {
    /// Of the area under the ROC curve.
    pub auc: Option<Interval>,
    /// Of the share of spam caught where 1 % of ham is flagged.
    pub recall_at_1_percent: Option<Interval>,
    /// Of the share of spam caught where 0.1 % of ham is flagged.
    pub recall_at_0_1_percent: Option<Interval>,
    /// Of the share of ham held or rejected.
    pub ham_held: Option<Interval>,
    /// Of the share of spam held or rejected.
    pub spam_held: Option<Interval>,
    /// Of the share of ham rejected.
    pub ham_rejected: Option<Interval>,
    /// Of the share of spam rejected.
    pub spam_rejected: Option<Interval>,
}

impl Intervals {
    /// Measures the intervals of one set of outcomes.
    pub fn new(outcomes: &[Outcome], hold: &Confusion, reject: &Confusion) -> Self {
        let order = Order::new(outcomes);
        let mut draws = Draws::new(outcomes.len());
        let resampled: Vec<[Option<f64>; 3]> =
            (0..RESAMPLE_COUNT).map(|_| order.figures(draws.next())).collect();
        // Where nothing varies, as with labels that the scores separate, resamples say nothing.
        let of = |figure: usize| {
            let interval = interval(resampled.iter().map(|figures| figures[figure]));
            interval.filter(|interval| interval.low < interval.high)
        };
        let spam_count = outcomes.iter().filter(|outcome| outcome.spam).count();
        let plain = order.figures(&vec![1; outcomes.len()]);
        let recall = |figure: usize| {
            let caught = plain[figure]? * spam_count as f64;
            of(figure).or_else(|| wilson(caught.round() as u64, spam_count as u64))
        };
        let ham = |at: &Confusion| {
            wilson(at.false_positive_count, at.false_positive_count + at.true_negative_count)
        };
        let spam = |at: &Confusion| {
            wilson(at.true_positive_count, at.true_positive_count + at.false_negative_count)
        };
        Self {
            auc: of(0),
            recall_at_1_percent: recall(1),
            recall_at_0_1_percent: recall(2),
            ham_held: ham(hold),
            spam_held: spam(hold),
            ham_rejected: ham(reject),
            spam_rejected: spam(reject),
        }
    }
}

/// The interval of the mean of a few figures, each of a source, if other sources had been drawn.
pub(super) fn of_mean(figures: &[f64]) -> Option<Interval> {
    let mut draws = Draws::new(figures.len());
    let mean = |weights: &[u8]| {
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let sum: f64 = figures.iter().zip(weights).map(|(f, w)| f * f64::from(*w)).sum();
        (total > 0.0).then(|| sum / total)
    };
    interval((0..RESAMPLE_COUNT).map(|_| mean(draws.next())))
}

/// Wilson's interval of `part` in `whole`; nothing of nothing.
pub fn wilson(part: u64, whole: u64) -> Option<Interval> {
    if whole == 0 {
        return None;
    }
    let (n, p) = (whole as f64, part as f64 / whole as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

/// From the 2.5th to the 97.5th percentile; nothing if a tenth of the resamples says nothing.
pub(super) fn interval(figures: impl Iterator<Item = Option<f64>>) -> Option<Interval> {
    let mut figures: Vec<f64> = figures.flatten().collect();
    if figures.len() * 10 < RESAMPLE_COUNT * 9 {
        return None;
    }
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| figures[((figures.len() - 1) as f64 * share).round() as usize];
    Some(Interval { low: at(0.025), high: at(0.975) })
}

/// Outcomes from the highest score down; equal scores fall together.
pub(super) struct Order {
    /// Position among the outcomes, whether it is spam, and whether the next one scores lower.
    rows: Vec<(u32, bool, bool)>,
}

impl Order {
    pub(super) fn new(outcomes: &[Outcome]) -> Self {
        let mut order: Vec<u32> = (0..outcomes.len() as u32).collect();
        let score = |at: &u32| outcomes[*at as usize].raw_score;
        order.sort_by_key(|at| std::cmp::Reverse(score(at)));
        let last = |place: usize| {
            order.get(place + 1).is_none_or(|next| score(next) != score(&order[place]))
        };
        let rows = order.iter().enumerate();
        Self { rows: rows.map(|(n, at)| (*at, outcomes[*at as usize].spam, last(n))).collect() }
    }

    /// Area, and recall at 1 % and 0.1 % of ham flagged, where each outcome counts as often as
    /// `weights` says.
    pub(super) fn figures(&self, weights: &[u8]) -> [Option<f64>; 3] {
        let total = |label: bool| -> f64 {
            let of_label = self.rows.iter().filter(|(_, spam, _)| *spam == label);
            of_label.map(|(at, ..)| f64::from(weights[*at as usize])).sum()
        };
        let (ham_total, spam_total) = (total(false), total(true));
        if ham_total == 0.0 || spam_total == 0.0 {
            return [None; 3];
        }
        let (mut ham, mut spam) = (0.0, 0.0);
        let (mut area, mut recalls) = (0.0, [0.0; 2]);
        let (mut ham_before, mut spam_before) = (0.0, 0.0);
        for (at, is_spam, last) in &self.rows {
            let weight = f64::from(weights[*at as usize]);
            *(if *is_spam { &mut spam } else { &mut ham }) += weight;
            if *last {
                area += (ham - ham_before) * (spam + spam_before) / 2.0;
                for (recall, rate) in recalls.iter_mut().zip([0.01, 0.001]) {
                    if ham <= ham_total * rate {
                        *recall = spam / spam_total;
                    }
                }
                (ham_before, spam_before) = (ham, spam);
            }
        }
        [Some(area / (ham_total * spam_total)), Some(recalls[0]), Some(recalls[1])]
    }
}

/// How often each of so many examples stands in a resample.
pub(super) struct Draws {
    chance: Xoshiro256PlusPlus,
    weights: Vec<u8>,
}

impl Draws {
    pub(super) fn new(count: usize) -> Self {
        Self { chance: Xoshiro256PlusPlus::seed_from_u64(SEED), weights: vec![0; count] }
    }

    /// The next resample.
    pub(super) fn next(&mut self) -> &[u8] {
        for weight in &mut self.weights {
            *weight = poisson(self.chance.next_u32());
        }
        &self.weights
    }
}

/// A draw of a Poisson distribution of mean one, by its distribution function.
fn poisson(draw: u32) -> u8 {
    let uniform = f64::from(draw) / (f64::from(u32::MAX) + 1.0);
    let (mut term, mut sum, mut count) = ((-1.0f64).exp(), 0.0, 0u8);
    loop {
        sum += term;
        if uniform < sum || count == 12 {
            return count;
        }
        count += 1;
        term /= f64::from(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Measures;
    use crate::domain::LogOdds;

    fn outcomes(count: usize) -> Vec<Outcome> {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(9);
        let mut draw = move || f64::from(chance.next_u32()) / f64::from(u32::MAX);
        let outcome = |n: usize| {
            let spam = n.is_multiple_of(4);
            let score = 4.0 * draw() + if spam { 1.5 } else { 0.0 };
            Outcome { spam, raw_score: LogOdds::from_f64((score * 20.0).round() / 20.0) }
        };
        (0..count).map(outcome).collect()
    }

    #[test]
    fn an_unweighted_walk_gives_the_figures_themselves() {
        let outcomes = outcomes(500);
        let measures = Measures::new(&outcomes, LogOdds::ZERO, LogOdds::ZERO);
        let figures = Order::new(&outcomes).figures(&[1; 500]);
        assert!((figures[0].unwrap() - measures.auc.unwrap()).abs() < 1e-12);
        assert_eq!(figures[1], measures.recall_at_1_percent);
        assert_eq!(figures[2], measures.recall_at_0_1_percent);
    }

    #[test]
    fn intervals_hold_the_figure_and_shrink_with_more_examples() {
        let width = |count: usize| {
            let outcomes = outcomes(count);
            let measures = Measures::new(&outcomes, LogOdds::from_f64(3.0), LogOdds::from_f64(4.0));
            let intervals = Intervals::new(&outcomes, &measures.hold, &measures.reject);
            let auc = intervals.auc.unwrap();
            assert!(auc.low < measures.auc.unwrap() && measures.auc.unwrap() < auc.high);
            let held = intervals.ham_held.unwrap();
            let share = measures.hold.false_positive_rate.unwrap();
            assert!(held.low <= share && share <= held.high);
            auc.high - auc.low
        };
        let (few, many) = (width(200), width(5_000));
        assert!(many < few / 3.0, "{few} {many}");
    }

    #[test]
    fn a_few_separated_examples_are_not_called_certain() {
        let outcome = |n: usize| Outcome {
            spam: n.is_multiple_of(5),
            raw_score: LogOdds::from_f64(if n.is_multiple_of(5) { 3.0 } else { -3.0 }),
        };
        let outcomes: Vec<Outcome> = (0..50).map(outcome).collect();
        let measures = Measures::new(&outcomes, LogOdds::ZERO, LogOdds::ZERO);
        let intervals = Intervals::new(&outcomes, &measures.hold, &measures.reject);
        assert_eq!((measures.auc, intervals.auc), (Some(1.0), None));
        assert_eq!(intervals.recall_at_1_percent, wilson(10, 10));
    }

    #[test]
    fn wilson_is_as_in_his_paper_and_never_leaves_the_unit() {
        let interval = wilson(10, 20).unwrap();
        assert!((interval.low - 0.2993).abs() < 1e-4 && (interval.high - 0.7007).abs() < 1e-4);
        assert_eq!(wilson(0, 40).unwrap().low, 0.0);
        assert_eq!(wilson(40, 40).unwrap().high, 1.0);
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn draws_have_mean_one_and_repeat() {
        let mut draws = Draws::new(10_000);
        let sum: u32 = draws.next().iter().map(|weight| u32::from(*weight)).sum();
        assert!((9_700..10_300).contains(&sum), "{sum}");
        assert_eq!(Draws::new(50).next(), Draws::new(50).next());
    }

    #[test]
    fn one_label_alone_has_no_curve() {
        let ham: Vec<Outcome> = outcomes(100).into_iter().filter(|o| !o.spam).collect();
        let measures = Measures::new(&ham, LogOdds::ZERO, LogOdds::ZERO);
        let intervals = Intervals::new(&ham, &measures.hold, &measures.reject);
        assert_eq!((intervals.auc, intervals.spam_held), (None, None));
        assert!(intervals.ham_held.is_some());
        assert!(of_mean(&[0.9, 0.8, 0.95]).is_some());
    }
}
