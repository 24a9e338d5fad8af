//! The writing thread: takes what waits, commits it together, answers after COMMIT.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use crate::moderation::ports::StoreError;

use super::answers::{Answers, Home};
use super::authors::{self, AuthorChange};
use super::cache::{Caches, Effect, Filter, SiteKey};
use super::commands;
use super::days::{self, DayChange};
use super::error::{closed, from_sqlite};
use super::open::{SqliteOptions, open_reader};
use super::queries::{self, KeyTable};

/// Expired request ids that a batch removes for each job in it: more than one, so that the table
/// shrinks again after a flood, and few, so that no batch gets long.
const PURGE_EACH: usize = 2;

/// After the batch's period: while so many jobs come in each half of one, the batch goes on
/// waiting, for so many halves at most. A COMMIT costs the CPU of recording ten comments, so a
/// busy core has more done with fewer of them.
const COMING_COUNT_MIN: usize = 4;
const HALF_COUNT_MAX: usize = 6;

/// A queue to the writing thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Job(Box<dyn Job>, Home),
    Stop(oneshot::Sender<()>),
}

/// Whether a job can be undone alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// It writes nothing before all that it may refuse is checked; saves the savepoint, which
    /// costs a third of recording a check.
    NotNeeded,
    /// It runs in a savepoint.
    Savepoint,
}

/// What a job works with.
pub(super) struct Batch<'a> {
    /// The connection, inside a transaction.
    pub db: &'a Connection,
    /// What the store keeps in memory; changed after COMMIT only, by `effects`.
    pub caches: &'a Caches,
    /// What is to be noted after COMMIT.
    pub effects: Vec<Effect>,
    /// What is to be added to authors' records before COMMIT.
    pub author_changes: Vec<(SiteKey, AuthorChange)>,
    /// What is to be added to the counts of days before COMMIT.
    pub day_changes: Vec<DayChange>,
    /// The latest time that a job of this batch knew of, by which request ids expire.
    pub latest_time: Option<OffsetDateTime>,
}

impl Batch<'_> {
    /// Whether an earlier job of this batch stored this request id. The filter hears of it after
    /// COMMIT: a scan that begins and ends before would make it forget.
    pub fn has_request(&self, key: &SiteKey) -> bool {
        let is_it = |effect: &Effect| matches!(effect, Effect::Request(known) if known == key);
        self.effects.iter().rev().any(is_it)
    }
}

impl Writer {
    /// Starts the thread. `lock` is held until it ends.
    pub fn start(
        path: &Path,
        connection: Connection,
        caches: Arc<Caches>,
        options: &SqliteOptions,
        lock: Arc<File>,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(options.queue_length.max(1));
        let thread = WriterThread {
            path: path.to_owned(),
            connection,
            caches,
            batch_count_max: options.batch_count_max.max(1),
            batch_period: options.batch_period,
            filling: Vec::new(),
        };
        std::thread::Builder::new().name("store-writer".into()).spawn(move || {
            let stopped = thread.run(jobs);
            drop(lock);
            if let Some(stopped) = stopped {
                // Nobody waits any more if the one who closed gave up.
                let _ = stopped.send(());
            }
        })?;
        Ok(Self { queue })
    }

    /// Has `work` done in the next transaction and answers when that is on disk. Waits while the
    /// queue is full. If the caller stops waiting, the work is done all the same.
    pub async fn submit<T: Send + 'static>(
        &self,
        undo: Undo,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task = Task { undo, work: Some(work), outcome: None, reply };
        self.queue.send(Message::Job(Box::new(task), Home::here())).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Lets the thread finish what waits and end; returns when its connection is closed.
    pub async fn stop(&self) {
        let (stopped, done) = oneshot::channel();
        if self.queue.send(Message::Stop(stopped)).await.is_ok() {
            let _ = done.await;
        }
    }
}

/// A job of any answer.
pub(super) trait Job: Send {
    fn undo(&self) -> Undo;
    /// Does the work and keeps the outcome; tells what went wrong.
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), JobFailure>;
    /// Answers the caller, with `failure` if the transaction was not committed.
    fn reply(self: Box<Self>, failure: Option<&str>);
}

pub(super) enum JobFailure {
    /// The job was refused; others are not concerned.
    Refused,
    /// The store does not work; the transaction is lost.
    Unavailable(String),
}

