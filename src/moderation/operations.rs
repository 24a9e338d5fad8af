//! Long work, such as trainings: begun by one call at one replica, watched and cancelled by others at
//! any. Who works is this module; what is told of it is in the records.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::evaluation::ModelEvaluation;
use super::ports::StoreError;
use super::ports::models::ModelRecord;
use super::ports::operations::{
    OperationRecord, OperationStore, Standing, WorkKind, WorkStage, WorkState,
};
use super::progress::WorkProgress;
use super::proof::ModelProof;
use super::training::TrainSettings;
use super::{Actor, Moderation, ModerationError};
use crate::domain::{Site, SiteId};

/// Ended operations of one site that are kept: their reports are some hundred kB each, and all of
/// a site fit into one answer.
const KEPT_COUNT: usize = 16;
/// How often others are told how far work is, and who works sees whether it is still wanted.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);
/// How often who waits looks whether it has ended.
const LOOK_PERIOD: Duration = Duration::from_millis(200);
/// How long it takes until an answer that could not be stored is stored again, at first and at most.
/// It is tried for as long as the process lives: until then, no other work of the site begins.
const STORE_PERIOD_MIN: Duration = Duration::from_secs(1);
const STORE_PERIOD_MAX: Duration = Duration::from_secs(30);

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

impl Work {
    fn kind(&self) -> WorkKind {
        match self {
            Self::Train(_) => WorkKind::Train,
            Self::Evaluate { .. } => WorkKind::Evaluate,
            Self::Prove { .. } => WorkKind::Prove,
        }
    }
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
pub type Outcome = Result<Worked, ModerationError>;

/// Writes what came of work as the contract has it, which later versions read as well.
pub trait AnswerFormat: Send + Sync + 'static {
    /// The answer, without the text of any comment.
    fn write(&self, site: &SiteId, outcome: &Outcome) -> Vec<u8>;
}

/// What this process works on, by its id.
type Running = HashMap<Uuid, Arc<WorkProgress>>;

/// The operations that this process works on.
pub(super) struct Operations {
    running: Arc<Mutex<Running>>,
    /// One at a time in this process: each takes a core and some hundred MiB.
    turn: Semaphore,
    /// The service ends.
    ends: AtomicBool,
}

impl Default for Operations {
    fn default() -> Self {
        Self { running: Arc::default(), turn: Semaphore::new(1), ends: AtomicBool::new(false) }
    }
}

