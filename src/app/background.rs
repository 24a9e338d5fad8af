//! What the service does between calls: it watches for drift, keeps the search index near the
//! comments, sends webhooks' messages, removes what is too old, trains models on a schedule, and follows what other replicas
//! change. Of several replicas one watches for drift, one trains and one removes; a webhook's next message and a
//! comment's words are given to one by the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::TrainingConfig;
use crate::moderation::{Attempts, DriftWatch, Moderation, Schedule};

/// How often comments are compared with their models' baselines.
const DRIFT_PERIOD: Duration = Duration::from_secs(600);
/// How often it is looked whether a training is due, at the longest.
const SCHEDULE_PERIOD_MAX: Duration = Duration::from_secs(60);

/// How often the words of new comments are put into the search index.
const INDEX_PERIOD: Duration = Duration::from_secs(1);
/// Comments indexed at once.
const INDEX_COUNT: usize = 5_000;

/// Starts the tasks, which end when `draining` is cancelled.
pub(super) fn start(
    moderation: &Arc<Moderation>,
    training: &TrainingConfig,
    draining: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let mut tasks = vec![
        tokio::spawn(watch_drift(moderation.clone(), draining.clone())),
        tokio::spawn(index_words(moderation.clone(), draining.clone())),
        tokio::spawn(deliver_webhooks(moderation.clone(), draining.clone())),
        tokio::spawn(note_key_uses(moderation.clone(), draining.clone())),
        tokio::spawn(retain(moderation.clone(), draining.clone())),
        tokio::spawn(follow_replicas(moderation.clone(), draining.clone())),
    ];
    if training.interval_s > 0 {
        let schedule = Schedule {
            interval: Duration::from_secs(training.interval_s),
            label_count_min: training.label_count_min,
            promotes: training.promotes,
        };
        tasks.push(tokio::spawn(train(moderation.clone(), schedule, draining.clone())));
    }
    tasks
}

async fn watch_drift(moderation: Arc<Moderation>, draining: CancellationToken) {
    let mut watch = DriftWatch::default();
    loop {
        if !holds(&moderation, "drift").await {
            watch.forget();
        } else if let Err(error) = moderation.watch_drift(&mut watch).await {
            tracing::warn!(error = %error, "drift could not be measured");
        }
        if passes(DRIFT_PERIOD, &draining).await.is_err() {
            return;
        }
    }
}

/// Keeps the search index near the comments.
async fn index_words(moderation: Arc<Moderation>, draining: CancellationToken) {
    loop {
        match moderation.index_words(INDEX_COUNT).await {
            Ok(count) if count == INDEX_COUNT && !draining.is_cancelled() => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error, "words could not be indexed"),
        }
        if passes(INDEX_PERIOD, &draining).await.is_err() {
            return;
        }
    }
}

/// How often is looked for what is too old.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);

/// Removes what is too old, and overwrites what was erased.
async fn retain(moderation: Arc<Moderation>, draining: CancellationToken) {
    loop {
        if holds(&moderation, "retention").await
            && let Err(error) = moderation.apply_retention(&draining).await
        {
            tracing::warn!(error = %error, "retention was not applied");
        }
        tokio::select! {
            () = moderation.erased() => {}
            passed = passes(RETENTION_PERIOD, &draining) => {
                if passed.is_err() {
                    return;
                }
            }
        }
    }
}

/// How often it is noted which keys were used.
const KEY_USES_PERIOD: Duration = Duration::from_secs(60);

/// Notes which keys were used, at last when the service stops.
async fn note_key_uses(moderation: Arc<Moderation>, draining: CancellationToken) {
    loop {
        let stops = passes(KEY_USES_PERIOD, &draining).await.is_err();
        if let Err(error) = moderation.note_key_uses().await {
            tracing::warn!(error = %error, "the uses of keys were not noted");
        }
        if stops {
            return;
        }
    }
}

/// How often dead deliveries are counted.
const DEAD_PERIOD: Duration = Duration::from_secs(30);

/// Sends what was decided, and says how much was given up.
async fn deliver_webhooks(moderation: Arc<Moderation>, draining: CancellationToken) {
    let count_dead = async {
        loop {
            match moderation.dead_delivery_count().await {
                Ok(count) => {
                    metrics::gauge!("replyguard_webhook_dead_deliveries").set(count as f64);
                }
                Err(error) => tracing::warn!(error = %error, "dead deliveries were not counted"),
            }
            if passes(DEAD_PERIOD, &draining).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = moderation.clone().deliver_webhooks() => {}
        () = count_dead => {}
    }
}

async fn train(moderation: Arc<Moderation>, schedule: Schedule, draining: CancellationToken) {
    let mut attempts = Attempts::new();
    while passes(schedule.interval.min(SCHEDULE_PERIOD_MAX), &draining).await.is_ok() {
        if !holds(&moderation, "training").await {
            continue;
        }
        let trained = tokio::select! {
            trained = moderation.train_due(&schedule, &mut attempts) => trained,
            () = draining.cancelled() => return,
        };
        if let Err(error) = trained {
            tracing::warn!(error = %error, "no training could be begun");
        }
    }
}

/// Follows what other replicas change.
async fn follow_replicas(moderation: Arc<Moderation>, draining: CancellationToken) {
    tokio::select! {
        () = moderation.follow_replicas() => {}
        () = draining.cancelled() => {}
    }
}

/// Whether this process does what only one should; not if it cannot be known.
async fn holds(moderation: &Moderation, work: &str) -> bool {
    moderation.holds(work).await.unwrap_or_else(|error| {
        tracing::warn!(error = %error, work, "who does this work could not be known");
        false
    })
}

/// Waits; an error if the service stops meanwhile.
async fn passes(time: Duration, draining: &CancellationToken) -> Result<(), ()> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = draining.cancelled() => Err(()),
    }
}
