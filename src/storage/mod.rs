//! Durable records: implementations of [`Store`](crate::moderation::ports::Store).
//!
//! SQL stands here and nowhere else. Each backend passes `tests/it/store.rs`; the migrations of
//! all backends have the same numbers and names.

mod record;

pub mod foreign;
pub mod sqlite;

pub use sqlite::{BackupContents, OpenError, SqliteOptions, SqliteStore};
