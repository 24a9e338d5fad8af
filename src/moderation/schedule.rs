//! Trainings that nobody asks for: a site's model is trained again when there is enough to learn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::operations::{Work, Worked};
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
    /// New entries of the ledger since then.
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
        let (models, _) = self.models(&site.id).await?;
        let newest = models.iter().max_by_key(|model| model.create_time);
        if newest.is_some_and(|newest| self.clock.now() - newest.create_time < schedule.interval) {
            return Ok(false);
        }
        let trained = newest.map_or(0, |newest| newest.ledger_position);
        let known = attempts.get(&site.id).copied().unwrap_or(0).max(trained);
        let needed = schedule.label_count_min.max(1);
        let new = self.model_store.ledger_entries(&site.id, known, needed).await;
        Ok(new.map_err(ModerationError::Unavailable)?.len() >= needed)
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