/// That this process works on something, until this is dropped, however that comes about.
struct Entry {
    running: Arc<Mutex<Running>>,
    id: Uuid,
    progress: Arc<WorkProgress>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Operations {
    fn running<T>(&self, work: impl FnOnce(&mut Running) -> T) -> T {
        work(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, id: Uuid) -> Entry {
        let progress = Arc::new(WorkProgress::default());
        self.running(|running| running.insert(id, progress.clone()));
        Entry { running: self.running.clone(), id, progress }
    }

    /// With how far it is now, if this process works on it.
    fn lively(&self, mut record: OperationRecord) -> OperationRecord {
        if record.state == WorkState::Running
            && let Some(progress) = self.running(|running| running.get(&record.id).cloned())
        {
            (record.stage, record.example_count) = (progress.stage(), progress.example_count());
        }
        record
    }
}

impl Moderation {
    /// Begins long work for a site.
    ///
    /// # Errors
    /// `WorkRuns` if some of this site is under way at any replica, `NotFound`, `Unavailable`.
    pub async fn begin(
        self: &Arc<Self>,
        actor: Actor,
        site: Arc<Site>,
        work: Work,
    ) -> Result<OperationRecord, ModerationError> {
        self.begin_here(actor, site, work).await.map(|(record, _)| record)
    }

    /// Likewise, for who wants to know how it ends.
    pub(super) async fn begin_here(
        self: &Arc<Self>,
        actor: Actor,
        site: Arc<Site>,
        work: Work,
    ) -> Result<(OperationRecord, JoinHandle<Outcome>), ModerationError> {
        let record = OperationRecord {
            id: self.random.uuid(),
            site: site.id.clone(),
            kind: work.kind(),
            stage: WorkStage::Waiting,
            example_count: 0,
            create_time: self.clock.now(),
            state: WorkState::Running,
        };
        let (begun, beginning) = oneshot::channel();
        let (moderation, begins) = (self.clone(), record.clone());
        // A caller that goes away leaves nothing behind that counts as running.
        let task = tokio::spawn(async move {
            // Before it is recorded: what is recorded as this process's and is not entered here is
            // worked on by nobody.
            let entry = moderation.operations.enter(begins.id);
            if let Err(error) = moderation.enter(begins).await {
                let _ = begun.send(Err(error));
                return Err(ModerationError::Interrupted);
            }
            let _ = begun.send(Ok(()));
            moderation.carry_out(entry.id, &actor, &site, &work, entry.progress.clone()).await
        });
        let gone = StoreError::Unavailable("the work did not begin".into());
        beginning.await.unwrap_or(Err(ModerationError::Unavailable(gone)))?;
        Ok((record, task))
    }

    async fn enter(&self, record: OperationRecord) -> Result<(), ModerationError> {
        let (id, site) = (record.id, record.site.clone());
        let mut begun = self.operation_store.begin_operation(record.clone(), KEPT_COUNT).await;
        if matches!(begun, Ok(false)) && self.end_orphans(&site).await? {
            begun = self.operation_store.begin_operation(record, KEPT_COUNT).await;
        }
        match begun {
            Ok(true) => Ok(()),
            Ok(false) => Err(ModerationError::WorkRuns),
            Err(StoreError::NotFound) => Err(ModerationError::NotFound("site")),
            Err(error) => {
                // It may have been begun all the same, and nobody works on it.
                let store = self.operation_store.clone();
                tokio::spawn(async move { store_end(&*store, id, None).await });
                Err(ModerationError::Unavailable(error))
            }
        }
    }

    /// Ends work of a site that is recorded as this process's and that nobody works on, since it
    /// was broken off; whether there was some.
    async fn end_orphans(&self, site: &SiteId) -> Result<bool, ModerationError> {
        let found = self.operation_store.operations(site, None).await;
        let mut found = found.map_err(ModerationError::Unavailable)?;
        found.retain(|record| record.state == WorkState::Running);
        let mut ended = false;
        for record in found {
            if self.operations.running(|running| running.contains_key(&record.id)) {
                continue;
            }
            // That of other processes stays.
            let orphan = self.operation_store.end_operation(record.id, None).await;
            ended |= orphan.map_err(ModerationError::Unavailable)?;
        }
        Ok(ended)
    }

    /// Works, tells how far it is, and stores what came of it.
    async fn carry_out(
        &self,
        id: Uuid,
        actor: &Actor,
        site: &Arc<Site>,
        work: &Work,
        progress: Arc<WorkProgress>,
    ) -> Outcome {
        let worked = tokio::select! {
            worked = unbroken(self.in_turn(id, actor, site, work, &progress)) => worked,
            lost = self.tell_progress(id, &progress) => Err(lost),
        };
        let worked = match worked {
            Err(ModerationError::Cancelled) if self.operations.ends.load(Ordering::Acquire) => {
                Err(ModerationError::Interrupted)
            }
            worked => worked,
        };
        match &worked {
            Ok(Worked::Trained(model)) => {
                tracing::info!(model.version = %model.version, "trained");
            }
            Ok(Worked::Evaluated(_) | Worked::Proven(_)) => {}
            Err(error) => tracing::warn!(error = %error, "long work ended without a result"),
        }
        let answer = match &worked {
            Err(ModerationError::Interrupted) => None,
            worked => Some(self.answers.write(&site.id, worked)),
        };
        store_end(&*self.operation_store, id, answer).await;
        worked
    }

    async fn in_turn(
        &self,
        id: Uuid,
        actor: &Actor,
        site: &Arc<Site>,
        work: &Work,
        progress: &Arc<WorkProgress>,
    ) -> Outcome {
        let _turn = tokio::select! {
            // Never closed, so a permit comes in the end.
            turn = self.operations.turn.acquire() => turn,
            () = progress.cancelled() => return Err(ModerationError::Cancelled),
        };
        self.work(id, actor, site, work, progress.clone()).await
    }

    /// Tells how far work is until it counts as interrupted.
    async fn tell_progress(&self, id: Uuid, progress: &WorkProgress) -> ModerationError {
        loop {
            sleep(PROGRESS_PERIOD).await;
            let (stage, count) = (progress.stage(), progress.example_count());
            match self.operation_store.note_progress(id, stage, count).await {
                Ok(Standing::Wanted) => {}
                Ok(Standing::Cancelled) => progress.cancel(),
                Ok(Standing::Lost) => {
                    progress.cancel();
                    return ModerationError::Interrupted;
                }
                Err(error) => tracing::debug!(error = %error, "progress is not stored"),
            }
        }
    }

    async fn work(
        &self,
        id: Uuid,
        actor: &Actor,
        site: &Arc<Site>,
        work: &Work,
        progress: Arc<WorkProgress>,
    ) -> Outcome {
        match work {
            Work::Train(settings) => {
                self.train_model(actor, site, *settings, id, progress).await.map(Worked::Trained)
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

    /// Asks all work of this process to end, because the service does.
    pub fn cancel_all(&self) {
        self.operations.ends.store(true, Ordering::Release);
        self.operations.running(|running| running.values().for_each(|one| one.cancel()));
    }

    /// Asks work to end if this process works on it.
    pub(super) fn cancel_here(&self, id: Uuid) {
        if let Some(progress) = self.operations.running(|running| running.get(&id).cloned()) {
            progress.cancel();
        }
    }

    /// The operations of a site, the newest first, also of other replicas.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn operations(&self, site: &SiteId) -> Result<Vec<OperationRecord>, ModerationError> {
        let found = self.operation_store.operations(site, None).await;
        let found = found.map_err(ModerationError::Unavailable)?;
        Ok(found.into_iter().map(|record| self.operations.lively(record)).collect())
    }

    /// An operation of a site.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn operation(
        &self,
        site: &SiteId,
        id: Uuid,
    ) -> Result<OperationRecord, ModerationError> {
        let found = self.operation_store.operations(site, Some(id)).await;
        let found = found.map_err(ModerationError::Unavailable)?.pop();
        let found = found.ok_or(ModerationError::NotFound("operation"))?;
        Ok(self.operations.lively(found))
    }

    /// An operation of a site once it has ended, or as it is when patience does.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn wait_for_operation(
        &self,
        site: &SiteId,
        id: Uuid,
        patience: Duration,
    ) -> Result<OperationRecord, ModerationError> {
        let end = Instant::now() + patience;
        loop {
            let record = self.operation(site, id).await?;
            let left = end.saturating_duration_since(Instant::now());
            if record.state != WorkState::Running || left.is_zero() {
                return Ok(record);
            }
            sleep(left.min(LOOK_PERIOD)).await;
        }
    }

    /// Asks an operation to end, wherever it is worked on.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn cancel_operation(&self, site: &SiteId, id: Uuid) -> Result<(), ModerationError> {
        self.operation(site, id).await?;
        self.cancel_here(id);
        let asked = self.operation_store.cancel_operation(site, id).await;
        asked.map_err(ModerationError::store("operation"))
    }

    /// Forgets an operation that has ended.
    ///
    /// # Errors
    /// `NotFound`, `WorkRuns`, `Unavailable`.
    pub async fn forget_operation(&self, site: &SiteId, id: Uuid) -> Result<(), ModerationError> {
        if self.operation(site, id).await?.state == WorkState::Running {
            return Err(ModerationError::WorkRuns);
        }
        let forgotten = self.operation_store.forget_operation(site, id).await;
        match forgotten.map_err(ModerationError::Unavailable)? {
            true => Ok(()),
            false => Err(ModerationError::NotFound("operation")),
        }
    }
}

/// How work ended, also if it panicked: who watches is told, and the site's next work begins.
async fn unbroken(work: impl Future<Output = Outcome>) -> Outcome {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        let broken = StoreError::Unavailable("the work broke off".into());
        Err(ModerationError::Unavailable(broken))
    })
}

