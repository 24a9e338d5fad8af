//! replyguard: the guard behind the form "Leave a Reply".
//!
//! Modules in reading order. A module may import those named before it and none after;
//! `tests/it/architecture.rs` holds the exact arrows and fails when one turns round.

pub mod classifier;
pub mod domain;
pub mod features;
pub mod moderation;
pub mod text;