struct Task<T, F> {
    undo: Undo,
    work: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send,
{
    fn undo(&self) -> Undo {
        self.undo
    }

    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), JobFailure> {
        let outcome = self.work.take().map(|work| work(batch));
        let failure = match &outcome {
            Some(Ok(_)) | None => Ok(()),
            Some(Err(StoreError::Unavailable(reason))) => {
                Err(JobFailure::Unavailable(reason.clone()))
            }
            Some(Err(_)) => Err(JobFailure::Refused),
        };
        self.outcome = outcome;
        failure
    }

    fn reply(self: Box<Self>, failure: Option<&str>) {
        let answer = match (failure, self.outcome) {
            (None, Some(outcome)) => outcome,
            (None, None) => Err(closed()),
            (Some(reason), _) => Err(StoreError::Unavailable(reason.to_owned())),
        };
        // A caller that stopped waiting does not need the answer.
        let _ = self.reply.send(answer);
    }
}

struct WriterThread {
    path: PathBuf,
    connection: Connection,
    caches: Arc<Caches>,
    batch_count_max: usize,
    batch_period: Duration,
    filling: Vec<JoinHandle<()>>,
}

/// When the last batch began, and of how many jobs it was.
struct LastBatch {
    begin: Instant,
    count: usize,
}

impl WriterThread {
    /// Works until it is stopped or nobody can send any more.
    fn run(mut self, mut queue: mpsc::Receiver<Message>) -> Option<oneshot::Sender<()>> {
        let mut messages = Vec::with_capacity(self.batch_count_max);
        let mut jobs = Vec::with_capacity(self.batch_count_max);
        let mut homes = Vec::with_capacity(self.batch_count_max);
        let mut stopped = None;
        let mut last = LastBatch { begin: Instant::now(), count: 0 };
        self.fill_filters();
        while queue.blocking_recv_many(&mut messages, self.batch_count_max) > 0 {
            self.gather(&mut queue, &mut messages, &last);
            last = LastBatch { begin: Instant::now(), count: messages.len() };
            for message in messages.drain(..) {
                match message {
                    Message::Job(job, home) => {
                        jobs.push(job);
                        homes.push(home);
                    }
                    Message::Stop(reply) => {
                        // What was taken into the queue before is still done.
                        queue.close();
                        stopped = Some(reply);
                    }
                }
            }
            self.run_batch(&mut jobs, &mut homes);
            self.fill_filters();
        }
        for thread in self.filling.drain(..) {
            // It logs its own failure.
            let _ = thread.join();
        }
        stopped
    }

    /// Waits for company until the batch's period is over. A caller that was alone last time is
    /// not kept waiting: it sends nothing else before it has its answer.
    fn gather(
        &self,
        queue: &mut mpsc::Receiver<Message>,
        messages: &mut Vec<Message>,
        last: &LastBatch,
    ) {
        let wait = self.batch_period.saturating_sub(last.begin.elapsed());
        if last.count < 2 || wait.is_zero() {
            return;
        }
        std::thread::sleep(wait);
        self.take_waiting(queue, messages);
        let mut coming = messages.len() / 2;
        for _ in 0..HALF_COUNT_MAX {
            if coming < COMING_COUNT_MIN {
                break;
            }
            std::thread::sleep(self.batch_period / 2);
            coming = self.take_waiting(queue, messages);
        }
    }

    /// Takes the jobs that wait by now, as many as a batch has room for; how many there were.
    fn take_waiting(
        &self,
        queue: &mut mpsc::Receiver<Message>,
        messages: &mut Vec<Message>,
    ) -> usize {
        let before = messages.len();
        while messages.len() < self.batch_count_max
            && let Ok(message) = queue.try_recv()
        {
            messages.push(message);
        }
        messages.len() - before
    }

    /// Stores what the jobs write and answers them; `homes` are where their callers are.
    fn run_batch(&self, jobs: &mut Vec<Box<dyn Job>>, homes: &mut Vec<Home>) {
        if jobs.is_empty() {
            return;
        }
        let failure = match self.transaction(jobs) {
            Ok(effects) => {
                effects.into_iter().for_each(|effect| self.caches.apply(effect));
                None
            }
            Err(error) => {
                tracing::warn!(error = %error, job_count = jobs.len(), "a batch was not stored");
                self.roll_back();
                Some(error)
            }
        };
        metrics::histogram!("replyguard_store_batch_jobs").record(jobs.len() as f64);
        answer(jobs, homes, failure.map(Arc::from));
    }

