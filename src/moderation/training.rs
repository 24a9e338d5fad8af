//! Training a site's model from its ledger.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::ports::StoreError;
use super::ports::models::{LedgerExample, ModelRecord, ModelState};
use super::{Actor, Moderation, ModerationError, examples, replay};
use crate::checks::SiteRules;
use crate::classifier::{Figures, Model, SiteLayer, SiteLayerError, TrainingSet};
use crate::domain::{Fingerprint, Label, Site};
use crate::features::FeatureBuilder;

/// Examples read from the store at once.
const PAGE_SIZE: usize = 5_000;
/// Examples of a training at most, the last labelled ones: a table of them takes some 400 MiB.
const EXAMPLE_COUNT_MAX: usize = 50_000;
/// Examples of one author with one label, so that nobody teaches the filter alone.
const AUTHOR_EXAMPLE_COUNT_MAX: usize = 20;
/// The share of the labels, the last ones, that judges.
const HOLD_OUT_DIVISOR: usize = 5;

/// What to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainSettings {
    /// The last entry of the ledger to learn from; nothing: all.
    pub ledger_position: Option<i64>,
    /// The seed of all shuffling.
    pub seed: u64,
}

/// What a training is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainStage {
    /// Examples are read from the ledger.
    Reading,
    /// The hold-out is judged.
    Judging,
    /// The model is fitted to all examples.
    Fitting,
    /// The model is stored.
    Storing,
}

impl TrainStage {
    const ALL: [Self; 4] = [Self::Reading, Self::Judging, Self::Fitting, Self::Storing];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Judging => "judging",
            Self::Fitting => "fitting",
            Self::Storing => "storing",
        }
    }
}

/// How far a training is, and whether it is to end.
#[derive(Debug, Default)]
pub struct TrainProgress {
    example_count: AtomicU64,
    stage: AtomicU8,
    cancelled: AtomicBool,
}

impl TrainProgress {
    /// Examples read so far.
    pub fn example_count(&self) -> u64 {
        self.example_count.load(Ordering::Relaxed)
    }

    /// What is done now.
    pub fn stage(&self) -> TrainStage {
        TrainStage::ALL[usize::from(self.stage.load(Ordering::Relaxed)) % TrainStage::ALL.len()]
    }

    /// Asks the training to end.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    fn enter(&self, stage: TrainStage) -> Result<(), ModerationError> {
        self.stage.store(stage as u8, Ordering::Relaxed);
        let cancelled = self.cancelled.load(Ordering::Relaxed);
        if cancelled { Err(ModerationError::Cancelled) } else { Ok(()) }
    }
}

/// How models did on labels that they were not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldOut {
    /// Good comments held out.
    pub ham_count: u64,
    /// Spam held out.
    pub spam_count: u64,
    /// A model trained like the new one on the labels before.
    pub candidate: Figures,
    /// The model that decided; nothing if it was trained on some of these labels.
    pub active: Option<Figures>,
    /// The base model.
    pub base: Figures,
}

impl HoldOut {
    /// The hold-out of a model, if it had one.
    pub fn of(record: &ModelRecord) -> Option<Self> {
        serde_json::from_str(&record.report).ok()
    }
}

impl Moderation {
    /// Trains a model of a site: the base model with what the ledger's labels add to it. The same
    /// ledger position, seed, base model and program give the same bytes.
    ///
    /// # Errors
    /// `TooFewLabels`, `Cancelled`, `Unavailable`.
    pub async fn train_model(
        &self,
        actor: &Actor,
        site: &Site,
        settings: TrainSettings,
        progress: Arc<TrainProgress>,
    ) -> Result<ModelRecord, ModerationError> {
        progress.enter(TrainStage::Reading)?;
        let last = self.model_store.ledger_position(&site.id).await;
        let last = last.map_err(ModerationError::Unavailable)?;
        let position = settings.ledger_position.map_or(last, |until| until.min(last));
        let ledger = self.read_ledger(site, position, &progress).await?;
        let work = Work {
            base: self.models.base().model(),
            active: self.models.of(&site.id).scorer.model(),
            active_position: self.active_position(site).await?,
            rules: self.rules.of(site),
            hold_one_in: site.policy.budget.hold_one_in,
            layer: SiteLayer { seed: settings.seed, ..SiteLayer::default() },
            name: site.id.to_string(),
        };
        let watched = progress.clone();
        // Minutes of arithmetic at most; not on a thread that answers calls.
        let trained = super::blocking("training", move || work.train(&ledger, &watched));
        let (model, hold_out, counts) = trained.await?;
        progress.enter(TrainStage::Storing)?;
        let record = ModelRecord {
            site: site.id.clone(),
            version: model.version().to_owned(),
            state: ModelState::Candidate,
            create_time: self.clock.now(),
            promote_time: None,
            ledger_position: position,
            base_version: self.models.base().model_version().to_owned(),
            ham_count: counts.0,
            spam_count: counts.1,
            report: hold_out.map_or_else(String::new, |hold_out| hold_out.to_json()),
        };
        let stored = self.model_store.create_model(record, model.to_bytes(), actor.as_str()).await;
        stored.map_err(ModerationError::store("model"))
    }

