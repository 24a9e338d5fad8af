//! Training a site's model from its ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::curation::{Campaigns, Split};
use super::learnt::Learnt;
use super::ports::StoreError;
use super::ports::models::{LedgerExample, ModelRecord, ModelState};
use super::ports::operations::WorkStage;
use super::progress::WorkProgress;
use super::thresholds::RawThresholds;
use super::{Actor, Moderation, ModerationError, curation, examples, replay};
use crate::checks::SiteRules;
use crate::classifier::{
    Figures, Model, SiteLayer, SiteLayerError, TrainError, TrainingSet, Traits,
};
use crate::domain::{Label, LogOdds, Site, SitePolicy};
use crate::features::FeatureBuilder;
use crate::text::Analysis;

/// Examples read from the store at once.
pub(super) const PAGE_SIZE: usize = 5_000;

/// What to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainSettings {
    /// The last entry of the ledger to learn from; nothing: all.
    pub ledger_position: Option<i64>,
    /// The seed of all shuffling.
    pub seed: u64,
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
    /// The model that decided; nothing if it learnt from most of these texts. A few that it learnt
    /// from are left out.
    pub active: Option<Figures>,
    /// The base model.
    pub base: Figures,
    /// The version that decided when these were measured; nothing in records of older programs.
    #[serde(default)]
    pub deciding_version: Option<String>,
    /// Good comments held in each kind of comments that has enough of them.
    #[serde(default)]
    pub slices: Vec<HoldOutSlice>,
}

/// Good comments of one kind on a hold-out, such as those in English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOutSlice {
    /// What they are, such as `language: English`.
    pub name: String,
    /// Good comments held out.
    pub ham_count: u64,
    /// Of these, held by a model trained like the new one on the labels before.
    pub candidate_held_count: u64,
    /// Held by the model that decided or, if that is not judged here, by the base model.
    pub reference_held_count: u64,
}

/// Fewest good comments of a slice that the gate looks at.
const SLICE_HAM_COUNT_MIN: u64 = 50;

impl HoldOut {
    /// The hold-out of a model, if it had one.
    pub fn of(record: &ModelRecord) -> Option<Self> {
        serde_json::from_str(&record.report).ok()
    }
}

impl Moderation {
    /// Trains a model of a site: the base model with what the ledger's labels add to it. The same
    /// ledger position, seed, base model and program give the same bytes. It is stored only while
    /// the operation runs that this belongs to.
    ///
    /// # Errors
    /// `TooFewLabels`, `Cancelled`, `Interrupted`, `Unavailable`.
    pub(super) async fn train_model(
        &self,
        actor: &Actor,
        site: &Site,
        settings: TrainSettings,
        operation: Uuid,
        progress: Arc<WorkProgress>,
    ) -> Result<ModelRecord, ModerationError> {
        progress.enter(WorkStage::Reading)?;
        let last = self.model_store.ledger_position(&site.id).await;
        let last = last.map_err(ModerationError::Unavailable)?;
        let position = settings.ledger_position.map_or(last, |until| until.min(last));
        let ledger = self.read_ledger(site, position, &progress).await?;
        let active_position = self.active_position(site).await?;
        let training = Training {
            active: self.models.of(&site.id).scorer.model(),
            learnt: self.learnt_texts(site, &[active_position], &progress).await?,
            policy: site.policy.clone(),
            teacher: self.teacher(site, settings.seed),
        };
        let watched = progress.clone();
        // Minutes of arithmetic at most; not on a thread that answers calls.
        let trained = super::blocking("training", move || training.run(&ledger, &watched));
        let (model, hold_out, counts) = trained.await?;
        progress.enter(WorkStage::Storing)?;
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
        let (artifact, actor) = (model.to_bytes(), actor.as_str());
        let stored = self.model_store.create_model(record, artifact, actor, Some(operation)).await;
        stored.map_err(|error| match error {
            StoreError::Conflict => ModerationError::Interrupted,
            error => ModerationError::store("model")(error),
        })
    }

    /// The last entry of the ledger that the site's active model knows; 0 if the base model decides.
    async fn active_position(&self, site: &Site) -> Result<i64, ModerationError> {
        let models = self.model_store.list_models(&site.id).await;
        let models = models.map_err(ModerationError::Unavailable)?;
        let active = models.iter().find(|model| model.state == ModelState::Active);
        Ok(active.map_or(0, |model| model.ledger_position))
    }