    /// Runs all jobs in one transaction; fails if nothing of it is stored.
    fn transaction(&self, jobs: &mut [Box<dyn Job>]) -> Result<Vec<Effect>, String> {
        let db = &self.connection;
        execute(db, "BEGIN IMMEDIATE")?;
        let mut batch = Batch {
            db,
            caches: &self.caches,
            effects: Vec::new(),
            author_changes: Vec::new(),
            day_changes: Vec::new(),
            latest_time: None,
        };
        for job in jobs.iter_mut() {
            run_job(job.as_mut(), &mut batch)?;
        }
        authors::write(&mut batch).map_err(|error| error.to_string())?;
        days::write(&mut batch).map_err(|error| error.to_string())?;
        if let Some(now) = batch.latest_time {
            commands::purge_requests(db, now, PURGE_EACH * jobs.len())
                .map_err(|error| error.to_string())?;
        }
        execute(db, "COMMIT")?;
        Ok(batch.effects)
    }

    fn roll_back(&self) {
        // After some failures SQLite has rolled back by itself.
        if !self.connection.is_autocommit()
            && let Err(error) = execute(&self.connection, "ROLLBACK")
        {
            tracing::error!(error = %error, "a failed batch could not be rolled back");
        }
    }

    /// Starts the scans that are due.
    fn fill_filters(&mut self) {
        self.filling.retain(|thread| !thread.is_finished());
        for table in [KeyTable::Authors, KeyTable::Requests] {
            if !filter(&self.caches, table).claim_fill() {
                continue;
            }
            let (path, caches) = (self.path.clone(), Arc::clone(&self.caches));
            let thread = std::thread::Builder::new().name("store-scan".into()).spawn(move || {
                if let Err(error) = fill_filter(&path, filter(&caches, table), table) {
                    tracing::warn!(error = %error, ?table, "keys could not be scanned");
                }
            });
            match thread {
                Ok(thread) => self.filling.push(thread),
                Err(error) => tracing::warn!(error = %error, "no thread for scanning keys"),
            }
        }
    }
}

/// Answers the jobs of a batch, those of each calling thread together. There are as many such
/// threads as cores, so they are looked for one by one.
fn answer(jobs: &mut Vec<Box<dyn Job>>, homes: &mut Vec<Home>, failure: Option<Arc<str>>) {
    let mut groups: Vec<(Home, Vec<Box<dyn Job>>)> = Vec::new();
    for (job, home) in jobs.drain(..).zip(homes.drain(..)) {
        match groups.iter_mut().find(|(known, _)| known.is(&home)) {
            Some((_, group)) => group.push(job),
            None => groups.push((home, vec![job])),
        }
    }
    for (home, jobs) in groups {
        home.send(Answers { jobs, failure: failure.clone() });
    }
}

fn filter(caches: &Caches, table: KeyTable) -> &Filter {
    match table {
        KeyTable::Authors => &caches.known_authors,
        KeyTable::Requests => &caches.known_requests,
    }
}

fn fill_filter(path: &Path, filter: &Filter, table: KeyTable) -> Result<(), StoreError> {
    let opened = open_reader(path).map_err(from_sqlite);
    let counted = opened.and_then(|db| Ok((queries::count_keys(&db, table)?, db)));
    match counted {
        Ok((row_count, db)) => {
            filter.fill(row_count, |found| queries::scan_keys(&db, table, found))
        }
        Err(error) => {
            filter.give_up();
            Err(error)
        }
    }
}

/// Runs a job, in a savepoint if it asks for one.
fn run_job(job: &mut dyn Job, batch: &mut Batch<'_>) -> Result<(), String> {
    let db = batch.db;
    let effect_count = batch.effects.len();
    let author_change_count = batch.author_changes.len();
    let day_change_count = batch.day_changes.len();
    let change_count = db.total_changes();
    let savepoint = job.undo() == Undo::Savepoint;
    if savepoint {
        execute(db, "SAVEPOINT job")?;
    }
    match job.run(batch) {
        Ok(()) => {}
        Err(JobFailure::Unavailable(reason)) => return Err(reason),
        Err(JobFailure::Refused) => {
            batch.effects.truncate(effect_count);
            batch.author_changes.truncate(author_change_count);
            batch.day_changes.truncate(day_change_count);
            if savepoint {
                execute(db, "ROLLBACK TO job")?;
            } else if db.total_changes() != change_count {
                return Err("a job was refused half-way".into());
            }
        }
    }
    if savepoint {
        execute(db, "RELEASE job")?;
    }
    Ok(())
}

fn execute(db: &Connection, sql: &str) -> Result<(), String> {
    db.prepare_cached(sql)
        .and_then(|mut statement| statement.raw_execute())
        .map(drop)
        .map_err(|error| error.to_string())
}
