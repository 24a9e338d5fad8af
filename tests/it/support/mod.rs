//! What several tests need.

pub mod backend;
pub mod browser;
pub mod clock;
pub mod collector;
pub mod desk;
pub mod load;
pub mod models;
pub mod pki;
pub mod postgres;
pub mod receiver;
pub mod records;
pub mod redis;
pub mod service;
pub mod visitor;
