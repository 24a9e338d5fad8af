//! A copy of the whole database, made while the service writes, and the way back.
//!
//! A backup reads one snapshot: a reading connection of its own holds a transaction, so that what
//! is written meanwhile is not in the copy, and neither waits for the other. Only the write-ahead
//! log cannot be made shorter until the copy is done. The copy is one plain file with a checksum,
//! readable by its owner alone, which stands under its name when it is whole, tested and on disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::checksum::{self, Verified};
use super::open::{self, OpenError};
use super::store::SqliteStore;

/// Pages of 4 KiB that are copied at once: progress is told, and a disk's queue is not filled.
const STEP_PAGES: i32 = 1_024;
/// How long to wait when a page is locked, as while a log is moved into the database.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupContents {
    /// The version of its schema.
    pub schema: i32,
    /// Its size.
    pub byte_count: u64,
    /// Rows of the tables that people ask for, by name.
    pub counts: Vec<(&'static str, u64)>,
    /// Whether a checksum says that it is as it was written; backups of earlier versions have none.
    pub checksum: bool,
}

/// What is counted, with the first schema that has it.
const COUNTED: [(&str, &str, i32); 7] = [
    ("sites", "SELECT count(*) FROM sites", 1),
    ("keys", "SELECT count(*) FROM keys", 1),
    ("comments", "SELECT count(*) FROM comments", 1),
    ("labels", "SELECT count(*) FROM labels", 1),
    ("audit entries", "SELECT count(*) FROM audit_entries", 1),
    ("models", "SELECT count(*) FROM models", 2),
    ("accounts", "SELECT count(*) FROM accounts", 4),
];

/// Called with the pages that are copied and the pages there are.
pub type BackupProgress<'a> = &'a dyn Fn(u64, u64);

impl SqliteStore {
    /// Copies the database at `path` as it is now to the new file `to`. A service may have it open.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Io`] with `AlreadyExists` if there is something at `to`.
    pub fn back_up(
        path: &Path,
        to: &Path,
        progress: BackupProgress<'_>,
    ) -> Result<BackupContents, OpenError> {
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        must_exist(path)?;
        let connection = open::open_reader(path).map_err(sqlite)?;
        open::check_owner(&connection, path)?;
        // The snapshot begins with the first read.
        connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(sqlite)?;
        copy_whole(&connection, to, progress, Partial::append_checksum)
    }

    /// Puts the backup `from` where a service will open it, `path`, where nothing is yet. Nothing
    /// is made there before `from` was seen to be a backup.
    ///
    /// # Errors
    /// [`OpenError`]: no backup of replyguard, a damaged one, one of a newer version; a service
    /// that runs there; a database that is there already.
    pub fn restore(
        from: &Path,
        path: &Path,
        progress: BackupProgress<'_>,
    ) -> Result<BackupContents, OpenError> {
        let sqlite = |source| OpenError::Sqlite { path: from.to_owned(), source };
        // Before a long look at the backup; neither makes anything.
        must_not_exist(path)?;
        refuse_left_overs(path)?;
        let checksum = verify(from)?;
        // Only read: a backup may lie on a medium that cannot be written.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(from, flags).map_err(sqlite)?;
        open::check_owner(&connection, from)?;
        // Tested before anything is made, and again as a copy. A database of nobody has no schema.
        if examine(&connection, from)?.schema == 0 {
            return Err(OpenError::Foreign(from.to_owned()));
        }
        let _lock = open::lock(path)?;
        refuse_left_overs(path)?;
        let contents = copy_whole(&connection, path, progress, |_| Ok(()))?;
        Ok(BackupContents { checksum, ..contents })
    }
}

