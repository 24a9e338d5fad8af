//! replyguard: the guard behind the form "Leave a Reply".
//!
//! Modules in reading order. A module may import those named before it and none after;
//! `tests/it/architecture` holds the exact arrows and fails when one turns round.

pub mod domain;
pub mod text;
pub mod features;
pub mod checks;
pub mod classifier;
pub mod policy;
pub mod turns;
pub mod moderation;
pub mod storage;
pub mod limits;
pub mod webhooks;
pub mod config;
pub mod telemetry;
pub mod tls;
pub mod grpc;
pub mod http;
pub mod app;
pub mod cli;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
