//! SQLite's errors as the port's errors.

use rusqlite::ErrorCode;

use crate::moderation::ports::StoreError;

/// What the port makes of an error of SQLite.
///
/// Messages name SQLite's code and text, never a value that was being stored.
pub(super) fn from_sqlite(error: rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(failure, _)
            if failure.code == ErrorCode::ConstraintViolation =>
        {
            match failure.extended_code {
                rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => StoreError::AlreadyExists,
                _ => StoreError::Corrupt(failure.to_string()),
            }
        }
        rusqlite::Error::SqliteFailure(failure, _) => StoreError::Unavailable(failure.to_string()),
        rusqlite::Error::FromSqlConversionFailure(column, kind, _) => {
            StoreError::Corrupt(format!("column {column} of type {kind}"))
        }
        rusqlite::Error::InvalidColumnType(column, name, kind) => {
            StoreError::Corrupt(format!("column {column} ({name}) of type {kind}"))
        }
        rusqlite::Error::IntegralValueOutOfRange(column, _) => {
            StoreError::Corrupt(format!("column {column} out of range"))
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// The answer of a store that was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it was closed".into())
}
