//! Durable records: implementations of [`Store`](crate::moderation::ports::Store).
//!
//! SQL stands here and nowhere else. Each backend passes `tests/it/store.rs`; the migrations of
//! all backends have the same numbers and names.

mod record;
mod values;

pub mod foreign;
pub mod postgres;
pub mod sqlite;
pub mod transfer;

pub use postgres::{PostgresAddress, PostgresError, PostgresOptions, PostgresStore};
pub use sqlite::{BackupContents, OpenError, SqliteOptions, SqliteStore, private_folder};
