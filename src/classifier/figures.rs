//! What a model does with a few labelled rows: enough to tell two models apart.

use serde::{Deserialize, Serialize};

use super::{Measures, Model, Outcome, TrainingSet};
use crate::domain::LogOdds;

/// The figures of one model on labelled rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Area under the ROC curve; nothing without both labels.
    pub auc: Option<f64>,
    /// Good comments at or above the threshold for holding.
    pub ham_held_count: u64,
    /// Spam at or above it.
    pub spam_held_count: u64,
    /// Mean logarithmic loss, nats.
    pub log_loss: f64,
}

impl Figures {
    /// Judges the examples of `set`, each as it came, with those held that score `threshold` or more.
    pub fn measure(model: &Model, set: &TrainingSet, threshold: LogOdds) -> Self {
        let head = model.spam();
        let outcomes: Vec<Outcome> = set
            .whole_rows()
            .map(|row| Outcome {
                spam: set.is_spam(row),
                raw_score: LogOdds::from_f64(head.raw_score_of(set, row)),
            })
            .collect();
        let measures = Measures::new(&outcomes, threshold, threshold);
        let loss = |outcome: &Outcome| {
            let sign = if outcome.spam { 1.0 } else { -1.0 };
            (-sign * outcome.raw_score.to_f64()).exp().ln_1p()
        };
        Self {
            auc: measures.auc,
            ham_held_count: measures.hold.false_positive_count,
            spam_held_count: measures.hold.true_positive_count,
            log_loss: outcomes.iter().map(loss).sum::<f64>() / outcomes.len().max(1) as f64,
        }
    }
}
