//! A connection in use: statements with a deadline, inside a transaction or not.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::moderation::ports::StoreError;

use super::error::{can_be_repeated, closed, from_postgres, late, plain};
use super::listener::{CHANNEL, Told};

/// What is bound to a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The first half of the keys of our advisory locks: `rpgd`.
const LOCKS: i64 = 0x7270_6764 << 32;
/// How often a transaction is tried that came into another's way.
pub(super) const TRY_COUNT_MAX: usize = 5;

/// Where connections come from.
pub(super) struct Source {
    /// The pool.
    pub pool: Pool,
    /// Tells this process from others, in news and leases.
    pub replica: Uuid,
}

/// A connection for as long as one does something with it.
///
/// It goes back into the pool only if nothing is under way: a caller that stopped waiting in the
/// middle of a statement or a transaction leaves a connection of unknown state, which is closed;
/// the server then rolls back.
pub(super) struct Db {
    /// There until it is dropped.
    client: Option<Object>,
    replica: Uuid,
    deadline: Instant,
    /// Something is under way.
    busy: AtomicBool,
    in_transaction: bool,
    /// A statement failed, and with it the transaction: PostgreSQL would answer COMMIT with
    /// success and roll back.
    failed: AtomicBool,
    /// The transaction came into another's way.
    repeatable: AtomicBool,
}

/// How a transaction ended.
pub(super) enum Ended<T> {
    /// It was committed, or refused.
    Done(Result<T, StoreError>),
    /// It came into another's way: doing all of it again may help.
    Again(StoreError),
}

impl Db {
    /// A connection, for statements that each are a transaction, or none.
    pub async fn open(source: &Source, patience: Duration) -> Result<Self, StoreError> {
        let deadline = Instant::now() + patience;
        let client = match timeout_at(deadline, source.pool.get()).await {
            Ok(client) => client.map_err(from_pool)?,
            Err(_) => return Err(late()),
        };
        Ok(Self {
            client: Some(client),
            replica: source.replica,
            deadline,
            busy: AtomicBool::new(false),
            in_transaction: false,
            failed: AtomicBool::new(false),
            repeatable: AtomicBool::new(false),
        })
    }

    /// A connection inside a transaction, which [`Self::end`] ends; dropping rolls it back.
    pub async fn begin(source: &Source, patience: Duration) -> Result<Self, StoreError> {
        let mut db = Self::open(source, patience).await?;
        db.run(db.client()?.batch_execute("BEGIN")).await?;
        db.in_transaction = true;
        Ok(db)
    }

    /// Commits if the work went well, else rolls back.
    pub async fn end<T>(mut self, outcome: Result<T, StoreError>) -> Ended<T> {
        let outcome = match outcome {
            Ok(_) if self.failed.load(Ordering::Acquire) => {
                Err(StoreError::Unavailable("a statement of the transaction failed".into()))
            }
            Ok(value) => self.batch("COMMIT").await.map(|()| value),
            Err(error) => Err(error),
        };
        // After a failed COMMIT there is no transaction, which is no error of ROLLBACK. What
        // cannot be rolled back is closed.
        let over = outcome.is_ok()
            || !self.busy.load(Ordering::Acquire) && self.batch("ROLLBACK").await.is_ok();
        self.in_transaction = !over;
        self.ended(outcome)
    }

    fn ended<T>(&self, outcome: Result<T, StoreError>) -> Ended<T> {
        match outcome {
            Err(error) if self.repeatable.load(Ordering::Acquire) => Ended::Again(error),
            outcome => Ended::Done(outcome),
        }
    }

    /// Whether what failed came into another's way, so that doing it again may help.
    pub fn is_repeatable(&self) -> bool {
        self.repeatable.load(Ordering::Acquire)
    }

    fn client(&self) -> Result<&Object, StoreError> {
        self.client.as_ref().ok_or_else(closed)
    }

