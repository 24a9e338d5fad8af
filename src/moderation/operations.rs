//! Long work under way, such as trainings: begun by one call, watched and cancelled by others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use super::evaluation::ModelEvaluation;
use super::ports::models::ModelRecord;
use super::progress::WorkProgress;
use super::proof::ModelProof;
use super::training::TrainSettings;
use super::{Actor, Moderation, ModerationError};
use crate::domain::{Site, SiteId};

/// Operations that are remembered; the oldest ended one is forgotten first.
const OPERATION_COUNT_MAX: usize = 256;

/// Ended operations of one site that are remembered: their reports are some hundred kB each, and
/// all of a site fit into one answer.
const SITE_OPERATION_COUNT_MAX: usize = 16;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Train a model of the site.
    Train(TrainSettings),
    /// Judge a model on the site's labels.
    Evaluate {
        /// The model's version.
        version: String,
        /// The version to compare it with.
        against: Option<String>,
    },
    /// Prove what a model was made of.
    Prove {
        /// The model's version.
        version: String,
    },
}

/// Work under way or ended.
#[derive(Clone)]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// Its site.
    pub site: SiteId,
    /// What is done.
    pub work: Work,
    /// How far it is.
    pub progress: Arc<WorkProgress>,
    ended: watch::Receiver<Option<Outcome>>,
}

/// What came of work.
#[derive(Debug)]
pub enum Worked {
    /// A model was trained.
    Trained(ModelRecord),
    /// A model was judged.
    Evaluated(Box<ModelEvaluation>),
    /// It was proven what a model was made of, or that it was not so.
    Proven(Box<ModelProof>),
}

/// How work ended.
pub type Outcome = Arc<Result<Worked, ModerationError>>;

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
    /// One at a time in this process: each takes a core and some hundred MiB.
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
                return Err(ModerationError::WorkRuns);
            }
            let of_site = |one: &Operation| one.site == operation.site;
            if all.iter().filter(|one| of_site(one)).count() >= SITE_OPERATION_COUNT_MAX {
                let oldest = all.iter().position(of_site);
                oldest.and_then(|oldest| all.remove(oldest));
            }
            if all.len() >= OPERATION_COUNT_MAX {
                let ended = all.iter().position(|one| !running(one));
                all.remove(ended.ok_or(ModerationError::WorkRuns)?);
            }
            all.push_back(operation.clone());
            Ok(())
        })
    }
}

impl Operations {
    /// Forgets results that quote comments of a site: of evaluations, the worst errors.
    pub(super) fn forget_texts(&self, site: &SiteId) {
        let quotes = |one: &Operation| {
            one.site == *site
                && one.outcome().is_some_and(|ended| matches!(&*ended, Ok(Worked::Evaluated(_))))
        };
        self.with(|all| all.retain(|one| !quotes(one)));
    }
}

impl Moderation {
    /// Begins long work for a site.
    ///
    /// # Errors
    /// `WorkRuns` if some of this site is under way.
    pub fn begin(
        self: &Arc<Self>,
        actor: Actor,
        site: Arc<Site>,
        work: Work,
    ) -> Result<Operation, ModerationError> {
        let progress = Arc::new(WorkProgress::default());
        let (end, ended) = watch::channel(None);
        let operation = Operation {
            id: self.random.uuid(),
            site: site.id.clone(),
            work: work.clone(),
            progress: progress.clone(),
            ended,
        };
        self.operations.begin(&operation)?;
        let moderation = self.clone();
        tokio::spawn(async move {
            // Never closed, so a permit comes in the end.
            let _turn = moderation.operations.turn.acquire().await;
            let worked = moderation.work(&actor, &site, &work, progress).await;
            match &worked {
                Ok(Worked::Trained(model)) => {
                    tracing::info!(model.version = %model.version, "trained");
                }
                Ok(Worked::Evaluated(_) | Worked::Proven(_)) => {}
                Err(error) => tracing::warn!(error = %error, "long work ended without a result"),
            }
            end.send_replace(Some(Arc::new(worked)));
        });
        Ok(operation)
    }

    async fn work(
        &self,
        actor: &Actor,
        site: &Arc<Site>,
        work: &Work,
        progress: Arc<WorkProgress>,
    ) -> Result<Worked, ModerationError> {
        match work {
            Work::Train(settings) => {
                self.train_model(actor, site, *settings, progress).await.map(Worked::Trained)
            }
            Work::Evaluate { version, against } => {
                let against = against.as_deref();
                let judged = self.evaluate_model(site, version, against, progress).await?;
                Ok(Worked::Evaluated(Box::new(judged)))
            }
            Work::Prove { version } => {
                let proof = self.prove_model(site, version, progress).await?;
                Ok(Worked::Proven(Box::new(proof)))
            }
        }
    }

    /// The operations of a site, the newest first.
    pub fn operations(&self, site: &SiteId) -> Vec<Operation> {
        let of_site = |all: &mut VecDeque<Operation>| {
            all.iter().rev().filter(|one| one.site == *site).cloned().collect()
        };
        self.operations.with(of_site)
    }

    /// Asks all work to end, because the service does.
    pub fn cancel_all(&self) {
        self.operations.with(|all| all.iter().for_each(|one| one.progress.cancel()));
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
    /// `NotFound`, `WorkRuns`.
    pub fn forget_operation(&self, site: &SiteId, id: Uuid) -> Result<(), ModerationError> {
        let operation = self.operation(site, id)?;
        if operation.outcome().is_none() {
            return Err(ModerationError::WorkRuns);
        }
        self.operations.with(|all| all.retain(|one| one.id != operation.id));
        Ok(())
    }
}
