//! How good a site's models are on the site's own labels, and which of two is better.

use std::collections::HashMap;
use std::sync::Arc;

use super::Moderation;
use super::ModerationError;
use super::curation::{self, Split};
use super::learnt::Learnt;
use super::models::Known;
use super::ports::models::LedgerExample;
use super::ports::operations::WorkStage;
use super::progress::WorkProgress;
use super::thresholds::RawThresholds;
use super::training::{Teacher, raw_score};
use crate::classifier::{
    Comparison, Contender, Evaluation, Judged, Model, Outcome, Traits, WorstError, html_report,
};
use crate::domain::{Label, LogOdds, Site, SiteId, probability};
use crate::features::FeatureBuilder;
use crate::text::Analysis;

/// Worst errors of each label that are listed.
const WORST_COUNT: usize = 20;
/// Characters of their texts: enough to see what they are.
const WORST_CHARACTERS_MAX: usize = 600;

/// How a model did on labels of the site that it had not learnt from.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelEvaluation {
    /// The model that was asked about.
    pub model_version: String,
    /// The model that was judged: the same, or one trained like it without the labels to judge by.
    pub judged_version: String,
    /// The lowest position of a label that judged.
    pub from_position: i64,
    /// The figures.
    pub evaluation: Evaluation,
    /// The model beside another, where that was asked for.
    pub comparison: Option<Comparison>,
    /// The labels that judged, the oldest first.
    pub judged_labels: Vec<JudgedLabel>,
    /// All of it as a page.
    pub html: String,
}

/// A label that judged a model, and what the model said of its comment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgedLabel {
    /// The label's position in the ledger.
    pub position: i64,
    /// The truth.
    pub label: Label,
    /// What the model said.
    pub raw_score: LogOdds,
    /// Whether that is enough to hold the comment.
    pub held: bool,
    /// The print of the comment's text.
    pub content_hash: u64,
}

impl Moderation {
    /// Judges a model of a site, or the base model, on the last fifth of the site's good comments
    /// and of its spam. A model that has learnt from some of them is judged by its twin, trained
    /// like it on the other labels. With `against`, two models are judged as they are, on the
    /// labels whose texts neither knows.
    ///
    /// # Errors
    /// `NotFound`, `TooFewLabels` if nothing is left to judge by, `Cancelled`, `Unavailable`.
    pub async fn evaluate_model(
        &self,
        site: &Arc<Site>,
        version: &str,
        against: Option<&str>,
        progress: Arc<WorkProgress>,
    ) -> Result<ModelEvaluation, ModerationError> {
        progress.enter(WorkStage::Reading)?;
        let model = self.known_model(site, version).await?;
        let against = match against {
            Some(version) => Some(self.known_model(site, version).await?),
            None => None,
        };
        let ledger = self.read_ledger(site, i64::MAX, &progress).await?;
        let positions = std::iter::once(&model).chain(&against).map(|known| known.ledger_position);
        let positions: Vec<i64> = positions.collect();
        let learnt = self.learnt_texts(site, &positions, &progress).await?;
        let teacher = self.teacher(site, model.model.summary().seed);
        let judge = Judge { site: site.clone(), model, against, learnt, teacher };
        super::blocking("judging", move || judge.run(&ledger, &progress)).await
    }

    /// The first characters of the comments of labels, as far as they are still there.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn quotes(
        &self,
        site: &SiteId,
        positions: Vec<i64>,
    ) -> Result<HashMap<i64, String>, ModerationError> {
        let found = self.model_store.examples_at(site, positions).await;
        let found = found.map_err(ModerationError::Unavailable)?;
        let quote = |example: LedgerExample| {
            let text = example.submission.text.chars().take(WORST_CHARACTERS_MAX).collect();
            (example.position, text)
        };
        Ok(found.into_iter().map(quote).collect())
    }
}

/// What an evaluation needs besides examples.
struct Judge {
    site: Arc<Site>,
    model: Known,
    against: Option<Known>,
    /// What either has learnt from.
    learnt: Learnt,
    teacher: Teacher,
}