    async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        self.busy.store(true, Ordering::Release);
        let outcome = timeout_at(self.deadline, work).await.map_err(|_| late())?;
        self.busy.store(false, Ordering::Release);
        outcome.map_err(|error| {
            self.failed.store(true, Ordering::Release);
            if can_be_repeated(&error) {
                self.repeatable.store(true, Ordering::Release);
            }
            from_postgres(&error)
        })
    }

    /// Statements without values.
    pub async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.run(self.client()?.batch_execute(sql)).await
    }

    /// The rows of a query, each read by `read`. Statements are prepared once a connection, so
    /// there must not be too many different ones.
    pub async fn all<T>(
        &self,
        sql: &str,
        values: Values<'_>,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let client = self.client()?;
        let rows = self
            .run(async {
                let statement = client.prepare_cached(sql).await?;
                client.query(&statement, values).await
            })
            .await?;
        rows.iter().map(read).collect()
    }

    /// The first row of a query, read by `read`.
    pub async fn first<T>(
        &self,
        sql: &str,
        values: Values<'_>,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let client = self.client()?;
        let rows = self
            .run(async {
                let statement = client.prepare_cached(sql).await?;
                client.query(&statement, values).await
            })
            .await?;
        rows.first().map(read).transpose()
    }

    /// The rows of a query that is one of very many different ones, so that it is not kept.
    pub async fn all_once<T>(
        &self,
        sql: &str,
        values: &[(&(dyn ToSql + Sync), Type)],
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.run(self.client()?.query_typed(sql, values)).await?;
        rows.iter().map(read).collect()
    }

    /// Executes a statement; answers with how many rows it touched.
    pub async fn execute(&self, sql: &str, values: Values<'_>) -> Result<u64, StoreError> {
        let client = self.client()?;
        self.run(async {
            let statement = client.prepare_cached(sql).await?;
            client.execute(&statement, values).await
        })
        .await
    }

    /// Makes this transaction the only one that appends to the site's ledger or to what was
    /// decided there, until it ends: so positions become visible in order.
    pub async fn lock_site(&self, site_number: i64) -> Result<(), StoreError> {
        self.execute("SELECT pg_advisory_xact_lock($1)", &[&(LOCKS | site_number)]).await.map(drop)
    }

    /// Makes this transaction the only one that changes the schema.
    pub async fn lock_schema(&self) -> Result<(), StoreError> {
        self.lock_site(0).await
    }

    /// Tells all other replicas when the transaction is committed.
    pub async fn tell(&self, what: &Told) -> Result<(), StoreError> {
        let sql = "SELECT pg_notify($1, $2)";
        let payload = format!("{} {what}", self.replica);
        self.execute(sql, &[&CHANNEL, &payload]).await.map(drop)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        let unknown = self.in_transaction || self.busy.load(Ordering::Acquire);
        if let Some(client) = self.client.take().filter(|_| unknown) {
            // Dropping what is taken out of the pool closes the connection.
            drop(Object::take(client));
        }
    }
}

fn from_pool(error: PoolError) -> StoreError {
    match error {
        PoolError::Closed => closed(),
        PoolError::Timeout(_) => StoreError::Unavailable("no connection came free in time".into()),
        PoolError::Backend(error) => StoreError::Unavailable(plain(&error)),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// Does `$work` with the transaction `$db` of a store, again if it came into another's way. `$begin`
/// is `begin` or `begin_patiently`.
macro_rules! transaction {
    ($store:expr, |$db:ident| $work:expr) => {
        $crate::storage::postgres::db::transaction!($store, begin, |$db| $work)
    };
    ($store:expr, $begin:ident, |$db:ident| $work:expr) => {{
        let mut tried = 1;
        loop {
            let $db = $store.$begin().await?;
            let outcome = async { $work }.await;
            match $db.end(outcome).await {
                $crate::storage::postgres::db::Ended::Done(outcome) => break outcome,
                $crate::storage::postgres::db::Ended::Again(error) => {
                    if tried == $crate::storage::postgres::db::TRY_COUNT_MAX {
                        break Err(error);
                    }
                    tried += 1;
                }
            }
        }
    }};
}
pub(super) use transaction;
