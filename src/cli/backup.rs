//! `replyguard backup` and `replyguard restore`: the whole installation in one file, and back.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::config_args::ConfigArgs;
use super::output::say;
use super::{Failure, progress};
use crate::config::StorageConfig;
use crate::storage::{BackupContents, OpenError, SqliteStore};

/// Arguments of `backup`.
#[derive(Args)]
pub(super) struct BackupArgs {
    /// The new file; it must not be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Arguments of `restore`.
#[derive(Args)]
pub(super) struct RestoreArgs {
    /// A file that `backup` wrote
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl BackupArgs {
    /// Copies the database, also while the service runs, and says what is in the copy.
    pub(super) fn run(self) -> Result<(), Failure> {
        let database = embedded(&self.config.read()?.storage)?.database();
        let bar = bar("backup");
        let contents = SqliteStore::back_up(&database, &self.to, &|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        tell("backed up", &self.to, &contents.map_err(failure)?, self.json)
    }
}

impl RestoreArgs {
    /// Puts a backup into a data folder that has no database.
    pub(super) fn run(self) -> Result<(), Failure> {
        let storage = self.config.read()?.storage;
        embedded(&storage)?;
        let database = storage.database();
        let bar = bar("restore");
        let contents = SqliteStore::restore(&self.from, &database, &|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let contents = contents.map_err(failure)?;
        tell("restored to", &database, &contents, self.json)?;
        if !contents.checksum {
            eprintln!(
                "{} has no checksum, as backups of earlier versions: its pages are whole, whether \
                 every byte is as it was written nobody can say",
                self.from.display()
            );
        }
        if readable_by_others(&self.from) {
            let file = self.from.display();
            eprintln!("{file} can be read by others, and with it every site's secrets: chmod 600");
        }
        Ok(())
    }
}

/// The storage, if it is the file that these commands copy.
fn embedded(storage: &StorageConfig) -> Result<&StorageConfig, Failure> {
    match storage.database_url {
        None => Ok(storage),
        Some(_) => Err(Failure::usage(
            "the records are in PostgreSQL (storage.database_url): use pg_dump and pg_restore",
        )),
    }
}

fn bar(name: &'static str) -> ProgressBar {
    progress::bar(0, name, "{msg:>12} {wide_bar} {percent} % {elapsed}")
}

fn readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

fn failure(error: OpenError) -> Failure {
    match &error {
        OpenError::Foreign(_) | OpenError::NewerSchema { .. } => Failure::data(error.to_string()),
        _ if error.is_damage() => Failure::data(error.to_string()),
        OpenError::Io { .. } => Failure::io(error.to_string()),
        _ => Failure::unavailable(error.to_string()),
    }
}

fn tell(what: &str, path: &Path, contents: &BackupContents, json: bool) -> Result<(), Failure> {
    if json {
        let counts: serde_json::Map<_, _> = contents
            .counts
            .iter()
            .map(|(name, count)| (name.replace(' ', "_") + "_count", (*count).into()))
            .collect();
        let line = serde_json::json!({
            "file": path,
            "schema": contents.schema,
            "byte_count": contents.byte_count,
            "checksum": contents.checksum,
            "counts": counts,
        });
        return say!("{line}");
    }
    let counts: Vec<String> =
        contents.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    say!(
        "{what} {}: schema {}, pages whole, {} bytes: {}",
        path.display(),
        contents.schema,
        contents.byte_count,
        counts.join(", ")
    )
}