    /// The examples up to a position that a model may learn from, in order.
    pub(super) async fn read_ledger(
        &self,
        site: &Site,
        until: i64,
        progress: &WorkProgress,
    ) -> Result<Vec<LedgerExample>, ModerationError> {
        let mut ledger: Vec<LedgerExample> = Vec::new();
        let mut after = 0;
        loop {
            progress.check()?;
            let page =
                self.model_store.ledger_examples(&site.id, after, Some(until), PAGE_SIZE).await;
            let page = page.map_err(ModerationError::Unavailable)?;
            progress.read(page.len());
            let Some(last) = page.last() else { break };
            after = last.position;
            ledger.extend(page);
            if ledger.len() > 2 * curation::EXAMPLE_COUNT_MAX {
                ledger.drain(..ledger.len() - curation::EXAMPLE_COUNT_MAX);
            }
        }
        super::blocking("choosing", move || Ok(curation::chosen(ledger))).await
    }
}

impl Moderation {
    /// What trains models of a site.
    pub(super) fn teacher(&self, site: &Site, seed: u64) -> Teacher {
        Teacher {
            base: self.models.base().model(),
            layer: SiteLayer { seed, ..SiteLayer::default() },
            name: site.id.to_string(),
        }
    }
}

/// The rules that examples are looked at under. Not the site's: its word lists may change, and a
/// model is a function of ledger, seed, base model and program alone.
static RULES: LazyLock<SiteRules> = LazyLock::new(|| SiteRules::new(SitePolicy::default()));

/// Trains models of a site.
pub(super) struct Teacher {
    pub(super) base: Arc<Model>,
    pub(super) layer: SiteLayer,
    name: String,
}

impl Teacher {
    /// The model of these examples.
    ///
    /// # Errors
    /// `TooFewLabels`, `Cancelled`.
    pub(super) fn train<'a>(
        &self,
        ledger: impl IntoIterator<Item = &'a LedgerExample>,
        progress: &WorkProgress,
    ) -> Result<Model, ModerationError> {
        let set = set(ledger, progress)?;
        let goes_on = || progress.goes_on();
        let replay = replay::examples();
        self.layer.train(&self.base, &self.name, &set, replay, &goes_on).map_err(refused)
    }
}

/// Why a site layer was not trained.
pub(super) fn refused(error: SiteLayerError) -> ModerationError {
    match error {
        SiteLayerError::TooFewLabels { .. } => ModerationError::TooFewLabels(error.to_string()),
        SiteLayerError::Train(TrainError::Cancelled) => ModerationError::Cancelled,
        SiteLayerError::Train(error) => {
            ModerationError::Unavailable(StoreError::Unavailable(error.to_string()))
        }
    }
}

/// Examples as a training set, in which those of a campaign are a group. The groups follow from
/// these examples alone, so that what was taken back leaves no trace.
///
/// # Errors
/// `Cancelled`.
pub(super) fn set<'a>(
    ledger: impl IntoIterator<Item = &'a LedgerExample>,
    progress: &WorkProgress,
) -> Result<TrainingSet, ModerationError> {
    let mut set = TrainingSet::default();
    let mut campaigns = Campaigns::default();
    let mut builder = FeatureBuilder::default();
    for example in ledger {
        progress.check()?;
        let views = examples::submission_views(&example.submission, &RULES, &mut builder);
        let print = Analysis::new(&example.submission).print;
        let campaign = campaigns.add(&print, example.label).map(|(number, _)| i64::from(number));
        set.push(&example.source, example.label, campaign, &views);
    }
    Ok(set)
}

/// The calibrated log-odds of an example by a model, under the rules of trainings.
pub(super) fn raw_score(
    model: &Model,
    example: &LedgerExample,
    builder: &mut FeatureBuilder,
) -> LogOdds {
    examples::raw_score(model, &example.submission, &RULES, builder)
}

/// What a training needs besides examples.
struct Training {
    active: Arc<Model>,
    /// What the active model has learnt from.
    learnt: Learnt,
    policy: SitePolicy,
    teacher: Teacher,
}

type Trained = (Model, Option<HoldOut>, (u64, u64));

impl Training {
    fn run(
        &self,
        ledger: &[LedgerExample],
        progress: &WorkProgress,
    ) -> Result<Trained, ModerationError> {
        progress.enter(WorkStage::Judging)?;
        let hold_out = self.hold_out(curation::split(ledger), progress)?;
        progress.enter(WorkStage::Fitting)?;
        let model = self.teacher.train(ledger, progress)?;
        let count = |label| ledger.iter().filter(|example| example.label == label).count() as u64;
        Ok((model, hold_out, (count(Label::Ham), count(Label::Spam))))
    }

