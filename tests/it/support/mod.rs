//! What several tests need.

pub mod records;
pub mod service;
