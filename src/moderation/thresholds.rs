//! The raw scores from which a model's verdict changes: what judges models holds what a site that
//! they decide for would hold.

use crate::classifier::Model;
use crate::domain::{Budget, LogOdds, SitePolicy};

/// Raw scores from which comments are held and rejected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RawThresholds {
    pub(super) hold: LogOdds,
    /// Not below `hold`.
    pub(super) reject: LogOdds,
}

impl RawThresholds {
    /// Those of a model at a site: its budget's, or those that the owner set by hand.
    pub(super) fn of(model: &Model, policy: &SitePolicy) -> Self {
        Self::new(model, policy.budget).overridden(policy.hold_threshold, policy.reject_threshold)
    }

    /// Those that a budget gives.
    pub(super) fn new(model: &Model, budget: Budget) -> Self {
        let reject = model.spam().threshold(budget.reject_one_in);
        // Rejecting is never easier than holding.
        let hold = model.spam().threshold(budget.hold_one_in);
        Self { hold, reject: reject.max(hold) }
    }

    /// These, with the probabilities that the owner set by hand in their place, as the policy has it.
    pub(super) fn overridden(self, hold: Option<f64>, reject: Option<f64>) -> Self {
        let log_odds =
            |probability: f64| LogOdds::from_f64((probability / (1.0 - probability)).ln());
        let reject = reject.map_or(self.reject, log_odds);
        Self { hold: hold.map_or(self.hold, log_odds).min(reject), reject }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::base_model;

    #[test]
    fn thresholds_set_by_hand_stand_above_budgets() {
        let model = base_model();
        let at = |hold_threshold, reject_threshold| {
            let policy = SitePolicy { hold_threshold, reject_threshold, ..SitePolicy::default() };
            RawThresholds::of(&model, &policy)
        };
        let (plain, raw) = (at(None, None), at(Some(0.5), None));
        assert_eq!((raw.hold, raw.reject), (LogOdds::ZERO, plain.reject));
        let crossed = at(None, Some(0.5));
        assert_eq!((crossed.hold, crossed.reject), (LogOdds::ZERO, LogOdds::ZERO));
        assert!(at(Some(1.0), Some(1.0)).hold > plain.reject, "nothing is certain");
    }
}
