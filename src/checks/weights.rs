//! What signals weigh: the data of `weights.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::domain::{LogOdds, SignalName};

/// One entry of `weights.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weight {
    /// Added to the raw score, in log-odds.
    #[serde(default)]
    log_odds: f64,
    /// Whether the model weighs the signal as a feature.
    #[serde(default)]
    learnt: bool,
}

static WEIGHTS: LazyLock<BTreeMap<String, Weight>> = LazyLock::new(|| {
    toml::from_str(include_str!("weights.toml")).expect("a test parses the bundled weights")
});

/// What a signal adds to the raw score.
pub(super) fn weight(name: &SignalName) -> LogOdds {
    WEIGHTS.get(name.as_str()).map_or(LogOdds::ZERO, |weight| LogOdds::from_f64(weight.log_odds))
}

/// Whether the model gets the signal as a feature and weighs it itself. Such a signal adds
/// nothing by itself.
pub fn is_learnt(name: &SignalName) -> bool {
    WEIGHTS.get(name.as_str()).is_some_and(|weight| weight.learnt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signals::ALL_SIGNALS;

    #[test]
    fn every_signal_has_one_entry_and_every_entry_a_signal() {
        let names: Vec<&str> = ALL_SIGNALS.iter().map(SignalName::as_str).collect();
        assert!(names.iter().all(|name| WEIGHTS.contains_key(*name)), "{names:?}");
        assert_eq!(names.len(), WEIGHTS.len());
    }

    #[test]
    fn learnt_signals_weigh_nothing_themselves() {
        for (name, weight) in WEIGHTS.iter() {
            assert!(!weight.learnt || weight.log_odds == 0.0, "{name}");
            assert!(weight.log_odds.abs() <= 8.0, "{name}");
        }
    }
}
