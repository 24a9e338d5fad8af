//! PostgreSQL's errors as the port's errors.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::moderation::ports::StoreError;

/// Why the store cannot be opened. No message has the user or the password.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// It is no address of PostgreSQL.
    #[error("the address of the database: {0}")]
    Address(String),
    /// The certificates to trust cannot be read.
    #[error("sslrootcert: {0}")]
    Certificates(String),
    /// The server cannot be reached or refuses.
    #[error("{place}: {cause}")]
    Unreachable {
        /// Host and database.
        place: String,
        /// What went wrong.
        cause: String,
    },
    /// A newer program wrote it.
    #[error(
        "{place} has schema version {found}, but this program knows only versions up to {known}; \
         use the newer program or restore an older copy"
    )]
    NewerSchema {
        /// Host and database.
        place: String,
        /// The version it has.
        found: i32,
        /// The newest version this program knows.
        known: i32,
    },
    /// It has tables of another program.
    #[error("{0} has tables, but not those of replyguard; use a database of its own")]
    Foreign(String),
    /// It cannot hold every character.
    #[error(
        "{place} has the encoding {found}, which cannot hold every comment; make one with \
         CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, move what is in this one there \
         (pg_dump, pg_restore), and name it in storage.database_url"
    )]
    Encoding {
        /// Host and database.
        place: String,
        /// The encoding it has.
        found: String,
    },
}

/// What the port makes of an error of PostgreSQL.
///
/// Messages name PostgreSQL's code and text, never the values, which stand in its detail.
pub(super) fn from_postgres(error: &Error) -> StoreError {
    let Some(db) = error.as_db_error() else {
        return match error.is_closed() {
            true => StoreError::Unavailable("the connection was closed".into()),
            false => StoreError::Unavailable(plain(error)),
        };
    };
    let text = format!("{} ({})", db.message(), db.code().code());
    match db.code() {
        &SqlState::UNIQUE_VIOLATION => StoreError::AlreadyExists,
        code if code.code().starts_with("23") || code.code().starts_with("22") => {
            StoreError::Corrupt(text)
        }
        _ => StoreError::Unavailable(text),
    }
}

/// An error and its cause, without what it is about.
pub(super) fn plain(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// Whether the transaction only came into another's way and can be tried again.
pub(super) fn can_be_repeated(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
    )
}

/// The answer of a store that was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it was closed".into())
}

/// The answer of a store whose database did not answer in time.
pub(super) fn late() -> StoreError {
    StoreError::Unavailable("PostgreSQL did not answer in time".into())
}
