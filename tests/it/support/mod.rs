//! What several tests need.

pub mod models;
pub mod records;
pub mod redis;
pub mod service;
