//! What several tests need.

pub mod browser;
pub mod desk;
pub mod models;
pub mod postgres;
pub mod receiver;
pub mod records;
pub mod redis;
pub mod service;
pub mod visitor;
