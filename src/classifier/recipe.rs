//! From labelled examples to a model: weights of rows, folds, calibration and budget.
//!
//! The table is built by the callers, row by row, with the same feature builder that serves.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use linfa::ParamGuard;
use rayon::prelude::*;

use super::prior;
use super::row_source::RowSource;
use super::training_set::{Role, Row};
use super::{
    BudgetTable, Calibration, CalibrationError, Csr, Head, LogisticRegression,
    LogisticRegressionParams, Model, Perturbation, Problem, Progress, TrainError, TrainingSet,
    TrainingSummary,
};
use crate::domain::LogOdds;
use crate::features::{BUCKET_COUNT, FEATURE_DEFINITION};

/// How a model is trained. The defaults make the bundled model.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The price of an error against the size of the weights.
    pub cost: f64,
    /// See [`LogisticRegressionParams::tolerance`].
    pub tolerance: f64,
    /// See [`LogisticRegressionParams::pass_count_max`].
    pub pass_count_max: u32,
    /// The seed of all shuffling.
    pub seed: u64,
    /// All examples of one label in a source weigh together as their number to this power: at 1
    /// each example counts the same, at 0 each source.
    pub source_power: f64,
}

impl Default for Recipe {
    /// Measured in November 2026, each source left out in turn. Power 0 against 0.2 and 0.4: mean
    /// recall at 1 % false positives 0.505, 0.499 and 0.465. Cost 1 to 10: differences below one
    /// point.
    fn default() -> Self {
        Self { cost: 3.0, tolerance: 0.1, pass_count_max: 60, seed: 1, source_power: 0.0 }
    }
}

/// Why no model came of it.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The examples allow no fit.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The scores allow no calibration.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
}

/// A score of an example by a model that was trained without it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoldScore {
    /// The position of its source in [`TrainingSet::sources`].
    pub source: usize,
    /// The truth.
    pub spam: bool,
    /// The model's score.
    pub raw_score: f64,
    /// What signals that are weighed by hand add to it once it is calibrated.
    pub evidence: f64,
    /// The running number of the example.
    pub example: u32,
    /// How it was disguised, if it was.
    pub trial: Option<Perturbation>,
}

/// What a training is at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// A pass over the rows for the final weights, after each block.
    Pass(Progress),
    /// So many folds are done.
    Folds {
        /// Done.
        done: usize,
        /// In all.
        total: usize,
    },
}

impl Recipe {
    fn params(&self) -> Result<super::LogisticRegressionValidParams, TrainError> {
        LogisticRegressionParams::default()
            .cost(self.cost)
            .tolerance(self.tolerance)
            .pass_count_max(self.pass_count_max)
            .seed(self.seed)
            .check()
    }