/// Stores how work ended, however long that takes.
async fn store_end(store: &dyn OperationStore, id: Uuid, answer: Option<Vec<u8>>) {
    let mut wait = STORE_PERIOD_MIN;
    while let Err(error) = store.end_operation(id, answer.clone()).await {
        tracing::warn!(error = %error, "the end of long work is not stored yet");
        sleep(wait).await;
        wait = (wait * 2).min(STORE_PERIOD_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use time::OffsetDateTime;

    use super::*;

    /// Cannot be reached for a while.
    struct Away {
        refused: AtomicUsize,
        stored: Mutex<Option<Vec<u8>>>,
    }

    #[async_trait]
    impl OperationStore for Away {
        async fn begin_operation(&self, _: OperationRecord, _: usize) -> Result<bool, StoreError> {
            unreachable!()
        }
        async fn note_progress(
            &self,
            _: Uuid,
            _: WorkStage,
            _: u64,
        ) -> Result<Standing, StoreError> {
            unreachable!()
        }
        async fn end_operation(
            &self,
            _: Uuid,
            answer: Option<Vec<u8>>,
        ) -> Result<bool, StoreError> {
            if self.refused.fetch_sub(1, Ordering::SeqCst) > 1 {
                return Err(StoreError::Unavailable("away".into()));
            }
            *self.stored.lock().unwrap() = answer;
            Ok(true)
        }
        async fn operations(
            &self,
            _: &SiteId,
            _: Option<Uuid>,
        ) -> Result<Vec<OperationRecord>, StoreError> {
            unreachable!()
        }
        async fn cancel_operation(&self, _: &SiteId, _: Uuid) -> Result<(), StoreError> {
            unreachable!()
        }
        async fn forget_operation(&self, _: &SiteId, _: Uuid) -> Result<bool, StoreError> {
            unreachable!()
        }
        async fn forget_operations(&self, _: OffsetDateTime) -> Result<u64, StoreError> {
            unreachable!()
        }
    }

    /// After ten minutes the answer was given up, and the work stayed running for good.
    #[tokio::test(start_paused = true)]
    async fn an_answer_is_stored_when_the_store_comes_back_after_a_day() {
        let day = Duration::from_secs(24 * 60 * 60);
        let tries = day.as_secs() / STORE_PERIOD_MAX.as_secs();
        let store = Away { refused: AtomicUsize::new(tries as usize), stored: Mutex::default() };
        let begin = Instant::now();
        store_end(&store, Uuid::nil(), Some(vec![7])).await;
        assert!(begin.elapsed() > day - Duration::from_secs(600), "{:?}", begin.elapsed());
        assert_eq!(*store.stored.lock().unwrap(), Some(vec![7]));
    }

    #[tokio::test]
    async fn work_that_panics_ends_with_an_error() {
        let outcome = unbroken(async { panic!("as a bug would") }).await;
        let Err(ModerationError::Unavailable(error)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            error.to_string(),
            StoreError::Unavailable("the work broke off".into()).to_string()
        );
    }

    /// Work that broke off stayed entered, and counted as under way.
    #[tokio::test]
    async fn what_breaks_off_is_worked_on_by_nobody() {
        let operations = Operations::default();
        let entry = operations.enter(Uuid::nil());
        assert!(operations.running(|running| running.contains_key(&Uuid::nil())));
        let broken = tokio::spawn(async move {
            let _entry = entry;
            panic!("as a bug would");
        });
        assert!(broken.await.is_err());
        assert!(operations.running(|running| running.is_empty()));
    }
}
