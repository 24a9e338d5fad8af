//! Records checks: all that wait, in one statement, which is one transaction.
//!
//! A few batches are under way at once, so that the server has something to do while a COMMIT
//! waits for the disk. A batch stores comments, request ids, queue entries, authors' records and
//! counts of days, or nothing. Who is refused is refused alone: if a batch fails because of one
//! of its checks, they are recorded one by one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::{Fingerprint, State};
use crate::moderation::ports::{RequestMark, StoreError};
use crate::storage::values::CommentRow;

use super::db::{Db, Source, TRY_COUNT_MAX};
use super::error::closed;
use super::options::PostgresOptions;
use super::review_queries::MARKS;
use super::rows::get;

/// Counts of a day that are added to without waiting for each other.
const SHARD_COUNT: u64 = 16;
/// Expired request ids that are removed for each one that is written: more than one, so that the
/// table shrinks again after a flood, and few, so that no batch gets long.
const PURGE_EACH: usize = 2;

/// A check that is to be recorded.
pub(super) struct Check {
    pub site_number: i64,
    pub row: CommentRow,
    pub request: Option<RequestMark>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is on disk.
    New,
    /// Its request id was recorded before.
    Repeated,
}

struct Job {
    check: Check,
    reply: oneshot::Sender<Result<Recorded, StoreError>>,
}

/// A queue to the tasks that record.
pub(super) struct Recorder {
    queue: mpsc::Sender<Job>,
    stop: CancellationToken,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Recorder {
    /// Starts the tasks on the present runtime.
    pub fn start(source: &Arc<Source>, options: &PostgresOptions) -> Self {
        let (queue, jobs) = mpsc::channel(options.queue_length.max(1));
        let jobs = Arc::new(Mutex::new(jobs));
        let stop = CancellationToken::new();
        let tasks = (0..options.writer_count.max(1)).map(|number| {
            let worker = Worker {
                source: Arc::clone(source),
                jobs: Arc::clone(&jobs),
                stop: stop.clone(),
                batch_count_max: options.batch_count_max.max(1),
                patience: options.call_timeout,
                shard: ((source.replica.as_u64_pair().1 + number as u64) % SHARD_COUNT) as i16,
            };
            tokio::spawn(worker.run())
        });
        let tasks = std::sync::Mutex::new(tasks.collect());
        Self { queue, stop, tasks }
    }

    /// Has a check recorded and answers when it is on disk, or was refused. Waits while the queue
    /// is full. If the caller stops waiting, it may be recorded all the same.
    pub async fn record(&self, check: Check) -> Result<Recorded, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Job { check, reply }).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Records what waits, then ends.
    pub async fn stop(&self) {
        self.stop.cancel();
        let tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        for task in tasks {
            let _ = task.await;
        }
    }
}

struct Worker {
    source: Arc<Source>,
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    stop: CancellationToken,
    batch_count_max: usize,
    patience: Duration,
    shard: i16,
}

impl Worker {
    async fn run(self) {
        // Jobs whose request id stands in the batch before: they are answered from it.
        let mut waiting = Vec::new();
        loop {
            let mut jobs = std::mem::take(&mut waiting);
            if jobs.is_empty() && self.next(&mut jobs).await == 0 {
                return;
            }
            waiting = take_repeated(&mut jobs);
            metrics::histogram!("replyguard_store_batch_jobs").record(jobs.len() as f64);
            self.record(jobs).await;
        }
    }

    /// Takes what waits; nothing at the end, when all that was taken into the queue is done.
    async fn next(&self, taken: &mut Vec<Job>) -> usize {
        let mut jobs = self.jobs.lock().await;
        tokio::select! {
            biased;
            count = jobs.recv_many(taken, self.batch_count_max) => return count,
            () = self.stop.cancelled() => jobs.close(),
        }
        jobs.recv_many(taken, self.batch_count_max).await
    }

    /// Records the jobs together, or one by one if one of them is refused.
    async fn record(&self, mut jobs: Vec<Job>) {
        let checks: Vec<&Check> = jobs.iter().map(|job| &job.check).collect();
        let request_count = checks.iter().filter(|check| check.request.is_some()).count();
        match self.write(&checks).await {
            Ok(recorded) => {
                let now = checks.iter().map(|check| check.row.check_time).max();
                for job in jobs.drain(..) {
                    let id = (job.check.site_number, *job.check.row.id.as_uuid());
                    let known =
                        if recorded.contains(&id) { Recorded::New } else { Recorded::Repeated };
                    // A caller that stopped waiting does not need the answer.
                    let _ = job.reply.send(Ok(known));
                }
                if let Some(now) = now.filter(|_| request_count > 0) {
                    self.purge(now, PURGE_EACH * request_count).await;
                }
            }
            Err(StoreError::Unavailable(reason)) => {
                tracing::warn!(error = %reason, job_count = jobs.len(), "a batch was not stored");
                for job in jobs {
                    let _ = job.reply.send(Err(StoreError::Unavailable(reason.clone())));
                }
            }
            Err(error) if jobs.len() == 1 => {
                if let Some(job) = jobs.pop() {
                    let _ = job.reply.send(Err(error));
                }
            }
            Err(_) => {
                for job in jobs {
                    let outcome = self.write(&[&job.check]).await.map(|recorded| {
                        if recorded.is_empty() { Recorded::Repeated } else { Recorded::New }
                    });
                    let _ = job.reply.send(outcome);
                }
            }
        }
    }

