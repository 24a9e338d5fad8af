//! How far long work is, and whether it is to end.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use super::ModerationError;

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
    const ALL: [Self; 6] =
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

/// How far long work is, and whether it is to end. Shared by who works and who watches.
#[derive(Debug, Default)]
pub struct WorkProgress {
    example_count: AtomicU64,
    stage: AtomicU8,
    cancelled: AtomicBool,
}

impl WorkProgress {
    /// Examples read so far.
    pub fn example_count(&self) -> u64 {
        self.example_count.load(Ordering::Relaxed)
    }

    /// What is done now.
    pub fn stage(&self) -> WorkStage {
        let stage = usize::from(self.stage.load(Ordering::Relaxed));
        WorkStage::ALL.get(stage).copied().unwrap_or(WorkStage::Waiting)
    }

    /// Asks the work to end.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the work goes on.
    pub(super) fn goes_on(&self) -> bool {
        !self.cancelled.load(Ordering::Relaxed)
    }

    /// Counts examples as read.
    pub(super) fn read(&self, count: usize) {
        self.example_count.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Begins a stage.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(super) fn enter(&self, stage: WorkStage) -> Result<(), ModerationError> {
        self.stage.store(stage as u8, Ordering::Relaxed);
        self.check()
    }

    /// # Errors
    /// `Cancelled`.
    pub(super) fn check(&self) -> Result<(), ModerationError> {
        if self.goes_on() { Ok(()) } else { Err(ModerationError::Cancelled) }
    }
}
