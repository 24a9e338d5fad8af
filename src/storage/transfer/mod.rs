//! Moves a whole installation from one database to another.
//!
//! The target is written in one transaction, so a move that is cut short leaves it empty and is
//! begun again. Rows pass through in batches; memory does not grow with them. Before COMMIT the
//! rows of each table are counted on both sides. The last number of a table moves with it, so that
//! no row gets one that a removed row had: webhooks and watchers go on after it.

mod postgres;
mod sqlite;
mod tables;

use std::path::Path;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::postgres::PostgresAddress;
use tables::{Kind, SqliteMemory, TABLES, Table};

/// Rows that pass through at once; a comment has at most 75 kB.
const BATCH_COUNT: usize = 256;
/// Batches on their way.
const QUEUE_LENGTH: usize = 4;

/// Why an installation was not moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The SQLite file.
    #[error("{0}")]
    Sqlite(String),
    /// The PostgreSQL database.
    #[error("{0}")]
    Postgres(String),
    /// The other side of the move ended; its error says why.
    #[error("the other side of the move ended")]
    Ended,
    /// There is something in the target already.
    #[error("{0} is not empty; a move needs an empty target")]
    NotEmpty(String),
    /// A value is not what its column says.
    #[error("table {table}: a value of the column {column} cannot be moved")]
    Value {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// Rows are missing, so nothing was kept.
    #[error("table {table}: {found} rows in the target and {expected} in the source")]
    Count {
        /// The table.
        table: &'static str,
        /// Rows of the source.
        expected: i64,
        /// Rows of the target.
        found: i64,
    },
}

/// A table that was moved and how many rows it has.
pub type Moved = (&'static str, i64);

/// A value on its way.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Int(i64),
    Flag(bool),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
    Id(Uuid),
}

/// What the reading side tells the writing side.
enum Message {
    /// The rows of this table follow.
    Table(Head),
    /// Rows of it.
    Rows(Vec<Vec<Value>>),
    /// All tables were read.
    End,
}

/// What is known of a table before its rows.
#[derive(Clone, Copy)]
struct Head {
    table: &'static Table,
    /// Rows of the source.
    count: i64,
    /// The last number that the source gave to a row, which may be gone; 0 if none or not numbered.
    last_number: i64,
}

type Sender = mpsc::Sender<Message>;
type Receiver = mpsc::Receiver<Message>;
/// Hears of a table's rows: how many were moved, of how many.
type Progress<'a> = &'a (dyn Fn(&'static str, i64, i64) + Send + Sync);

/// Moves what is in an SQLite file into an empty PostgreSQL database. No service may run on
/// either. `progress` hears of each table, the rows moved and the rows there are.
///
/// # Errors
/// [`TransferError`]; the target is then as it was.
pub async fn sqlite_to_postgres(
    path: &Path,
    address: &PostgresAddress,
    progress: Progress<'_>,
) -> Result<Vec<Moved>, TransferError> {
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || sqlite::read(&path, &sender));
    let written = postgres::write(address, receiver, progress).await;
    let read = reading.await.unwrap_or_else(|error| Err(TransferError::Sqlite(error.to_string())));
    outcome(read, written)
}

/// Moves what is in a PostgreSQL database into an SQLite file without records. As
/// [`sqlite_to_postgres`].
///
/// # Errors
/// [`TransferError`]; the target is then as it was.
pub async fn postgres_to_sqlite(
    address: &PostgresAddress,
    path: &Path,
    progress: Progress<'_>,
) -> Result<Vec<Moved>, TransferError> {
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    let path = path.to_owned();
    let writing = tokio::task::spawn_blocking(move || sqlite::write(&path, receiver));
    let read = postgres::read(address, sender, progress).await;
    let written =
        writing.await.unwrap_or_else(|error| Err(TransferError::Sqlite(error.to_string())));
    outcome(read, written)
}

/// What was moved, or the error of the side that failed first: the other one found only that it
/// ended.
fn outcome(
    read: Result<(), TransferError>,
    written: Result<Vec<Moved>, TransferError>,
) -> Result<Vec<Moved>, TransferError> {
    match (read, written) {
        (Ok(()), written) => written,
        (Err(TransferError::Ended), Err(error)) | (Err(error), _) => Err(error),
    }
}

/// Whether the counts are those of the source.
fn check_count(head: Head, found: i64) -> Result<(), TransferError> {
    let (table, expected) = (head.table.name, head.count);
    match expected == found {
        true => Ok(()),
        false => Err(TransferError::Count { table, expected, found }),
    }
}

fn bad_value(table: &'static Table, column: usize) -> TransferError {
    TransferError::Value { table: table.name, column: table.columns[column].0 }
}