    /// Writes the checks and answers with the sites and ids of those that are new.
    async fn write(&self, checks: &[&Check]) -> Result<HashSet<(i64, Uuid)>, StoreError> {
        let columns = Columns::new(checks);
        let mut tried = 1;
        loop {
            let db = Db::open(&self.source, self.patience).await?;
            match columns.write(&db, self.shard).await {
                Err(error) if db.is_repeatable() && tried < TRY_COUNT_MAX => {
                    tracing::debug!(error = %error, "a batch is tried again");
                    tried += 1;
                }
                outcome => return outcome.map(|found| found.into_iter().collect()),
            }
        }
    }

    /// Removes request ids that expired before `now`, in milliseconds. If it does not work, the
    /// next batch does it.
    async fn purge(&self, now: i64, count_max: usize) {
        let sql = "DELETE FROM requests WHERE (site, id) IN (SELECT site, id FROM requests \
             WHERE time <= $1 ORDER BY time LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let oldest = now - super::queries::REQUEST_LIFE.whole_milliseconds() as i64;
        let purged = async {
            let db = Db::open(&self.source, self.patience).await?;
            db.execute(sql, &[&oldest, &(count_max as i64)]).await
        };
        if let Err(error) = purged.await {
            tracing::debug!(error = %error, "expired request ids were not removed");
        }
    }
}

/// Takes the jobs out whose request id another one before them has.
fn take_repeated(jobs: &mut Vec<Job>) -> Vec<Job> {
    let mut seen = HashSet::new();
    let mut repeated = |job: &mut Job| {
        let request = job.check.request;
        request.is_some_and(|mark| !seen.insert((job.check.site_number, *mark.id.as_uuid())))
    };
    jobs.extract_if(.., &mut repeated).collect()
}

/// The checks of a batch, by column.
struct Columns<'a> {
    checks: &'a [&'a Check],
}

/// Records a batch. Its parts see the tables as they were before, so each is made from what the
/// parts before it gave back.
///
/// Before the first number is drawn, the last one is marked by a lock, for those who follow
/// numbers: see `review_queries::settled_number`.
///
/// PostgreSQL does the parts that nobody reads from in reverse order: queue entries, authors,
/// days. All who lock these rows keep to that order.
const RECORD: &str = "\
WITH input AS (
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::text[],
        $6::boolean[], $7::double precision[], $8::text[], $9::bytea[], $10::bytea[], $11::bytea[],
        $12::text[], $13::text[], $14::bigint[], $15::bytea[], $16::bytea[], $17::uuid[],
        $18::double precision[], $19::uuid[], $20::bytea[])
    WITH ORDINALITY AS input (site, id, check_time, verdict, state, discard, probability,
        model_version, author, ip, ip_prefix, page_uri, lang, content_hash, simhash, body, campaign,
        uncertainty, request, digest, place)
    WHERE (SELECT pg_advisory_xact_lock_shared(
            $22 | CASE WHEN is_called THEN last_value ELSE last_value - 1 END)
        FROM comments_number_seq) IS NOT NULL
), marked AS (
    INSERT INTO requests AS known (site, id, time, digest, comment)
    SELECT site, request, check_time, digest, id FROM input
    WHERE request IS NOT NULL ORDER BY site, request
    ON CONFLICT (site, id) DO UPDATE
        SET time = excluded.time, digest = excluded.digest, comment = excluded.comment
        WHERE known.time <= excluded.time - 86400000
    RETURNING site, id
), recorded AS (
    INSERT INTO comments (site, id, check_time, verdict, state, discard, probability,
        model_version, author, ip, ip_prefix, page_uri, lang, content_hash, simhash, body, campaign,
        uncertainty)
    SELECT input.site, input.id, check_time, verdict, state, discard, probability, model_version,
        author, ip, ip_prefix, page_uri, lang, content_hash, simhash, body, campaign, uncertainty
    FROM input LEFT JOIN marked ON marked.site = input.site AND marked.id = input.request
    WHERE input.request IS NULL OR marked.id IS NOT NULL
    ORDER BY place
    RETURNING number, site, id, check_time, verdict, state, probability, author, campaign,
        uncertainty
), indexed AS (
    INSERT INTO pending_words (number) SELECT number FROM recorded
), counted AS (
    INSERT INTO daily_counts AS known
        (site, day, shard, approve_count, hold_count, reject_count)
    SELECT site, floor(check_time / 86400000.0)::bigint AS day, $21::smallint,
        count(*) FILTER (WHERE verdict = 'approve'), count(*) FILTER (WHERE verdict = 'hold'),
        count(*) FILTER (WHERE verdict = 'reject')
    FROM recorded GROUP BY site, day ORDER BY site, day
    ON CONFLICT (site, day, shard) DO UPDATE SET
        approve_count = known.approve_count + excluded.approve_count,
        hold_count = known.hold_count + excluded.hold_count,
        reject_count = known.reject_count + excluded.reject_count
), met AS (
    INSERT INTO author_records AS known (site, author, approved_count, held_count, rejected_count)
    SELECT site, author, count(*) FILTER (WHERE state = 'approved'),
        count(*) FILTER (WHERE state = 'held'), count(*) FILTER (WHERE state = 'rejected')
    FROM recorded WHERE author IS NOT NULL GROUP BY site, author ORDER BY site, author
    ON CONFLICT (site, author) DO UPDATE SET
        approved_count = known.approved_count + excluded.approved_count,
        held_count = known.held_count + excluded.held_count,
        rejected_count = known.rejected_count + excluded.rejected_count
), queued AS (
    INSERT INTO queue_entries AS known (site, campaign, comment, held_count, uncertainty,
        probability, first_time, last_time, usefulness)
    SELECT site, campaign, (array_agg(id ORDER BY id DESC))[1], count(*), max(uncertainty),
        max(coalesce(probability, 2)), min(check_time), max(check_time),
        usefulness(max(uncertainty), count(*), min(check_time))
    FROM recorded WHERE state = 'held' GROUP BY site, campaign ORDER BY site, campaign
    ON CONFLICT (site, campaign) DO UPDATE SET
        comment = greatest(known.comment, excluded.comment),
        held_count = known.held_count + excluded.held_count,
        uncertainty = greatest(known.uncertainty, excluded.uncertainty),
        probability = greatest(known.probability, excluded.probability),
        first_time = least(known.first_time, excluded.first_time),
        last_time = greatest(known.last_time, excluded.last_time),
        usefulness = usefulness(greatest(known.uncertainty, excluded.uncertainty),
            known.held_count + excluded.held_count,
            least(known.first_time, excluded.first_time))
)
SELECT site, id FROM recorded";

