//! The use cases, and the ports they need. gRPC, HTTP and the command line all call these.

mod access;
mod check;
mod error;
pub mod examples;
mod feedback;
mod in_flight;
pub mod ports;
mod rules;
mod scoring;
mod sites;

use std::sync::Arc;

pub use access::{Actor, Caller};
pub use check::Answer;
pub use error::ModerationError;
pub use feedback::Feedback;
pub use scoring::{Judgement, Scorer};
pub use sites::NewKey;

use in_flight::InFlight;
use ports::{Clock, Limiter, Random, RecentContent, Store};
use rules::RulesCache;

/// The use cases of one process, over its ports.
pub struct Moderation {
    store: Arc<dyn Store>,
    limiter: Arc<dyn Limiter>,
    recent: Arc<dyn RecentContent>,
    scorer: Scorer,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    in_flight: InFlight,
    rules: RulesCache,
}

/// What the use cases stand on.
pub struct Ports {
    /// Records.
    pub store: Arc<dyn Store>,
    /// Rate limits.
    pub limiter: Arc<dyn Limiter>,
    /// Recent content.
    pub recent: Arc<dyn RecentContent>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

impl Moderation {
    /// The use cases over these ports, scoring with `scorer`.
    pub fn new(ports: Ports, scorer: Scorer) -> Self {
        Self {
            store: ports.store,
            limiter: ports.limiter,
            recent: ports.recent,
            scorer,
            clock: ports.clock,
            random: ports.random,
            in_flight: InFlight::default(),
            rules: RulesCache::default(),
        }
    }

    /// The version of the model that scores.
    pub fn model_version(&self) -> &str {
        self.scorer.model_version()
    }
}
