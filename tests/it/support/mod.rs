//! What several tests need.

pub mod records;