/// Whether a backup has a checksum, which is then right.
fn verify(from: &Path) -> Result<bool, OpenError> {
    let io = |source| OpenError::Io { path: from.to_owned(), source };
    // Before it is opened, which would wait for whoever writes to a pipe.
    if !std::fs::metadata(from).map_err(io)?.is_file() {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let mut file = File::open(from).map_err(io)?;
    match checksum::verify(&mut file).map_err(io)? {
        Verified::Whole => Ok(true),
        Verified::Unchecked => Ok(false),
        Verified::Damaged(found) => {
            Err(OpenError::Damaged { path: from.to_owned(), found: found.to_owned() })
        }
    }
}

/// A log that a database left behind would be played into the one that is put beside it.
fn refuse_left_overs(path: &Path) -> Result<(), OpenError> {
    for ending in ["-wal", "-shm", "-journal"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        let beside = PathBuf::from(beside);
        if beside.exists() {
            let source = io::Error::new(
                io::ErrorKind::AlreadyExists,
                "left by another database; move it away together with that",
            );
            return Err(OpenError::Io { path: beside, source });
        }
    }
    Ok(())
}

/// SQLite would make an empty database of a name that is wrong.
fn must_exist(path: &Path) -> Result<(), OpenError> {
    let found = std::fs::metadata(path);
    found.map(drop).map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

/// Nothing is ever put over another file, nor over a link to one.
fn must_not_exist(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    if path.is_symlink() || path.try_exists().map_err(io)? {
        return Err(io(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already")));
    }
    Ok(())
}

/// Copies to a new file beside `to`, tests the copy, finishes it, and gives it its name.
fn copy_whole(
    source: &Connection,
    to: &Path,
    progress: BackupProgress<'_>,
    finish: impl FnOnce(&Partial) -> io::Result<()>,
) -> Result<BackupContents, OpenError> {
    let io = |source| OpenError::Io { path: to.to_owned(), source };
    must_not_exist(to)?;
    let partial = Partial::create(to).map_err(io)?;
    let sqlite = |source| OpenError::Sqlite { path: to.to_owned(), source };
    let mut copy = Connection::open(&partial.path).map_err(sqlite)?;
    copy_pages(source, &mut copy, progress).map_err(sqlite)?;
    // One plain file, without the files beside it that WAL makes.
    copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).map_err(sqlite)?;
    open::check_owner(&copy, to)?;
    let contents = examine(&copy, to)?;
    copy.close().map_err(|(_, error)| sqlite(error))?;
    finish(&partial).map_err(io)?;
    let byte_count = partial.publish(to).map_err(io)?;
    Ok(BackupContents { byte_count, ..contents })
}

fn copy_pages(
    source: &Connection,
    copy: &mut Connection,
    progress: BackupProgress<'_>,
) -> rusqlite::Result<()> {
    // Nobody sees the copy before it is on disk.
    copy.pragma_update(None, "synchronous", "off")?;
    let backup = Backup::new(source, copy)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let pages = backup.progress();
        let total = u64::try_from(pages.pagecount).unwrap_or_default();
        progress(total.saturating_sub(u64::try_from(pages.remaining).unwrap_or_default()), total);
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            StepResult::Busy | StepResult::Locked => std::thread::sleep(BUSY_WAIT),
            // A result that later versions may add is tried again as well.
            _ => std::thread::sleep(BUSY_WAIT),
        }
    }
}

/// Whether every page and index is whole, and what is in it.
fn examine(copy: &Connection, path: &Path) -> Result<BackupContents, OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let whole: String =
        copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
    if whole != "ok" {
        return Err(OpenError::Damaged { path: path.to_owned(), found: whole });
    }
    let schema: i32 =
        copy.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    let mut counts = Vec::new();
    for (name, query, since) in COUNTED {
        if schema >= since {
            let count: i64 = copy.query_row(query, [], |row| row.get(0)).map_err(sqlite)?;
            counts.push((name, count.unsigned_abs()));
        }
    }
    Ok(BackupContents { schema, byte_count: 0, counts, checksum: true })
}

/// A file that is not whole yet; it is removed unless it gets its name.
struct Partial {
    path: PathBuf,
}

impl Partial {
    /// Makes it beside `to`, readable by its owner alone. What a run that was cut short left there
    /// is made anew.
    fn create(to: &Path) -> io::Result<Self> {
        if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut path = to.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path })
    }

    /// Adds the checksum of a backup.
    fn append_checksum(&self) -> io::Result<()> {
        checksum::append(&mut OpenOptions::new().read(true).write(true).open(&self.path)?)
    }

    /// Puts it on disk and gives it its name; never over another file. Gives its bytes.
    fn publish(self, to: &Path) -> io::Result<u64> {
        let file = File::open(&self.path)?;
        file.sync_all()?;
        match std::fs::hard_link(&self.path, to) {
            Err(error) if cannot_link(&error) => rename_unless_there(&self.path, to)?,
            linked => linked?,
        }
        // The name is durable with its folder.
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        match File::open(folder.unwrap_or(Path::new(".")))?.sync_all() {
            // Some file systems have no such call for folders.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            done => done?,
        }
        Ok(file.metadata()?.len())
    }
}

/// Whether the file system has no second names for files, as FAT and some of those over a network.
fn cannot_link(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        [Errno::PERM, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK].contains(&errno)
    })
}

/// Gives a file another name, which nothing has yet.
fn rename_unless_there(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know that flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => rename_after_a_look(from, to),
        Err(errno) if errno == Errno::NOTSUP || errno == Errno::OPNOTSUPP => {
            rename_after_a_look(from, to)
        }
        renamed => Ok(renamed?),
    }
}

