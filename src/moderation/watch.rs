//! What happens on a site, for those who follow it: they wait here and look for themselves, so
//! that nothing is lost between two looks.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::ports::StoreError;
use super::ports::review::{DecidedComment, ReviewedComment};
use super::{Moderation, ModerationError};
use crate::domain::SiteId;

/// Rows of one look.
const LOOK_COUNT_MAX: usize = 200;
/// How often is looked without being told: another process may have changed something.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Tells those who watch that something changed. It carries nothing.
pub(super) struct Changes {
    count: watch::Sender<u64>,
    closing: AtomicBool,
}

impl Default for Changes {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), closing: AtomicBool::new(false) }
    }
}

impl Changes {
    /// A look at the count of changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Something changed.
    pub(super) fn tell(&self) {
        self.count.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// One look at the store.
type Look<'a, T> = Pin<Box<dyn Future<Output = Result<Option<T>, StoreError>> + Send + 'a>>;

/// A place in what happens on a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePlace {
    /// The number of the last comment that was told.
    pub comment: i64,
    /// The position of the last decision that was told.
    pub decision: i64,
}

/// What happened since a place.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueNews {
    /// Comments that were held and wait still.
    pub held: Vec<ReviewedComment>,
    /// What was decided.
    pub decided: Vec<DecidedComment>,
    /// The place after them.
    pub place: QueuePlace,
}

impl Moderation {
    /// Lets all who watch go; at the end of the process.
    pub fn end_watches(&self) {
        self.changes.closing.store(true, Ordering::Release);
        self.changes.tell();
    }

    /// The place after everything that happened so far.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn queue_place(&self, site: &SiteId) -> Result<QueuePlace, ModerationError> {
        let place = async {
            Ok::<_, StoreError>(QueuePlace {
                comment: self.review_store.comment_number(site).await?,
                decision: self.review_store.decided_position(site).await?,
            })
        };
        place.await.map_err(ModerationError::Unavailable)
    }

    /// What was decided on a site after a position, oldest first, as soon as there is something;
    /// nothing after `patience`.
    ///
    /// # Errors
    /// `Cancelled` at the end of the process, `Unavailable`.
    pub async fn next_decisions(
        &self,
        site: &SiteId,
        after: i64,
        patience: Duration,
    ) -> Result<Vec<DecidedComment>, ModerationError> {
        let look = || -> Look<'_, _> {
            Box::pin(async move {
                let found = self.review_store.decided_comments(site, after, LOOK_COUNT_MAX).await?;
                Ok((!found.is_empty()).then_some(found))
            })
        };
        Ok(self.wait(look, patience).await?.unwrap_or_default())
    }

    /// What happened on a site after a place, as soon as there is something; nothing after
    /// `patience`.
    ///
    /// # Errors
    /// `Cancelled` at the end of the process, `Unavailable`.
    pub async fn next_queue_news(
        &self,
        site: &SiteId,
        place: QueuePlace,
        patience: Duration,
    ) -> Result<Option<QueueNews>, ModerationError> {
        let look = || -> Look<'_, _> { Box::pin(self.look_at_queue(site, place)) };
        self.wait(look, patience).await
    }

    async fn look_at_queue(
        &self,
        site: &SiteId,
        place: QueuePlace,
    ) -> Result<Option<QueueNews>, StoreError> {
        let store = &self.review_store;
        let held = store.held_comments(site, place.comment, LOOK_COUNT_MAX).await?;
        let decided = store.decided_comments(site, place.decision, LOOK_COUNT_MAX).await?;
        if held.is_empty() && decided.is_empty() {
            return Ok(None);
        }
        let place = QueuePlace {
            comment: held.last().map_or(place.comment, |(number, _)| *number),
            decision: decided.last().map_or(place.decision, |decided| decided.position),
        };
        let held = held.into_iter().map(|(_, comment)| comment).collect();
        Ok(Some(QueueNews { held, decided, place }))
    }

    /// Looks until something is found.
    async fn wait<'a, T: 'a>(
        &self,
        look: impl Fn() -> Look<'a, T>,
        patience: Duration,
    ) -> Result<Option<T>, ModerationError> {
        let end = Instant::now() + patience;
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if self.changes.closing.load(Ordering::Acquire) {
                return Err(ModerationError::Cancelled);
            }
            if let Some(found) = look().await.map_err(ModerationError::Unavailable)? {
                return Ok(Some(found));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            let next = (Instant::now() + LOOK_PERIOD).min(end);
            // The sender lives as long as this does; the time is looked at again in any case.
            let _ = tokio::time::timeout_at(next, changes.changed()).await;
        }
    }
}
