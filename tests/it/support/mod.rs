//! Helpers named for what a user does.

pub mod service;
