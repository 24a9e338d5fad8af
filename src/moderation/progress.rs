//! How far long work is, and whether it is to end.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::ModerationError;
use super::ports::operations::WorkStage;

/// How far long work is, and whether it is to end. Shared by who works and who watches.
#[derive(Debug, Default)]
pub struct WorkProgress {
    example_count: AtomicU64,
    stage: AtomicU8,
    cancelled: CancellationToken,
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
        self.cancelled.cancel();
    }

    /// Whether the work goes on.
    pub(super) fn goes_on(&self) -> bool {
        !self.cancelled.is_cancelled()
    }

    /// Waits until the work is asked to end.
    pub(super) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
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
