//! Retention: what is older than a site's policy says is removed, in small steps beside the checks.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::ports::StoreError;
use super::{Moderation, ModerationError};
use crate::domain::Site;

/// Rows that go in one transaction: some ten milliseconds.
const STEP: usize = 100;
/// The pause between two steps. With it, 2,000 rows a second go, more than the checks of a large
/// site, and the writer is theirs for most of the time.
const PAUSE: Duration = Duration::from_millis(50);

/// How long it is known what came of long work.
const OPERATION_LIFE: time::Duration = time::Duration::days(30);

/// A kind of data that has a retention of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comments,
    AuditEntries,
    Deliveries,
}

impl Kind {
    /// The word for it in metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::Comments => "comments",
            Self::AuditEntries => "audit-entries",
            Self::Deliveries => "deliveries",
        }
    }
}

impl Moderation {
    /// Removes what is too old on every site and in general, and overwrites what was erased. It ends
    /// early when `stop` is cancelled. What goes wrong for one site does not stop the others.
    ///
    /// # Errors
    /// `Unavailable` if the sites cannot be read or the disk not be overwritten.
    pub async fn apply_retention(&self, stop: &CancellationToken) -> Result<(), ModerationError> {
        for site in self.all_sites().await? {
            if stop.is_cancelled() {
                return Ok(());
            }
            if let Err(error) = self.retain(&site, stop).await {
                tracing::warn!(site.id = %site.id, error = %error, "retention did not come to its end");
            }
        }
        let before = self.clock.now() - OPERATION_LIFE;
        let forgotten = self.operation_store.forget_operations(before).await;
        forgotten.map_err(ModerationError::Unavailable)?;
        let scrubbed = tokio::select! {
            scrubbed = self.privacy_store.scrub() => scrubbed,
            () = stop.cancelled() => return Ok(()),
        };
        match scrubbed {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::debug!("what was erased is not overwritten yet");
                Ok(())
            }
            Err(error) => Err(ModerationError::Unavailable(error)),
        }
    }

    async fn retain(&self, site: &Site, stop: &CancellationToken) -> Result<(), StoreError> {
        let retention = site.policy.retention;
        for (kind, days) in [
            (Kind::Comments, retention.comment_days),
            (Kind::AuditEntries, retention.audit_days),
            (Kind::Deliveries, retention.delivery_days),
        ] {
            if days == 0 {
                continue;
            }
            let before = self.clock.now() - time::Duration::days(i64::from(days));
            let mut removed = 0;
            let outcome = self.remove(site, kind, before, stop, &mut removed).await;
            if removed > 0 {
                tracing::info!(site.id = %site.id, kind = kind.as_str(), removed, "retention");
            }
            // Once for all steps, also if they broke off: whoever hears of it reads thousands of rows.
            if removed > 0 && kind == Kind::Comments {
                self.forget_traces(site).await;
                if let Err(error) = self.replicas.tell_relabelled(&site.id).await {
                    tracing::warn!(site.id = %site.id, error = %error, "other replicas keep prints of what was removed");
                }
            }
            outcome?;
        }
        Ok(())
    }

    /// Removes all of a kind that is older than `before`, and adds up how much it was.
    async fn remove(
        &self,
        site: &Site,
        kind: Kind,
        before: OffsetDateTime,
        stop: &CancellationToken,
        removed: &mut u64,
    ) -> Result<(), StoreError> {
        let (store, id) = (&self.privacy_store, &site.id);
        let keep_labelled = site.policy.retention.keep_labelled;
        loop {
            let now = self.clock.now();
            let count = match kind {
                Kind::Comments => {
                    store.remove_comments(id, before, keep_labelled, STEP, now).await?
                }
                Kind::AuditEntries => store.remove_audit_entries(id, before, STEP).await?,
                Kind::Deliveries => store.remove_deliveries(id, before, STEP).await?,
            };
            *removed += count;
            metrics::counter!("replyguard_retention_removed_total", "kind" => kind.as_str())
                .increment(count);
            if count < STEP as u64 {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }
}
