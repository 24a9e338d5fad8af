//! What an operator does to the file while no service, or another one, has it open.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;

use super::open::{self, OpenError, SqliteOptions};
use super::store::SqliteStore;

impl SqliteStore {
    /// Brings the schema at `path` up to date, creating the file if there is none, and gives the
    /// versions before and after.
    ///
    /// # Errors
    /// [`OpenError`]; a running service has the file for itself.
    pub fn migrate(path: &Path) -> Result<(i32, i32), OpenError> {
        let _lock = open::lock(path)?;
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let before = match path.exists() {
            true => version(&open::open_reader(path).map_err(sqlite)?).map_err(sqlite)?,
            false => 0,
        };
        let connection = open::open_writer(path, &SqliteOptions::default())?;
        Ok((before, version(&connection).map_err(sqlite)?))
    }

    /// One line about the file at `path`: its schema, whether its pages are whole, how many
    /// comments it holds. It may be in use, and is not changed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn examine(path: &Path) -> Result<String, OpenError> {
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let connection = open::open_reader(path).map_err(sqlite)?;
        open::check_owner(&connection, path)?;
        let version = version(&connection).map_err(sqlite)?;
        let whole: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
        if whole != "ok" {
            return Err(OpenError::Damaged { path: path.to_owned(), found: whole });
        }
        if version < open::SCHEMA_VERSION {
            return Ok(format!("schema {version}, the next start brings it up to date"));
        }
        let count: i64 = connection
            .query_row("SELECT count(*) FROM comments", [], |row| row.get(0))
            .map_err(sqlite)?;
        Ok(format!("schema {version}, pages whole, {count} comments"))
    }
}

/// Opens the file, with its schema up to date, for as long as the lock is held: no service has it.
pub(in crate::storage) fn open_alone(path: &Path) -> Result<(Connection, File), OpenError> {
    let lock = open::lock(path)?;
    Ok((open::open_writer(path, &SqliteOptions::default())?, lock))
}

fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_migrated_once_and_examined() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.sqlite3");
        let (before, after) = SqliteStore::migrate(&path).unwrap();
        assert_eq!((before, after), (0, open::SCHEMA_VERSION));
        assert_eq!(SqliteStore::migrate(&path).unwrap(), (after, after));
        assert!(SqliteStore::examine(&path).unwrap().ends_with("pages whole, 0 comments"));
        std::fs::write(&path, "no database at all, only text").unwrap();
        assert!(SqliteStore::examine(&path).is_err());
    }
}
