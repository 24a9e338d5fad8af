//! From evidence to a judgement: checks, features, score, policy. Nothing here can fail: what
//! goes wrong in spite of all care ends in hold.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::checks::{self, CheckInput, Facts, SiteRules};
use crate::classifier::Model;
use crate::domain::{Degraded, LogOdds, Score, Signal, SitePolicy, probability, uncertainty};
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
    /// The score with its parts; nothing if scoring broke.
    pub score: Option<Score>,
    /// The verdict with its reasons.
    pub decision: Decision,
    /// What did not work, before and here.
    pub degraded: Vec<Degraded>,
    /// How uncertain the verdict is; see [`uncertainty`].
    pub uncertainty: f64,
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

    /// The model.
    pub fn model(&self) -> Arc<Model> {
        self.model.clone()
    }

    /// The version of the model.
    pub fn model_version(&self) -> &str {
        self.model.version()
    }

    /// Judges a comment. A panic in a check or in the scoring is a bug of ours; it is logged, the
    /// comment is held and `model` is degraded.
    pub fn judge(
        &self,
        analysis: &Analysis<'_>,
        rules: &SiteRules,
        facts: &Facts,
        degraded: Vec<Degraded>,
    ) -> Judgement {
        let find = || checks::run(&CheckInput { analysis, rules, facts });
        self.judge_by(analysis, rules, find, degraded)
    }

    /// Judges a comment by signals that `find` makes.
    pub(super) fn judge_by(
        &self,
        analysis: &Analysis<'_>,
        rules: &SiteRules,
        find: impl Fn() -> Vec<Signal>,
        mut degraded: Vec<Degraded>,
    ) -> Judgement {
        let evidence = catch_unwind(AssertUnwindSafe(|| self.evidence(analysis, rules, find())));
        let (signals, score) = match evidence {
            Ok((signals, score)) => (signals, Some(score)),
            Err(_) => {
                tracing::error!("a check or the scoring panicked; the comment is held");
                // The buffers may be half filled.
                SCRATCH.set(Default::default());
                degraded.push(Degraded::Model);
                (Vec::new(), None)
            }
        };
        let policy = rules.policy();
        let evidence = Evidence { score: score.as_ref(), signals: &signals, degraded: &degraded };
        let thresholds = self.thresholds(policy);
        let decision = policy::decide(policy, &thresholds, &evidence);
        let hold = log_odds(thresholds.overridden(policy).hold);
        let uncertainty = uncertainty(score.as_ref().map(|score| score.raw_score), hold);
        Judgement { signals, score, decision, degraded, uncertainty }
    }

    fn evidence(
        &self,
        analysis: &Analysis<'_>,
        rules: &SiteRules,
        signals: Vec<Signal>,
    ) -> (Vec<Signal>, Score) {
        let score = SCRATCH.with_borrow_mut(|(builder, names)| {
            let learnt = signals.iter().filter(|signal| checks::is_learnt(&signal.name));
            let vector = builder.build_named(analysis, learnt, names);
            let mut score = self.model.score(vector, names, &signals);
            if rules.policy().hold_abuse_one_in.is_some() {
                score.abuse = self.model.abuse().map(|head| probability(head.raw_score(vector)));
            }
            score
        });
        (signals, score)
    }

    /// Where the verdict changes, by the site's budget in good comments.
    pub(super) fn thresholds(&self, policy: &SitePolicy) -> Thresholds {
        let at = |one_in: u32| probability(self.model.spam().threshold(one_in));
        let hold = at(policy.budget.hold_one_in);
        let abuse = policy.hold_abuse_one_in.zip(self.model.abuse());
        Thresholds {
            hold,
            reject: at(policy.budget.reject_one_in).max(hold),
            abuse: abuse.map(|(one_in, head)| probability(head.threshold(one_in))),
        }
    }
}

/// The log-odds of a probability, which may be 0 or 1.
fn log_odds(probability: f64) -> LogOdds {
    let inner = probability.clamp(1e-9, 1.0 - 1e-9);
    LogOdds::from_f64((inner / (1.0 - inner)).ln())
}
