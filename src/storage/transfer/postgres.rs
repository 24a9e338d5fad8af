//! The side of PostgreSQL.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::{
    BATCH_COUNT, Head, Kind, Message, Moved, Progress, Receiver, Sender, TABLES, Table,
    TransferError, Value, bad_value, check_count,
};
use crate::storage::postgres::{PostgresAddress, PostgresStore, connect_alone};

fn failed(error: tokio_postgres::Error) -> TransferError {
    let cause = error.as_db_error().map(|db| format!(": {}", db.message())).unwrap_or_default();
    TransferError::Postgres(format!("PostgreSQL: {error}{cause}"))
}

/// Writes what comes, if the database has no records.
pub(super) async fn write(
    address: &PostgresAddress,
    mut rows: Receiver,
    progress: Progress<'_>,
) -> Result<Vec<Moved>, TransferError> {
    let place = |error: crate::storage::PostgresError| TransferError::Postgres(error.to_string());
    PostgresStore::migrate(address).await.map_err(place)?;
    let client = connect_alone(address).await.map_err(place)?;
    // Nobody else may write meanwhile: not a service, not another move.
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let begin = format!(
        "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s'; \
         SET LOCAL idle_in_transaction_session_timeout = 0; \
         LOCK TABLE {} IN EXCLUSIVE MODE",
        tables.join(", ")
    );
    client.batch_execute(&begin).await.map_err(failed)?;
    for table in TABLES {
        if count(&client, table.name).await? > 0 {
            return Err(TransferError::NotEmpty(address.to_string()));
        }
    }
    let mut moved = Vec::new();
    let mut next = rows.recv().await;
    loop {
        match next {
            Some(Message::Table(head)) => {
                let name = head.table.name;
                next = copy(&client, head, &mut rows, progress).await?;
                check_count(head, count(&client, name).await?)?;
                renumber(&client, head).await?;
                moved.push((name, head.count));
            }
            Some(Message::End) => break,
            Some(Message::Rows(_)) | None => return Err(TransferError::Ended),
        }
    }
    let sql = "INSERT INTO pending_words (number) SELECT number FROM comments";
    client.batch_execute(sql).await.map_err(failed)?;
    client.batch_execute("COMMIT").await.map_err(failed)?;
    // Plans for what stands there now, not for empty tables.
    client.batch_execute("ANALYZE").await.map_err(failed)?;
    Ok(moved)
}

/// Copies the rows of a table; answers with the message after them.
async fn copy(
    client: &Client,
    head: Head,
    rows: &mut Receiver,
    progress: Progress<'_>,
) -> Result<Option<Message>, TransferError> {
    let (table, expected) = (head.table, head.count);
    let sql = format!("COPY {} ({}) FROM STDIN BINARY", table.name, table.column_names());
    let sink = client.copy_in(&sql).await.map_err(failed)?;
    let types: Vec<Type> = table.columns.iter().map(|(_, kind)| kind.in_postgres()).collect();
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    let mut done = 0;
    progress(table.name, 0, expected);
    let next = loop {
        match rows.recv().await {
            Some(Message::Rows(batch)) => {
                done += batch.len() as i64;
                for row in batch {
                    let values = parameters(table, row)?;
                    writer.as_mut().write_raw(values).await.map_err(failed)?;
                }
                progress(table.name, done, expected);
            }
            next => break next,
        }
    };
    // Without it the copy is undone.
    if next.is_some() {
        writer.finish().await.map_err(failed)?;
    }
    Ok(next)
}

type Parameter = Box<dyn ToSql + Sync + Send>;

fn parameters(table: &'static Table, row: Vec<Value>) -> Result<Vec<Parameter>, TransferError> {
    let convert = |(column, value): (usize, Value)| -> Result<Parameter, TransferError> {
        let kind = table.columns[column].1;
        Ok(match value {
            Value::Null => kind.none(),
            Value::Int(number) if kind == Kind::Small => {
                Box::new(i32::try_from(number).map_err(|_| bad_value(table, column))?)
            }
            Value::Int(number) => Box::new(number),
            Value::Flag(flag) => Box::new(flag),
            Value::Real(number) => Box::new(number),
            // PostgreSQL has no words with this character, which SQLite took.
            Value::Text(text) if text.contains('\0') => Box::new(text.replace('\0', "\u{fffd}")),
            Value::Text(text) => Box::new(text),
            Value::Bytes(bytes) => Box::new(bytes),
            Value::Id(id) => Box::new(id),
        })
    };
    row.into_iter().enumerate().map(convert).collect()
}

