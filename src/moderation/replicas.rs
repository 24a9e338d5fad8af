//! What other processes on the same records change, brought into this one's memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::ports::models::{ModelRecord, ModelState};
use super::ports::replicas::News;
use super::shadow::Shadow;
use super::{Moderation, ModerationError};
use crate::domain::SiteId;

/// How long until what could not be read is tried again, and how often a site's recent content is
/// read anew at most. Reading takes some 20 ms of the store, and an undo of thousands tells of each of
/// its parts.
const RETRY_PERIOD: Duration = Duration::from_millis(500);

/// What this process may have an outdated picture of.
#[derive(Default)]
struct Outdated {
    /// All sites.
    all: bool,
    /// Sites whose models changed.
    models: HashSet<SiteId>,
    /// Sites whose recent content changed.
    recent: HashSet<SiteId>,
    /// Sites whose recent content was forgotten within the last [`RETRY_PERIOD`], and when.
    forgotten: HashMap<SiteId, Instant>,
}

impl Outdated {
    fn is_empty(&self) -> bool {
        !self.all && self.models.is_empty() && self.recent.is_empty()
    }
}

impl Moderation {
    /// Follows what other processes change, until it is dropped. What cannot be read now is read
    /// as soon as it can.
    pub async fn follow_replicas(&self) {
        let mut outdated = Outdated::default();
        loop {
            let news = tokio::select! {
                news = self.replicas.next_news() => Some(news),
                () = tokio::time::sleep(RETRY_PERIOD), if !outdated.is_empty() => None,
            };
            let mut waiting = news;
            while let Some(news) = waiting {
                self.note(news, &mut outdated).await;
                // What else waits is caught up with in one go.
                waiting = self.replicas.next_news().now_or_never();
            }
            if let Err(error) = self.catch_up(&mut outdated).await {
                tracing::warn!(error = %error, "what other replicas changed could not be read");
            }
            self.changes.tell();
        }
    }

    /// Takes over what another process told, or notes what it outdates.
    async fn note(&self, news: News, outdated: &mut Outdated) {
        match news {
            News::Models(site) => {
                outdated.models.insert(site);
            }
            News::Labels(site, labels) => {
                for (print, label) in labels {
                    if self.recent.hear_label(&site, print, label).await.is_err() {
                        outdated.recent.insert(site.clone());
                    }
                }
            }
            News::Relabelled(site) => {
                outdated.recent.insert(site);
            }
            // What did not arrive is seen by who works, in the records.
            News::Cancelled(operation) => self.cancel_here(operation),
            News::Missed => outdated.all = true,
        }
    }

    /// Whether this process has the work of this name, which only one does at a time.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn holds(&self, work: &str) -> Result<bool, ModerationError> {
        self.replicas.hold(work).await.map_err(ModerationError::Unavailable)
    }

    /// Lets another process have the work of this name.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn release(&self, work: &str) -> Result<(), ModerationError> {
        self.replicas.release(work).await.map_err(ModerationError::Unavailable)
    }

    /// Reads what is outdated; what was read is taken out.
    async fn catch_up(&self, outdated: &mut Outdated) -> Result<(), ModerationError> {
        if outdated.all {
            let sites = self.all_sites().await?;
            let mut deciding = self.models.sites();
            let records = self.model_store.deciding_models().await;
            let records = records.map_err(ModerationError::Unavailable)?;
            deciding.extend(records.into_iter().map(|record| record.site));
            outdated.models.extend(deciding);
            outdated.recent.extend(sites.iter().map(|site| site.id.clone()));
            outdated.all = false;
        }
        for site in outdated.models.iter().cloned().collect::<Vec<_>>() {
            self.reload_models(&site).await?;
            outdated.models.remove(&site);
        }
        let now = Instant::now();
        outdated.forgotten.retain(|_, time| now.duration_since(*time) < RETRY_PERIOD);
        let due = outdated.recent.iter().filter(|site| !outdated.forgotten.contains_key(*site));
        for site in due.cloned().collect::<Vec<_>>() {
            self.recent.hear_forget(&site).await.map_err(ModerationError::Unavailable)?;
            outdated.recent.remove(&site);
            outdated.forgotten.insert(site, now);
        }
        Ok(())
    }

    /// Has the models decide that the records say.
    async fn reload_models(&self, site: &SiteId) -> Result<(), ModerationError> {
        let _turn = self.models.lock().await;
        let records = self.model_store.list_models(site).await;
        let records = records.map_err(ModerationError::Unavailable)?;
        let of = |state| records.iter().find(|record| record.state == state);
        let (active, shadow) = (of(ModelState::Active), of(ModelState::Shadow));
        let loaded = self.models.of(site);
        let scorer = match active {
            None => self.models.base().clone(),
            Some(record) if record.version == loaded.scorer.model_version() => loaded.scorer,
            Some(record) => match self.usable(record).await? {
                Some(scorer) => scorer,
                None => self.models.base().clone(),
            },
        };
        let kept = loaded.shadow.filter(|kept| {
            shadow.is_some_and(|record| record.version == kept.scorer().model_version())
        });
        let shadow = match (kept, shadow) {
            (Some(kept), _) => Some(kept),
            (None, Some(record)) => {
                self.usable(record).await?.map(|scorer| Arc::new(Shadow::new(scorer)))
            }
            (None, None) => None,
        };
        self.models.set(site, scorer, shadow);
        Ok(())
    }

    /// A model's scorer; none if this version cannot use it, which is logged.
    async fn usable(&self, record: &ModelRecord) -> Result<Option<super::Scorer>, ModerationError> {
        match self.usable_scorer(record).await? {
            Ok(scorer) => Ok(Some(scorer)),
            Err(error) => {
                tracing::warn!(
                    site.id = %record.site,
                    model.version = %record.version,
                    error = %error,
                    "a model cannot be used; the base model decides"
                );
                metrics::counter!("replyguard_unusable_models_total").increment(1);
                Ok(None)
            }
        }
    }
}