impl<'a> Columns<'a> {
    fn new(checks: &'a [&'a Check]) -> Self {
        Self { checks }
    }

    fn column<T>(&self, read: impl Fn(&'a Check) -> T) -> Vec<T> {
        self.checks.iter().map(|check| read(check)).collect()
    }

    fn prints(
        &self,
        read: impl Fn(&'a CommentRow) -> &'a Option<Fingerprint>,
    ) -> Vec<Option<&'a [u8]>> {
        self.column(|check| read(&check.row).as_ref().map(|print| print.as_bytes().as_slice()))
    }

    async fn write(&self, db: &Db, shard: i16) -> Result<Vec<(i64, Uuid)>, StoreError> {
        let sites = self.column(|check| check.site_number);
        let ids = self.column(|check| *check.row.id.as_uuid());
        let times = self.column(|check| check.row.check_time);
        let verdicts = self.column(|check| check.row.verdict.as_str());
        let states = self.column(|check| State::as_str(check.row.state));
        let discards = self.column(|check| check.row.discard);
        let probabilities = self.column(|check| check.row.probability);
        let models = self.column(|check| check.row.model_version.as_deref());
        let authors = self.prints(|row| &row.author);
        let ips = self.prints(|row| &row.ip);
        let prefixes = self.prints(|row| &row.ip_prefix);
        let pages = self.column(|check| check.row.page_uri.as_deref());
        let langs = self.column(|check| check.row.lang.as_deref());
        let contents = self.column(|check| check.row.content_hash as i64);
        let simhashes = self.column(|check| check.row.simhash.to_be_bytes());
        let simhashes: Vec<&[u8]> = simhashes.iter().map(<[u8; 16]>::as_slice).collect();
        let bodies = self.column(|check| check.row.body.as_slice());
        let campaigns = self.column(|check| *check.row.campaign.as_uuid());
        let uncertainties = self.column(|check| check.row.uncertainty);
        let requests = self.column(|check| check.request.map(|mark| *mark.id.as_uuid()));
        let digests = self
            .column(|check| check.request.as_ref().map(|mark| mark.digest.as_bytes().as_slice()));
        db.all(
            RECORD,
            &[
                &sites,
                &ids,
                &times,
                &verdicts,
                &states,
                &discards,
                &probabilities,
                &models,
                &authors,
                &ips,
                &prefixes,
                &pages,
                &langs,
                &contents,
                &simhashes,
                &bodies,
                &campaigns,
                &uncertainties,
                &requests,
                &digests,
                &shard,
                &MARKS,
            ],
            |row| Ok((get(row, 0)?, get(row, 1)?)),
        )
        .await
    }
}
