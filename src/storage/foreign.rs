//! Databases of other systems, read and never written. A stranger's file may be anything: only
//! plain tables are asked, and nothing in the file is run.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Row};

/// Bytes of a value; a comment may have 65,525.
const VALUE_BYTES_MAX: i32 = 16 << 20;
/// The tables of Isso that are asked.
const ISSO_TABLES: [&str; 2] = ["comments", "threads"];

/// Why a foreign database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It lacks a table or has something else of its name.
    #[error("this is no database of {0}")]
    Other(&'static str),
    /// What SQLite says, which may quote the file's schema but never its rows.
    #[error("the database cannot be read: {0}")]
    Broken(String),
}

impl From<rusqlite::Error> for ForeignError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(match error {
            rusqlite::Error::SqliteFailure(code, _) => code.to_string(),
            _ => "a column has an unexpected type".to_owned(),
        })
    }
}

/// A comment of Isso's database.
#[derive(Debug, Clone, Default)]
pub struct IssoComment {
    /// 1: accepted; 2: waits for a moderator; 4: deleted, but has answers.
    pub mode: i64,
    /// What was typed, Markdown.
    pub text: String,
    /// The author's name.
    pub author: Option<String>,
    /// The author's address.
    pub email: Option<String>,
    /// The author's website.
    pub website: Option<String>,
    /// The sender's address, the last part of which Isso has cut off.
    pub remote_address: Option<String>,
    /// Seconds since 1970.
    pub created: f64,
    /// The page's path.
    pub page_uri: Option<String>,
    /// The page's title.
    pub page_title: Option<String>,
}

/// Isso's database.
pub struct IssoDatabase {
    db: Connection,
}

impl IssoDatabase {
    /// Opens the file for reading.
    ///
    /// # Errors
    /// If it is none of Isso's.
    pub fn open(path: &Path) -> Result<Self, ForeignError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        db.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
        let plain = "SELECT count(*) FROM sqlite_schema \
             WHERE type = 'table' AND name = ?1 AND sql LIKE 'CREATE TABLE%'";
        for table in ISSO_TABLES {
            let count: i64 = db.query_row(plain, [table], |row| row.get(0))?;
            if count != 1 {
                return Err(ForeignError::Other("Isso"));
            }
        }
        Ok(Self { db })
    }

    /// Calls `take` with each comment in the order of their numbers, until it says no.
    ///
    /// # Errors
    /// If the file is broken.
    pub fn for_each(&self, mut take: impl FnMut(IssoComment) -> bool) -> Result<(), ForeignError> {
        let sql = "SELECT c.mode, c.text, c.author, c.email, c.website, c.remote_addr, c.created, \
                 t.uri, t.title \
             FROM comments AS c LEFT JOIN threads AS t ON t.id = c.tid ORDER BY c.id";
        let mut statement = self.db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if !take(isso_comment(row)?) {
                break;
            }
        }
        Ok(())
    }
}

fn isso_comment(row: &Row<'_>) -> rusqlite::Result<IssoComment> {
    Ok(IssoComment {
        mode: row.get::<_, Option<i64>>(0)?.unwrap_or_default(),
        text: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
        author: row.get(2)?,
        email: row.get(3)?,
        website: row.get(4)?,
        remote_address: row.get(5)?,
        created: row.get::<_, Option<f64>>(6)?.unwrap_or_default(),
        page_uri: row.get(7)?,
        page_title: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as Isso 0.13 makes it.
    fn isso(path: &Path) {
        let db = Connection::open(path).unwrap();
        db.execute_batch(include_str!("../../tests/fixtures/import/isso.sql")).unwrap();
    }

    #[test]
    fn comments_are_read_in_order() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("comments.db");
        isso(&path);
        let mut comments = Vec::new();
        let take = |comment| {
            comments.push(comment);
            true
        };
        IssoDatabase::open(&path).unwrap().for_each(take).unwrap();
        assert_eq!(comments.iter().map(|one| one.mode).collect::<Vec<_>>(), [1, 2, 4, 1]);
        assert_eq!(comments[0].page_title.as_deref(), Some("Rye"));
        assert_eq!(comments[0].author.as_deref(), Some("Ann"));
        assert!(comments[0].created > 1e9);
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE comments (id)").unwrap();
        let error = IssoDatabase::open(&path).err().unwrap();
        assert!(matches!(error, ForeignError::Other(_)), "{error}");
        // A view may take for ever.
        let path = folder.path().join("view.db");
        let views = "CREATE TABLE threads (id); CREATE VIEW comments AS SELECT 1 AS id";
        Connection::open(&path).unwrap().execute_batch(views).unwrap();
        assert!(matches!(IssoDatabase::open(&path).err().unwrap(), ForeignError::Other(_)));
        std::fs::write(&path, b"SQLite format 3\0 and rubbish").unwrap();
        assert!(matches!(IssoDatabase::open(&path).err().unwrap(), ForeignError::Broken(_)));
    }
}
