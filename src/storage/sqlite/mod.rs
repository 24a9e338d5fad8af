//! The embedded store: one SQLite file that this process owns alone.
//!
//! **Writing.** One thread has the only writing connection. Callers send it jobs over a bounded
//! queue; it takes all that wait, runs them in one transaction, and answers them after COMMIT. So
//! an fsync is paid by a batch and not by a comment, and a full queue slows the callers down
//! instead of growing. While several callers write, transactions begin at most every two
//! milliseconds, so that a fast disk carries batches too; their answers reach each calling thread
//! together. A batch writes few pages: a comment is under a kilobyte, request ids of one hour
//! stand together, and an author's changes are one row.
//!
//! **Reading.** A few reading connections on blocking threads. What every comment asks (its site,
//! its key, its author's record, whether its request id is known) is answered from memory in
//! nearly all cases, without leaving the caller's thread: exact caches that the writer updates
//! after COMMIT and before it answers, and filters that know which request ids and authors are
//! *not* stored. That is exact because a lock on a file beside the database keeps other processes
//! of this program out.
//!
//! **Files.** WAL with `synchronous = FULL`: what was acknowledged survives the process and the
//! power. The file is readable by its owner only, since it holds the sites' secrets.

mod account_rows;
mod accounts;
mod answers;
mod authors;
mod backup;
mod cache;
mod checksum;
mod claims;
mod days;
mod decision_queries;
mod decisions;
mod erase;
mod error;
mod feedback;
mod ledger;
mod maintenance;
mod models;
mod open;
mod operations;
mod privacy;
mod queue;
mod readers;
mod replicas;
mod review;
mod review_queries;
mod rows;
mod store;
mod webhook_rows;
mod webhooks;
mod words;
mod writer;

mod commands;
mod queries;

pub use backup::{BackupContents, BackupProgress};
pub(super) use maintenance::open_alone;
pub use open::{OpenError, SCHEMA_VERSION, SqliteOptions, private_folder};
pub use store::SqliteStore;