/// The same where nothing better is to be had: who puts a file there between the look and the
/// renaming loses it.
fn rename_after_a_look(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(to) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::rename(from, to),
        Err(error) => Err(error),
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn no_progress(_: u64, _: u64) {}

    #[test]
    fn a_copy_is_whole_private_and_never_over_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let source = at("db.sqlite3");
        SqliteStore::migrate(&source).unwrap();
        let contents = SqliteStore::back_up(&source, &at("copy"), &no_progress).unwrap();
        assert_eq!(contents.schema, open::SCHEMA_VERSION);
        assert_eq!(contents.byte_count, std::fs::metadata(at("copy")).unwrap().len());
        assert!(contents.counts.contains(&("comments", 0)), "{contents:?}");
        let mode = std::fs::metadata(at("copy")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = SqliteStore::back_up(&source, &at("copy"), &no_progress).unwrap_err();
        assert!(matches!(again, OpenError::Io { .. }), "{again}");
        let back = SqliteStore::restore(&at("copy"), &at("new/db.sqlite3"), &no_progress).unwrap();
        assert_eq!(back.counts, contents.counts);
        let over = SqliteStore::restore(&at("copy"), &source, &no_progress).unwrap_err();
        assert!(matches!(over, OpenError::Io { .. }), "{over}");
        let names = std::fs::read_dir(folder.path()).unwrap();
        let partial = names.filter(|name| {
            name.as_ref().unwrap().file_name().to_string_lossy().contains("partial")
        });
        assert_eq!(partial.count(), 0, "what was cut short is gone");
    }

    /// On a memory card or a network drive, all the work was done and then thrown away.
    #[test]
    fn where_files_have_one_name_a_backup_gets_it_all_the_same() {
        let error = |errno: Errno| io::Error::from(errno);
        for errno in [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK] {
            assert!(cannot_link(&error(errno)), "{errno}");
        }
        assert!(!cannot_link(&error(Errno::EXIST)) && !cannot_link(&error(Errno::NOSPC)));
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        type Rename = fn(&Path, &Path) -> io::Result<()>;
        let ways: [(&str, Rename); 2] =
            [("flag", rename_unless_there), ("look", rename_after_a_look)];
        for (way, rename) in ways {
            std::fs::write(at("partial"), way).unwrap();
            rename(&at("partial"), &at(way)).unwrap();
            assert_eq!((read(way).as_str(), at("partial").exists()), (way, false));
            std::fs::write(at("partial"), "another").unwrap();
            let over = rename(&at("partial"), &at(way)).unwrap_err();
            assert_eq!(over.kind(), io::ErrorKind::AlreadyExists, "{way}");
            assert_eq!((read(way).as_str(), read("partial").as_str()), (way, "another"));
            std::os::unix::fs::symlink("nowhere", at(&format!("{way}-link"))).unwrap();
            let over = rename(&at("partial"), &at(&format!("{way}-link"))).unwrap_err();
            assert_eq!(over.kind(), io::ErrorKind::AlreadyExists, "{way}: a link is there");
        }
    }

    #[test]
    fn what_is_no_backup_is_not_restored() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let target = at("data/db.sqlite3");
        std::fs::write(at("text"), "no database at all, only text that is long enough".repeat(9))
            .unwrap();
        Connection::open(at("foreign")).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
        SqliteStore::migrate(&at("whole")).unwrap();
        let newer = Connection::open(at("whole")).unwrap();
        newer.pragma_update(None, "user_version", open::SCHEMA_VERSION + 1).unwrap();
        drop(newer);
        std::fs::write(at("empty"), "").unwrap();
        Connection::open(at("bare")).unwrap().execute_batch("VACUUM").unwrap();
        for name in ["text", "foreign", "whole", "nowhere", "empty", "bare", "."] {
            assert!(SqliteStore::restore(&at(name), &target, &no_progress).is_err(), "{name}");
            assert!(!at("data").exists(), "{name}");
        }
    }

    #[test]
    fn a_damaged_backup_is_not_restored() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        SqliteStore::migrate(&at("db")).unwrap();
        SqliteStore::back_up(&at("db"), &at("copy"), &no_progress).unwrap();
        let whole = std::fs::read(at("copy")).unwrap();
        let pages = whole.len() / 4_096 * 4_096;
        let middle = pages / 2 / 4_096 * 4_096;
        let lost = [&whole[..middle], &[0xff; 4_096][..], &whole[middle + 4_096..]].concat();
        let mut flipped = whole.clone();
        flipped[pages - 1] ^= 1;
        // A page in the middle is lost; the first, with the schema, is not. The last two lost their
        // checksum as well.
        for (what, bytes) in [
            ("lost", &lost[..]),
            ("flipped", &flipped),
            ("short", &whole[..whole.len() - 1]),
            ("shorter", &whole[..pages - 4_096]),
            ("lost and short", &lost[..pages]),
        ] {
            std::fs::write(at("copy"), bytes).unwrap();
            let error =
                SqliteStore::restore(&at("copy"), &at("data/db"), &no_progress).unwrap_err();
            assert!(error.is_damage(), "{what}: {error}");
            assert!(!at("data").exists(), "{what}");
        }
        std::fs::write(at("copy"), &whole[..pages]).unwrap();
        let earlier = SqliteStore::restore(&at("copy"), &at("data/db"), &no_progress).unwrap();
        assert!(!earlier.checksum, "a backup of an earlier version is restored, and said so");
    }
}
