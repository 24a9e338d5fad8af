//! What a model was made of, proven: it is trained again and must come out byte for byte, from the
//! ledger as the store reads it and from what is left of the raw entries once every label that was
//! taken back is gone. And which labels moved it most, so that poison is found.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::models::Known;
use super::ports::Reporter;
use super::ports::models::{LedgerEntry, LedgerExample};
use super::ports::operations::WorkStage;
use super::progress::WorkProgress;
use super::training::{Teacher, refused, set};
use super::{Moderation, ModerationError};
use crate::classifier::Model;
use crate::domain::{CommentId, Label, LogOdds, Site, probability};

/// Entries read from the store at once.
const PAGE_SIZE: usize = 10_000;
/// Labels that are listed.
const LABEL_COUNT_MAX: usize = 50;

/// What a model was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelProof {
    /// The model.
    pub model_version: String,
    /// Labels up to the model's ledger position that count there.
    pub label_count: u64,
    /// Labels up to there that had been taken back.
    pub retracted_count: u64,
    /// Labels that the model knows and that were taken back since: it is to be trained again.
    pub stale_count: u64,
    /// The version that training again gave.
    pub retrained_version: String,
    /// The version that training gave on the raw entries without anything that was taken back.
    pub without_version: String,
    /// Whether all three are the same bytes.
    pub proven: bool,
    /// The labels that moved the model most.
    pub labels: Vec<LabelInfluence>,
    /// What those who labelled did to the model together, the most influential first.
    pub reporters: Vec<ReporterInfluence>,
}

/// What one label did to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelInfluence {
    /// Its position in the ledger.
    pub position: i64,
    /// The comment or example.
    pub id: CommentId,
    /// What it was called.
    pub label: Label,
    /// Who said so.
    pub reporter: Reporter,
    /// The reporter's name, if it was given.
    pub reporter_name: Option<String>,
    /// Where the example comes from.
    pub source: String,
    /// Its share of all that labels moved, 0–1.
    pub share: f64,
    /// Its probability of spam by the model.
    pub score: f64,
    /// The probability without its own label, to a first approximation.
    pub score_without: f64,
}

/// What all labels of one reporter did to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ReporterInfluence {
    /// Who.
    pub reporter: Reporter,
    /// The reporter's name, if it was given.
    pub reporter_name: Option<String>,
    /// Labels.
    pub label_count: u64,
    /// Labels that the model would contradict at even odds without them.
    pub contradicted_count: u64,
    /// Their share of all that labels moved, 0–1.
    pub share: f64,
}

impl Moderation {
    /// Proves what a model of a site was made of.
    ///
    /// # Errors
    /// `NotFound`; `ForeignBase` if the model is a layer over another base model than this
    /// program's; `Cancelled`, `Unavailable`.
    pub async fn prove_model(
        &self,
        site: &Arc<Site>,
        version: &str,
        progress: Arc<WorkProgress>,
    ) -> Result<ModelProof, ModerationError> {
        progress.enter(WorkStage::Reading)?;
        let model = self.known_model(site, version).await?;
        let summary = model.model.summary();
        let base = self.models.base().model_version();
        match &summary.base_version {
            Some(over) if over == base => {}
            Some(over) => {
                return Err(ModerationError::ForeignBase(over.clone(), base.to_owned()));
            }
            // The base model itself is proven by `make base-model`.
            None => return Err(ModerationError::NotFound("model of the site")),
        }
        let ledger = self.read_ledger(site, model.ledger_position, &progress).await?;
        let entries = self.read_entries(site).await?;
        let teacher = self.teacher(site, summary.seed);
        super::blocking("proving", move || prove(&model, &teacher, ledger, &entries, &progress))
            .await
    }

    async fn read_entries(&self, site: &Site) -> Result<Vec<LedgerEntry>, ModerationError> {
        let mut entries: Vec<LedgerEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.position);
            let page = self.model_store.ledger_entries(&site.id, after, PAGE_SIZE).await;
            let page = page.map_err(ModerationError::Unavailable)?;
            if page.is_empty() {
                return Ok(entries);
            }
            entries.extend(page);
        }
    }
}

fn prove(
    known: &Known,
    teacher: &Teacher,
    ledger: Vec<LedgerExample>,
    entries: &[LedgerEntry],
    progress: &WorkProgress,
) -> Result<ModelProof, ModerationError> {
    progress.enter(WorkStage::Fitting)?;
    let retrained = teacher.train(&ledger, progress)?;
    progress.enter(WorkStage::Proving)?;
    let left = Left::new(entries, known.ledger_position);
    let clean: Vec<LedgerExample> = ledger
        .iter()
        .filter(|example| left.counting.contains(&example.position))
        .cloned()
        .collect();
    let without = teacher.train(&clean, progress)?;
    let bytes = |model: &Model| model.to_bytes();
    let proven = bytes(&known.model) == bytes(&retrained) && bytes(&without) == bytes(&retrained);
    let (labels, reporters) = influences(&known.model, teacher, &ledger, progress)?;
    Ok(ModelProof {
        model_version: known.model.version().to_owned(),
        label_count: left.counting.len() as u64,
        retracted_count: left.retracted_count,
        stale_count: left.stale_count,
        retrained_version: retrained.version().to_owned(),
        without_version: without.version().to_owned(),
        proven,
        labels,
        reporters,
    })
}