    fn hold_out(
        &self,
        labels: Split<'_>,
        progress: &WorkProgress,
    ) -> Result<Option<HoldOut>, ModerationError> {
        let (after, active) = self.fair(labels.after);
        if !has_both(&after) {
            return Ok(None);
        }
        let spam_count = after.iter().filter(|example| example.label == Label::Spam).count();
        let candidate = match self.teacher.train(labels.before, progress) {
            Ok(candidate) => candidate,
            Err(ModerationError::TooFewLabels(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let judging = set(after.iter().copied(), progress)?;
        let figures = |model: &Model| Figures::measure(model, &judging, self.hold(model));
        let reference = active.unwrap_or(&self.teacher.base);
        Ok(Some(HoldOut {
            ham_count: (after.len() - spam_count) as u64,
            spam_count: spam_count as u64,
            candidate: figures(&candidate),
            active: active.map(figures),
            base: figures(&self.teacher.base),
            deciding_version: Some(self.active.version().to_owned()),
            slices: self.slices(&candidate, reference, &after, progress)?,
        }))
    }

    /// The examples to judge by, and the active model if it is judged by them: where it has learnt
    /// from some of the texts, by labels that were before, those are left out; where it has learnt
    /// from more than half, it is not judged.
    fn fair<'a>(&self, after: Vec<&'a LedgerExample>) -> (Vec<&'a LedgerExample>, Option<&Model>) {
        let is_new = |example: &&LedgerExample| !self.learnt.has(example);
        let unseen: Vec<_> = after.iter().copied().filter(is_new).collect();
        if 2 * unseen.len() >= after.len() && has_both(&unseen) {
            (unseen, Some(&*self.active))
        } else {
            (after, None)
        }
    }

    /// The raw score from which a model would hold comments of the site.
    fn hold(&self, model: &Model) -> LogOdds {
        RawThresholds::of(model, &self.policy).hold
    }

    /// The slices of a hold-out that are large enough to say something.
    fn slices(
        &self,
        candidate: &Model,
        reference: &Model,
        after: &[&LedgerExample],
        progress: &WorkProgress,
    ) -> Result<Vec<HoldOutSlice>, ModerationError> {
        let mut slices: BTreeMap<String, HoldOutSlice> = BTreeMap::new();
        let mut builder = FeatureBuilder::default();
        for example in after.iter().filter(|example| example.label == Label::Ham) {
            progress.check()?;
            let mut held = |model: &Model| {
                u64::from(raw_score(model, example, &mut builder) >= self.hold(model))
            };
            let (candidate_held, reference_held) = (held(candidate), held(reference));
            for name in Traits::of(&Analysis::new(&example.submission)).names() {
                let slice = slices.entry(name.clone()).or_insert(HoldOutSlice {
                    name,
                    ham_count: 0,
                    candidate_held_count: 0,
                    reference_held_count: 0,
                });
                slice.ham_count += 1;
                slice.candidate_held_count += candidate_held;
                slice.reference_held_count += reference_held;
            }
        }
        let large = |slice: &HoldOutSlice| slice.ham_count >= SLICE_HAM_COUNT_MIN;
        Ok(slices.into_values().filter(large).collect())
    }
}

/// Whether there are examples of both kinds: one alone says nothing about the other.
fn has_both(examples: &[&LedgerExample]) -> bool {
    let has = |label| examples.iter().any(|example| example.label == label);
    has(Label::Ham) && has(Label::Spam)
}

impl HoldOut {
    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moderation::curation::tests::{campaign_text, example};

    /// Near duplicates were in several folds of the guard, which so learnt what it judged.
    #[test]
    fn near_duplicates_are_a_group() {
        let ledger = [
            example(1, &campaign_text(38), Label::Spam),
            example(2, "The crust was too hard, maybe my oven is hotter than yours", Label::Ham),
            example(3, &campaign_text(39), Label::Spam),
            example(4, "Thanks", Label::Ham),
            example(5, "Thank you", Label::Ham),
        ];
        let groups = set(&ledger, &WorkProgress::default()).unwrap().groups();
        assert_eq!(groups[0], groups[2]);
        let different: std::collections::BTreeSet<u64> = groups.into_iter().collect();
        assert_eq!(different.len(), 4, "short texts are like none");
    }
}