impl Kind {
    fn in_postgres(self) -> Type {
        match self {
            Self::Int => Type::INT8,
            Self::Small => Type::INT4,
            Self::Flag => Type::BOOL,
            Self::Real => Type::FLOAT8,
            Self::Text => Type::TEXT,
            Self::Bytes => Type::BYTEA,
            Self::Id => Type::UUID,
        }
    }

    fn none(self) -> Parameter {
        match self {
            Self::Int => Box::new(None::<i64>),
            Self::Small => Box::new(None::<i32>),
            Self::Flag => Box::new(None::<bool>),
            Self::Real => Box::new(None::<f64>),
            Self::Text => Box::new(None::<String>),
            Self::Bytes => Box::new(None::<Vec<u8>>),
            Self::Id => Box::new(None::<Uuid>),
        }
    }
}

async fn count(client: &Client, source: &str) -> Result<i64, TransferError> {
    let sql = format!("SELECT count(*) FROM {source}");
    let row = client.query_one(&sql, &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

/// Has the next row numbered after all that the source ever had.
async fn renumber(client: &Client, head: Head) -> Result<(), TransferError> {
    let (Some(column), name) = (head.table.numbered, head.table.name) else { return Ok(()) };
    let (last, any) = (head.last_number.max(1), head.last_number > 0);
    let sql = format!("SELECT setval(pg_get_serial_sequence('{name}', '{column}'), {last}, {any})");
    client.batch_execute(&sql).await.map_err(failed)
}

async fn last_number(client: &Client, table: &Table) -> Result<i64, TransferError> {
    let memory = table.numbered.map(|column| {
        let sequence = format!("pg_get_serial_sequence('{}', '{column}')", table.name);
        format!("SELECT pg_sequence_last_value({sequence}::regclass)")
    });
    let Some(sql) = table.last_number(memory.as_deref()) else { return Ok(0) };
    let row = client.query_one(&sql, &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

/// Sends all rows, as they stand at one moment.
pub(super) async fn read(
    address: &PostgresAddress,
    sender: Sender,
    progress: Progress<'_>,
) -> Result<(), TransferError> {
    let place = |error: crate::storage::PostgresError| TransferError::Postgres(error.to_string());
    PostgresStore::migrate(address).await.map_err(place)?;
    let client = connect_alone(address).await.map_err(place)?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";
    client.batch_execute(begin).await.map_err(failed)?;
    for table in TABLES {
        let source = table.postgres_source.unwrap_or(table.name);
        let expected = count(&client, source).await?;
        let head = Head { table, count: expected, last_number: last_number(&client, table).await? };
        sender.send(Message::Table(head)).await.map_err(|_| TransferError::Ended)?;
        let sql = format!("SELECT {} FROM {source} ORDER BY {}", table.column_names(), table.order);
        let none: [&(dyn ToSql + Sync); 0] = [];
        let rows = client.query_raw(&sql, none).await.map_err(failed)?;
        let mut rows = pin!(rows);
        let (mut batch, mut done) = (Vec::with_capacity(BATCH_COUNT), 0);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            batch.push(values(table, &row)?);
            if batch.len() == BATCH_COUNT {
                done += batch.len() as i64;
                let batch = std::mem::take(&mut batch);
                sender.send(Message::Rows(batch)).await.map_err(|_| TransferError::Ended)?;
                progress(table.name, done, expected);
            }
        }
        progress(table.name, done + batch.len() as i64, expected);
        sender.send(Message::Rows(batch)).await.map_err(|_| TransferError::Ended)?;
    }
    sender.send(Message::End).await.map_err(|_| TransferError::Ended)
}

fn values(table: &'static Table, row: &Row) -> Result<Vec<Value>, TransferError> {
    let value = |(column, (_, kind)): (usize, &(&str, Kind))| -> Result<Value, TransferError> {
        let found = match kind {
            Kind::Int => row.try_get::<_, Option<i64>>(column).map(|one| one.map(Value::Int)),
            Kind::Small => row
                .try_get::<_, Option<i32>>(column)
                .map(|one| one.map(|number| Value::Int(i64::from(number)))),
            Kind::Flag => row.try_get::<_, Option<bool>>(column).map(|one| one.map(Value::Flag)),
            Kind::Real => row.try_get::<_, Option<f64>>(column).map(|one| one.map(Value::Real)),
            Kind::Text => row.try_get::<_, Option<String>>(column).map(|one| one.map(Value::Text)),
            Kind::Bytes => {
                row.try_get::<_, Option<Vec<u8>>>(column).map(|one| one.map(Value::Bytes))
            }
            Kind::Id => row.try_get::<_, Option<Uuid>>(column).map(|one| one.map(Value::Id)),
        };
        Ok(found.map_err(|_| bad_value(table, column))?.unwrap_or(Value::Null))
    };
    table.columns.iter().enumerate().map(value).collect()
}