/// What is left of raw entries once every label that was taken back, and its retraction, is gone
/// as if it had never been appended.
struct Left {
    /// Of each comment the last label.
    counting: HashSet<i64>,
    retracted_count: u64,
    stale_count: u64,
}

impl Left {
    fn new(entries: &[LedgerEntry], until: i64) -> Self {
        let mut retracted_by: HashMap<i64, i64> = HashMap::new();
        for entry in entries {
            // What a decision took back is taken back for good by a later entry. The first one counts.
            if let Some(label) = entry.retracts {
                retracted_by.entry(label).or_insert(entry.position);
            }
        }
        let mut counting: HashMap<CommentId, i64> = HashMap::new();
        let (mut retracted_count, mut stale_count) = (0, 0);
        for entry in entries {
            if entry.position > until || entry.retracts.is_some() {
                continue;
            }
            match retracted_by.get(&entry.position) {
                Some(by) if *by <= until => {
                    retracted_count += 1;
                    continue;
                }
                Some(_) => stale_count += 1,
                None => {}
            }
            counting.insert(entry.id, entry.position);
        }
        Self { counting: counting.into_values().collect(), retracted_count, stale_count }
    }
}

/// What each label, and each reporter, did to a model.
fn influences(
    model: &Model,
    teacher: &Teacher,
    ledger: &[LedgerExample],
    progress: &WorkProgress,
) -> Result<(Vec<LabelInfluence>, Vec<ReporterInfluence>), ModerationError> {
    let influences = teacher.layer.influences(model, &set(ledger, progress)?).map_err(refused)?;
    let total: f64 = influences.iter().map(|one| one.moved).sum::<f64>().max(f64::MIN_POSITIVE);
    let mut reporters: BTreeMap<(&str, Option<&str>), ReporterInfluence> = BTreeMap::new();
    let mut labels: Vec<LabelInfluence> = Vec::with_capacity(ledger.len());
    for (example, influence) in ledger.iter().zip(&influences) {
        let at = |raw: f64| probability(LogOdds::from_f64(raw));
        let score_without = at(influence.raw_score - influence.own);
        let share = influence.moved / total;
        let key = (example.reporter.as_str(), example.reporter_name.as_deref());
        let of_reporter = reporters.entry(key).or_insert_with(|| ReporterInfluence {
            reporter: example.reporter,
            reporter_name: example.reporter_name.clone(),
            label_count: 0,
            contradicted_count: 0,
            share: 0.0,
        });
        of_reporter.label_count += 1;
        of_reporter.share += share;
        let contradicted = (score_without >= 0.5) != (example.label == Label::Spam);
        of_reporter.contradicted_count += u64::from(contradicted);
        labels.push(LabelInfluence {
            position: example.position,
            id: example.id,
            label: example.label,
            reporter: example.reporter,
            reporter_name: example.reporter_name.clone(),
            source: example.source.clone(),
            share,
            score: at(influence.raw_score),
            score_without,
        });
    }
    labels.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.position.cmp(&b.position)));
    labels.truncate(LABEL_COUNT_MAX);
    let mut reporters: Vec<ReporterInfluence> = reporters.into_values().collect();
    reporters.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok((labels, reporters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_is_gone_and_the_last_label_counts() {
        let id = |n: u128| CommentId::from_uuid(uuid::Uuid::from_u128(n));
        let entry =
            |position, comment, retracts| LedgerEntry { position, id: id(comment), retracts };
        let entries = [
            entry(1, 1, None),
            entry(2, 2, None),
            entry(3, 1, None),
            entry(4, 1, Some(3)),
            entry(5, 3, None),
            entry(6, 2, Some(2)),
        ];
        let left = Left::new(&entries, 5);
        assert_eq!(left.counting, HashSet::from([1, 2, 5]), "2 was taken back later");
        assert_eq!((left.retracted_count, left.stale_count), (1, 1));
        let now = Left::new(&entries, 6);
        assert_eq!(now.counting, HashSet::from([1, 5]));
        assert_eq!((now.retracted_count, now.stale_count), (2, 0));
        let twice = [entries.as_slice(), &[entry(7, 1, Some(3))]].concat();
        let left = Left::new(&twice, 5);
        assert_eq!(left.counting, HashSet::from([1, 2, 5]), "3 was gone before it was so for good");
        assert_eq!((left.retracted_count, left.stale_count), (1, 1));
    }
}
