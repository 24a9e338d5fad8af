//! `replyguard migrate`: brings the database to this version's schema, or moves an installation to
//! another database.

use std::path::PathBuf;
use std::sync::Mutex;

use clap::Args;
use indicatif::ProgressBar;

use super::config_args::ConfigArgs;
use super::output::say;
use super::progress::bar;
use super::{Failure, block_on};
use crate::config::Config;
use crate::storage::transfer;
use crate::storage::{PostgresAddress, PostgresStore, SqliteStore, private_folder};

/// Arguments of `migrate`.
#[derive(Args)]
pub(super) struct MigrateArgs {
    /// Move all records out of this database, which no service may use meanwhile: sqlite:FILE or
    /// postgres://…
    #[arg(
        long,
        env = "REPLYGUARD_MIGRATE_FROM",
        value_name = "DATABASE",
        requires = "to",
        hide_env_values = true
    )]
    from: Option<String>,
    /// Move them into this one, which must have none: postgres://… or sqlite:FILE
    #[arg(
        long,
        env = "REPLYGUARD_MIGRATE_TO",
        value_name = "DATABASE",
        requires = "from",
        hide_env_values = true
    )]
    to: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// A database.
enum Place {
    Sqlite(PathBuf),
    Postgres(Box<PostgresAddress>),
}

impl Place {
    /// Reads `sqlite:FILE` or `postgres://…`; what is wrong is said without repeating it.
    fn parse(flag: &str, text: &str) -> Result<Self, Failure> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path))));
        }
        if !text.starts_with("postgres") {
            let text = format!("{flag}: sqlite:FILE or postgres://… is expected");
            return Err(Failure::usage(text));
        }
        let address: Result<PostgresAddress, _> = text.parse();
        let address = address.map_err(|error| Failure::usage(format!("{flag}: {error}")))?;
        Ok(Self::Postgres(Box::new(address)))
    }
}

impl MigrateArgs {
    /// Migrates and says from where to where. The service does the same when it starts; this is
    /// for doing it beforehand.
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.read()?;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => {
                move_all(Place::parse("--from", from)?, Place::parse("--to", to)?)
            }
            _ => migrate(&config),
        }
    }
}

/// Brings the configured database to this version's schema.
fn migrate(config: &Config) -> Result<(), Failure> {
    let unavailable = |error: String| Failure::unavailable(error);
    let (place, (before, after)) = match &config.storage.database_url {
        Some(url) => {
            let address: PostgresAddress =
                url.parse().map_err(|error| Failure::usage(format!("{error}")))?;
            let versions = block_on(async {
                let migrated = PostgresStore::migrate(&address).await;
                migrated.map_err(|error| unavailable(error.to_string()))
            })?;
            (address.to_string(), versions)
        }
        None => {
            let data_dir = &config.storage.data_dir;
            private_folder(data_dir)
                .map_err(|error| unavailable(format!("{}: {error}", data_dir.display())))?;
            let path = config.storage.database();
            let versions = SqliteStore::migrate(&path);
            (path.display().to_string(), versions.map_err(|error| unavailable(error.to_string()))?)
        }
    };
    if before == after {
        say!("{place}: schema {after}, nothing to do")
    } else {
        say!("{place}: schema {before} -> {after}")
    }
}

/// Moves an installation, and says what was moved.
fn move_all(from: Place, to: Place) -> Result<(), Failure> {
    let shown: Mutex<Option<(&'static str, ProgressBar)>> = Mutex::new(None);
    let progress = |table: &'static str, done: i64, total: i64| {
        let mut shown = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shown.as_ref().is_none_or(|(known, _)| *known != table) {
            let template = "{msg:>18} {wide_bar} {human_pos}/{human_len} {eta}";
            *shown = Some((table, bar(total.max(0) as u64, table, template)));
        }
        if let Some((_, bar)) = &*shown {
            bar.set_position(done.max(0) as u64);
        }
    };
    let moved = block_on(async {
        let moved = match (&from, &to) {
            (Place::Sqlite(path), Place::Postgres(address)) => {
                transfer::sqlite_to_postgres(path, address, &progress).await
            }
            (Place::Postgres(address), Place::Sqlite(path)) => {
                transfer::postgres_to_sqlite(address, path, &progress).await
            }
            (Place::Sqlite(_), Place::Sqlite(_)) | (Place::Postgres(_), Place::Postgres(_)) => {
                let text = "move between SQLite and PostgreSQL; a database of one kind is copied \
                            by its own tools";
                return Err(Failure::usage(text.to_owned()));
            }
        };
        moved.map_err(|error| Failure::unavailable(error.to_string()))
    })?;
    for (table, count) in moved.iter().filter(|(_, count)| *count > 0) {
        say!("{table:>18} {count:>12}")?;
    }
    let count: i64 = moved.iter().map(|(_, count)| count).sum();
    say!("moved {count} rows; each table has as many as before")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_files_and_addresses() {
        let file = |text| match Place::parse("--from", text) {
            Ok(Place::Sqlite(path)) => path.display().to_string(),
            _ => panic!("{text} is a file"),
        };
        assert_eq!(file("sqlite:data/x.sqlite3"), "data/x.sqlite3");
        assert_eq!(file("sqlite:///data/x.sqlite3"), "/data/x.sqlite3");
        assert!(matches!(Place::parse("--to", "postgres://h/x"), Ok(Place::Postgres(_))));
        for bad in ["data/x.sqlite3", "mysql://u:secret@h/x", "postgres://u:secret@h:p/x"] {
            assert!(Place::parse("--to", bad).is_err(), "{bad}");
        }
    }
}
