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
//! become visible in order: whoever appends holds the site's advisory lock until COMMIT. Comments are
//! recorded beside each other; who follows their numbers stops below those that are under way
//! (`review_queries::settled_number`).
//!
//! **Failure.** Each use of a connection has a deadline. One that was passed, or a caller that
//! went away, closes the connection: what it would say later belongs to nobody. Connections are
//! made anew when they are needed.

mod account_rows;
mod accounts;
mod audit;
mod authors;
mod cache;
mod claims;
mod commands;
mod connect;
mod days;
mod db;
mod decided_rows;
mod decision_queries;
mod decisions;
mod delivery_rows;
mod erase;
mod error;
mod feedback;
mod ledger;
mod listener;
mod lists;
mod migrate;
mod models;
mod operations;
mod options;
mod privacy;
mod queries;
mod queue;
mod recorder;
mod replicas;
mod review;
mod review_queries;
mod rows;
mod source;
mod store;
mod webhook_rows;
mod webhooks;
mod words;

pub(super) use connect::connect_alone;
pub use error::PostgresError;
pub use migrate::SCHEMA_VERSION;
pub use options::{PostgresAddress, PostgresOptions};
pub use store::PostgresStore;
