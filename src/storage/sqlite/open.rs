//! Opening the file: owner, permissions, pragmas, migrations.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// `rpgd`, so that a file of another program is not taken for ours (and `file` can name it).
const APPLICATION_ID: i32 = 0x7270_6764;
/// The migrations in order; the schema's version is how many have run.
const MIGRATIONS: [&str; 8] = [
    include_str!("../../../migrations/sqlite/0001_records.sql"),
    include_str!("../../../migrations/sqlite/0002_models.sql"),
    include_str!("../../../migrations/sqlite/0003_review.sql"),
    include_str!("../../../migrations/sqlite/0004_accounts.sql"),
    include_str!("../../../migrations/sqlite/0005_webhooks.sql"),
    include_str!("../../../migrations/sqlite/0006_key_uses.sql"),
    include_str!("../../../migrations/sqlite/0007_privacy.sql"),
    include_str!("../../../migrations/sqlite/0008_operations.sql"),
];
/// The schema's version that this program works with.
pub const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;
/// How long to wait for another connection, such as an operator's shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for the owner before this one, which may just be ending.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// Pages of WAL after which its content is moved into the database: 16 MiB. A checkpoint costs
/// two fsyncs and stalls the writer, so not too often; a long WAL slows down the next start.
const CHECKPOINT_PAGES: i32 = 4_096;
/// Kibibytes of page cache of the writing connection, used only when the file is that large.
const WRITER_CACHE_KIB: i32 = 16 * 1024;
/// Kibibytes of page cache of each reading connection.
const READER_CACHE_KIB: i32 = 2 * 1024;
/// See [`SqliteOptions::batch_period`]. A disk that syncs within it carries few jobs in each
/// transaction and pays for BEGIN, COMMIT, pages and switches between threads with each.
const BATCH_PERIOD: Duration = Duration::from_millis(2);
/// Distinct statements of the hot path and some more.
const STATEMENT_COUNT_MAX: usize = 48;

/// How the store is run. The defaults suit every size that one machine can carry.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Jobs that may wait for the writer; when so many wait, callers wait too. At most 75 kB each.
    pub queue_length: usize,
    /// Jobs in one transaction, so that the first doesn't wait long for the last.
    pub batch_count_max: usize,
    /// While several callers write at once, transactions begin at most once in this time.
    pub batch_period: Duration,
    /// Reading connections.
    pub reader_count: usize,
    /// Author records kept in memory, about 100 bytes each.
    pub author_cache_count: usize,
    /// The largest size of the database in pages of 4 KiB; none: what the disk takes.
    pub page_count_max: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            queue_length: 1_024,
            batch_count_max: 512,
            batch_period: BATCH_PERIOD,
            reader_count: 4,
            author_cache_count: 65_536,
            page_count_max: None,
        }
    }
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0} is in use by another replyguard process")]
    InUse(PathBuf),
    /// A newer program wrote it.
    #[error(
        "{path} has schema version {found}, but this program knows only versions up to {known}; \
         use the newer program or restore an older copy"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: i32,
        /// The newest version this program knows.
        known: i32,
    },
    /// It belongs to another program.
    #[error("{0} is not a database of replyguard")]
    Foreign(PathBuf),
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its pages are not whole, or it is not as it was written.
    #[error("{path} is damaged: {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// SQLite refused.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// Whether the file is not what it was, or never was a database.
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Damaged { .. } => true,
            Self::Sqlite { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            }
            _ => false,
        }
    }
}

/// Takes the lock that makes this process the owner of the file; it ends with the returned file,
/// also when the process is killed.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        private_folder(folder).map_err(io)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private_file(Path::new(&name)).map_err(io)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(LOCK_TIMEOUT / 50);
            }
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
    }
}

/// Makes a folder that only its owner may enter, and those that it stands in, unless they are there.
///
/// # Errors
/// Why it cannot be made.
pub fn private_folder(path: &Path) -> io::Result<()> {
    let mut folder = DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path)
}

/// Opens or creates a file that only its owner may read.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens the writing connection and brings the schema up to date.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    // SQLite gives the WAL the permissions of the database, so the file is made first.
    private_file(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let mut connection = connect(path, WRITER_CACHE_KIB).map_err(sqlite)?;
    check_owner(&connection, path)?;
    prepare_file(&connection, options).map_err(sqlite)?;
    migrate(&mut connection).map_err(sqlite)?;
    prepare_words(&connection).map_err(sqlite)?;
    Ok(connection)
}

/// Opens a reading connection.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, READER_CACHE_KIB)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

pub(super) fn connect(path: &Path, cache_kib: i32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_COUNT_MAX);
    // Without it SQLite plans a statement anew for each value of some parameters: measured, an
    // eighth of the writer's time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

/// Refuses files of other programs and of newer ones of ours.
pub(super) fn check_owner(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let table_count: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sqlite)?;
    let id = number("application_id").map_err(sqlite)?;
    if id != APPLICATION_ID && (id != 0 || table_count != 0) {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let found = number("user_version").map_err(sqlite)?;
    if found > SCHEMA_VERSION {
        let path = path.to_owned();
        return Err(OpenError::NewerSchema { path, found, known: SCHEMA_VERSION });
    }
    Ok(())
}

fn prepare_file(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    // What is removed is overwritten where that costs no further page; erasures do it everywhere.
    connection.pragma_update_and_check(None, "secure_delete", "fast", |_| Ok(()))?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
    let wal_bytes = i64::from(CHECKPOINT_PAGES) * 4_096;
    connection.pragma_update_and_check(None, "journal_size_limit", wal_bytes, |_| Ok(()))?;
    if let Some(pages) = options.page_count_max {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(())
}

/// Has the search index merge its segments eight by eight. By FTS5's own setting of four, each word
/// was written anew once more on the way to a million comments, half of what the index cost.
fn prepare_words(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT INTO comment_words (comment_words, rank) VALUES ('automerge', 8)";
    connection.execute(sql, []).map(drop)
}

/// Runs the migrations that the file has not seen, each in a transaction of its own.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(version.max(0) as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", index as i32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
