//! The use cases, and the ports they need. gRPC, HTTP and the command line all call these.

mod access;
pub mod accounts;
mod back_test;
mod budget;
mod call_limits;
mod check;
mod counted;
mod curation;
mod decide;
mod drift;
mod error;
mod evaluation;
pub mod examples;
mod explain;
mod feedback;
mod flip;
mod gate;
mod known;
mod learnt;
mod leaving;
mod ledger;
mod lenient;
mod models;
mod operations;
pub mod paging;
pub mod ports;
mod privacy;
mod progress;
mod proof;
mod replay;
mod retention;
mod replicas;
mod review;
mod rules;
mod schedule;
mod scoring;
mod shadow;
mod sites;
mod thresholds;
mod training;
mod undo;
mod watch;
mod webhooks;

use std::sync::Arc;

use tokio::sync::Notify;

pub use access::{Actor, Caller};
pub use back_test::{BackTest, Moved};
pub use budget::{BudgetPreview, BudgetRequest, LabelPreview, Share, TrafficPreview};
pub use call_limits::CallRate;
pub use check::{Answer, CheckOptions};
pub use decide::{DecisionPreview, DecisionProgress, DecisionRequest, Selection, TARGET_COUNT_MAX};
pub use drift::{DRIFT_ALARM, DriftDimension, DriftReport, DriftWatch};
pub use error::ModerationError;
pub use evaluation::{JudgedLabel, ModelEvaluation};
pub use explain::{Explained, Explanation, Part};
pub use feedback::Feedback;
pub use flip::Flip;
pub use ledger::{ForeignExample, RetractionRequest, note, source_name};
pub use operations::{AnswerFormat, Outcome, Work, Worked};
pub use privacy::{AuthorSelector, ExportRecord, ExportStream};
pub use progress::WorkProgress;
pub use proof::{LabelInfluence, ModelProof, ReporterInfluence};
pub use replay::{examples as replay_examples, seed_examples};
pub use review::{Listing, Overview, ReviewDetail, Reviewer, reviewer_name};
pub use schedule::{Attempts, Schedule};
pub use scoring::{Judgement, Scorer};
pub use shadow::{Disagreement, ShadowReport};
pub use sites::NewKey;
pub use training::{HoldOut, HoldOutSlice, TrainSettings};

pub use watch::{QueueNews, QueuePlace};
pub use webhooks::{NewWebhook, WEBHOOK_COUNT_MAX, WebhookTest};

use access::{Guesses, KeyUses};
use accounts::Throttle;
use call_limits::CallLimits;
use counted::Counted;
use leaving::Leavers;
use models::ModelTable;
use operations::Operations;
use ports::models::ModelStore;
use ports::operations::OperationStore;
use ports::privacy::PrivacyStore;
use ports::replicas::Replicas;
use ports::review::ReviewStore;
use ports::webhooks::{WebhookSender, WebhookStore};
use ports::{Clock, Limiter, Random, RecentContent, Store, StoreError};
use rules::RulesCache;
use watch::Changes;

use crate::domain::{RequestId, SiteId};
use crate::turns::Turns;

/// The use cases of one process, over its ports.
pub struct Moderation {
    store: Arc<dyn Store>,
    limiter: Arc<dyn Limiter>,
    recent: Arc<dyn RecentContent>,
    model_store: Arc<dyn ModelStore>,
    review_store: Arc<dyn ReviewStore>,
    privacy_store: Arc<dyn PrivacyStore>,
    erased: Notify,
    webhook_store: Arc<dyn WebhookStore>,
    webhook_sender: Arc<dyn WebhookSender>,
    replicas: Arc<dyn Replicas>,
    changes: Changes,
    models: ModelTable,
    operation_store: Arc<dyn OperationStore>,
    answers: Arc<dyn AnswerFormat>,
    operations: Operations,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Requests with an id, so that two with the same one are answered one after the other.
    in_flight: Turns<(SiteId, RequestId)>,
    counted: Counted,
    leavers: Leavers,
    guesses: Guesses,
    call_guesses: Throttle,
    call_rate: Option<CallRate>,
    call_limits: CallLimits,
    key_uses: KeyUses,
    rules: RulesCache,
}

/// What the use cases stand on.
pub struct Ports {
    /// Records.
    pub store: Arc<dyn Store>,
    /// The ledger as examples, and models.
    pub model_store: Arc<dyn ModelStore>,
    /// The review queue and decisions.
    pub review_store: Arc<dyn ReviewStore>,
    /// Erasure, export and retention.
    pub privacy_store: Arc<dyn PrivacyStore>,
    /// Webhooks and their deliveries.
    pub webhook_store: Arc<dyn WebhookStore>,
    /// Who sends them.
    pub webhook_sender: Arc<dyn WebhookSender>,
    /// Long work.
    pub operation_store: Arc<dyn OperationStore>,
    /// How what came of it is written.
    pub answers: Arc<dyn AnswerFormat>,
    /// Other processes on the same records.
    pub replicas: Arc<dyn Replicas>,
    /// Rate limits.
    pub limiter: Arc<dyn Limiter>,
    /// Recent content.
    pub recent: Arc<dyn RecentContent>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

impl Moderation {
    /// The use cases over these ports. `scorer` scores where a site has no model of its own.
    pub fn new(ports: Ports, scorer: Scorer) -> Self {
        Self {
            store: ports.store,
            limiter: ports.limiter,
            recent: ports.recent,
            model_store: ports.model_store,
            review_store: ports.review_store,
            privacy_store: ports.privacy_store,
            erased: Notify::new(),
            webhook_store: ports.webhook_store,
            webhook_sender: ports.webhook_sender,
            replicas: ports.replicas,
            changes: Changes::default(),
            models: ModelTable::new(scorer),
            operation_store: ports.operation_store,
            answers: ports.answers,
            operations: Operations::default(),
            guesses: Guesses::new(ports.random.bytes32()),
            call_guesses: Throttle::new(ports.random.bytes32()),
            call_rate: None,
            call_limits: CallLimits::default(),
            key_uses: KeyUses::default(),
            clock: ports.clock,
            random: ports.random,
            in_flight: Turns::default(),
            counted: Counted::default(),
            leavers: Leavers::default(),
            rules: RulesCache::default(),
        }
    }

    /// With a limit to the calls of each key.
    pub fn with_call_rate(mut self, rate: Option<CallRate>) -> Self {
        self.call_rate = rate;
        self
    }

    /// An id for an answer that is about no comment.
    pub fn fresh_guid(&self) -> String {
        self.random.uuid().to_string()
    }

    /// The version of the base model.
    pub fn model_version(&self) -> &str {
        self.models.base().model_version()
    }
}

/// Runs arithmetic that takes long on a thread that answers no calls.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, ModerationError> + Send + 'static,
) -> Result<T, ModerationError> {
    let broken = |error: tokio::task::JoinError| {
        Err(ModerationError::Unavailable(StoreError::Unavailable(format!("{what}: {error}"))))
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(broken)
}
