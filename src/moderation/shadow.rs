//! A model that scores live comments without deciding, and what it would have decided otherwise.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::{Judgement, Moderation, Scorer};
use crate::domain::{CommentId, SiteId, Verdict};

/// Disagreements of a shadow that are kept to be read.
const DISAGREEMENT_COUNT_MAX: usize = 1_000;

/// A model that scores without deciding, and where it would have decided otherwise.
pub(super) struct Shadow {
    scorer: Scorer,
    seen: Mutex<Seen>,
}

#[derive(Default, Clone)]
struct Seen {
    compared_count: u64,
    disagreement_count: u64,
    last: VecDeque<Disagreement>,
}

/// A comment about which two models disagree.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    /// The comment.
    pub comment: CommentId,
    /// The verdict that was given.
    pub verdict: Verdict,
    /// The probability of spam by the model that decided.
    pub score: f64,
    /// The verdict that the shadow would have given.
    pub shadow_verdict: Verdict,
    /// The shadow's probability of spam.
    pub shadow_score: f64,
}

/// What a shadow saw in this process since it began or the service started; other replicas saw more.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShadowReport {
    /// The shadow's version; nothing if there is none.
    pub version: Option<String>,
    /// Comments that both scored.
    pub compared_count: u64,
    /// Of these, how many they disagreed about.
    pub disagreement_count: u64,
    /// The last disagreements, the newest first.
    pub disagreements: Vec<Disagreement>,
}

impl Shadow {
    pub(super) fn new(scorer: Scorer) -> Self {
        Self { scorer, seen: Mutex::default() }
    }

    /// The model.
    pub(super) fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// Compares two judgements of a comment.
    pub(super) fn note(&self, comment: CommentId, given: &Verdict, score: f64, own: &Judgement) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.compared_count += 1;
        let shadow_verdict = own.decision.verdict;
        if shadow_verdict == *given {
            return;
        }
        metrics::counter!("replyguard_shadow_disagreements_total").increment(1);
        seen.disagreement_count += 1;
        if seen.last.len() == DISAGREEMENT_COUNT_MAX {
            seen.last.pop_back();
        }
        seen.last.push_front(Disagreement {
            comment,
            verdict: *given,
            score,
            shadow_verdict,
            shadow_score: own.score.as_ref().map_or(f64::NAN, |score| score.probability),
        });
    }
}

impl Moderation {
    /// What the shadow of a site saw.
    pub fn shadow_report(&self, site: &SiteId) -> ShadowReport {
        let Some(shadow) = self.models.of(site).shadow else { return ShadowReport::default() };
        let seen = shadow.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ShadowReport {
            version: Some(shadow.scorer.model_version().to_owned()),
            compared_count: seen.compared_count,
            disagreement_count: seen.disagreement_count,
            disagreements: seen.last.into(),
        }
    }
}
