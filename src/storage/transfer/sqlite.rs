//! The side of SQLite.

use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params, params_from_iter};
use uuid::Uuid;

use super::{
    BATCH_COUNT, Head, Kind, Message, Moved, Receiver, Sender, SqliteMemory, TABLES, Table,
    TransferError, Value, bad_value, check_count,
};
use crate::storage::sqlite::open_alone;

fn failed(error: impl std::fmt::Display) -> TransferError {
    TransferError::Sqlite(error.to_string())
}

/// Sends all rows.
pub(super) fn read(path: &Path, sender: &Sender) -> Result<(), TransferError> {
    if !path.exists() {
        return Err(TransferError::Sqlite(format!("{}: there is no database", path.display())));
    }
    let (db, _lock) = open_alone(path).map_err(failed)?;
    let send = |message| sender.blocking_send(message).map_err(|_| TransferError::Ended);
    for table in TABLES {
        let source = table.sqlite_source.unwrap_or(table.name);
        let (count, last_number) = (count(&db, source)?, last_number(&db, table)?);
        send(Message::Table(Head { table, count, last_number }))?;
        let sql = format!("SELECT {} FROM {source} ORDER BY {}", table.column_names(), table.order);
        let mut statement = db.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut batch = Vec::with_capacity(BATCH_COUNT);
        while let Some(row) = rows.next().map_err(failed)? {
            batch.push(values(table, row)?);
            if batch.len() == BATCH_COUNT {
                send(Message::Rows(std::mem::take(&mut batch)))?;
            }
        }
        send(Message::Rows(batch))?;
    }
    send(Message::End)
}

fn count(db: &Connection, source: &str) -> Result<i64, TransferError> {
    let sql = format!("SELECT count(*) FROM {source}");
    db.query_row(&sql, [], |row| row.get(0)).map_err(failed)
}

fn last_number(db: &Connection, table: &Table) -> Result<i64, TransferError> {
    let memory = match table.sqlite_memory {
        Some(SqliteMemory::Sequence) => {
            Some(format!("SELECT seq FROM sqlite_sequence WHERE name = '{}'", table.name))
        }
        Some(SqliteMemory::CommentFloor) => Some("SELECT comment_floor FROM privacy_marks".into()),
        None => None,
    };
    let Some(sql) = table.last_number(memory.as_deref()) else { return Ok(0) };
    db.query_row(&sql, [], |row| row.get(0)).map_err(failed)
}

fn values(table: &'static Table, row: &Row<'_>) -> Result<Vec<Value>, TransferError> {
    let value = |(column, (_, kind)): (usize, &(&str, Kind))| {
        let stored = row.get_ref(column).map_err(failed)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match (kind, stored) {
            (_, ValueRef::Null) => Value::Null,
            (Kind::Int | Kind::Small, ValueRef::Integer(number)) => Value::Int(number),
            (Kind::Flag, ValueRef::Integer(number)) => Value::Flag(number != 0),
            (Kind::Real, ValueRef::Real(number)) => Value::Real(number),
            (Kind::Real, ValueRef::Integer(number)) => Value::Real(number as f64),
            (Kind::Text, ValueRef::Text(bytes)) => Value::Text(text(bytes)),
            (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(bytes.to_vec()),
            (Kind::Id, ValueRef::Blob(bytes)) => {
                Value::Id(Uuid::from_slice(bytes).map_err(|_| bad_value(table, column))?)
            }
            _ => return Err(bad_value(table, column)),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}

/// Writes what comes, if the file has no records.
pub(super) fn write(path: &Path, mut rows: Receiver) -> Result<Vec<Moved>, TransferError> {
    let (mut db, _lock) = open_alone(path).map_err(failed)?;
    for table in TABLES {
        if count(&db, table.name)? > 0 {
            return Err(TransferError::NotEmpty(path.display().to_string()));
        }
    }
    let transaction = db.transaction().map_err(failed)?;
    // A decision names the one that undid it, which comes later.
    transaction.pragma_update(None, "defer_foreign_keys", true).map_err(failed)?;
    let mut moved = Vec::new();
    let mut current: Option<Head> = None;
    let finish = |current: Option<Head>, moved: &mut Vec<Moved>| {
        let Some(head) = current else { return Ok(()) };
        check_count(head, count(&transaction, head.table.name)?)?;
        keep_last_number(&transaction, head)?;
        moved.push((head.table.name, head.count));
        Ok(())
    };
    loop {
        match rows.blocking_recv() {
            None => return Err(TransferError::Ended),
            Some(Message::Table(head)) => finish(current.replace(head), &mut moved)?,
            Some(Message::Rows(batch)) => {
                let Some(head) = current else { return Err(TransferError::Ended) };
                insert(&transaction, head.table, &batch)?;
            }
            Some(Message::End) => {
                finish(current, &mut moved)?;
                break;
            }
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(moved)
}

/// Has the next row numbered after all that the source ever had.
fn keep_last_number(db: &Connection, head: Head) -> Result<(), TransferError> {
    let (name, last) = (head.table.name, head.last_number);
    match head.table.sqlite_memory {
        Some(SqliteMemory::Sequence) => {
            db.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [name]).map_err(failed)?;
            let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
            db.execute(sql, params![name, last]).map_err(failed)?;
        }
        Some(SqliteMemory::CommentFloor) => {
            let sql = "UPDATE privacy_marks SET comment_floor = ?1 \
                 WHERE NOT EXISTS (SELECT 1 FROM comments WHERE number >= ?1)";
            db.execute(sql, [last]).map_err(failed)?;
        }
        None => {}
    }
    Ok(())
}

fn insert(db: &Connection, table: &Table, rows: &[Vec<Value>]) -> Result<(), TransferError> {
    let places = (1..=table.columns.len()).map(|number| format!("?{number}"));
    let mut places: Vec<String> = places.collect();
    let mut names = table.column_names();
    if let Some((name, expression)) = table.sqlite_extra {
        names = format!("{names}, {name}");
        places.push(expression.to_owned());
    }
    let sql = format!("INSERT INTO {} ({names}) VALUES ({})", table.name, places.join(", "));
    let mut statement = db.prepare_cached(&sql).map_err(failed)?;
    for row in rows {
        statement.execute(params_from_iter(row)).map_err(failed)?;
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Flag(flag) => ValueRef::Integer(i64::from(*flag)),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Id(id) => ValueRef::Blob(id.as_bytes()),
        }))
    }
}
