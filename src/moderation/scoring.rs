//! From evidence to a judgement: checks, features, score, policy. Nothing here can fail.

use std::cell::RefCell;
use std::sync::Arc;

use crate::checks::{self, CheckInput, Facts, SiteRules};
use crate::classifier::Model;
use crate::domain::{Degraded, Score, Signal, SitePolicy, probability};
use crate::features::{FeatureBuilder, Names};
use crate::policy::{self, Decision, Evidence, Thresholds};
use crate::text::Analysis;

thread_local! {
    /// Buffers of this thread, so that a comment costs no allocation for its features.
    static SCRATCH: RefCell<(FeatureBuilder, Names)> = RefCell::default();
}

/// What is found and decided about one comment.
#[derive(Debug)]
pub struct Judgement {
    /// What the checks found.
    pub signals: Vec<Signal>,
    /// The score with its parts.
    pub score: Score,
    /// The verdict with its reasons.
    pub decision: Decision,
}

/// Judges comments with one model. Cheap to clone.
#[derive(Clone)]
pub struct Scorer {
    model: Arc<Model>,
}

impl Scorer {
    /// A scorer with this model.
    pub fn new(model: Arc<Model>) -> Self {
        Self { model }
    }

    /// Judges a comment.
    pub fn judge(
        &self,
        analysis: &Analysis<'_>,
        rules: &SiteRules,
        facts: &Facts,
        degraded: &[Degraded],
    ) -> Judgement {
        let signals = checks::run(&CheckInput { analysis, rules, facts });
        let score = SCRATCH.with_borrow_mut(|(builder, names)| {
            let learnt = signals.iter().filter(|signal| checks::is_learnt(&signal.name));
            let vector = builder.build_named(analysis, learnt, names);
            self.model.score(vector, names, &signals)
        });
        let evidence = Evidence { score: Some(&score), signals: &signals, degraded };
        let decision = policy::decide(rules.policy(), &self.thresholds(rules.policy()), &evidence);
        Judgement { signals, score, decision }
    }

    /// Where the verdict changes, by the site's budget in good comments.
    fn thresholds(&self, policy: &SitePolicy) -> Thresholds {
        let at = |one_in: u32| probability(self.model.spam().threshold(one_in));
        let hold = at(policy.budget.hold_one_in);
        Thresholds { hold, reject: at(policy.budget.reject_one_in).max(hold) }
    }
}
