//! Long work of models as it is stored, so that every replica can tell of it.
//!
//! Every implementation passes `tests/it/store_operations.rs`.

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::domain::SiteId;

/// What long work does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkKind {
    /// Trains a model.
    Train,
    /// Judges a model.
    Evaluate,
    /// Proves what a model was made of.
    Prove,
}

impl WorkKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Train, Self::Evaluate, Self::Prove];

    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Evaluate => "evaluate",
            Self::Prove => "prove",
        }
    }
}

/// What long work is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WorkStage {
    /// It waits for other work to end.
    Waiting,
    /// Examples are read from the ledger.
    Reading,
    /// Models are judged on labels that they did not learn from.
    Judging,
    /// A model is fitted.
    Fitting,
    /// Models are compared byte for byte.
    Proving,
    /// The model is stored.
    Storing,
}

impl WorkStage {
    /// All stages.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Reading, Self::Judging, Self::Fitting, Self::Proving, Self::Storing];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Reading => "reading",
            Self::Judging => "judging",
            Self::Fitting => "fitting",
            Self::Proving => "proving",
            Self::Storing => "storing",
        }
    }
}

/// Whether work has come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkState {
    /// Somebody works on it.
    Running,
    /// It ended with this answer, as the contract writes it.
    Ended(Vec<u8>),
    /// Who worked on it is gone.
    Interrupted,
    /// What it may have read was erased meanwhile, so that its answer was not stored.
    Erased,
}

/// Long work of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationRecord {
    /// Its id.
    pub id: Uuid,
    /// Its site.
    pub site: SiteId,
    /// What is done.
    pub kind: WorkKind,
    /// What is done now, or was done last.
    pub stage: WorkStage,
    /// Examples read so far.
    pub example_count: u64,
    /// When it was begun.
    pub create_time: OffsetDateTime,
    /// Whether it has ended.
    pub state: WorkState,
}

/// What who works on something is told when it notes how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Go on.
    Wanted,
    /// Somebody asked it to end.
    Cancelled,
    /// It counts as interrupted or erased, or is not there: nobody waits for it any more.
    Lost,
}

impl Standing {
    /// What a row says: nothing if none runs, else whether it was cancelled.
    pub fn of(cancelled: Option<bool>) -> Self {
        match cancelled {
            None => Self::Lost,
            Some(true) => Self::Cancelled,
            Some(false) => Self::Wanted,
        }
    }
}

/// Stores long work. Work is running for as long as the process that began it lives and reaches the
/// records; some seconds later it is interrupted, for good.
///
/// Evaluations and proofs list labels, and trainings learn from them. Whatever removes labelled
/// comments or examples, or replaces the site's key, deletes in the same transaction the
/// evaluations and proofs of the site that have ended, and makes what runs there erased.
///
/// Workload: a few operations a day and site; while one runs, one write a second. Answers have some
/// hundred kilobytes.
#[async_trait]
pub trait OperationStore: Send + Sync + 'static {
    /// Begins running work of this process; whether it was begun: a site has one at a time. Of what
    /// ended, the last `kept_count` of the site stay. `NotFound` without the site.
    async fn begin_operation(
        &self,
        record: OperationRecord,
        kept_count: usize,
    ) -> Result<bool, StoreError>;
    /// Notes how far running work is.
    async fn note_progress(
        &self,
        id: Uuid,
        stage: WorkStage,
        example_count: u64,
    ) -> Result<Standing, StoreError>;
    /// Ends running work if it is of this process; whether it was, and still running. Without an
    /// answer it is interrupted.
    async fn end_operation(&self, id: Uuid, answer: Option<Vec<u8>>) -> Result<bool, StoreError>;
    /// The work of a site, the newest first; or that with this id alone.
    async fn operations(
        &self,
        site: &SiteId,
        id: Option<Uuid>,
    ) -> Result<Vec<OperationRecord>, StoreError>;
    /// Asks running work to end, and tells the other processes.
    async fn cancel_operation(&self, site: &SiteId, id: Uuid) -> Result<(), StoreError>;
    /// Forgets work that does not run; whether it was there.
    async fn forget_operation(&self, site: &SiteId, id: Uuid) -> Result<bool, StoreError>;
    /// Forgets work that does not run and was begun before; answers with how much.
    async fn forget_operations(&self, before: OffsetDateTime) -> Result<u64, StoreError>;
}
