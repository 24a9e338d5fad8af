//! The guard of a site layer: what it learns from a site may not hold more of the site's good
//! comments than the base model does.
//!
//! A layer moves scores apart, those of ham that is like the site's spam as well, while a budget's
//! thresholds were measured on the base model's scores. So each threshold is raised until the layer
//! holds no more of the site's ham than the base model would, judged out of fold: by layers that
//! did not learn from it. Scores stay, and with them their parts and their calibration.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{BudgetTable, TrainingSet};
use crate::domain::LogOdds;

/// Parts that the labels are cut into, each scored by a layer that learnt from the others.
pub(super) const FOLD_COUNT: usize = 5;

/// A threshold rises by so much at most, in log-odds: one wrong label shall not disarm a site. The
/// most that a source left out needed was 1.4 (November 2026).
const RISE_MAX: f64 = 2.0;

/// The scores of one good comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HamScores {
    /// By the base model.
    pub(super) base: LogOdds,
    /// By a layer that did not learn from it.
    pub(super) layer: LogOdds,
}

/// The thresholds of `budget`, raised where the layer holds more of these comments than the base.
pub(super) fn guarded(budget: &BudgetTable, ham: &[HamScores]) -> BudgetTable {
    let mut by_layer: Vec<LogOdds> = ham.iter().map(|scores| scores.layer).collect();
    by_layer.sort_by_key(|score| Reverse(*score));
    let raised = |(level, threshold): &(u32, LogOdds)| {
        let held_by_base = ham.iter().filter(|scores| scores.base >= *threshold).count();
        let needed = by_layer
            .get(held_by_base)
            .map_or(*threshold, |first_too_many| *first_too_many + LogOdds::from_steps(1));
        (*level, needed.clamp(*threshold, *threshold + LogOdds::from_f64(RISE_MAX)))
    };
    BudgetTable::rising(budget.points().iter().map(raised).collect())
}

/// The fold of each example, by its running number. Near duplicates share one; so both labels are
/// in every fold as evenly as their groups allow.
pub(super) fn folds(set: &TrainingSet) -> HashMap<u32, usize> {
    let mut groups: HashMap<(bool, u64), usize> = HashMap::new();
    let mut group_counts = [0; 2];
    let mut folds = HashMap::new();
    for example in set.examples() {
        let next = &mut group_counts[usize::from(example.spam)];
        let place = *groups.entry((example.spam, example.group)).or_insert_with(|| {
            *next += 1;
            *next - 1
        });
        folds.insert(example.example, place % FOLD_COUNT);
    }
    folds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scores(pairs: &[(f64, f64)]) -> Vec<HamScores> {
        let of = LogOdds::from_f64;
        pairs.iter().map(|(base, layer)| HamScores { base: of(*base), layer: of(*layer) }).collect()
    }

    fn held(ham: &[HamScores], of: fn(&HamScores) -> LogOdds, threshold: LogOdds) -> usize {
        ham.iter().filter(|scores| of(scores) >= threshold).count()
    }

    fn table(points: &[(u32, f64)]) -> BudgetTable {
        let points = points.iter().map(|(level, score)| (*level, LogOdds::from_f64(*score)));
        BudgetTable::try_from(points.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_threshold_rises_until_no_more_ham_is_held_than_by_the_base_model() {
        let budget = table(&[(1, -9.0), (100, 2.0), (1_000, 4.0)]);
        let quiet = scores(&[(-3.0, -4.0), (-1.0, 1.5), (2.5, 3.0)]);
        assert_eq!(guarded(&budget, &quiet), budget);
        let louder = scores(&[(-3.0, -4.0), (-1.0, 2.5), (2.5, 3.0)]);
        let guarded_table = guarded(&budget, &louder);
        assert_eq!(guarded_table.threshold(100), LogOdds::from_f64(2.5) + LogOdds::from_steps(1));
        assert_eq!(guarded_table.threshold(1_000), LogOdds::from_f64(4.0));
        assert_eq!(guarded(&budget, &[]), budget);
    }

    #[test]
    fn one_wrong_label_raises_a_threshold_by_little() {
        let budget = table(&[(1, -9.0), (100, 2.0)]);
        let wrong = guarded(&budget, &scores(&[(-1.0, 12.0), (-5.0, -6.0)]));
        assert_eq!(wrong.threshold(100), LogOdds::from_f64(2.0 + RISE_MAX));
    }

    proptest! {
        #[test]
        fn thresholds_never_fall_and_ham_is_not_held_more_often(
            pairs in prop::collection::vec((-5.0f64..5.0, -5.0f64..5.0), 0..60),
            rise in 0.0f64..4.0,
        ) {
            let budget = table(&[(1, -6.0), (50, 1.0), (500, 1.0 + rise)]);
            let ham = scores(&pairs);
            let after = guarded(&budget, &ham);
            for ((level, before), (same, raised)) in budget.points().iter().zip(after.points()) {
                prop_assert_eq!(level, same);
                prop_assert!(raised >= before);
                let at_most = held(&ham, |scores| scores.base, *before);
                let full = *raised >= *before + LogOdds::from_f64(RISE_MAX);
                prop_assert!(full || held(&ham, |scores| scores.layer, *raised) <= at_most);
            }
        }
    }
}
