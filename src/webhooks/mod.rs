//! Sends webhooks' messages: one POST each over HTTP/1.1, to addresses that were looked at first.
//!
//! A webhook's address comes from whoever administers a site, and the service stands where it
//! could reach more than the internet. So a name is resolved here, its addresses are judged, and
//! the connection goes to one of those that passed: nothing is resolved again in between. There
//! are no proxies and no redirects.

mod client;
mod target;

pub use client::{HttpsSender, SenderOptions};
