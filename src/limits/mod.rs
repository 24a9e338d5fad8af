//! Rate limits and recent content: implementations of [`Limiter`](crate::moderation::ports::Limiter)
//! and [`RecentContent`](crate::moderation::ports::RecentContent).
//!
//! One algorithm, GCRA, with two places for its counters: this process, or Redis so that several
//! replicas count together. The index of recent content is always in this process; with Redis,
//! replicas keep theirs in step by a log. Redis is spoken to here and nowhere else. Each backend
//! passes `tests/it/limits.rs` and `tests/it/recent.rs`.

mod breaker;
pub mod connection;
pub mod fallback;
mod gcra;
pub mod memory;
mod reading;
pub mod recent;
pub mod recent_log;
mod recent_window;
pub mod redis;
pub mod refill;
mod rounds;
pub mod shared_recent;

pub use connection::{RedisConnection, RedisOptions};
pub use fallback::{FallbackLimiter, FallbackOptions, SharedLimiter};
pub use memory::{MemoryLimiter, MemoryLimits};
pub use recent::{MemoryRecent, RecentOptions};
pub use recent_log::{RecentEvent, RecentLog, RedisLog};
pub use redis::{RedisLimiter, RedisTime};
pub use refill::RefilledRecent;
pub use shared_recent::SharedRecent;
