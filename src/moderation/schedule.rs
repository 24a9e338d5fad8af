//! Trainings that nobody asks for: a site's model is trained again when there is enough to learn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::operations::{Work, Worked};
use super::ports::models::{ModelRecord, ModelState};
use super::training::TrainSettings;
use super::{Actor, Moderation, ModerationError};
use crate::domain::{Site, SiteId};

/// The seed of scheduled trainings, as of those that are asked for without one.
const SEED: u64 = 1;

/// When a site's model is trained again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Time since the last training.
    pub interval: Duration,
    /// New entries of the ledger since then. Neither this nor the interval holds up a site whose
    /// active model this version cannot use.
    pub label_count_min: usize,
    /// Whether a model that the hold-out speaks for is promoted at once.
    pub promotes: bool,
}

/// Sites whose last scheduled training gave no model, with the ledger position it was tried at:
/// it is not tried again before there is something new.
pub type Attempts = HashMap<SiteId, i64>;

impl Moderation {
    /// Trains the models that are due, one after the other. What goes wrong for one site does not
    /// stop the others.
    ///
    /// # Errors
    /// `Unavailable` if the sites cannot be read.
    pub async fn train_due(
        self: &Arc<Self>,
        schedule: &Schedule,
        attempts: &mut Attempts,
    ) -> Result<(), ModerationError> {
        for site in self.all_sites().await? {
            let trained = match self.is_due(&site, schedule, attempts).await {
                Ok(false) => continue,
                Ok(true) => self.train_now(&site, schedule, attempts).await,
                Err(error) => Err(error),
            };
            if let Err(error) = trained {
                tracing::warn!(site.id = %site.id, error = %error, "a scheduled training failed");
            }
        }
        Ok(())
    }

    async fn is_due(
        &self,
        site: &Site,
        schedule: &Schedule,
        attempts: &Attempts,
    ) -> Result<bool, ModerationError> {
        let (models, decides) = self.models(&site.id).await?;
        let newest = models.iter().max_by_key(|model| model.create_time);
        let tried = attempts.get(&site.id).copied().unwrap_or(0);
        let active = models.iter().find(|model| model.state == ModelState::Active);
        if let (Some(active), Some(newest)) = (active, newest)
            && active.version != decides
            && self.has_entries(site, tried, 1).await?
            && !self.can_use_one(&[active, newest]).await?
        {
            return Ok(true);
        }
        if newest.is_some_and(|newest| self.clock.now() - newest.create_time < schedule.interval) {
            return Ok(false);
        }
        let trained = newest.map_or(0, |newest| newest.ledger_position);
        self.has_entries(site, tried.max(trained), schedule.label_count_min.max(1)).await
    }

    /// Whether a site's ledger has so many entries after a position.
    async fn has_entries(
        &self,
        site: &Site,
        after: i64,
        count: usize,
    ) -> Result<bool, ModerationError> {
        let entries = self.model_store.ledger_entries(&site.id, after, count).await;
        Ok(entries.map_err(ModerationError::Unavailable)?.len() >= count)
    }

    /// Whether this version can use one of these models.
    async fn can_use_one(&self, models: &[&ModelRecord]) -> Result<bool, ModerationError> {
        for model in models {
            if self.usable_scorer(model).await?.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn train_now(
        self: &Arc<Self>,
        site: &Arc<Site>,
        schedule: &Schedule,
        attempts: &mut Attempts,
    ) -> Result<(), ModerationError> {
        let position = self.model_store.ledger_position(&site.id).await;
        let position = position.map_err(ModerationError::Unavailable)?;
        let actor = Actor::schedule();
        let settings = TrainSettings { ledger_position: None, seed: SEED };
        let begun = self.begin_here(actor.clone(), site.clone(), Work::Train(settings)).await;
        let (_, work) = begun?;
        // Only what was begun counts as tried.
        attempts.insert(site.id.clone(), position);
        let model = match work.await {
            Ok(Ok(Worked::Trained(model))) => model,
            // That says nothing of the labels: it is tried again soon.
            Ok(Err(ModerationError::Interrupted)) => {
                attempts.remove(&site.id);
                return Ok(());
            }
            // What went wrong is in the log already.
            _ => return Ok(()),
        };
        if !schedule.promotes {
            return Ok(());
        }
        match self.promote_model(&actor, &site.id, &model.version, false, None).await {
            Ok(_) => Ok(()),
            Err(ModerationError::GateClosed(why)) => {
                tracing::info!(site.id = %site.id, model.version = %model.version, why, "not promoted");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
