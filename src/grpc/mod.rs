//! The gRPC surface: thin adapters over the use cases, and the only place that knows tonic.
//!
//! Types of the wire stop at `convert.rs` and `policy.rs`.

mod activity;
mod auth;
mod calls;
pub mod client;
mod comments;
mod connection;
mod convert;
mod evaluations;
mod explanations;
mod ledger;
mod models;
mod moderators;
mod models_convert;
mod operations;
mod policy;
mod privacy;
mod reviews;
mod reviews_convert;
mod server;
mod sites;
mod status;
mod watch;
mod webhooks;

pub use connection::{Connection, Peer};
pub use operations::WireAnswers;
pub use server::{GrpcLimits, GrpcService};

/// Answers a call, counted.
macro_rules! answer {
    ($service:expr, $name:literal, $method:ident, $request:expr) => {{
        let call = $crate::telemetry::Call::begin($name);
        let answer = $service.$method($request).await;
        call.end(answer.as_ref().err().map($crate::moderation::ModerationError::reason));
        answer.map(::tonic::Response::new).map_err($crate::grpc::status::status)
    }};
}

pub(crate) use answer;

/// Everything compiled from `proto`, by package.
#[allow(missing_docs, clippy::all, reason = "generated")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/wire.rs"));
}

pub use wire::google::{longrunning, rpc};

/// The contract as compiled from `proto/replyguard/v1`.
pub mod proto {
    pub use super::wire::replyguard::v1::*;

    /// The contract's descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/replyguard.bin"));
}
