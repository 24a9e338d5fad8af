//! What learning needs from the outside: the examples of the ledger, and the registry of models.
//!
//! Every implementation passes `tests/it/store_models.rs`.

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Reporter, StoreError};
use crate::domain::{BlindSubmission, CommentId, Fingerprint, Label, SiteId};

/// Where a model stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelState {
    /// Trained, not in use.
    Candidate,
    /// Scores live comments without deciding.
    Shadow,
    /// Decides.
    Active,
    /// Decided once.
    Retired,
}

impl ModelState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Candidate, Self::Shadow, Self::Active, Self::Retired];

    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Shadow => "shadow",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// An immutable model of a site; its weights are apart, since they are large.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRecord {
    /// The site.
    pub site: SiteId,
    /// The model's version.
    pub version: String,
    /// Where it stands.
    pub state: ModelState,
    /// When it was trained.
    pub create_time: OffsetDateTime,
    /// When it last became active.
    pub promote_time: Option<OffsetDateTime>,
    /// The last entry of the ledger that it knows.
    pub ledger_position: i64,
    /// The model it is a layer over.
    pub base_version: String,
    /// Good comments it learnt from.
    pub ham_count: u64,
    /// Spam it learnt from.
    pub spam_count: u64,
    /// The figures on the hold-out, as JSON.
    pub report: String,
}

/// A change of a model's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChange {
    /// The site.
    pub site: SiteId,
    /// The model.
    pub version: String,
    /// Where it is to stand. Of each site at most one model is active and one a shadow: the one
    /// before becomes retired or a candidate again.
    pub state: ModelState,
    /// When it became active, if this is a promotion; a roll-back leaves the time as it was.
    pub promote_time: Option<OffsetDateTime>,
    /// Whether this is a roll-back: the models that were promoted after the one that decides again
    /// count as never promoted; all of them if none does.
    pub rolls_back: bool,
    /// Who wants it so.
    pub actor: String,
    /// Why, in a person's words.
    pub note: Option<String>,
    /// When.
    pub time: OffsetDateTime,
}

/// A labelled submission of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerExample {
    /// The position of the label that counts.
    pub position: i64,
    /// The comment, or the imported example.
    pub id: CommentId,
    /// What it was.
    pub label: Label,
    /// Who said so.
    pub reporter: Reporter,
    /// The reporter's name, if it was given.
    pub reporter_name: Option<String>,
    /// Where it comes from: `site` for the site's own comments, else as the import named it.
    pub source: String,
    /// When it was labelled.
    pub time: OffsetDateTime,
    /// Its text is the same if this is.
    pub content_hash: u64,
    /// What was sent.
    pub submission: BlindSubmission,
}

/// An entry of the ledger as it was appended: a label, or the retraction of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Its position.
    pub position: i64,
    /// The comment or imported example.
    pub id: CommentId,
    /// The position of the label that it takes back, if it is a retraction.
    pub retracts: Option<i64>,
}

/// An example from elsewhere, to be put into the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedExample {
    /// A fresh id.
    pub id: CommentId,
    /// What it was.
    pub label: Label,
    /// Where it comes from.
    pub source: String,
    /// When it was labelled or written, as far as is known.
    pub time: OffsetDateTime,
    /// Its text is the same if this is.
    pub content_hash: u64,
    /// What was sent.
    pub submission: BlindSubmission,
}

/// Whose or which labels to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retraction {
    /// The label at this position.
    Position(i64),
    /// All labels of a comment or example.
    Comment(CommentId),
    /// All labels by a reporter of this name, and those of decisions by whom it calls: they are by
    /// `moderator:NAME` or `NAME (key:UUID)`.
    ReporterName(String),
    /// All labels of what this author wrote, by the fingerprint of the folded address.
    Author(Fingerprint),
    /// All labels of an import.
    Source(String),
}

/// The ledger as examples, and the registry of models.
///
/// Workload: rare; a training reads some hundred thousand examples in pages.
#[async_trait]
pub trait ModelStore: Send + Sync + 'static {
    /// The examples of a site whose label counts at ledger position `until` (nothing: its end):
    /// of each comment the last label that is not taken back. After position `after`, in order of
    /// position.
    async fn ledger_examples(
        &self,
        site: &SiteId,
        after: i64,
        until: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<LedgerExample>, StoreError>;
    /// The examples of a site's labels at these positions, in any order, as far as they are still
    /// stored; also of labels that do not count any more.
    async fn examples_at(
        &self,
        site: &SiteId,
        positions: Vec<i64>,
    ) -> Result<Vec<LedgerExample>, StoreError>;
    /// The entries of a site's ledger as they were appended, retractions and all, after position
    /// `after`, in order.
    async fn ledger_entries(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<LedgerEntry>, StoreError>;
    /// The last position of a site's ledger; 0 if it is empty.
    async fn ledger_position(&self, site: &SiteId) -> Result<i64, StoreError>;
    /// Appends examples from elsewhere to the ledger, with one audit entry. One whose text and
    /// label are there already from the same source is passed over, unless the last label of the
    /// text is another and this one is later than all. Answers with how many were new. `NotFound`
    /// without the site.
    async fn import_examples(
        &self,
        site: &SiteId,
        examples: Vec<ImportedExample>,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<u64, StoreError>;
    /// Appends an entry for each label that is taken back, with one audit entry; answers with how
    /// many there were. What is taken back already is passed over, unless a decision did it: its
    /// undo does not bring it back then.
    async fn retract_labels(
        &self,
        site: &SiteId,
        what: Retraction,
        actor: &str,
        note: Option<String>,
        time: OffsetDateTime,
    ) -> Result<u64, StoreError>;

    /// Stores a trained model as a candidate, with an audit entry. A version that is there
    /// already is left as it is. With the long work that made it, only while that runs, else
    /// `Conflict`: it may have learnt what was erased meanwhile.
    async fn create_model(
        &self,
        record: ModelRecord,
        artifact: Vec<u8>,
        actor: &str,
        operation: Option<Uuid>,
    ) -> Result<ModelRecord, StoreError>;
    /// The models of a site, newest first.
    async fn list_models(&self, site: &SiteId) -> Result<Vec<ModelRecord>, StoreError>;
    /// A model of a site with its artifact.
    async fn get_model(
        &self,
        site: &SiteId,
        version: &str,
    ) -> Result<Option<(ModelRecord, Vec<u8>)>, StoreError>;
    /// Changes a model's state, and that of the one whose place it takes, with an audit entry,
    /// in one transaction. `NotFound`.
    async fn change_model(&self, change: ModelChange) -> Result<ModelRecord, StoreError>;
    /// The active models and shadows of all sites.
    async fn deciding_models(&self) -> Result<Vec<ModelRecord>, StoreError>;
}
