//! `replyguard migrate`: brings the database to this version's schema.

use clap::Args;

use super::Failure;
use super::config_args::ConfigArgs;
use super::output::say;
use crate::storage::SqliteStore;

/// Arguments of `migrate`.
#[derive(Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

impl MigrateArgs {
    /// Migrates and says from where to where. The service does the same when it starts; this is
    /// for doing it beforehand.
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.read()?;
        let data_dir = &config.storage.data_dir;
        std::fs::create_dir_all(data_dir)
            .map_err(|error| Failure::unavailable(format!("{}: {error}", data_dir.display())))?;
        let path = config.storage.database();
        let (before, after) =
            SqliteStore::migrate(&path).map_err(|error| Failure::unavailable(error.to_string()))?;
        if before == after {
            say!("{}: schema {after}, nothing to do", path.display())?;
        } else {
            say!("{}: schema {before} -> {after}", path.display())?;
        }
        Ok(())
    }
}
