//! Trainings under way: begun by one call, watched and cancelled by others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use super::ports::models::ModelRecord;
use super::training::{TrainProgress, TrainSettings};
use super::{Actor, Moderation, ModerationError};
use crate::domain::{Site, SiteId};

/// Operations that are remembered; the oldest ended one is forgotten first.
const OPERATION_COUNT_MAX: usize = 256;

/// A training under way or ended.
#[derive(Clone)]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// Its site.
    pub site: SiteId,
    /// How far it is.
    pub progress: Arc<TrainProgress>,
    ended: watch::Receiver<Option<Outcome>>,
}

/// How a training ended.
pub type Outcome = Arc<Result<ModelRecord, ModerationError>>;

impl Operation {
    /// How it ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.ended.borrow().clone()
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self) {
        // The sender is gone only after it has sent.
        let _ = self.ended.wait_for(Option::is_some).await;
    }
}

/// The operations of this process.
pub(super) struct Operations {
    all: Mutex<VecDeque<Operation>>,
    /// One training at a time in this process: each takes a core and some hundred MiB.
    turn: Semaphore,
}

impl Default for Operations {
    fn default() -> Self {
        Self { all: Mutex::default(), turn: Semaphore::new(1) }
    }
}

impl Operations {
    fn with<T>(&self, work: impl FnOnce(&mut VecDeque<Operation>) -> T) -> T {
        work(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds an operation unless one of its site is under way.
    fn begin(&self, operation: &Operation) -> Result<(), ModerationError> {
        self.with(|all| {
            let running = |one: &Operation| one.outcome().is_none();
            if all.iter().any(|one| one.site == operation.site && running(one)) {
                return Err(ModerationError::TrainingRuns);
            }
            if all.len() >= OPERATION_COUNT_MAX {
                let ended = all.iter().position(|one| !running(one));
                all.remove(ended.ok_or(ModerationError::TrainingRuns)?);
            }
            all.push_back(operation.clone());
            Ok(())
        })
    }
}

impl Moderation {
    /// Begins the training of a site's model.
    ///
    /// # Errors
    /// `TrainingRuns` if one of this site is under way.
    pub fn begin_training(
        self: &Arc<Self>,
        actor: Actor,
        site: Arc<Site>,
        settings: TrainSettings,
    ) -> Result<Operation, ModerationError> {
        let progress = Arc::new(TrainProgress::default());
        let (end, ended) = watch::channel(None);
        let operation = Operation {
            id: self.random.uuid(),
            site: site.id.clone(),
            progress: progress.clone(),
            ended,
        };
        self.operations.begin(&operation)?;
        let moderation = self.clone();
        tokio::spawn(async move {
            // Never closed, so a permit comes in the end.
            let _turn = moderation.operations.turn.acquire().await;
            let trained = moderation.train_model(&actor, &site, settings, progress).await;
            match &trained {
                Ok(model) => tracing::info!(model.version = %model.version, "trained"),
                Err(error) => tracing::warn!(error = %error, "a training ended without a model"),
            }
            end.send_replace(Some(Arc::new(trained)));
        });
        Ok(operation)
    }

    /// The operations of a site, the newest first.
    pub fn operations(&self, site: &SiteId) -> Vec<Operation> {
        let of_site = |all: &mut VecDeque<Operation>| {
            all.iter().rev().filter(|one| one.site == *site).cloned().collect()
        };
        self.operations.with(of_site)
    }

    /// An operation of a site.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn operation(&self, site: &SiteId, id: Uuid) -> Result<Operation, ModerationError> {
        let found = self.operations(site).into_iter().find(|one| one.id == id);
        found.ok_or(ModerationError::NotFound("operation"))
    }

    /// Forgets an operation that has ended.
    ///
    /// # Errors
    /// `NotFound`, `TrainingRuns`.
    pub fn forget_operation(&self, site: &SiteId, id: Uuid) -> Result<(), ModerationError> {
        let operation = self.operation(site, id)?;
        if operation.outcome().is_none() {
            return Err(ModerationError::TrainingRuns);
        }
        self.operations.with(|all| all.retain(|one| one.id != operation.id));
        Ok(())
    }
}
