//! What several tests need.

pub mod records;
pub mod redis;
pub mod service;