    /// The last entry of the ledger that the site's active model knows; 0 if the base model decides.
    async fn active_position(&self, site: &Site) -> Result<i64, ModerationError> {
        let models = self.model_store.list_models(&site.id).await;
        let models = models.map_err(ModerationError::Unavailable)?;
        let active = models.iter().find(|model| model.state == ModelState::Active);
        Ok(active.map_or(0, |model| model.ledger_position))
    }

    /// The examples up to a position, in order.
    async fn read_ledger(
        &self,
        site: &Site,
        until: i64,
        progress: &TrainProgress,
    ) -> Result<Vec<LedgerExample>, ModerationError> {
        let mut ledger: Vec<LedgerExample> = Vec::new();
        let mut after = 0;
        loop {
            progress.enter(TrainStage::Reading)?;
            let page =
                self.model_store.ledger_examples(&site.id, after, Some(until), PAGE_SIZE).await;
            let page = page.map_err(ModerationError::Unavailable)?;
            progress.example_count.fetch_add(page.len() as u64, Ordering::Relaxed);
            let Some(last) = page.last() else { break };
            after = last.position;
            ledger.extend(page);
            if ledger.len() > 2 * EXAMPLE_COUNT_MAX {
                ledger.drain(..ledger.len() - EXAMPLE_COUNT_MAX);
            }
        }
        Ok(chosen(ledger))
    }
}

/// The examples that a model may learn from: of equal texts the last label, of each author and
/// label the last [`AUTHOR_EXAMPLE_COUNT_MAX`], in all the last [`EXAMPLE_COUNT_MAX`].
fn chosen(ledger: Vec<LedgerExample>) -> Vec<LedgerExample> {
    let mut texts = HashSet::new();
    let mut authors: HashMap<(Fingerprint, Label), usize> = HashMap::new();
    let mut keep = |example: &LedgerExample| {
        if !texts.insert(example.content_hash) {
            return false;
        }
        let Some(email) = &example.submission.email else { return true };
        let count = authors.entry((email.folded_fingerprint, example.label)).or_default();
        *count += 1;
        *count <= AUTHOR_EXAMPLE_COUNT_MAX
    };
    // From the last to the first, so that the last word counts.
    let mut chosen: Vec<LedgerExample> = ledger.into_iter().rev().filter(|e| keep(e)).collect();
    chosen.truncate(EXAMPLE_COUNT_MAX);
    chosen.reverse();
    chosen
}

/// What a training needs besides examples.
struct Work {
    base: Arc<Model>,
    active: Arc<Model>,
    /// The last entry of the ledger that the active model knows.
    active_position: i64,
    rules: Arc<SiteRules>,
    hold_one_in: u32,
    layer: SiteLayer,
    name: String,
}

type Trained = (Model, Option<HoldOut>, (u64, u64));

impl Work {
    fn train(
        &self,
        ledger: &[LedgerExample],
        progress: &TrainProgress,
    ) -> Result<Trained, ModerationError> {
        progress.enter(TrainStage::Judging)?;
        let replay = replay::examples();
        let (before, after) = ledger.split_at(ledger.len() - ledger.len() / HOLD_OUT_DIVISOR);
        let unseen = after.first().is_some_and(|first| first.position > self.active_position);
        let active = unseen.then_some(&*self.active);
        let hold_out = self.hold_out(&self.set(before), &self.set(after), active, replay);
        progress.enter(TrainStage::Fitting)?;
        let set = self.set(ledger);
        let model = self.layer.train(&self.base, &self.name, &set, replay);
        let model = model.map_err(|error| match error {
            SiteLayerError::TooFewLabels { .. } => ModerationError::TooFewLabels(error.to_string()),
            SiteLayerError::Train(error) => {
                ModerationError::Unavailable(StoreError::Unavailable(error.to_string()))
            }
        })?;
        let count = |label| ledger.iter().filter(|example| example.label == label).count() as u64;
        Ok((model, hold_out, (count(Label::Ham), count(Label::Spam))))
    }

    fn hold_out(
        &self,
        before: &TrainingSet,
        after: &TrainingSet,
        active: Option<&Model>,
        replay: &TrainingSet,
    ) -> Option<HoldOut> {
        let spam_count = after.whole_rows().filter(|row| after.is_spam(*row)).count();
        // One kind alone says nothing about the other.
        if spam_count == 0 || spam_count == after.example_count() {
            return None;
        }
        let candidate = self.layer.train(&self.base, &self.name, before, replay).ok()?;
        let figures = |model: &Model| Figures::measure(model, after, self.hold_one_in);
        Some(HoldOut {
            ham_count: (after.example_count() - spam_count) as u64,
            spam_count: spam_count as u64,
            candidate: figures(&candidate),
            active: active.map(figures),
            base: figures(&self.base),
        })
    }

    fn set(&self, ledger: &[LedgerExample]) -> TrainingSet {
        let mut set = TrainingSet::default();
        let mut builder = FeatureBuilder::default();
        for example in ledger {
            let views = examples::submission_views(&example.submission, &self.rules, &mut builder);
            set.push(&example.source, example.label, None, &views);
        }
        set
    }
}

impl HoldOut {
    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
