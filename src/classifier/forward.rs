//! Cross-validation forward in time: what a model makes of comments that are written after all it
//! was trained on. Tricks change, so this is what a model that is not trained again can expect.

use rayon::prelude::*;

use super::recipe::budget;
use super::training_set::{Role, Row};
use super::{
    BudgetTable, Calibration, FoldScore, Recipe, RecipeError, Stage, TrainError, TrainingSet,
};

/// Folds of which the calibration is fitted.
const GROUP_FOLD_COUNT: usize = 5;

impl Recipe {
    /// Divides the examples that have a date into `fold_count` spans of time with as many examples
    /// each, and scores those of each span but the first by a model trained on what is earlier and
    /// on what has no date. Scores come back calibrated, with a budget, as groups of known sources
    /// left out say.
    ///
    /// # Errors
    /// [`RecipeError`] if settings or examples allow no model, or no example has a date.
    pub fn forward_in_time(
        &self,
        set: &TrainingSet,
        fold_count: usize,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<(Vec<FoldScore>, BudgetTable), RecipeError> {
        let folds = self.of_folds();
        let mut known = folds.leave_groups_out(set, GROUP_FOLD_COUNT, progress)?;
        let (scores, spam): (Vec<f64>, Vec<bool>) =
            known.iter().map(|fold| (fold.raw_score, fold.spam)).unzip();
        let calibration = Calibration::fit(&scores, &spam)?;
        let calibrate = |fold: &mut FoldScore| {
            fold.raw_score = calibration.apply(fold.raw_score) + fold.evidence;
        };
        known.iter_mut().for_each(calibrate);
        let starts = starts(set, fold_count);
        if starts.is_empty() {
            return Err(TrainError::MissingLabel("example with a date").into());
        }
        let score = |span: usize| -> Result<Vec<FoldScore>, TrainError> {
            let (from, to) = (starts[span], starts.get(span + 1).copied());
            let later = |row: &Row| set.time(row.example).is_some_and(|time| time >= from);
            let within =
                |row: &Row| later(row) && to.is_none_or(|to| set.time(row.example) < Some(to));
            let model = match folds.fit_without(set, later, &mut |_| ()) {
                Ok(model) => model,
                Err(TrainError::MissingLabel(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            progress(Stage::Folds { done: span + 1, total: starts.len() });
            let rows = set.rows.iter().enumerate();
            let judged = rows.filter(|(_, row)| row.role == Role::Whole && within(row));
            let fold = |(index, row): (usize, &Row)| FoldScore {
                source: row.source as usize,
                spam: row.spam,
                raw_score: model.raw_score(set.table.row(index)),
                evidence: f64::from(row.evidence),
                example: row.example,
                trial: None,
            };
            Ok(judged.map(fold).collect())
        };
        let scored: Result<Vec<Vec<FoldScore>>, TrainError> =
            (0..starts.len()).into_par_iter().map(score).collect();
        let mut scored = scored?.concat();
        scored.iter_mut().for_each(calibrate);
        Ok((scored, budget(&known)))
    }
}

/// When each span but the first begins.
fn starts(set: &TrainingSet, fold_count: usize) -> Vec<i64> {
    let mut times: Vec<i64> =
        set.examples().filter_map(|example| set.time(example.example)).collect();
    times.sort_unstable();
    let mut starts: Vec<i64> = (1..fold_count)
        .filter_map(|span| times.get(times.len() * span / fold_count).copied())
        .collect();
    starts.dedup();
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::View;
    use crate::domain::Label;
    use crate::features::FeatureBuilder;
    use crate::text::Analysis;
    use crate::text::testing::blind;

    /// Spam that says `quince` until a day and `medlar` from then on.
    fn set(change: i64, dated: bool) -> TrainingSet {
        let mut set = TrainingSet::default();
        let mut builder = FeatureBuilder::default();
        for day in 0..400 {
            let spam = day % 2 == 0;
            let word = match spam {
                false => "bread",
                true if day < change => "quince",
                true => "medlar",
            };
            let submission = blind(&format!("{word} {} {}", day * 7 % 31, day * 11 % 17));
            let vector = builder.build(&Analysis::new(&submission), [].iter()).clone();
            let label = if spam { Label::Spam } else { Label::Ham };
            let view = View { vector, share: 1.0, role: Role::Whole, evidence: 0.0 };
            set.push("blog", label, None, &[view]);
            if dated {
                set.set_time(day * 86_400);
            }
        }
        set
    }

    #[test]
    fn later_comments_are_judged_by_earlier_ones_alone() {
        let recipe = Recipe::default();
        let certainty = |set: &TrainingSet| {
            let (scores, _) = recipe.forward_in_time(set, 5, &|_| ()).unwrap();
            assert_eq!(scores.len(), 320, "all but the first fifth");
            // The span from day 160 to 239.
            let span = scores.iter().filter(|fold| fold.spam && (160..240).contains(&fold.example));
            let span: Vec<f64> = span.map(|fold| fold.raw_score).collect();
            assert_eq!(span.len(), 40);
            span.iter().sum::<f64>() / 40.0
        };
        let (same, changed) = (certainty(&set(1_000, true)), certainty(&set(160, true)));
        assert!(changed < 0.8 * same, "a word of tomorrow is not known today: {changed} {same}");
    }

    #[test]
    fn without_dates_there_is_nothing_to_order() {
        let undated = set(1_000, false);
        let error = Recipe::default().forward_in_time(&undated, 5, &|_| ()).unwrap_err();
        assert!(error.to_string().contains("date"), "{error}");
    }
}
