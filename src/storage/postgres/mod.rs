//! The store that several processes share: one PostgreSQL database.
//!
//! **Writing.** A check that waits is recorded together with all others that wait, by one statement
//! in one transaction (`recorder`), so that a COMMIT is paid by a batch and not by a comment. What
//! happens rarely has a transaction of its own. Nothing is acknowledged before COMMIT.
//!
//! **Reading.** Sites and keys, which every call asks for, are kept in memory for as long as the
//! listening connection (`listener`) lives and nobody told of a change; without it, for a moment
//! only. All else is asked.
//!
//! **Order.** Who follows labels or decisions goes by `> position`, so positions of one site must
//! become visible in order: whoever appends holds the site's advisory lock until COMMIT.
//!
//! **Failure.** Each use of a connection has a deadline. One that was passed, or a caller that
//! went away, closes the connection: what it would say later belongs to nobody. Connections are
//! made anew when they are needed.

mod audit;
mod authors;
mod cache;
mod commands;
mod connect;
mod db;
mod error;
mod feedback;
mod ledger;
mod listener;
mod migrate;
mod models;
mod options;
mod queries;
mod recorder;
mod replicas;
mod rows;
mod store;

pub use error::PostgresError;
pub use migrate::SCHEMA_VERSION;
pub use options::{PostgresAddress, PostgresOptions};
pub use store::PostgresStore;