impl Judge {
    fn run(
        self,
        ledger: &[LedgerExample],
        progress: &WorkProgress,
    ) -> Result<ModelEvaluation, ModerationError> {
        progress.enter(WorkStage::Judging)?;
        let is_new = |example: &&LedgerExample| !self.learnt.has(example);
        let Split { before, after: judging } = match &self.against {
            None => curation::split(ledger),
            Some(_) => {
                let mut after: Vec<_> = ledger.iter().filter(is_new).collect();
                after.sort_by_key(curation::age);
                Split { before: Vec::new(), after }
            }
        };
        let Some(from_position) = judging.iter().map(|example| example.position).min() else {
            let why = match &self.against {
                Some(_) => "no text is newer than both models",
                None => "the ledger has too few labels to hold some out",
            };
            return Err(ModerationError::TooFewLabels(why.to_owned()));
        };
        let judged_model = if judging.iter().all(is_new) {
            self.model.model.clone()
        } else {
            Arc::new(self.teacher.train(before, progress)?)
        };
        let thresholds = |model: &Model| RawThresholds::of(model, &self.site.policy);
        let judged = judged(&judged_model, &judging, progress)?;
        let RawThresholds { hold, reject } = thresholds(&judged_model);
        let version = judged_model.version().to_owned();
        let mut evaluation = Evaluation::new(version.clone(), &judged, hold, reject);
        evaluation.worst_errors = worst_errors(&judged, &judging, hold);
        let judged_labels = judged_labels(&judged, &judging, hold);
        let comparison = match &self.against {
            None => None,
            Some(other) => {
                let outcomes = |judged: &[Judged]| -> Vec<Outcome> {
                    judged.iter().map(|one| one.outcome).collect()
                };
                let first = outcomes(&judged);
                let second = outcomes(&self::judged(&other.model, &judging, progress)?);
                let other_hold = thresholds(&other.model).hold;
                let side = |version, outcomes, hold| Contender { version, outcomes, hold };
                Some(Comparison::new(
                    side(&version, &first, hold),
                    side(other.model.version(), &second, other_hold),
                ))
            }
        };
        let title =
            format!("{} on the last labels of {}", self.model.model.version(), self.site.id);
        Ok(ModelEvaluation {
            model_version: self.model.model.version().to_owned(),
            judged_version: version,
            from_position,
            html: html_report(&title, &evaluation, &judged, comparison.as_ref()),
            evaluation,
            comparison,
            judged_labels,
        })
    }
}

/// Examples with what a model says and what they are like.
fn judged(
    model: &Model,
    examples: &[&LedgerExample],
    progress: &WorkProgress,
) -> Result<Vec<Judged>, ModerationError> {
    let mut builder = FeatureBuilder::default();
    let judged = examples.iter().map(|example| {
        progress.check()?;
        let spam = example.label == Label::Spam;
        Ok(Judged {
            source: example.source.as_str().into(),
            outcome: Outcome { spam, raw_score: raw_score(model, example, &mut builder) },
            traits: Traits::of(&Analysis::new(&example.submission)),
        })
    });
    judged.collect()
}

fn judged_labels(
    judged: &[Judged],
    examples: &[&LedgerExample],
    hold: LogOdds,
) -> Vec<JudgedLabel> {
    let label = |(judged, example): (&Judged, &&LedgerExample)| JudgedLabel {
        position: example.position,
        label: example.label,
        raw_score: judged.outcome.raw_score,
        held: judged.outcome.raw_score >= hold,
        content_hash: example.content_hash,
    };
    judged.iter().zip(examples).map(label).collect()
}

fn worst_errors(judged: &[Judged], examples: &[&LedgerExample], hold: LogOdds) -> Vec<WorstError> {
    let worst = Evaluation::worst(judged, hold, WORST_COUNT).into_iter();
    let error = |place: usize| WorstError {
        source: examples[place].source.clone(),
        spam: judged[place].outcome.spam,
        score: probability(judged[place].outcome.raw_score),
        text: String::new(),
        position: Some(examples[place].position),
    };
    worst.map(error).collect()
}
