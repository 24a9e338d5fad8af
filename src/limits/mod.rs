//! Rate limits and recent content: implementations of [`Limiter`](crate::moderation::ports::Limiter)
//! and [`RecentContent`](crate::moderation::ports::RecentContent).
//!
//! One algorithm, GCRA, with two places for its counters: this process, or Redis so that several
//! replicas count together. Redis is spoken to here and nowhere else. Each backend passes
//! `tests/it/limits.rs`; the index of recent content passes `tests/it/recent.rs`.

pub mod fallback;
mod gcra;
pub mod memory;
pub mod recent;
pub mod redis;
pub mod refill;

pub use fallback::{FallbackLimiter, FallbackOptions, SharedLimiter};
pub use memory::{MemoryLimiter, MemoryLimits};
pub use recent::{MemoryRecent, RecentOptions};
pub use redis::{RedisLimiter, RedisTime};
pub use refill::RefilledRecent;
