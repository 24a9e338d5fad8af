//! How fast a site layer learns: each source as a new site that labels its comments one by one.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::Serialize;

use super::{
    BudgetTable, Calibration, Head, Measures, Model, Outcome, Recipe, RecipeError, SiteLayer,
    Stage, TrainingSet,
};
use crate::domain::LogOdds;
use crate::features::{BUCKET_COUNT, FEATURE_DEFINITION};

/// Examples that must be left to judge by, and of each label.
const JUDGED_COUNT_MIN: usize = 50;
const JUDGED_LABEL_COUNT_MIN: usize = 10;

/// What a new site gets, by how many comments it has labelled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearningCurve {
    /// The source.
    pub source: String,
    /// Good comments that judge.
    pub ham_count: u64,
    /// Spam that judges.
    pub spam_count: u64,
    /// Whether the source's labels came in the order of their dates; else in a drawn order.
    pub by_date: bool,
    /// The base model, trained without the source.
    pub base: CurveFigures,
    /// The layer after so many labels, in the order of the labels.
    pub layers: Vec<LayerFigures>,
}

/// A layer after so many labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerFigures {
    /// Labels it learnt from.
    pub label_count: usize,
    /// How many of these were spam.
    pub spam_label_count: usize,
    /// Whether there were enough of each kind; else the base model serves.
    pub trained: bool,
    /// What it does with the rest.
    pub figures: CurveFigures,
}

/// What a model does with the comments that judge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurveFigures {
    /// Share on the wrong side of even odds.
    pub error_rate: f64,
    /// Area under the ROC curve.
    pub auc: Option<f64>,
    /// Share of spam caught where 1 % of ham is flagged.
    pub recall_at_1_percent: Option<f64>,
    /// Share of ham at or above the model's threshold for holding.
    pub ham_held: Option<f64>,
    /// Share of spam at or above it.
    pub spam_held: Option<f64>,
}

impl Recipe {
    /// Leaves out each source that has enough of both labels, lets `layer` learn from its first
    /// `label_counts` examples, and judges by those after the last of them.
    ///
    /// # Errors
    /// [`RecipeError`] if settings or examples allow no model.
    pub fn learning_curves(
        &self,
        set: &TrainingSet,
        replay: &TrainingSet,
        layer: &SiteLayer,
        label_counts: &[usize],
        progress: &(dyn Fn(Stage) + Sync),
    ) -> Result<Vec<LearningCurve>, RecipeError> {
        let (_, calibration, budget) = self.judge(set, progress)?;
        let first_judged = label_counts.iter().copied().max().unwrap_or(0);
        // A source that every layer learns from anyway is no new site.
        let replayed = |source: &usize| replay.sources().contains(&set.sources()[*source]);
        let sites: Vec<Site> = (0..set.sources().len())
            .filter(|source| !replayed(source))
            .filter_map(|source| Site::of(set, source, first_judged, self.seed))
            .collect();
        let curves = sites.par_iter().map(|site| {
            let base = self.base_without(set, site.source, calibration, &budget)?;
            let judged = set.subset(&site.examples[first_judged..]);
            let figures = |model: &Model| site_figures(model, &judged);
            let layers = label_counts.iter().map(|count| {
                let labels = set.subset(&site.examples[..*count]);
                let trained = layer.train(&base, "site", &labels, replay, &|| true).ok();
                LayerFigures {
                    label_count: *count,
                    spam_label_count: labels.whole_rows().filter(|r| labels.is_spam(*r)).count(),
                    trained: trained.is_some(),
                    figures: figures(trained.as_ref().unwrap_or(&base)),
                }
            });
            let spam_count = judged.whole_rows().filter(|row| judged.is_spam(*row)).count();
            Ok(LearningCurve {
                source: set.sources()[site.source].clone(),
                ham_count: (judged.example_count() - spam_count) as u64,
                spam_count: spam_count as u64,
                by_date: site.by_date,
                base: figures(&base),
                layers: layers.collect(),
            })
        });
        curves.collect()
    }

    /// A base model that never saw a source.
    fn base_without(
        &self,
        set: &TrainingSet,
        source: usize,
        calibration: Calibration,
        budget: &BudgetTable,
    ) -> Result<Model, RecipeError> {
        let fitted = self.fit_without_source(set, source)?;
        let head = Head::calibrated("spam", &fitted, calibration, budget.clone());
        Ok(Model {
            version: String::new(),
            name: "base".into(),
            feature_definition: FEATURE_DEFINITION.to_owned(),
            bucket_count: BUCKET_COUNT,
            heads: vec![head],
            summary: Default::default(),
        })
    }
}

/// A source as a new site: its examples in the order in which they are labelled.
struct Site {
    source: usize,
    examples: Vec<u32>,
    by_date: bool,
}

impl Site {
    /// The site, if enough of both labels are left after the first `first_judged`.
    fn of(set: &TrainingSet, source: usize, first_judged: usize, seed: u64) -> Option<Self> {
        let mut examples: Vec<(Option<i64>, u32, bool)> = set
            .examples()
            .filter(|row| row.source as usize == source)
            .map(|row| (set.time(row.example), row.example, row.spam))
            .collect();
        let by_date = examples.iter().all(|(time, ..)| time.is_some());
        if by_date {
            examples.sort_unstable();
        } else {
            let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed);
            examples.shuffle(&mut chance);
        }
        let judged = examples.get(first_judged..)?;
        let spam_count = judged.iter().filter(|(.., spam)| *spam).count();
        let rarer = spam_count.min(judged.len() - spam_count);
        let enough = judged.len() >= JUDGED_COUNT_MIN && rarer >= JUDGED_LABEL_COUNT_MIN;
        let examples = examples.into_iter().map(|(_, example, _)| example).collect();
        enough.then_some(Self { source, examples, by_date })
    }
}

fn site_figures(model: &Model, judged: &TrainingSet) -> CurveFigures {
    let head = model.spam();
    let outcome = |row| Outcome {
        spam: judged.is_spam(row),
        raw_score: LogOdds::from_f64(head.raw_score_of(judged, row)),
    };
    let outcomes: Vec<Outcome> = judged.whole_rows().map(outcome).collect();
    let threshold = head.threshold(crate::domain::Budget::default().hold_one_in);
    let measures = Measures::new(&outcomes, threshold, threshold);
    let even = &measures.even;
    let wrong = even.false_positive_count + even.false_negative_count;
    CurveFigures {
        error_rate: wrong as f64 / outcomes.len().max(1) as f64,
        auc: measures.auc,
        recall_at_1_percent: measures.recall_at_1_percent,
        ham_held: measures.hold.false_positive_rate,
        spam_held: measures.hold.recall,
    }
}