    /// Fits the weights, not yet calibrated.
    ///
    /// # Errors
    /// [`TrainError`] if settings or examples allow no fit.
    pub fn fit<T: RowSource>(
        &self,
        set: &TrainingSet<T>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LogisticRegression, TrainError> {
        self.fit_without(set, |_| false, progress)
    }

    pub(super) fn fit_without<T: RowSource>(
        &self,
        set: &TrainingSet<T>,
        left_out: impl Fn(&Row) -> bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LogisticRegression, TrainError> {
        let mut weights = set.weights(self.source_power);
        for (weight, row) in weights.iter_mut().zip(&set.rows) {
            if left_out(row) {
                *weight = 0.0;
            }
        }
        let weights = weights.to_vec();
        let targets: Vec<bool> = set.rows.iter().map(|row| row.spam).collect();
        let variances = prior::variances(&set.table, &targets, &weights)?;
        let problem = Problem { rows: &set.table, targets: &targets, weights: Some(&weights) };
        self.params()?.fit_with_variances(&problem, &variances, progress, &|| true)
    }

    /// Fits the weights without one source, at the precision of folds.
    pub(super) fn fit_without_source(
        &self,
        set: &TrainingSet,
        source: usize,
    ) -> Result<LogisticRegression, TrainError> {
        self.of_folds().fit_without(set, |row| row.source as usize == source, &mut |_| ())
    }

    /// This recipe at the precision of folds.
    pub fn of_folds(&self) -> Self {
        Self { tolerance: self.tolerance * FOLD_TOLERANCE_FACTOR, ..self.clone() }
    }

    /// Scores every example, and every trial, by a model trained without its source. Sources that the rest cannot
    /// do without, because one label would be missing, are not scored.
    ///
    /// # Errors
    /// [`TrainError`] if settings or examples allow no fit.
    pub fn leave_one_source_out<T: Table>(
        &self,
        set: &TrainingSet<T>,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<Vec<FoldScore>, TrainError> {
        let fold_count = set.sources.len().min(SOURCE_FOLD_COUNT_MAX);
        self.out_of_fold(set, fold_count, |row| row.source as usize % fold_count, progress)
    }

    /// Scores every example, and every trial, by a model trained without the fold its group fell into.
    ///
    /// # Errors
    /// [`TrainError`] if settings or examples allow no fit.
    pub fn leave_groups_out<T: Table>(
        &self,
        set: &TrainingSet<T>,
        fold_count: usize,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<Vec<FoldScore>, TrainError> {
        // Fibonacci hashing spreads running numbers evenly.
        let spread = |group: u64| group.wrapping_add(self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let fold = |row: &Row| (spread(row.group) >> 32) as usize % fold_count;
        self.out_of_fold(set, fold_count, fold, progress)
    }

    fn out_of_fold<T: Table>(
        &self,
        set: &TrainingSet<T>,
        fold_count: usize,
        fold_of: impl Fn(&Row) -> usize + Sync,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<Vec<FoldScore>, TrainError> {
        self.params()?;
        let done = std::sync::atomic::AtomicUsize::new(0);
        let score_fold = |fold: usize| {
            let scores = match self.fit_without(set, |row| fold_of(row) == fold, &mut |_| ()) {
                Ok(model) => {
                    let mine = |(_, row): &(usize, &Row)| fold_of(row) == fold;
                    let score = |(index, row): (usize, &Row)| {
                        let trial = match row.role {
                            Role::Whole => None,
                            Role::Trial(perturbation) => Some(perturbation),
                            Role::Variant => return None,
                        };
                        let raw_score = model.raw_score(set.table.borrow().row(index));
                        let (source, spam) = (row.source as usize, row.spam);
                        let evidence = f64::from(row.evidence);
                        let example = row.example;
                        Some(FoldScore { source, spam, raw_score, evidence, example, trial })
                    };
                    Ok(set.rows.iter().enumerate().filter(mine).filter_map(score).collect())
                }
                Err(TrainError::MissingLabel(_)) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
            let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            progress(Stage::Folds { done, total: fold_count });
            scores
        };
        let folds: Result<Vec<Vec<FoldScore>>, TrainError> =
            (0..fold_count).into_par_iter().map(score_fold).collect();
        Ok(folds?.concat())
    }
}

/// A table in memory, owned or borrowed.
pub trait Table: RowSource + Borrow<Csr> {}

impl<T: RowSource + Borrow<Csr>> Table for T {}

/// The weights of all examples, not yet calibrated.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// Each head with the number of its examples.
    spam: (LogisticRegression, usize),
    abuse: Option<(LogisticRegression, usize)>,
    summary: TrainingSummary,
}

/// What training made, with what it was judged by.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// The scores that calibration and budget were measured on, calibrated.
    pub fold_scores: Vec<FoldScore>,
}

/// Folds by group.
const GROUP_FOLD_COUNT: usize = 5;
/// How often a score on a known source counts in the calibration, against once on a new one.
const KNOWN_WEIGHT: usize = 3;
/// Folds by source at most. Of more sources several are left out together, so that a file in which
/// every author is a source costs no fit for each.
const SOURCE_FOLD_COUNT_MAX: usize = 64;
/// Fewest sources to leave one out.
const SOURCE_COUNT_MIN: usize = 4;
/// Folds judge and don't serve: a tenth of the precision is enough for thresholds and
/// takes half the time.
const FOLD_TOLERANCE_FACTOR: f64 = 10.0;

impl Recipe {
    /// Trains a model with the head `spam`, and `abuse` if enough examples say whether they are.
    ///
    /// # Errors
    /// [`RecipeError`] if settings or examples allow no model.
    pub fn train(
        &self,
        name: &str,
        set: &TrainingSet,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<Trained, RecipeError> {
        self.finish(name, self.fit_heads(set, progress)?, set, progress)
    }

    /// Fits the weights of all heads to all examples, wherever their rows are.
    ///
    /// # Errors
    /// [`TrainError`] if settings or examples allow no fit.
    pub fn fit_heads<T: RowSource>(
        &self,
        set: &TrainingSet<T>,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<Fitted, TrainError> {
        let watch = &mut |pass| progress(Stage::Pass(pass));
        let spam = (self.fit(set, watch)?, set.example_count());
        let abuse = match set.as_abuse() {
            Some(set) => Some((self.fit(&set, watch)?, set.example_count())),
            None => None,
        };
        Ok(Fitted { spam, abuse, summary: self.summary(set) })
    }

    /// Calibrates fitted weights and measures their budget on a sample of the examples: all of
    /// them where they are in memory.
    ///
    /// # Errors
    /// [`RecipeError`] if the sample allows no calibration.
    pub fn finish(
        &self,
        name: &str,
        fitted: Fitted,
        sample: &TrainingSet,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<Trained, RecipeError> {
        let (spam, fold_scores) = self.head("spam", &fitted.spam, sample, progress)?;
        let mut heads = vec![spam];
        if let Some((abuse, sample)) = fitted.abuse.as_ref().zip(sample.as_abuse()) {
            heads.push(self.head("abuse", abuse, &sample, progress)?.0);
        }
        let model = Model {
            version: String::new(),
            name: name.to_owned(),
            feature_definition: FEATURE_DEFINITION.to_owned(),
            bucket_count: BUCKET_COUNT,
            heads,
            summary: fitted.summary,
        };
        Ok(Trained { model: model.versioned(), fold_scores })
    }

    fn head<T: Table>(
        &self,
        name: &str,
        (fitted, example_count): &(LogisticRegression, usize),
        sample: &TrainingSet<T>,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<(Head, Vec<FoldScore>), RecipeError> {
        // The examples of a sample stand for all: an error costs the more, so that the folds'
        // weights become about as large as those that they calibrate.
        let share = *example_count as f64 / sample.example_count() as f64;
        let recipe = Self { cost: self.cost * share, ..self.clone() };
        let (fold_scores, calibration, budget) = recipe.judge(sample, progress)?;
        Ok((Head::calibrated(name, fitted, calibration, budget), fold_scores))
    }

    /// Scores examples and trials out of fold, and measures calibration and budget on them. The
    /// scores are those of whole sources left out where there are enough, and come back calibrated.
    ///
    /// A site is a source that the model never saw, and later it is one that it did see. So the
    /// calibration is fitted to scores of both kinds, the known ones counted three
    /// times: expected error 0.043 on new sources and 0.017 on known ones; the model card has the
    /// alternatives. The budget is measured on new sources alone, which is the cautious side.
    ///
    /// # Errors
    /// [`RecipeError`] if settings or examples allow no fit.
    pub fn judge<T: Table>(
        &self,
        set: &TrainingSet<T>,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<(Vec<FoldScore>, Calibration, BudgetTable), RecipeError> {
        let folds = self.of_folds();
        let known = folds.leave_groups_out(set, GROUP_FOLD_COUNT, progress)?;
        let new = if set.sources.len() >= SOURCE_COUNT_MIN {
            folds.leave_one_source_out(set, progress)?
        } else {
            Vec::new()
        };
        judge_by(known, new)
    }

    /// The same by the scores of sources that were left out, however few they are: what
    /// [`Self::judge`] falls back to, folds in which a source is known, judges nothing here. So
    /// there has to be ham among them.
    ///
    /// # Errors
    /// [`RecipeError`] if settings or examples allow no fit.
    pub fn judge_left_out<T: Table>(
        &self,
        set: &TrainingSet<T>,
        new: Vec<FoldScore>,
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<(Vec<FoldScore>, BudgetTable), RecipeError> {
        if !examples(&new).any(|fold| !fold.spam) {
            return Err(TrainError::MissingLabel("ham in a source that was left out").into());
        }
        let known = self.of_folds().leave_groups_out(set, GROUP_FOLD_COUNT, progress)?;
        let (judged, _, budget) = judge_by(known, new)?;
        Ok((judged, budget))
    }

    fn summary<T>(&self, set: &TrainingSet<T>) -> TrainingSummary {
        let settings = [
            ("cost", self.cost),
            ("tolerance", self.tolerance),
            ("pass_count_max", f64::from(self.pass_count_max)),
            ("source_power", self.source_power),
        ];
        TrainingSummary {
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: self.seed,
            settings: settings.map(|(name, value)| (name.to_owned(), value)).into(),
            sources: set.source_counts(),
            base_version: None,
        }
    }
}

/// Calibration and budget by scores on known sources and on new ones, and the scores that measured
/// the budget, calibrated: those of new sources, if ham is among them.
fn judge_by(
    known: Vec<FoldScore>,
    new: Vec<FoldScore>,
) -> Result<(Vec<FoldScore>, Calibration, BudgetTable), RecipeError> {
    if !known.iter().any(|fold| !fold.spam) {
        // So few examples that every fold lacks a label.
        return Err(TrainError::MissingLabel("ham outside of one group").into());
    }
    let known_again = (0..KNOWN_WEIGHT).flat_map(|_| examples(&known));
    let (scores, spam): (Vec<f64>, Vec<bool>) =
        known_again.chain(examples(&new)).map(|fold| (fold.raw_score, fold.spam)).unzip();
    let calibration = Calibration::fit(&scores, &spam)?;
    let mut judged = if new.iter().any(|fold| !fold.spam) { new } else { known };
    for fold in &mut judged {
        fold.raw_score = calibration.apply(fold.raw_score) + fold.evidence;
    }
    let budget = budget(&judged);
    Ok((judged, calibration, budget))
}

/// The scores of examples as they came.
fn examples(scores: &[FoldScore]) -> impl Iterator<Item = &FoldScore> {
    scores.iter().filter(|fold| fold.trial.is_none())
}

/// The budget of good comments among scores; a source weighs as the root of its size, so that
/// neither the largest nor the smallest decides alone.
pub(super) fn budget(scores: &[FoldScore]) -> BudgetTable {
    let mut sizes: BTreeMap<usize, f64> = BTreeMap::new();
    for fold in examples(scores).filter(|fold| !fold.spam) {
        *sizes.entry(fold.source).or_default() += 1.0;
    }
    let ham = examples(scores).filter(|fold| !fold.spam);
    let weighed =
        ham.map(|fold| (LogOdds::from_f64(fold.raw_score), sizes[&fold.source].powf(-0.5)));
    BudgetTable::measure(weighed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::View;
    use crate::domain::Label;
    use crate::features::FeatureBuilder;
    use crate::text::Analysis;
    use crate::text::testing::blind;

    /// Six sources whose spam has the word `quince`, among words that say nothing.
    fn set() -> TrainingSet {
        let mut set = TrainingSet::default();
        let mut builder = FeatureBuilder::default();
        for number in 0..240 {
            let spam = number % 3 == 0;
            let word = if spam { "quince" } else { "bread" };
            let text = format!("{word} number {} is {}", number * 7 % 31, number * 11 % 17);
            let submission = blind(&text);
            let vector = builder.build(&Analysis::new(&submission), [].iter()).clone();
            let label = if spam { Label::Spam } else { Label::Ham };
            let views = [View { vector, share: 1.0, role: Role::Whole, evidence: 0.0 }];
            set.push(&format!("source {}", number / 40), label, Some(number / 4), &views);
        }
        set
    }

    #[test]
    fn training_twice_gives_the_same_bytes_and_another_seed_others() {
        let set = set();
        let train = |seed| {
            let recipe = Recipe { seed, ..Recipe::default() };
            recipe.train("test", &set, &|_| ()).unwrap().model
        };
        let model = train(1);
        assert_eq!(model.to_bytes(), train(1).to_bytes());
        assert_ne!(model.to_bytes(), train(2).to_bytes());
        assert_eq!(Model::from_bytes(&model.to_bytes()).unwrap(), model);
        assert_eq!(model.summary().sources.len(), 6);
    }

    #[test]
    fn the_model_learns_what_there_is_to_learn_and_explains_it_exactly() {
        let model = Recipe::default().train("test", &set(), &|_| ()).unwrap().model;
        let mut builder = FeatureBuilder::default();
        let mut names = crate::features::Names::default();
        let mut score = |text: &str| {
            let submission = blind(text);
            let analysis = Analysis::new(&submission);
            let fast = model.spam().raw_score(builder.build(&analysis, [].iter()));
            let vector = builder.build_named(&analysis, [].iter(), &mut names);
            let score = model.score(vector, &names, &[]);
            assert_eq!(score.raw_score, fast);
            assert_eq!(score.contributions.iter().map(|part| part.weight).sum::<LogOdds>(), fast);
            score
        };
        let spam = score("The quince number is 5");
        let ham = score("The bread number is 5");
        assert!(spam.probability > 0.5 && ham.probability < 0.5, "{spam:?} {ham:?}");
        assert_eq!(spam.contributions[0].name, "word:quince");
    }

    #[test]
    fn folds_score_every_example_once_and_keep_groups_together() {
        let set = set();
        let recipe = Recipe::default();
        let by_source = recipe.leave_one_source_out(&set, &|_| ()).unwrap();
        assert_eq!(by_source.len(), set.example_count());
        let by_group = recipe.leave_groups_out(&set, 3, &|_| ()).unwrap();
        assert_eq!(by_group.len(), set.example_count());
        for fold in by_source.iter().chain(&by_group) {
            assert_eq!(fold.raw_score > 0.0, fold.spam, "the word is in every source");
        }
    }

    /// Scores of folds by group, in which each source is known, were given out as those of new ones.
    #[test]
    fn few_sources_are_judged_by_what_left_them_out() {
        let of_two_sources: Vec<u32> = (0..80).collect();
        let set = set().subset(&of_two_sources);
        let recipe = Recipe::default();
        let new = recipe.of_folds().leave_one_source_out(&set, &|_| ()).unwrap();
        assert_eq!(new.len(), 80);
        let key = |fold: &FoldScore| (fold.source, fold.example);
        let left_out: Vec<_> = new.iter().map(key).collect();
        let (judged, _) = recipe.judge_left_out(&set, new.clone(), &|_| ()).unwrap();
        assert_eq!(judged.iter().map(key).collect::<Vec<_>>(), left_out);
        let spam: Vec<FoldScore> = new.into_iter().filter(|fold| fold.spam).collect();
        let refused = recipe.judge_left_out(&set, spam, &|_| ()).unwrap_err().to_string();
        assert!(refused.contains("ham in a source that was left out"), "{refused}");
    }

    #[test]
    fn examples_that_allow_no_model_are_refused() {
        let mut one = TrainingSet::default();
        let view =
            View { vector: Default::default(), share: 1.0, role: Role::Whole, evidence: 0.0 };
        one.push("a", Label::Ham, None, std::slice::from_ref(&view));
        let error = |set: &TrainingSet| {
            Recipe::default().train("test", set, &|_| ()).unwrap_err().to_string()
        };
        assert_eq!(error(&one), "there is no spam to learn from");
        one.push("a", Label::Spam, None, &[view]);
        assert!(!error(&one).is_empty());
    }
}
